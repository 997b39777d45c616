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
    flood, machine = figures["flood"], record["machine"]
    table = markdown(("at work", "p50, ms", "p99, ms", "steps a second", "steps in one call"), rows)
    return (
        f"{table}\n{flood['refused']:,} of {flood['messages']:,} malformed messages were refused,"
        f" {flood['messages_per_second']:,} a second; the server's memory grew by {flood['grown_mb']:g} MB, and a session beside"
        f" them had its answers within {flood['beside_p99_ms']:,.0f} ms (p99). Server and clients shared {machine['cores']} cores"
        f" with other work (load average {figures['load_average']:g}).\n"
    )


BLOCKS = {"serve": serve}
