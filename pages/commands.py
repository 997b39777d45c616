"""docs/commands.md: every command with every argument and flag, as the command line itself declares them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Annotated, Any

from cyclopts import App, Parameter
from cyclopts.argument import Argument

from congru.cli.main import COMMANDS, build_app
from congru.tasks.registry import TASKS, Task, own_commands
from congru.train.settings import TrainSettings, keys_of

OPENING = """\
# Commands

Every command, argument and flag. `congru COMMAND --help` says the same on a terminal. This page is made from the program
(`make pages`).

Wrong input gives one line and exit status 2; `--debug` anywhere on the line shows the traceback. Exit status 1: a check
failed; 130: interrupted. A flag that is on or off has a twin that says the opposite, such as `--resume` and `--no-resume`.
"""
SHARED = {f"--{key.replace('_', '-')}" for key in keys_of(TrainSettings)}
GROUPS = ("bench", "data")  # commands that only hold others
Row = tuple[str, str, str]


def page() -> str:
    """The whole page."""
    app = build_app()
    parts = [OPENING, _overview(app), *_train(app["train"])]
    for command, part in (("run", "run"), ("eval", "evaluate")):
        parts += [
            _head(command, "MODEL ..."),
            COMMANDS[command][1] + " The flags are those of the model's task.",
        ]
        parts += [_of_task(task, command, part) for task in TASKS.values()]
        parts += [_batch()] if command == "run" else []
    parts += [_head("inspect", "MODEL [SOURCE]"), _help(app["inspect"]), _table(_rows(app["inspect"]))]
    parts += [_head("convert", "SOURCE"), _help(app["convert"]), _table(_rows(app["convert"]))]
    parts += [_head("export", "MODEL"), _help(app["export"]), _table(_rows(app["export"]))]
    for name, line in (("sign", "[MODEL]"), ("verify", "MODEL")):
        parts += [_head(name, line), _help(app[name]), _table(_rows(app[name]))]
    parts += [_head("serve", "[MODEL ...]"), _help(app["serve"]), _table(_rows(app["serve"]))]
    parts += _compare(app["compare"])
    parts += _sweep(app["sweep"])
    for group in GROUPS:
        for name in _subcommands(app[group]):
            inner = app[group][name]
            rows = _rows(inner)
            line = " ".join(flag.strip("`") for flag, _, _ in rows if not flag.startswith("`-"))
            parts += [_head(f"{group} {name}", line), _help(inner), _table(rows)]
    for name in ("demo", "doctor"):
        parts += [_head(name), _help(app[name]), _table(_rows(app[name]))]
    for name, tasks in own_commands(TASKS.values()).items():
        parts.append(_head(name, "MODEL ..."))
        parts += [_of_task(TASKS[task], name, name) for task in tasks]
    return "\n\n".join(part.strip() for part in parts if part) + "\n"


def _overview(app: App) -> str:
    """A line for every command, those in groups by themselves."""
    leaves = {name: app[name] for name in _subcommands(app) if name not in GROUPS}
    leaves |= {f"{group} {name}": app[group][name] for group in GROUPS for name in _subcommands(app[group])}
    lines = [
        (f"[`congru {name}`](#congru-{name.replace(' ', '-')})", _help(leaf)) for name, leaf in leaves.items()
    ]
    return _grid(("command", "does"), lines)


def _train(app: App) -> list[str]:
    """Flags that every training has once, then those of every task."""
    by_task = {name: _rows(app[name]) for name in TASKS}
    everywhere = _rows(_program(_every_training))
    merged = [(flag, words, _defaults(flag, by_task)) for flag, words, _ in everywhere]
    parts = [
        _head("train", "TASK DATA ..."),
        "Train a model on your own data. Flags, Python keywords and YAML keys (`--config`) are the same words. Every task"
        " takes these:",
        _table(merged),
    ]
    for name, rows in by_task.items():
        own = [row for row in rows if not _is_shared(row) and row[0] != "`DATA`"]
        parts += [f"### congru train {name}", TASKS[name].summary, _table(own)]
    return parts


def _every_training(*, settings: Annotated[TrainSettings | None, Parameter(name="*")] = None) -> None:
    """What a command with the settings of every training takes."""


def _program(function: Callable[..., Any]) -> App:
    app = App(name="program")
    app.default(function)
    return app


def _compare(app: App) -> list[str]:
    rows = _rows(app[next(iter(TASKS))])
    own = [row for row in rows if row[0].split("`")[1] in ("--cells", "--seeds", "--match")]
    return [
        _head("compare", "TASK DATA ..."),
        f"{COMMANDS['compare'][1]} It takes the flags of `congru train TASK`, and:",
        _table(own),
    ]


def _batch() -> str:
    from congru.cli.batch import run_batch

    program = App(name="run")
    program.default(run_batch)
    return f"### congru run: tables of any task\n\n{(run_batch.__doc__ or '').splitlines()[0]}\n\n{_table(_rows(program))}"


def _sweep(app: App) -> list[str]:
    names = ("--space", "--trials", "--refit-seeds", "--storage", "--processes")
    own = [row for row in _rows(app[next(iter(TASKS))]) if row[0].split("`")[1] in names]
    worker = app["worker"]
    return [
        _head("sweep", "TASK DATA ..."),
        f"{COMMANDS['sweep'][1]} It takes the flags of `congru train TASK`, and:",
        _table(own),
        _head("sweep worker", "FOLDER"),
        _help(worker),
        _table(_rows(worker)),
    ]


def _of_task(task: Task, command: str, part: str) -> str:
    rows = _rows(_program(task.use(part)))
    positional = " ".join(flag.strip("`") for flag, _, _ in rows if not flag.startswith("`-"))
    sentence = (task.use(part).__doc__ or task.summary).split("\n\n")[0].strip()
    return (
        f"### congru {command}: {task.name}\n\n`congru {command} {positional}` {sentence}\n\n{_table(rows)}"
    )


def _subcommands(app: App) -> list[str]:
    return [name for name in app if not name.startswith("-")]


def _help(app: App) -> str:
    return " ".join((app.help or "").split("\n\n")[0].split())


def _head(command: str, line: str = "") -> str:
    usage = f"\n\n`congru {command} {line}`" if line else ""
    return f"## congru {command}{usage}"


def _is_shared(row: Row) -> bool:
    return row[0].split("`")[1] in SHARED


def _defaults(flag: str, by_task: Mapping[str, list[Row]]) -> str:
    """One default, or one for each task where they differ."""
    each = {name: next(row[2] for row in rows if row[0] == flag) for name, rows in by_task.items()}
    values = set(each.values())
    if len(values) == 1:
        return values.pop()
    none = "off" if "on" in values else "none"
    return ", ".join(f"{name} {value or none}" for name, value in each.items())


def _rows(app: App) -> list[Row]:
    """(names, meaning, default) of every argument and flag."""
    rows = []
    for argument in app.assemble_argument_collection(parse_docstring=True):
        if argument.show:
            rows.append((_names(argument), _meaning(argument), _default(argument)))
    return rows


def _names(argument: Argument) -> str:
    names = [name for name in argument.names if not name.startswith(("--no-", "--empty-"))]
    return ", ".join(f"`{name}`" for name in names)


def _meaning(argument: Argument) -> str:
    choices = argument.get_choices()
    words = " ".join((argument.parameter.help or "").replace("``", "`").split())
    # equal Literals are one object to typing, in the order of whichever was made first
    return f"{words} One of {', '.join(sorted(choices))}." if choices else words


def _default(argument: Argument) -> str:
    value: Any = argument.field_info.default
    missing = value is None or value is False or value == () or value is argument.field_info.empty
    if argument.required or missing or callable(value):
        return ""
    if value is True:
        return "on"
    return " ".join(map(str, value)) if isinstance(value, (tuple, list)) else str(value)


def _table(rows: Iterable[Row]) -> str:
    rows = list(rows)
    return _grid(("argument or flag", "meaning", "default"), rows) if rows else ""


def _grid(header: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    lines = [header, tuple("---" for _ in header), *rows]
    return "\n".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |" for line in lines)
