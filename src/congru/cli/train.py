"""`congru train TASK DATA ...`: one subcommand per task; its flags are the fields of the task's settings."""

from __future__ import annotations

from typing import Annotated, Any

from cyclopts import App, Parameter

from congru.tasks.registry import TASKS, find_task

app = App(name="train", help="Train a model on your own data.")


def __getattr__(name: str) -> App:
    """The subcommand of a task, made when it is asked for: the overview loads no task."""
    if name not in TASKS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    task = find_task(name)
    settings_class = task.settings

    def command(*data: str, settings: Any = None) -> int:
        task.train(*data, settings=settings if settings is not None else {}, source="flag")
        return 0

    command.__doc__ = task.summary
    command.__annotations__ = {
        "data": Annotated[str, Parameter(help="Files or folders to learn from.")],
        "settings": Annotated[settings_class | None, Parameter(name="*")],
        "return": int,
    }
    subcommand = App(name=name, help=task.summary)
    subcommand.default(command)
    return subcommand


for _name, _task in TASKS.items():
    app.command(f"{__name__}:{_name}", name=_name, help=_task.summary)
