"""The tables of docs/distributed.md and docs/batches.md: several hosts, lost ones, batches; from results/."""

from __future__ import annotations

import math
from typing import Any

from bench.tables import markdown, result

NAMES = {"forecast": "series of 100 days, 7 ahead", "sentiment": "sentences", "chess": "games"}


def hosts(record: dict[str, Any] | None = None) -> str:
    """Steps a second by the network between the hosts, beside one process on the same cores."""
    record = record or result("distributed")
    figures = record["figures"]
    one = figures["one_process"]
    rows = [
        [
            str(row["ranks"]),
            f"{row['latency_ms']} ms",
            f"{row['megabits']:,} Mb/s" if row["megabits"] else "as fast as the host",
            str(row["sync_every"]),
            f"{row['steps_per_second']:.2f}",
            f"{100 * row['steps_per_second'] / max(one.values()):.0f} %",
        ]
        for row in figures["network"]
    ]
    load = figures["load"][0]
    busy = f" Other work ran on the machine (load average {load:g}) and slows every row." if load > 4 else ""
    head = ("hosts", "round trip", "link", "`--sync-every`", "steps a second", "of one process")
    return (
        f"{markdown(head, rows)}\nOne process makes {one['1']:.2f} steps a second with one thread and {one['2']:.2f} with two,"
        f" on the same two cores; the last column is the share of the faster. {figures['parameters']:,} parameters,"
        f" {figures['parameters'] * 4 / 1e6:.1f} MB of gradients a step, in one message with all else.{busy}\n"
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


# Of the plan: a round trip within a rack, links in bytes a second, models as (words, seconds of a step on one core, parameters).
ROUND_TRIP, LINKS = 0.2e-3, {"1 Gb/s": 125e6, "10 Gb/s": 1250e6}
MACHINES = (10, 100)
LARGE = ("8 M parameters, 0.3 s a step", 0.3, 8_000_000)


def plan(record: dict[str, Any] | None = None) -> str:
    """What more machines would give, by a formula whose two constants are measured: a step alone, and round trips a step."""
    figures = (record or result("distributed"))["figures"]
    step = 1 / figures["one_process"]["1"]
    times = {
        row["latency_ms"]: 1 / row["steps_per_second"]
        for row in figures["network"]
        if row["ranks"] == 2 and row["megabits"] is None and row["sync_every"] == 1
    }
    trips = (times[20] - times[1]) / 19e-3
    small = (
        f"{figures['parameters'] / 1e6:.1f} M parameters, {step:.3f} s a step",
        step,
        figures["parameters"],
    )
    rows = []
    for words, seconds, parameters in (small, LARGE):
        for link, speed in LINKS.items():
            gains = []
            for machines in MACHINES:
                own, wait = seconds / machines, trips * math.log2(machines) * ROUND_TRIP
                sent = 2 * (machines - 1) / machines * 4 * parameters / speed
                gains += [seconds / (own + wait + sent), seconds / (own + (wait + 3 * sent) / 8)]
            rows.append([words, link, *(f"{gain:.1f}" for gain in gains)])
    head = ["model", "link", *(f"{n} machines{how}" for n in MACHINES for how in ("", ", `--sync-every 8`"))]
    return (
        f"{markdown(head, rows)}\nTimes as fast as one core, computed, not measured: step / n + {trips:.1f} log2(n) round trips"
        f" of {1e3 * ROUND_TRIP:g} ms + 2 (n - 1) / n x the bytes of the gradients over the link; with `--sync-every 8` three"
        f" times the bytes, and the round trips, at every eighth step. {trips:.1f} round trips a step are what 20 ms in place of"
        f" 1 ms cost two hosts.\n"
    )


BLOCKS = {"hosts": hosts, "lost_hosts": lost, "batches": batches, "plan": plan}
