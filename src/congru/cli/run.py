"""`congru run MODEL` and the own commands of tasks: the rest of the line goes to a function of the model's task."""

from __future__ import annotations

import inspect
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter

from congru.errors import ModelFolderError, SettingsError
from congru.runtime.folder import find_model_folder
from congru.runtime.plain_json import parse_json
from congru.runtime.reading import read_file
from congru.tasks.registry import TASKS, Task, find_task, own_commands

CONVERTED = "converted"  # the task of a folder that `congru convert` wrote

app = App(name="run", help="Run a trained model: generate, forecast, stream.", help_flags=[])


@app.default
def run(
    model: Annotated[Path, Parameter(allow_leading_hyphen=True)],
    /,
    *tokens: Annotated[str, Parameter(show=False, allow_leading_hyphen=True)],
) -> int:
    """Run a trained model; its task gives the flags: `congru run MODEL --help`. With --data: over the rows of tables.

    Parameters
    ----------
    model:
        A model folder, or the run folder that holds one.
    """
    if any(token == "--data" or token.startswith("--data=") for token in tokens):
        from congru.cli.batch import run_batch

        program = App(name=f"congru run {model}", suppress_keyboard_interrupt=False)
        program.default(run_batch)
        line = [str(model), *tokens]
        return int(program(line, exit_on_error=False, print_error=False, result_action="return_value") or 0)
    return call_task(app, "run", "run", model, tokens)


def call_task(app: App, command: str, part: str, model: Path, tokens: Sequence[str]) -> int:
    """Call ``part`` of the model's task with the rest of the command line; its signature gives the flags.

    Without a model, help says what every task has to offer.
    """
    if str(model) in ("--help", "-h"):
        app.help_print([])
        tasks = [task for task in TASKS.values() if part in ("run", "evaluate") or part in task.commands]
        print("\n".join(line for task in tasks for line in overview(task, command, part)))
        print(f"What each flag means: congru {command} {tasks[0].name} --help, or with a MODEL.")
        return 0
    wants_help = any(token in ("--help", "-h") for token in tokens)
    if wants_help and str(model) in TASKS and not model.is_dir():
        return help_of(TASKS[str(model)], command, part)
    folder = find_model_folder(model)
    task = task_of(folder)
    if part not in ("run", "evaluate") and part not in task.commands:
        raise SettingsError(
            f"{model} is a model of the task {task.name!r}, which has no command {command!r}, expected one of"
            f" {', '.join(own_commands(TASKS.values())[part])}: choose another model"
        )
    program = App(name=f"congru {command} {model}", help=task.summary, suppress_keyboard_interrupt=False)
    program.default(task.use(part))
    line = ["--help"] if wants_help else [str(folder), *tokens]
    status = program(line, exit_on_error=False, print_error=False, result_action="return_value")
    return status if isinstance(status, int) else 0


def help_of(task: Task, command: str, part: str) -> int:
    """Print what a command does with the models of a task, and what each of its flags means."""
    if part not in ("run", "evaluate") and part not in task.commands:
        raise SettingsError(
            f"{task.name} has no command {command!r}, expected another task: see congru {command} --help"
        )
    program = App(name=f"congru {command}", help=task.summary)
    program.default(task.use(part))
    program.help_print([])
    return 0


def overview(task: Task, command: str, part: str) -> list[str]:
    """What a command does with the models of a task: its first sentence, what it takes, its flags."""
    function = task.use(part)
    program = App(name=command)
    program.default(function)
    names = [argument.names[0] for argument in program.assemble_argument_collection() if argument.show]
    flags = [name for name in names if name.startswith("-")]
    positional = [name for name in names if not name.startswith("-")]
    sentence = (inspect.getdoc(function) or task.summary).split("\n\n")[0].replace("\n", " ")
    return [
        f"{task.name}: {sentence}",
        f"    congru {command} {' '.join(positional)}",
        *textwrap.wrap(
            " ".join(flags), 100, initial_indent="    ", subsequent_indent="    ", break_on_hyphens=False
        ),
    ]


def __getattr__(name: str) -> App:
    """An own command of some tasks, such as ``uci``: made when it is asked for."""
    commands = own_commands(TASKS.values())
    if name not in commands:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    program = App(name=name, help=next(iter(commands[name].values())), help_flags=[])

    def command(
        model: Annotated[Path, Parameter(allow_leading_hyphen=True)],
        /,
        *tokens: Annotated[str, Parameter(show=False, allow_leading_hyphen=True)],
    ) -> int:
        return call_task(program, name, name, model, tokens)

    program.default(command)
    return program


def is_converted(folder: Path) -> bool:
    """Whether a folder came from `congru convert`: its model belongs to no task."""
    try:
        config = parse_json(read_file(folder / "config.json"))
    except (OSError, ValueError):
        return False
    return isinstance(config, dict) and config.get("task") == CONVERTED


def task_of(folder: Path) -> Task:
    """The task a model folder was trained for, read from its config.json alone."""
    path = folder / "config.json"
    try:
        config = parse_json(read_file(path))
    except OSError:
        raise ModelFolderError(
            f"model is '{folder}', expected a model folder or a run folder (with config.json): check the path"
        ) from None
    except ValueError:
        raise ModelFolderError(
            f"{path} is not JSON, expected a model's configuration: export the model again"
        ) from None
    task = str(config.get("task") if isinstance(config, dict) else None)
    if task == CONVERTED:
        raise SettingsError(
            f"model is '{folder}', a converted model without a task: run it in Python, congru.load({str(folder)!r}).run(x), or "
            "see its gates with congru inspect MODEL x.npy"
        )
    return find_task(task)
