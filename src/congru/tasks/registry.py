"""Tasks are found by their folder: a package here with settings.py, data.py, learner.py and use.py is a task.

    tasks/NAME/__init__.py   SUMMARY, one line for the overview; COMMANDS, own commands -> one line each, if any
    tasks/NAME/settings.py   Settings, a subclass of ModelSettings; loads no torch
    tasks/NAME/learner.py    make_learner(*data, settings=...) -> TaskLearner
    tasks/NAME/inspection.py inspect_reading(model, source) -> Reading: what the report about gates calls things
    tasks/NAME/batch.py      answers_of(model) -> Answers: rows of tables to answers, where it can answer many
    tasks/NAME/use.py        run(model, ...), evaluate(model, data, ...) and the like: their signatures give the flags;
                             inspect_inputs(model, source) -> (x, labels); reply(model, inputs) -> outputs, the stored answer
                             again; COMMANDS, own commands -> function(model, ...); RISING, the scores of `evaluate` of
                             which more is better, if any

The overview of commands imports the packages only, which are light.
"""

from __future__ import annotations

import difflib
import importlib
import inspect
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, Protocol

from congru.errors import SettingsError, require

if TYPE_CHECKING:
    from congru.train.settings import ModelSettings
    from congru.train.summary import RunResult

PARTS = ("settings", "data", "learner", "use", "inspection")


class Answers(Protocol):
    """A task's function for batches: a table of rows to a table of answers, each from its own rows alone.

    ``key`` names the column whose rows belong together, such as a series; None where each row stands alone.
    """

    key: str | None

    def __call__(self, table: Any, /) -> Any:
        """The answers, a `pyarrow.Table`, to the rows of one; of whole series where there is a key."""

    def schema(self, schema: Any, /) -> Any:
        """The `pyarrow.Schema` of the answers to rows of a schema."""


@dataclass(frozen=True)
class Task:
    """A task by the name of its folder; its parts load on first use."""

    name: str
    package: str = "congru.tasks"

    def part(self, name: str) -> ModuleType:
        """One of its modules, for example ``task.part("use")``."""
        return importlib.import_module(f"{self.package}.{self.name}.{name}")

    @property
    def summary(self) -> str:
        """One line for the overview."""
        return str(self._package().SUMMARY)

    @property
    def commands(self) -> Mapping[str, str]:
        """Its own commands (``congru NAME MODEL``), one line each."""
        commands: Mapping[str, str] = getattr(self._package(), "COMMANDS", {})
        return commands

    @property
    def settings(self) -> type[ModelSettings]:
        """Its settings class; loads no torch."""
        settings: type[ModelSettings] = self.part("settings").Settings
        return settings

    @property
    def make_learner(self) -> Callable[..., Any]:
        """``make_learner(*data, settings=...)``; loads torch, or says how to install it."""
        require("torch", "train")
        make_learner: Callable[..., Any] = self.part("learner").make_learner
        return make_learner

    def use(self, name: str) -> Callable[..., Any]:
        """What a user does with a model: ``run``, ``evaluate``, ``inspect_inputs``, or one of its own commands."""
        module = self.part("use")
        function: Callable[..., Any] = (
            module.COMMANDS[name] if name in self.commands else getattr(module, name)
        )
        return function

    def is_rising(self, score: str) -> bool:
        """Whether more of a score of `evaluate` is better."""
        return score in getattr(self.part("use"), "RISING", ())

    def answers(self, model: Path) -> Answers:
        """Its function for batches, over a model folder: `answers_of(model)` of its `batch.py`."""
        if not (Path(__file__).parent / self.name / "batch.py").is_file():
            able = [name for name in sorted(TASKS) if (Path(__file__).parent / name / "batch.py").is_file()]
            raise SettingsError(
                f"{model} is a model of the task {self.name!r}, expected one of {', '.join(able)} with --data: leave it out"
            )
        answers: Answers = self.part("batch").answers_of(model)
        return answers

    def replay(self, model: Any) -> None:
        """Let a loaded model give its stored answer again; raises :class:`ModelFolderError` where it says something else."""
        from congru.tasks.loading import replay

        replay(model, self.part("use").reply)

    def reading(self, model: Any, source: str | None = None) -> Any:
        """How it says an input of a model: its own `inspect_reading`, a `congru.gates.reading.Reading`."""
        return self.part("inspection").inspect_reading(model, source)

    def train(
        self, *data: Any, settings: Mapping[str, object] | ModelSettings, source: str = "keyword"
    ) -> RunResult:
        """Resolve the settings, build the learner, run the loop: for the command and for Python.

        Raises:
            SettingsError: too few or too many paths, or a wrong setting.
            MissingPackageError: torch is not installed.
        """
        require("torch", "train")
        from congru.train.loop import fit
        from congru.train.resolve import resolve
        from congru.train.sharing import Unprepared

        resolved, origin = resolve(self.settings, settings, source=source)
        self.check_data(data)
        minutes = getattr(resolved, "search", None)
        if minutes is not None:
            require("optuna", "sweep")
            from congru.sweep.search import searched

            resolved, origin = searched(self.make_learner, data, resolved, origin, minutes, self.name)
        unprepared = Unprepared(self.name, lambda: self.make_learner(*data, settings=resolved))
        return fit(unprepared, resolved, origin=origin)

    def check_data(self, data: tuple[Any, ...]) -> None:
        """Refuse another number of paths than the learner takes."""
        try:
            inspect.signature(self.make_learner).bind(*data, settings=None)
        except TypeError:
            wanted = [
                name.upper() for name in inspect.signature(self.make_learner).parameters if name != "settings"
            ]
            raise SettingsError(
                f"{self.name} got {len(data)} paths, expected {len(wanted)}:"
                f" congru train {self.name} {' '.join(wanted)}"
            ) from None

    def _package(self) -> ModuleType:
        return importlib.import_module(f"{self.package}.{self.name}")


def find_tasks(folder: Path, package: str = "congru.tasks") -> dict[str, Task]:
    """The tasks in a folder, by name."""
    packages = sorted(path.parent for path in folder.glob("*/__init__.py"))
    return {
        path.name: Task(path.name, package)
        for path in packages
        if all((path / f"{part}.py").is_file() for part in PARTS)
    }


TASKS = find_tasks(Path(__file__).parent)


def find_task(name: str) -> Task:
    """The task of that name, or one line with the closest one.

    >>> find_task("txt")  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    congru.errors.SettingsError: task is 'txt', expected one of assistant, ...: did you mean text?
    """
    if name in TASKS:
        return TASKS[name]
    guess = difflib.get_close_matches(name, TASKS, n=1, cutoff=0.4)
    fix = f"did you mean {guess[0]}?" if guess else "see congru train --help"
    raise SettingsError(f"task is {name!r}, expected one of {', '.join(sorted(TASKS))}: {fix}")


def own_commands(tasks: Iterable[Task]) -> dict[str, dict[str, str]]:
    """Every own command -> the tasks that have it, with their line."""
    commands: dict[str, dict[str, str]] = {}
    for task in tasks:
        for name, line in task.commands.items():
            commands.setdefault(name, {})[task.name] = line
    return commands


def lazy_names(package: str, homes: Mapping[str, str]) -> Callable[[str], Any]:
    """A package's ``__getattr__``: every name of ``homes`` loads on first use from the module it maps to."""

    def load(name: str) -> Any:
        if name not in homes:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        return getattr(importlib.import_module(f"{package}.{homes[name]}"), name)

    return load
