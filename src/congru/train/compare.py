"""Cells compared at an equal budget: the same data, settings and seeds; mean and spread over the seeds.

The seeds are interleaved and each seed begins with the next cell, so that a machine which gets slower or faster in the
course of an hour treats all cells alike.
"""

from __future__ import annotations

import functools
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar

import torch
from torch import nn

from congru.errors import SettingsError
from congru.report.table import Cell, text_table
from congru.runtime.plain_json import as_json
from congru.train.base import AnyLearner
from congru.train.folder import check_out, next_free, write_bytes
from congru.train.interrupt import TrainingInterrupted
from congru.train.loop import fit
from congru.train.provenance import resume_line
from congru.train.resolve import to_yaml
from congru.train.settings import ModelSettings, TrainSettings
from congru.train.summary import RunResult
from congru.train.wording import duration

Match = Literal["parameters", "hidden"]
Settings = TypeVar("Settings", bound=ModelSettings)
LARGEST_HIDDEN = 1 << 16


@dataclass(frozen=True)
class Row:
    """One cell: its size, and what it reached."""

    cell: str
    hidden_size: int
    num_parameters: int
    mean: float
    """Mean of the best validation values over the seeds."""
    spread: float | None
    """Their sample standard deviation; None with one seed."""
    values: list[float]
    seconds: float
    """Mean seconds of training."""
    steps: float
    """Mean number of steps."""
    folders: list[str]


@dataclass(frozen=True)
class Comparison:
    """Rows in the order of the cells asked for, and the baselines on the same validation data."""

    task: str
    metric: str
    minimize: bool
    match: Match
    seeds: list[int]
    rows: list[Row]
    baselines: dict[str, float]

    def table(self) -> str:
        """The comparison as aligned text, best cell first, then the baselines."""
        ordered = sorted(self.rows, key=lambda row: row.mean, reverse=not self.minimize)
        header = ("cell", self.metric, "spread", "parameters", "hidden", "steps", "time")
        lines: list[tuple[Cell, ...]] = [
            (
                row.cell,
                row.mean,
                "" if row.spread is None else f"± {row.spread:.4f}",
                row.num_parameters,
                str(row.hidden_size),
                f"{row.steps:.0f}",
                duration(row.seconds),
            )
            for row in ordered
        ]
        lines += [(name, value, "", None, "", "", "") for name, value in self.baselines.items()]
        return text_table(lines, header)


def compare(
    make_learner: Callable[..., AnyLearner],
    data: Sequence[Any],
    settings: Settings,
    cells: Sequence[str],
    seeds: Sequence[int],
    match: Match = "parameters",
    say: Callable[[str], None] | None = None,
    origin: Mapping[str, str] | None = None,
) -> Comparison:
    """Train every cell with every seed at the budget in ``settings`` and compare the best validation values.

    Args:
        make_learner: the task's ``make_learner(*data, settings=...)``.
        data: the paths or tables it takes.
        settings: with fields ``cell`` and ``hidden_size``; those of the first cell.
        cells: for example ``("gru", "lstm", "rnn", "mingru")``.
        seeds: one run per cell and seed.
        match: ``"parameters"`` gives every cell the width whose parameter count is closest to that of the first
            cell, ``"hidden"`` the same width.
        say: receives one line per run.
        origin: where each setting came from, for ``config.yaml``.

    Raises:
        SettingsError: no cells, no seeds, or settings without ``cell`` and ``hidden_size``.
        TrainingInterrupted: saved; call again with ``resume``.
    """
    _check(settings, cells, seeds, match)
    learner = make_learner(*data, settings=_changed(settings, cell=cells[0], seed=seeds[0]))
    hidden = _hidden_sizes(learner, cells, int(getattr(settings, "hidden_size")), match)  # noqa: B009
    out = settings.out if settings.out is not None else next_free(Path("runs"), f"compare-{learner.task}")
    if not settings.resume:
        check_out(out, resume=False)
        write_bytes(out / "config.yaml", to_yaml(settings, origin or {}).encode("utf-8"))
    results: dict[str, list[RunResult]] = {cell: [] for cell in cells}
    try:
        for number, seed in enumerate(seeds):
            first = number % len(cells)
            for cell in (*cells[first:], *cells[:first]):
                result = _run(make_learner, data, settings, out, cell, hidden[cell], seed, origin or {})
                results[cell].append(result)
                if say is not None:
                    say(f"{cell} seed {seed}: {result.metric} {result.best:.4f}, {result.steps} steps")
    except TrainingInterrupted:
        line = resume_line(learner, out, "compare", cells=cells, seeds=seeds, match=(match,))
        if say is not None:
            say(f"interrupted, saved; to continue:\n  {line}")
        raise TrainingInterrupted(line) from None
    comparison = Comparison(
        task=learner.task,
        metric=learner.metric,
        minimize=learner.minimize,
        match=match,
        seeds=list(seeds),
        rows=[_row(cell, hidden[cell], results[cell]) for cell in cells],
        baselines=dict(learner.baselines),
    )
    text = as_json(asdict(comparison), indent=2) + "\n"
    write_bytes(out / "compare.json", text.encode("utf-8"))
    return comparison


