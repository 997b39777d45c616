"""`congru train TASK DATA ...`: one subcommand per task; its flags are the fields of the task's settings."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from cyclopts import App

from congru.cli.per_task import add_subcommands, subcommand
from congru.tasks.registry import Task

app = App(name="train", help="Train a model on your own data.")


def _train(task: Task) -> tuple[Callable[..., int], dict[str, Any]]:
    def command(*data: str, settings: Any = None) -> int:
        task.train(*data, settings=settings if settings is not None else {}, source="flag")
        return 0

    command.__doc__ = task.summary
    return command, {}


def __getattr__(name: str) -> App:
    """The subcommand of a task."""
    return subcommand(__name__, name, _train)


add_subcommands(app, __name__)
