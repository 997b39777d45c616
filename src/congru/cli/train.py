"""`congru train TASK DATA`: one subcommand per task; its flags are the fields of the task's settings."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

from cyclopts import App, Parameter

from congru.tasks.registry import TASKS, Task

app = App(name="train", help="Train a model on your own data.")


def _command(task: Task) -> Callable[..., int]:
    settings_class = task.load("settings")

    def command(data: str, /, *, settings: Any = None) -> int:
        task.train(data, settings if settings is not None else {}, source="flag")
        return 0

    command.__doc__ = task.summary
    command.__annotations__ = {
        "data": Annotated[str, Parameter(help="File or folder to learn from.")],
        "settings": Annotated[settings_class | None, Parameter(name="*")],
        "return": int,
    }
    return command


for _task in TASKS.values():
    app.command(_command(_task), name=_task.name, help=_task.summary)
