"""A worker takes the trials of a sweep one after the other, then refits of the best setting, until there are none.

Any number of them may run, on any machines that see the folder; each may be killed at any moment.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from congru.errors import CongruError
from congru.sweep.outcome import FOLDER, Outcome, better, outcome_of, values_of, write_outcome
from congru.sweep.plan import Plan, read_plan
from congru.sweep.report import write_report
from congru.sweep.slots import ERROR, SLOT, counting, ended, fill, give_up, take, tell, trials_of
from congru.sweep.space import Space, make_space
from congru.sweep.storage import (
    Storage,
    fail_trials_of_the_dead,
    open_storage,
    optuna,
    quiet,
    signs_of_life,
)
from congru.sweep.trial import MakeLearner, run_trial, settings_of, train_in
from congru.train.interrupt import TrainingInterrupted, TrainingPruned
from congru.train.progress import Quiet
from congru.train.settings import ModelSettings
from congru.train.summary import RunResult

if TYPE_CHECKING:
    from optuna import Study, Trial
    from optuna.trial import FrozenTrial

POLL_SECONDS = 1.0
Say = Callable[[str], None]
_STARTUP = 10  # trials drawn at random before Optuna models them
_MEDIAN_OF, _WARMUP = 5, 0.25  # trials that the median needs, share of the budget before anyone is ended


class Sweep:
    """A sweep opened by one worker.

    Args:
        make_learner: the task's ``make_learner(*data, settings=...)``.
        data: what it learns from.
        model: the task's settings class.
        folder: of the sweep, with its plan.
        say: receives a line per trial.
    """

    def __init__(
        self,
        make_learner: MakeLearner,
        data: tuple[Any, ...],
        model: type[ModelSettings],
        folder: Path,
        say: Say = print,
    ) -> None:
        self.make_learner, self.data, self.model, self.folder, self.say = (
            make_learner,
            data,
            model,
            folder,
            say,
        )
        self.plan: Plan = read_plan(folder)
        self.base = settings_of(model, self.plan)
        self.space: Space = make_space(self.base, self.plan.space, str(folder / "space.yaml"))
        self.storage: Storage = open_storage(folder, self.plan.storage)
        self.study, self.refits = self._study("trials"), self._study("refits")

    def _study(self, kind: str) -> Study:
        warmup = round(_WARMUP * self.base.evaluations)
        with quiet():
            study: Study = optuna.create_study(
                study_name=f"{self.plan.name}-{kind}",
                storage=self.storage,
                direction="minimize" if self.plan.minimize else "maximize",
                pruner=optuna.pruners.MedianPruner(n_startup_trials=_MEDIAN_OF, n_warmup_steps=warmup),
                load_if_exists=True,
            )
        return study

    def run(self) -> Outcome:
        """Work until every trial and every refit has ended; then write what they came to.

        Raises:
            TrainingError: no trial trained to the end.
            TrainingInterrupted: Ctrl-C or SIGTERM; the trial is queued again.
        """
        self._until_ended(self.study, lambda: self._again().trials or 0, self._start_values(), self._search)
        best = outcome_of(self.plan, self.space, self.study).values
        self._until_ended(
            self.refits, lambda: self._again().refit_seeds, {}, lambda trial: self._refit(trial, best)
        )
        outcome = outcome_of(self.plan, self.space, self.study, self.refits)
        write_outcome(outcome, self.folder)
        write_report(outcome, self.space, self.study, self.folder)
        return outcome

    def search(self, seconds: float) -> FrozenTrial | None:
        """Run trials for so many seconds, counting those of earlier calls, and return the best; other workers may help.

        The search is closed at the end: workers take no further trial of it.
        """
        spent = float(self.study.user_attrs.get("seconds", 0.0))
        began = time.monotonic()

        def left() -> float:
            return seconds - spent - (time.monotonic() - began)

        while left() > 0:
            trial = self._next_of_open()
            if trial is not None:
                self._do(self.study, trial, lambda trial: self._search(trial, left))
            self.study.set_user_attr("seconds", spent + time.monotonic() - began)
        self.study.set_user_attr("closed", True)
        return better(ended(self.study, len(trials_of(self.study))), self.plan.minimize)

    def help_search(self) -> None:
        """Run trials of a search by time until it is closed."""
        while not self.study.user_attrs.get("closed", False):
            trial = self._next_of_open()
            if trial is not None:
                self._do(self.study, trial, self._search)

    def _next_of_open(self) -> Trial | None:
        fail_trials_of_the_dead(self.study)
        trial = take(self.study, self.storage)
        if trial is None:
            fill(self.study, len(trials_of(self.study)) + 1, self._start_values())
            trial = take(self.study, self.storage)
        return trial

    def _start_values(self) -> dict[int, dict[str, Any]]:
        """The first trial has the settings the sweep started from, as far as they lie in the space."""
        values = {}
        for dimension in self.space:
            try:
                values[dimension.name] = dimension.label(getattr(self.base, dimension.name))
            except ValueError:
                continue
        return {0: values}

    def _again(self) -> Plan:
        """The plan, which another start may have given more trials."""
        self.plan = read_plan(self.folder)
        return self.plan

    def _until_ended(
        self,
        study: Study,
        num_slots: Callable[[], int],
        values: dict[int, dict[str, Any]],
        train: Callable[[Trial], None],
    ) -> None:
        waits = False
        while True:
            fail_trials_of_the_dead(study)
            wanted = num_slots()
            fill(study, wanted, values)
            trial = take(study, self.storage)
            if trial is not None:
                self._do(study, trial, train)
                waits = False
            elif (missing := wanted - len(ended(study, wanted))) == 0:
                return
            else:
                if not waits:
                    self.say(f"waiting for {missing} that other workers train")
                waits = True
                time.sleep(POLL_SECONDS)

    def _do(self, study: Study, trial: Trial, train: Callable[[Trial], None]) -> None:
        """Train one trial and tell how it ended."""
        identifier = trial._trial_id
        try:
            with signs_of_life(self.storage, identifier):
                try:
                    train(trial)
                except TrainingPruned:
                    reported = self.storage.get_trial(identifier).intermediate_values
                    last = reported[max(reported)] if reported else None
                    tell(self.storage, identifier, "PRUNED", last)
                except TrainingInterrupted:
                    tell(self.storage, identifier, "FAIL")
                    raise
                except (CongruError, MemoryError) as error:
                    give_up(self.storage, trial, str(error) or type(error).__name__)
        except optuna.exceptions.UpdateFinishedTrialError:
            self.say(
                f"trial {trial.user_attrs[SLOT]}: this worker was taken for dead, another trains it again"
            )
            return
        self._say_of(study, trial)

    def _search(self, trial: Trial, left: Callable[[], float] | None = None) -> None:
        slot = trial.user_attrs[SLOT]
        self.study.sampler = optuna.samplers.TPESampler(
            seed=(self.plan.seed * 1_000_003 + slot) % 2**32,
            n_startup_trials=_STARTUP,
        )
        result = run_trial(
            self.make_learner, self.data, self.model, self.plan, self.space, trial, self.folder, left
        )
        self._complete(trial, result)

    def _refit(self, trial: Trial, values: dict[str, Any]) -> None:
        seed = self.plan.seed + 1 + trial.user_attrs[SLOT]
        out = self.folder / "refits" / f"seed-{seed}"
        chosen = {**values, "seed": seed}
        result = train_in(self.make_learner, self.data, self.model, self.plan, chosen, out, Quiet())
        self._complete(trial, result)

    def _complete(self, trial: Trial, result: RunResult) -> None:
        assert result.folder is not None
        trial.set_user_attr(FOLDER, str(result.folder.relative_to(self.folder)))
        tell(self.storage, trial._trial_id, "COMPLETE", result.best)

    def _say_of(self, study: Study, trial: Trial) -> None:
        frozen = counting(trials_of(study)[trial.user_attrs[SLOT]])
        if frozen is None or not frozen.state.is_finished():
            return
        kind = "trial" if study is self.study else "refit"
        words = {
            "COMPLETE": "",
            "PRUNED": ", ended early",
            "FAIL": f", failed: {frozen.user_attrs.get(ERROR)}",
        }
        value = "" if frozen.value is None else f"{self.plan.metric} {frozen.value:.4f}"
        values = ", ".join(f"{key} {shown(number)}" for key, number in values_of(frozen, self.space).items())
        text = f"{kind} {trial.user_attrs[SLOT]}: {value}{words[frozen.state.name]}"
        self.say(text + (f" ({values})" if values else ""))


def shown(value: Any) -> str:
    """A value of a setting, short.

    >>> shown(0.00123456), shown("gru")
    ('0.001235', 'gru')
    """
    return f"{value:.4g}" if isinstance(value, float) else str(value)
