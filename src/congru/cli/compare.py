"""`congru compare TASK DATA`: the cells at the same budget and seeds, mean and spread, and the baselines."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Literal

from cyclopts import App, Parameter

from congru.cli.per_task import add_subcommands, subcommand
from congru.errors import CongruError
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

        resolved, origin = resolve(task.settings, settings if settings is not None else {}, source="flag")
        task.check_data(data)
        say = None if resolved.quiet else print
        comparison = compare(task.make_learner, data, resolved, _split(cells), seeds, match, say, origin)
        print(comparison.table())
        say_the_end(task, comparison)
        return 0

    command.__doc__ = f"Compare cells. {task.summary}"
    return command, {"cells": _CELLS, "seeds": _SEEDS, "match": _MATCH}


def say_the_end(task: Task, comparison: Any) -> None:
    """The verdict, what to type next, and the report with the gates of every cell on the same input."""
    from congru.train.comparison import next_lines, verdict_lines, write_page

    print("\n".join(verdict_lines(comparison)))
    print("next")
    print("\n".join(f"  {line}" for line in next_lines(comparison)))
    folder = Path(comparison.rows[0].folders[0]).parent
    print(f"report: {write_page(comparison, folder, seen_by_all(task, comparison))}")


def seen_by_all(task: Task, comparison: Any) -> dict[str, Any]:
    """What the best model of each cell does with the same input; none of a model that cannot be inspected."""
    import congru
    from congru.train.comparison import Seen, best_folder

    seen: dict[str, Any] = {}
    source: str | None = None
    for row in comparison.rows:
        model = congru.load(best_folder(row, comparison.minimize))
        try:
            reading = task.reading(model, source)
            record = congru.inspect(model, reading.x, tokens=reading.tokens, labels=reading.outputs)
        except CongruError:
            return {}
        source = source or reading.source
        seen[row.cell] = Seen(record, reading)
    return seen


def __getattr__(name: str) -> App:
    """The subcommand of a task."""
    return subcommand(__name__, name, _compare)


add_subcommands(app, __name__)
