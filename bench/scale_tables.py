"""The tables of docs/distributed.md and docs/batches.md: several hosts, lost ones, batches; from results/."""

from __future__ import annotations

from typing import Any

from bench.tables import markdown, result

NAMES = {"forecast": "series of 100 days, 7 ahead", "sentiment": "sentences", "chess": "games"}


def hosts(record: dict[str, Any] | None = None) -> str:
    """Steps a second by the network between the hosts, beside one process on the same cores."""
    record = record or result("distributed")
    figures = record["figures"]
    rows = [
        [
            str(row["ranks"]),
            f"{row['latency_ms']} ms",
            f"{row['megabits']:,} Mb/s" if row["megabits"] else "as fast as the host",
            str(row["sync_every"]),
            f"{row['steps_per_second']:.2f}",
            f"{100 * row['efficiency']:.0f} %",
        ]
        for row in figures["network"]
    ]
    one = figures["one_process"]
    head = ("hosts", "round trip", "link", "`--sync-every`", "steps a second", "of one process")
    return (
        f"{markdown(head, rows)}\nOne process makes {one['1']:.2f} steps a second with one thread and {one['2']:.2f} with two, on"
        f" the same two cores; the last column is the share of the latter. {figures['parameters']:,} parameters,"
        f" {figures['parameters'] * 4 / 1e6:.1f} MB of gradients a step; load average {figures['load'][0]:g} at the end.\n"
    )


def lost(record: dict[str, Any] | None = None) -> str:
    """When a lost host is noticed."""
    figures = (record or result("distributed"))["figures"]
    rows = [
        [kind, f"{fault['noticed_seconds']:.0f} s", "yes" if fault["resume_line"] else "no"]
        for kind, fault in figures["faults"].items()
    ]
    killed, whole = figures["faults"]["killed"]["continued_value"], figures["undisturbed_value"]
    return (
        markdown(
            ("the second host is", "the first has saved and left after", "with a line that continues"), rows
        )
        + f"\nThe run whose second process was killed was continued and ended at {killed:.4f} nats per character, where the one"
        f" that was not disturbed ended at {whole:.4f}.\n"
    )


def batches(record: dict[str, Any] | None = None) -> str:
    """Inputs a second and memory of each batch."""
    figures = (record or result("batch"))["figures"]
    rows = []
    for task, name in NAMES.items():
        if task in figures:
            tenth, whole = figures[task]["tenth"], figures[task]["whole"]
            rows.append(
                [
                    f"{whole['inputs']:,} {name}",
                    f"{whole['inputs_per_second']:,.0f}",
                    f"{whole['seconds']:,.0f} s",
                    f"{whole['peak_mb']:,.0f} MB",
                    f"{tenth['peak_mb']:,.0f} MB",
                    f"{figures[task]['again_seconds']:.1f} s",
                ]
            )
    head = (
        "batch",
        "a second",
        "all",
        "memory of a process",
        "with a tenth of the input",
        "the same command again",
    )
    return f"{markdown(head, rows)}\n{figures['workers']} processes of one thread each, imports and loading included.\n"


BLOCKS = {"hosts": hosts, "lost_hosts": lost, "batches": batches}
