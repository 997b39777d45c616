"""Each trial of a sweep is run once, whoever dies: slots are numbered, and each has one trial that counts.

A study of N slots holds a waiting trial for every slot from the start. A worker takes one (Optuna lets only one worker have
it). Where the worker dies, the trial is failed and the slot gets another, with the same values. Two workers that repair one
slot at once make two trials: the one with the lower number counts, the other is dropped by whoever takes it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from congru.sweep.storage import Storage, optuna

if TYPE_CHECKING:
    from optuna import Study, Trial
    from optuna.trial import FrozenTrial

SLOT, COUNTS, ERROR = "place", "counts", "error"  # keys of a trial's attributes
MOST_ATTEMPTS = 5  # of a slot whose workers die


def trials_of(study: Study) -> dict[int, list[FrozenTrial]]:
    """The trials of every slot, in the order they were made."""
    by_slot: dict[int, list[FrozenTrial]] = defaultdict(list)
    for trial in study.get_trials(deepcopy=False):
        if SLOT in trial.user_attrs:
            by_slot[trial.user_attrs[SLOT]].append(trial)
    return dict(by_slot)


def is_lost(trial: FrozenTrial) -> bool:
    """Whether a trial failed with its worker, and not by what it tried."""
    return trial.state.name == "FAIL" and not trial.user_attrs.get(COUNTS, False)


def counting(trials: list[FrozenTrial]) -> FrozenTrial | None:
    """The trial that counts for a slot: the first that is not lost; None where there is none."""
    return next((trial for trial in trials if not is_lost(trial)), None)


def fill(study: Study, num_slots: int, values: Mapping[int, Mapping[str, Any]] | None = None) -> None:
    """Give every slot a trial that waits, runs or has ended; ``values`` are fixed ones by slot."""
    by_slot = trials_of(study)
    for slot in range(num_slots):
        trials = by_slot.get(slot, [])
        if counting(trials) is None:
            known = max((trial.params for trial in trials), key=len, default={})
            fixed = known or (values or {}).get(slot, {})
            study.enqueue_trial(dict(fixed), user_attrs={SLOT: slot})


def take(study: Study, storage: Storage) -> Trial | None:
    """A waiting trial, now this worker's; None where none waits."""
    study_id = storage.get_study_id_from_name(study.study_name)
    waiting, running = optuna.trial.TrialState.WAITING, optuna.trial.TrialState.RUNNING
    for frozen in storage.get_all_trials(study_id, deepcopy=False, states=(waiting,)):
        try:
            if not storage.set_trial_state_values(frozen._trial_id, running):
                continue
        except optuna.exceptions.UpdateFinishedTrialError:
            continue
        trials = trials_of(study)[frozen.user_attrs[SLOT]]
        first = counting(trials)
        if first is not None and first.number < frozen.number:
            tell(storage, frozen._trial_id, "FAIL")  # two repaired this slot
            continue
        trial: Trial = optuna.Trial(study, frozen._trial_id)
        if sum(map(is_lost, trials)) >= MOST_ATTEMPTS:
            give_up(storage, trial, f"its worker died {MOST_ATTEMPTS} times")
            continue
        return trial
    return None


def tell(storage: Storage, trial_id: int, state: str, value: float | None = None) -> None:
    """End a trial. Raises Optuna's UpdateFinishedTrialError where another worker has."""
    values = None if value is None else [value]
    storage.set_trial_state_values(trial_id, optuna.trial.TrialState[state], values)


def give_up(storage: Storage, trial: Trial, error: str) -> None:
    """The trial failed by what it tried: its slot is done."""
    trial.set_user_attr(ERROR, error)
    trial.set_user_attr(COUNTS, True)
    tell(storage, trial._trial_id, "FAIL")


def ended(study: Study, num_slots: int) -> list[FrozenTrial]:
    """The counting trials that have ended, by slot."""
    by_slot = trials_of(study)
    counted = [counting(by_slot.get(slot, [])) for slot in range(num_slots)]
    return [trial for trial in counted if trial is not None and trial.state.is_finished()]
