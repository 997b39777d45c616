"""One training of a sweep: the values Optuna draws, one thread, ended early where the median of the others is ahead."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from congru.errors import RunFolderError, SettingsError
from congru.sweep.plan import Plan
from congru.sweep.slots import SLOT
from congru.sweep.space import Space
from congru.train.base import AnyLearner
from congru.train.events import Standing
from congru.train.folder import CONFIG
from congru.train.interrupt import TrainingPruned
from congru.train.loop import fit
from congru.train.progress import Quiet
from congru.train.resolve import resolve
from congru.train.settings import ModelSettings
from congru.train.summary import RunResult

if TYPE_CHECKING:
    from optuna import Trial

MakeLearner = Callable[..., AnyLearner]
_SAME = 1e-6  # relative difference of two baselines that are the same


class Pruner(Quiet):
    """Reports every evaluation to Optuna, at its share of the budget, and ends the run where Optuna says so."""

    def __init__(
        self, trial: Trial, metric: str, evaluations: int, left: Callable[[], float] | None = None
    ) -> None:
        self._trial, self._metric, self._evaluations, self._left = trial, metric, evaluations, left
        self._last = 0

    def evaluated(self, standing: Standing, metrics: dict[str, float], sample: str | None) -> None:
        """One report; raises TrainingPruned."""
        number = round(standing.fraction * self._evaluations)
        if number <= self._last:  # the first, before any step, says nothing of the values drawn
            return
        self._last = number
        self._trial.report(metrics[self._metric], number)
        if number < self._evaluations and self._left is not None and self._left() <= 0:
            raise TrainingPruned(f"ended at step {standing.step}: the time of the search is up")
        if number < self._evaluations and self._trial.should_prune():
            raise TrainingPruned(
                f"ended at step {standing.step}: the median of the other trials is ahead of {metrics[self._metric]:.4g}"
            )


def settings_of(model: type[ModelSettings], plan: Plan, **changes: Any) -> ModelSettings:
    """The settings of one run: what all share, one thread, and the changes."""
    return resolve(model, {"threads": 1, **plan.settings, **changes, "quiet": True})[0]


def drawn(trial: Trial, space: Space) -> dict[str, Any]:
    """The values of a trial by setting."""
    return {dimension.name: dimension.suggest(trial) for dimension in space}


def run_trial(
    make_learner: MakeLearner,
    data: tuple[Any, ...],
    model: type[ModelSettings],
    plan: Plan,
    space: Space,
    trial: Trial,
    folder: Path,
    left: Callable[[], float] | None = None,
) -> RunResult:
    """Train with the values drawn for ``trial``, in a run folder of the sweep's ``folder``; ``left`` says the seconds left.

    Raises:
        TrainingPruned: others are ahead.
        TrainingInterrupted: Ctrl-C or SIGTERM; saved.
        CongruError: one line, why these values cannot be trained.
    """
    values = drawn(trial, space)
    slot = trial.user_attrs[SLOT]
    evaluations = resolve(model, plan.settings)[0].evaluations
    pruner = Pruner(trial, plan.metric, evaluations, left)
    return train_in(make_learner, data, model, plan, values, folder / plan.run_folder(slot), pruner)


def train_in(
    make_learner: MakeLearner,
    data: tuple[Any, ...],
    model: type[ModelSettings],
    plan: Plan,
    values: dict[str, Any],
    out: Path,
    reporter: Quiet,
) -> RunResult:
    """Train in a folder; a run that died there is continued, one that another process still holds is left to it."""

    def start(own: Path, resume: bool) -> RunResult:
        settings = settings_of(model, plan, **values, out=own, resume=resume)
        learner = make_learner(*data, settings=settings)
        if "seed" not in values:  # another seed may part the data otherwise
            _check_same_validation(learner, plan, values)
        origin = dict.fromkeys(plan.settings, "sweep") | dict.fromkeys(values, "trial")
        return fit(learner, settings, origin=origin, reporter=reporter, report=False)

    attempt = 0
    while True:
        own = out if attempt == 0 else out.with_name(f"{out.name}-{attempt}")
        continues = (own / CONFIG).is_file()
        try:
            return start(own, continues)
        except (RunFolderError, SettingsError):
            if not continues:
                raise
        attempt += 1


def _check_same_validation(learner: AnyLearner, plan: Plan, values: dict[str, Any]) -> None:
    """Refuse values that change what is validated, and with it every baseline: their figures could not be compared."""
    now = learner.baselines
    same = [
        name
        for name, value in plan.baselines.items()
        if name in now and math.isclose(now[name], value, rel_tol=_SAME)
    ]
    if plan.baselines and not same:
        name, value = next(iter(plan.baselines.items()))
        raise SettingsError(
            f"{', '.join(values)} change what is validated: {name} has {plan.metric} {now.get(name)} instead of {value:g}, "
            "expected the same validation in all trials: leave them out of the space"
        )
