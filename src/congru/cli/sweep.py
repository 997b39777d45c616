"""`congru sweep TASK DATA`: many trainings with other settings; `congru sweep worker DIR`: help with them from anywhere."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

from cyclopts import App, Parameter

from congru.cli.per_task import add_subcommands, subcommand
from congru.errors import SettingsError
from congru.tasks.registry import TASKS, Task

app = App(name="sweep", help="Search for the best settings, with as many workers as you like.")

_SPACE = Annotated[
    Path | None, Parameter(help="YAML file: setting -> choices or low and high; default: a usual one.")
]
_TRIALS = Annotated[int, Parameter(help="Trainings with other settings; start again with more to go on.")]
_REFITS = Annotated[int, Parameter(help="The best setting is trained again with so many other seeds.")]
_STORAGE = Annotated[
    str | None, Parameter(help="Database address for a cluster; default: a journal file in --out.")
]
_PROCESSES = Annotated[int, Parameter(help="Workers to start on this machine, with one thread each.")]


def _sweep(task: Task) -> tuple[Callable[..., int], dict[str, Any]]:
    def command(
        *data: str,
        space: Any = None,
        trials: Any = 50,
        refit_seeds: Any = 3,
        storage: Any = None,
        processes: Any = 1,
        settings: Any = None,
    ) -> int:
        from congru.sweep.start import start
        from congru.train.resolve import resolve

        resolved, _ = resolve(task.settings, settings if settings is not None else {}, source="flag")
        task.check_data(data)
        for name, value, least in (
            ("trials", trials, 1),
            ("refit-seeds", refit_seeds, 0),
            ("processes", processes, 1),
        ):
            if value < least:
                raise SettingsError(f"{name} is {value}, expected at least {least}: change --{name}")
        folder = start(
            task.make_learner,
            data,
            resolved,
            space=space,
            trials=trials,
            refit_seeds=refit_seeds,
            storage=storage,
        )
        if resolved.dry_run or folder is None:
            return 0
        others = [
            subprocess.Popen([sys.executable, "-m", "congru", "sweep", "worker", str(folder)])
            for _ in range(processes - 1)
        ]
        try:
            return _work(task, folder)
        finally:
            for other in others:
                other.wait()

    command.__doc__ = f"Search for the best settings. {task.summary}"
    return command, {
        "space": _SPACE,
        "trials": _TRIALS,
        "refit_seeds": _REFITS,
        "storage": _STORAGE,
        "processes": _PROCESSES,
    }


@app.command
def worker(folder: Path, /) -> int:
    """Train trials of a sweep until there are none: any scheduler may start as many as it likes.

    Parameters
    ----------
    folder:
        The sweep's folder (its --out), which all workers see; the data lies where the sweep was started.
    """
    from congru.sweep.plan import read_plan

    return _work(TASKS[read_plan(folder).task], folder)


def _work(task: Task, folder: Path) -> int:
    """Work on a sweep to its end, and say what it came to."""
    from congru.sweep.start import open_sweep

    sweep = open_sweep(task.make_learner, task.settings, folder)
    if sweep.plan.trials is None:
        sweep.help_search()
        return 0
    outcome = sweep.run()
    from congru.sweep.report import REPORT, next_lines

    print("\n".join(outcome.lines()))
    print("next")
    print("\n".join(f"  {line}" for line in next_lines(outcome, folder)))
    print(f"report: {folder / REPORT}")
    return 0


def __getattr__(name: str) -> App:
    """The subcommand of a task."""
    return subcommand(__name__, name, _sweep)


add_subcommands(app, __name__)
