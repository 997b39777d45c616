"""How a sweep begins, and how a worker opens one that has begun."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

from congru.errors import DataError
from congru.sweep.plan import Plan, open_plan, read_plan, shared_settings
from congru.sweep.space import make_space, read_space, to_yaml
from congru.sweep.trial import MakeLearner
from congru.sweep.worker import Say, Sweep
from congru.train.folder import next_free, write_bytes
from congru.train.settings import ModelSettings

SPACE = "space.yaml"


def start(
    make_learner: MakeLearner,
    data: tuple[Any, ...],
    settings: ModelSettings,
    *,
    space: Path | None = None,
    trials: int | None = 50,
    refit_seeds: int = 3,
    storage: str | None = None,
    say: Say = print,
) -> Path | None:
    """Write the plan of a sweep into ``settings.out`` (default: the next free folder), or take up the one there.

    Args:
        make_learner: the task's ``make_learner(*data, settings=...)``.
        data: what it learns from: paths, which other workers read too, or tables.
        settings: what all trials share; they are the first trial's.
        space: the YAML file of what is searched; default: `ModelSettings.default_space`.
        trials: how many trainings; None where minutes end the search.
        refit_seeds: how often the best setting is trained again.
        storage: the address of a database; default: a journal file in the folder.
        say: receives what will happen.

    Returns:
        The sweep's folder; None with ``dry_run``, which writes nothing.

    Raises:
        SettingsError: a space that cannot be searched; a folder that holds another sweep.
    """
    raw = settings.default_space() if space is None else read_space(space)
    dimensions = make_space(settings, raw, "the default space" if space is None else str(space))
    learner = make_learner(*data, settings=settings)
    out = settings.out if settings.out is not None else next_free(Path("runs"), f"sweep-{learner.task}")
    named = [str(Path(path).resolve()) for path in data if isinstance(path, (str, Path))]
    plan = Plan(
        task=learner.task,
        data=named if len(named) == len(data) else None,
        settings=shared_settings(settings),
        space=raw,
        trials=trials,
        refit_seeds=refit_seeds,
        metric=learner.metric,
        minimize=learner.minimize,
        baselines={name: float(value) for name, value in learner.baselines.items()},
        seed=settings.seed,
        storage=storage,
    )
    if not settings.quiet:
        amount = "" if trials is None else f"{trials} trials of "
        say(
            f"{amount}{learner.task}, {len(dimensions)} settings searched ({learner.metric} on the validation data):"
        )
        say("".join(f"  {line}\n" for line in to_yaml(raw).splitlines()).rstrip())
    if settings.dry_run:
        say("dry run: nothing was written")
        return None
    open_plan(out, plan)
    write_bytes(out / SPACE, to_yaml(raw).encode())
    if not settings.quiet and plan.data is not None:
        words = ["congru", "sweep", "worker", str(out.resolve())]
        say(f"to help from anywhere that sees the folder: {shlex.join(words)}")
    return out


def open_sweep(
    make_learner: MakeLearner,
    model: type[ModelSettings],
    folder: Path,
    data: tuple[Any, ...] | None = None,
    say: Say = print,
) -> Sweep:
    """A sweep that has begun, for one worker; ``data`` where the plan names none.

    Raises:
        RunFolderError: the folder holds no sweep.
        DataError: the data was given in Python, or is not where the plan says.
    """
    plan = read_plan(folder)
    if data is None:
        if plan.data is None:
            raise DataError(
                f"'{folder}' searches over a table given in Python, expected a sweep over files: save the table and start "
                "again with its path"
            )
        missing = [path for path in plan.data if not Path(path).exists()]
        if missing and Path(missing[0]).is_absolute():
            raise DataError(
                f"'{missing[0]}' is not here, expected the data where the sweep was started: put it on the disk that all share"
            )
        data = tuple(plan.data)
    return Sweep(make_learner, data, model, folder, say)
