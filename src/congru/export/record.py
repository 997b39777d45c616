"""The result of an export: one entry for every file, and why a network or form has none."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import median
from time import process_time

from congru.report.table import Cell, text_table

_ROUNDS = 15


@dataclass(frozen=True)
class Written:
    """A program in the target: which network and form, its size, its largest error, a step's time beside the source's."""

    network: str
    form: str
    file: str
    bytes: int
    error: float
    step_us: float | None = None
    source_us: float | None = None
    facts: dict[str, int | float | str] = field(default_factory=dict)


@dataclass(frozen=True)
class Refused:
    """A network or form that the target cannot express, with the reason."""

    network: str
    form: str
    reason: str


@dataclass(frozen=True)
class Export:
    """Where an export lies and what it holds."""

    target: str
    folder: Path
    written: list[Written]
    refused: list[Refused]
    notes: list[str]

    def record(self) -> str:
        """All figures as JSON."""
        parts = {**asdict(self), "folder": str(self.folder)}
        return json.dumps(parts, indent=1) + "\n"

    def table(self) -> str:
        """A line for every file, then what was not written and why."""
        names = list(dict.fromkeys(name for entry in self.written for name in entry.facts))
        header = ["network", "form", "file", "kB", "largest error", "step, us", "source, us", *names]
        rows: list[Sequence[Cell]] = [
            [
                entry.network,
                entry.form,
                entry.file,
                f"{entry.bytes / 1000:,.1f}",
                f"{entry.error:.1e}",
                _microseconds(entry.step_us),
                _microseconds(entry.source_us),
                *(_fact(entry.facts.get(name)) for name in names),
            ]
            for entry in self.written
        ]
        lines = [text_table(rows, header)]
        lines += [f"not written: {entry.network}, {entry.form}: {entry.reason}" for entry in self.refused]
        return "\n".join([*lines, *self.notes])


def _microseconds(value: float | None) -> str:
    return "" if value is None else f"{value:.1f}"


def _fact(value: Cell) -> Cell:
    return f"{value:,}" if isinstance(value, int) else value


def time_beside(functions: Mapping[str, Callable[[], object]], seconds: float = 0.1) -> dict[str, float]:
    """Microseconds of processor time a call of each function: the median of rounds in which all take turns.

    >>> sorted(time_beside({"a": int, "b": float}, seconds=0.001))
    ['a', 'b']
    """
    calls = {}
    for name, function in functions.items():
        function()
        start = process_time()
        function()
        each = max(process_time() - start, 1e-7)
        calls[name] = max(1, int(seconds / _ROUNDS / each))
    times: dict[str, list[float]] = {name: [] for name in functions}
    for _ in range(_ROUNDS):
        for name, function in functions.items():
            start = process_time()
            for _ in range(calls[name]):
                function()
            times[name].append((process_time() - start) / calls[name])
    return {name: 1e6 * median(values) for name, values in times.items()}
