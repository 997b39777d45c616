"""Subcommands that exist once per task: `congru train TASK DATA ...`, `congru compare TASK DATA ...`.

A subcommand is made when it is asked for, so that the overview loads no task.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

from cyclopts import App, Parameter

from congru.cli.flag_groups import group_flags
from congru.tasks.registry import TASKS, Task, find_task

# Of a task: the function of a subcommand, which takes `*data` and `settings`, and the annotations of its other keywords.
MakeCommand = Callable[[Task], tuple[Callable[..., int], dict[str, Any]]]


def add_subcommands(app: App, module: str) -> None:
    """Name one subcommand per task; `module` has them as attributes, through :func:`subcommand`."""
    for name, task in TASKS.items():
        app.command(f"{module}:{name}", name=name, help=task.summary)


def subcommand(module: str, name: str, make: MakeCommand) -> App:
    """The subcommand of the task `name`: its flags are the fields of the task's settings.

    Raises AttributeError where there is no such task.
    """
    if name not in TASKS:
        raise AttributeError(f"module {module!r} has no attribute {name!r}")
    task = find_task(name)
    function, others = make(task)
    group_flags(task.settings)
    function.__annotations__ = {
        "data": Annotated[str, Parameter(help="Files or folders to learn from.")],
        **others,
        "settings": Annotated[task.settings | None, Parameter(name="*")],
        "return": int,
    }
    app = App(name=name, help=task.summary)
    app.default(function)
    return app