def hidden_for_parameters(build: Callable[[int], nn.Module], target: int) -> int:
    """The width whose module has the parameter count closest to ``target``; the smaller one if two are as close.

    ``build(width)`` is called on torch's meta device: no memory is used, no numbers are drawn.

    >>> hidden_for_parameters(lambda width: nn.Linear(10, width), target=34)
    3
    """
    low, high = 1, 2
    while high < LARGEST_HIDDEN and _count(build, high) < target:
        low, high = high, high * 2
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if _count(build, middle) < target else (low, middle)
    return min((low, high), key=lambda width: (abs(_count(build, width) - target), width))


def _count(build: Callable[[int], nn.Module], width: int) -> int:
    with torch.device("meta"):
        return sum(parameter.numel() for parameter in build(width).parameters())


def _check(settings: TrainSettings, cells: Sequence[str], seeds: Sequence[int], match: str) -> None:
    for name, values in (("cells", list(cells)), ("seeds", list(seeds))):
        if not values or len(set(values)) != len(values):
            raise SettingsError(f"{name} is {values}, expected one or more different ones: change --{name}")
    if match not in ("parameters", "hidden"):
        raise SettingsError(f"match is {match!r}, expected 'parameters' or 'hidden': change --match")
    for name in ("cell", "hidden_size"):
        if name not in type(settings).model_fields:
            raise SettingsError(
                f"settings are {type(settings).__name__}, expected a field {name}: compare another task"
            )


def _changed(settings: Settings, **changes: object) -> Settings:
    return type(settings).model_validate({**settings.model_dump(exclude_unset=True), **changes})


def _hidden_sizes(learner: AnyLearner, cells: Sequence[str], hidden: int, match: Match) -> dict[str, int]:
    if match == "hidden":
        return dict.fromkeys(cells, hidden)
    target = sum(parameter.numel() for parameter in learner.module.parameters())
    sizes = {cells[0]: hidden}
    for cell in cells[1:]:
        sizes[cell] = hidden_for_parameters(functools.partial(learner.build, cell), target)
    return sizes


def _run(
    make_learner: Callable[..., AnyLearner],
    data: Sequence[Any],
    settings: Settings,
    out: Path,
    cell: str,
    hidden: int,
    seed: int,
    origin: Mapping[str, str],
) -> RunResult:
    folder = out / f"{cell}-seed{seed}"
    resume = settings.resume and (folder / "config.yaml").is_file()
    own = _changed(settings, cell=cell, hidden_size=hidden, seed=seed, out=folder, resume=resume, quiet=True)
    result = fit(
        make_learner(*data, settings=own),
        own,
        origin={**origin, **dict.fromkeys(("cell", "hidden_size", "seed", "out", "quiet"), "compare")},
    )
    assert result.best is not None
    return result


def _row(cell: str, hidden: int, results: Sequence[RunResult]) -> Row:
    values = [result.best for result in results if result.best is not None]
    return Row(
        cell=cell,
        hidden_size=hidden,
        num_parameters=results[0].num_parameters,
        mean=statistics.fmean(values),
        spread=statistics.stdev(values) if len(values) > 1 else None,
        values=values,
        seconds=statistics.fmean(result.seconds for result in results),
        steps=statistics.fmean(result.steps for result in results),
        folders=[str(result.folder) for result in results],
    )
