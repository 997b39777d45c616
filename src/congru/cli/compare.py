"""`congru compare TASK DATA`: the cells at the same budget and seeds, mean and spread, and the baselines."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, Literal

from cyclopts import App, Parameter

from congru.cli.per_task import add_subcommands, subcommand
from congru.tasks.registry import Task

app = App(name="compare", help="Compare GRU, LSTM, RNN and minGRU at the same budget.")

_CELLS = Annotated[tuple[str, ...], Parameter(help="Cells to compare.", consume_multiple=True)]
_SEEDS = Annotated[
    tuple[int, ...], Parameter(help="Seeds: one run per cell and seed.", consume_multiple=True)
]
_MATCH = Annotated[
    Literal["parameters", "hidden"],
    Parameter(help="Same parameter count as the first cell, or the same hidden size."),
]


def _split(words: tuple[str, ...]) -> list[str]:
    """Cells given as ``gru lstm`` or as ``gru,lstm``.

    >>> _split(("gru,lstm", "rnn"))
    ['gru', 'lstm', 'rnn']
    """
    return [word for chunk in words for word in chunk.split(",") if word]


def _compare(task: Task) -> tuple[Callable[..., int], dict[str, Any]]:
    def command(
        *data: str,
        cells: Any = ("gru", "lstm", "rnn", "mingru"),
        seeds: Any = (0, 1),
        match: Any = "parameters",
        settings: Any = None,
    ) -> int:
        from congru.train.compare import compare
        from congru.train.resolve import resolve

        resolved, _ = resolve(task.settings, settings if settings is not None else {}, source="flag")
        task.check_data(data)
        say = None if resolved.quiet else print
        comparison = compare(task.make_learner, data, resolved, _split(cells), seeds, match, say)
        print(comparison.table())
        return 0

    command.__doc__ = f"Compare cells. {task.summary}"
    return command, {"cells": _CELLS, "seeds": _SEEDS, "match": _MATCH}


def __getattr__(name: str) -> App:
    """The subcommand of a task."""
    return subcommand(__name__, name, _compare)


add_subcommands(app, __name__)
