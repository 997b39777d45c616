"""The table of tasks: what the commands know of a task before they load it.

Every entry names its parts by import string (``"module:attribute"``): the overview of commands loads no task.
"""

from __future__ import annotations

import difflib
import importlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from congru.errors import SettingsError

if TYPE_CHECKING:
    from congru.train.loop import RunResult
    from congru.train.settings import TrainSettings


@dataclass(frozen=True)
class Task:
    """A task by name, one line for the overview, and where its parts are."""

    name: str
    summary: str
    settings: str
    """The settings class, a subclass of ``TrainSettings``; its module loads no torch."""
    make_learner: str
    """``make_learner(data, settings) -> Learner``."""
    evaluate: str
    """``evaluate(model_folder, data, **options) -> dict``: scores beside baselines, without torch."""
    run: str
    """``run(model_folder, ...)``: what a user does with the model, without torch; it gives the flags."""
    inspect_inputs: str
    """``inspect_inputs(model, source) -> (x, labels)``: an input of ``model.run``, a label for each step."""

    def load(self, part: str) -> Any:
        """The object behind one of the import strings, for example ``task.load("settings")``."""
        module, _, attribute = getattr(self, part).partition(":")
        return getattr(importlib.import_module(module), attribute)

    def train(
        self, data: Any, given: Mapping[str, object] | TrainSettings, *, source: str = "keyword"
    ) -> RunResult:
        """Resolve the settings, build the learner, run the loop: for the command and for Python."""
        from congru.train.loop import fit
        from congru.train.resolve import resolve

        settings, origin = resolve(self.load("settings"), given, source=source)
        return fit(self.load("make_learner")(data, settings), settings, origin=origin)


TASKS = {
    task.name: task
    for task in (
        Task(
            name="text",
            summary="Language model of characters or byte pairs, on any UTF-8 file or folder.",
            settings="congru.tasks.text.settings:TextSettings",
            make_learner="congru.tasks.text.learner:make_learner",
            evaluate="congru.tasks.text.scoring:evaluate",
            run="congru.tasks.text.generation:run",
            inspect_inputs="congru.tasks.text.generation:inspect_inputs",
        ),
        Task(
            name="forecast",
            summary="Forecast many series from a long table: unique_id, ds, y.",
            settings="congru.tasks.forecast.settings:ForecastSettings",
            make_learner="congru.tasks.forecast.learner:make_learner",
            evaluate="congru.tasks.forecast.scoring:evaluate",
            run="congru.tasks.forecast.command:run",
            inspect_inputs="congru.tasks.forecast.command:inspect_inputs",
        ),
    )
}


def find_task(name: str) -> Task:
    """The task of that name, or one line with the closest one.

    >>> find_task("txt")
    Traceback (most recent call last):
    congru.errors.SettingsError: task is 'txt', expected one of forecast, text: did you mean text?
    """
    if name in TASKS:
        return TASKS[name]
    guess = difflib.get_close_matches(name, TASKS, n=1, cutoff=0.4)
    fix = f"did you mean {guess[0]}?" if guess else "see congru train --help"
    raise SettingsError(f"task is {name!r}, expected one of {', '.join(sorted(TASKS))}: {fix}")
