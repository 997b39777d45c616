"""Tables of the runtime: pools, steps in int8, one result on every processor (results/pool.json, int8_speed.json, bits.json)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from bench.tables import markdown, result

_LARGEST = (
    256  # units in the table: beyond, float32 weights leave the caches and the machine's other work decides
)


def pool() -> str:
    """What idle streams take, and a step in each way."""
    figures = result("pool")["figures"]
    megabytes, us = figures["megabytes of 10,000 idle streams"], figures["steps"]["us"]
    rows = [["10,000 idle streams, MB", f"{megabytes['process']:.1f}"]]
    rows += [[f"{name}, us, lower quartile", f"{values['q25']:.1f}"] for name, values in us.items()]
    rows += [
        [f"{name}, steps a second", f"{value:,}"]
        for name, value in figures["threads"]["steps_per_second"].items()
    ]
    rows.append(
        ["advance by two threads, times one", f"{figures['threads']['advance by 2 threads times 1']:.2f}"]
    )
    return markdown(["GRU of 256 units, text model", "measured, on a busy machine"], rows)


def int8_steps() -> str:
    """How many times as fast as float32 a step is in int8."""
    figures = result("int8_speed")["figures"]
    kernels, rows = figures["kernels"], []
    for name, part in figures.items():
        if not name.startswith("H ") or int(name.removeprefix("H ")) > _LARGEST:
            continue
        layer, times = part["layer"], part["layer"]["times"]
        rows.append(
            [
                name.removeprefix("H "),
                f"{layer['us']['float32']['median']:.2f}",
                *(f"{layer['us'][kernel]['median']:.2f} ({times[kernel]:.1f})" for kernel in kernels),
                f"{part['together']['times']:.1f}",
                f"{part['session']['times']:.1f}",
            ]
        )
    return markdown(
        [
            "H = I",
            "float32, us",
            *(f"{k}, us (times)" for k in kernels),
            "64 together, times",
            "session, times",
        ],
        rows,
    )


def bits() -> str:
    """Where each profile was computed, and whether to one hash."""
    figures = result("bits")["figures"]
    rows = []
    for profile, cells in figures["core"].items():
        computed_on = "; ".join(next(iter(cells.values())))
        same = [cell for cell in cells if figures["one hash"][f"{profile}, {cell}"]]
        other = [cell for cell in cells if cell not in same]
        rows.append([f"core, {profile}", computed_on, "; ".join(same), "; ".join(other) or "-"])
    for kind, by in figures["exported"].items():
        rows.append(
            [
                f"C export, {kind}",
                ", ".join(by),
                "gru" if figures["one hash"][f"exported, {kind}"] else "-",
                "-",
            ]
        )
    return markdown(
        ["profile", "computed on", f"one hash over {figures['steps']:,} steps", "other bits"], rows
    )


_CLOCKS = {"wall": "on the wall", "cpu": "the thread's own", "alone": "shortest of all runs"}


def latency() -> str:
    """The median step and the slowest in a thousand by every clock, beside the control."""
    rows: list[list[Any]] = []
    for size, kinds in result("bits")["figures"]["latency"].items():
        for name, clocks in kinds.items():
            for clock, v in clocks.items():
                nanoseconds = (f"{v[key]:,}" for key in ("median_ns", "p99_ns", "p99.9_ns"))
                rows.append([size, name, _CLOCKS[clock], *nanoseconds, f"{v['p99.9 over median']:.1f}"])
    return markdown(["", "step", "clock", "median, ns", "99 %", "99.9 %", "99.9 % over median"], rows)


BLOCKS: dict[str, Callable[[], str]] = {
    "pool": pool,
    "int8_steps": int8_steps,
    "bits": bits,
    "latency": latency,
}
