"""The table of docs/serve.md: what a thousand sessions and a flood of nonsense cost the server, from results/serve.json."""

from __future__ import annotations

from typing import Any

from bench.tables import markdown, result


def serve(record: dict[str, Any] | None = None) -> str:
    """Latencies by the number of sessions, then what the flood left."""
    record = record or result("serve")
    figures = record["figures"]
    rows = [
        [
            f"{row['sessions']:,} session{'s' if row['sessions'] > 1 else ''}",
            f"{row['p50_ms']:,.1f}",
            f"{row['p99_ms']:,.1f}",
            f"{row['steps_per_second']:,}",
            f"{row['steps_a_call']:g}",
        ]
        for row in figures["crowds"]
    ]
    flood, machine, attacked = figures["flood"], record["machine"], figures["attacks"]
    slow, half = attacked["slow_readers"], attacked["half_open"]
    paths, large = attacked["path_escapes"], attacked["oversized"]
    worst = max(row["beside_p99_ms"] for row in attacked.values())
    grown = max(row["grown_mb"] for row in attacked.values())
    table = markdown(("at work", "p50, ms", "p99, ms", "steps a second", "steps in one call"), rows)
    return (
        f"{table}\n{flood['refused']:,} of {flood['messages']:,} malformed messages were refused,"
        f" {flood['messages_per_second']:,} a second; the server's memory grew by {flood['grown_mb']:g} MB, and a session"
        f" beside them had its answers within {flood['beside_p99_ms']:,.0f} ms (p99)."
        f" {slow['cut_off']} of {slow['connections']} readers that read nothing were cut off, the last after"
        f" {slow['longest_s']:.0f} s; {half['cut_off']} of {half['connections']} half-open connections, the last after"
        f" {half['longest_s']:.0f} s. {paths['refused']} of {paths['requests']} requests for a path outside were refused,"
        f" {paths['told']} told its content; {large['refused']} of {large['uploads']} uploads and {large['ended']} of"
        f" {large['messages']} messages above the limit were refused. The server's memory grew by at most {grown:g} MB in"
        f" any of these, and the session beside them had its answers within {worst:,.0f} ms (p99). Server and clients"
        f" shared {machine['cores']} cores (load average {figures['load_average']:g}).\n"
    )


BLOCKS = {"serve": serve}
