"""A training that searches its own settings first, for some minutes: ``congru train forecast DATA --search 5``."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

from congru.sweep.outcome import values_of
from congru.sweep.slots import SLOT, trials_of
from congru.sweep.start import open_sweep, start
from congru.sweep.trial import MakeLearner
from congru.sweep.worker import shown
from congru.train.folder import CONFIG, check_out, claim_next
from congru.train.settings import ModelSettings

Settings = TypeVar("Settings", bound=ModelSettings)


def searched(
    make_learner: MakeLearner,
    data: tuple[Any, ...],
    settings: Settings,
    origin: Mapping[str, str],
    minutes: float,
    task: str,
) -> tuple[Settings, dict[str, str]]:
    """The settings with the best values that a search of some minutes finds on the validation part.

    The search lies beside the run's folder, as ``OUT-search``, where other workers may help; stopped, it goes on when the same
    command is given again. A run that is continued has had its search.

    Args:
        make_learner, data: as in `congru.sweep.start.start`.
        settings: what the trials share, and the first of them has.
        origin: where each setting came from.
        minutes: how long; what earlier calls have spent counts.
        task: the name of the task.

    Returns:
        The settings to train with, and their origins.
    """
    if settings.dry_run or (
        settings.resume and settings.out is not None and (settings.out / CONFIG).is_file()
    ):
        return settings, dict(origin)
    out = settings.out if settings.out is not None else claim_next(Path("runs"), task)
    check_out(out, settings.resume)
    say = (lambda line: None) if settings.quiet else print
    folder = out.with_name(f"{out.name}-search")
    user_values = settings.model_dump(exclude_unset=True)
    own = type(settings).model_validate({**user_values, "out": folder, "resume": False})
    start(make_learner, data, own, trials=None, refit_seeds=0, say=say)
    sweep = open_sweep(make_learner, type(settings), folder, data, say)
    best = sweep.search(60 * minutes)
    number = len(trials_of(sweep.study))
    if best is None:
        say(
            f"none of {number} trials trained to the end in {minutes:g} minutes: the settings stay as they are"
        )
        values = {}
    else:
        values = values_of(best, sweep.space)
        chosen = ", ".join(f"{name} {shown(value)}" for name, value in values.items())
        metric = f"{sweep.plan.metric} {best.value:.4f}"
        say(f"best of {number} trials is trial {best.user_attrs[SLOT]}, {metric}: training with {chosen}")
    resolved = type(settings).model_validate({**user_values, **values, "out": out})
    return resolved, {**origin, **dict.fromkeys(values, "search")}
