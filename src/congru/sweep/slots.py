"""Each trial of a sweep is run once, whoever dies: places are numbered, and each has one trial that counts.

A study of N places holds a waiting trial for every place from the start. A worker takes one (Optuna lets only one worker have
it). Where the worker dies, the trial is failed and the place gets another, with the same values. Two workers that repair one
place at once make two trials: the one with the lower number counts, the other is dropped by whoever takes it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from congru.sweep.storage import Storage, optuna

if TYPE_CHECKING:
    from optuna import Study, Trial
    from optuna.trial import FrozenTrial

PLACE, COUNTS, ERROR = "place", "counts", "error"  # attributes of a trial
MOST_ATTEMPTS = 5  # of a place whose workers die


def trials_of(study: Study) -> dict[int, list[FrozenTrial]]:
    """The trials of every place, in the order they were made."""
    places: dict[int, list[FrozenTrial]] = defaultdict(list)
    for trial in study.get_trials(deepcopy=False):
        if PLACE in trial.user_attrs:
            places[trial.user_attrs[PLACE]].append(trial)
    return dict(places)


def is_lost(trial: FrozenTrial) -> bool:
    """Whether a trial failed with its worker, and not by what it tried."""
    return trial.state.name == "FAIL" and not trial.user_attrs.get(COUNTS, False)


def counting(trials: list[FrozenTrial]) -> FrozenTrial | None:
    """The trial that counts for a place: the first that is not lost; None where there is none."""
    return next((trial for trial in trials if not is_lost(trial)), None)


def fill(study: Study, num_places: int, values: Mapping[int, Mapping[str, Any]] | None = None) -> None:
    """Give every place a trial that waits, runs or has ended; ``values`` are fixed ones by place."""
    places = trials_of(study)
    for place in range(num_places):
        trials = places.get(place, [])
        if counting(trials) is None:
            known = max((trial.params for trial in trials), key=len, default={})
            fixed = known or (values or {}).get(place, {})
            study.enqueue_trial(dict(fixed), user_attrs={PLACE: place})


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
        trials = trials_of(study)[frozen.user_attrs[PLACE]]
        first = counting(trials)
        if first is not None and first.number < frozen.number:
            tell(storage, frozen._trial_id, "FAIL")  # two repaired this place
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
    """The trial failed by what it tried: its place is done."""
    trial.set_user_attr(ERROR, error)
    trial.set_user_attr(COUNTS, True)
    tell(storage, trial._trial_id, "FAIL")


def ended(study: Study, num_places: int) -> list[FrozenTrial]:
    """The counting trials that have ended, by place."""
    places = trials_of(study)
    found = [counting(places.get(place, [])) for place in range(num_places)]
    return [trial for trial in found if trial is not None and trial.state.is_finished()]
