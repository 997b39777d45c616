"""`congru run MODEL`: hands the rest of the line to the model's task, whose `run` gives the flags."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter

from congru.errors import ModelFolderError
from congru.runtime.folder import find_model_folder
from congru.tasks.registry import Task, find_task

app = App(name="run", help="Run a trained model: generate, forecast, stream.", help_flags=[])


@app.default
def run(
    model: Annotated[Path, Parameter(allow_leading_hyphen=True)],
    /,
    *tokens: Annotated[str, Parameter(show=False, allow_leading_hyphen=True)],
) -> int:
    """Run a trained model; its task gives the flags: `congru run MODEL --help`.

    Parameters
    ----------
    model:
        A model folder, or the run folder that holds one.
    """
    return call_task(app, "run", "run", model, tokens)


def call_task(app: App, command: str, part: str, model: Path, tokens: Sequence[str]) -> int:
    """Call ``part`` of the model's task with the rest of the command line; its signature gives the flags."""
    if str(model) in ("--help", "-h"):
        app.help_print([])
        return 0
    folder = find_model_folder(model)
    task = task_of(folder)
    program = App(name=f"congru {command} {model}", help=task.summary, suppress_keyboard_interrupt=False)
    program.default(task.load(part))
    wants_help = any(token in ("--help", "-h") for token in tokens)
    line = ["--help"] if wants_help else [str(folder), *tokens]
    status = program(line, exit_on_error=False, print_error=False, result_action="return_value")
    return status if isinstance(status, int) else 0


def task_of(folder: Path) -> Task:
    """The task a model folder was trained for, read from its config.json alone."""
    path = folder / "config.json"
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except OSError:
        raise ModelFolderError(
            f"model is '{folder}', expected a model folder or a run folder (with config.json): check the path"
        ) from None
    except ValueError:
        raise ModelFolderError(
            f"{path} is not JSON, expected a model's configuration: export the model again"
        ) from None
    return find_task(str(config.get("task") if isinstance(config, dict) else None))
