"""The result of a sweep: the best setting, its refits over other seeds, and the files that hold them."""

from __future__ import annotations

import shutil
import statistics
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from congru.errors import TrainingError
from congru.runtime.atomic import clear_leftovers, folder_beside, put_folder
from congru.runtime.plain_json import as_json
from congru.sweep.plan import Plan
from congru.sweep.slots import ERROR, SLOT, ended, trials_of
from congru.sweep.space import Space, to_yaml
from congru.train.folder import write_bytes, writing

if TYPE_CHECKING:
    from optuna import Study
    from optuna.trial import FrozenTrial

RESULT, BEST = "result.json", "best.yaml"
FOLDER = "folder"  # attribute of a trial: its run folder, below the sweep's


@dataclass(frozen=True)
class Outcome:
    """The trials that count, by slot, and the best of those that trained to the end."""

    plan: Plan
    trials: list[FrozenTrial]
    best: FrozenTrial
    values: dict[str, Any]
    """The best setting."""
    refits: list[FrozenTrial]

    def refitted(self) -> list[float]:
        """The metric of each refit."""
        return [trial.value for trial in self.refits if trial.value is not None]

    def lines(self) -> list[str]:
        """The result in sentences."""
        metric, first = self.plan.metric, self.trials[0]
        text = f"Best of {len(self.trials)} trials is trial {self.best.user_attrs[SLOT]}: {metric} {self.best.value:.4f}"
        if first.value is not None and first.state.name == "COMPLETE" and first is not self.best:
            text += f", where the settings it started from reach {first.value:.4f}"
        lines = [text + ", on the validation data."]
        values = self.refitted()
        if len(values) > 1:
            lines.append(
                f"Trained again with {len(values)} other seeds it reaches {metric} {statistics.fmean(values):.4f} ± "
                f"{statistics.stdev(values):.4f}: the best of many trials is in part luck, this figure is not chosen."
            )
        pruned, failed = (
            sum(trial.state.name == state for trial in self.trials) for state in ("PRUNED", "FAIL")
        )
        if pruned or failed:
            lines.append(f"{pruned} trials were ended early, {failed} failed.")
        return lines


def better(trials: list[FrozenTrial], minimize: bool) -> FrozenTrial | None:
    """The best of the trials that trained to the end, the earlier one where two are equal."""
    complete = [trial for trial in trials if trial.state.name == "COMPLETE" and trial.value is not None]
    sign = 1 if minimize else -1
    return min(complete, key=lambda trial: (sign * (trial.value or 0.0), trial.number), default=None)


def values_of(trial: FrozenTrial, space: Space) -> dict[str, Any]:
    """The values of a trial as the settings take them."""
    return {
        dimension.name: dimension.value(trial.params[dimension.name])
        for dimension in space
        if dimension.name in trial.params
    }


def outcome_of(plan: Plan, space: Space, study: Study, refits: Study | None = None) -> Outcome:
    """The outcome of a sweep whose trials have ended.

    Raises:
        TrainingError: no trial trained to the end.
    """
    num_slots = plan.trials or len(trials_of(study))
    trials = ended(study, num_slots)
    best = better(trials, plan.minimize)
    if best is None:
        errors = [trial.user_attrs[ERROR] for trial in trials if ERROR in trial.user_attrs]
        raise TrainingError(
            f"none of {len(trials)} trials trained to the end, expected at least one: "
            + (errors[0] if errors else "give more time or more trials")
        )
    refitted = ended(refits, plan.refit_seeds) if refits is not None else []
    return Outcome(plan, trials, best, values_of(best, space), refitted)


def write_outcome(outcome: Outcome, folder: Path) -> None:
    """``best.yaml`` for ``--config``, ``result.json``, and the best model as ``model/``."""
    chosen = {**outcome.plan.settings, **outcome.values}
    write_bytes(folder / BEST, to_yaml(chosen).encode())
    record = {
        "metric": outcome.plan.metric,
        "best": outcome.best.value,
        "place": outcome.best.user_attrs[SLOT],
        "settings": outcome.values,
        "refits": outcome.refitted(),
        "baselines": outcome.plan.baselines,
        "trials": [
            {
                "place": trial.user_attrs[SLOT],
                "state": trial.state.name.lower(),
                "value": trial.value,
                "error": trial.user_attrs.get(ERROR),
                "values": trial.params,
                "seconds": round(trial.duration.total_seconds(), 1) if trial.duration else None,
            }
            for trial in outcome.trials
        ],
    }
    write_bytes(folder / RESULT, (as_json(record, indent=1) + "\n").encode())
    source = folder / best_run(outcome) / "model"
    with writing(folder / "model"):
        clear_leftovers(folder, "model")
        with folder_beside(folder / "model") as fresh:
            shutil.copytree(source, fresh, dirs_exist_ok=True)
            put_folder(fresh, folder / "model")


def best_run(outcome: Outcome) -> str:
    """The run folder of the best refit, or of the best trial where there are no refits; below the sweep's."""
    best = better(outcome.refits, outcome.plan.minimize) or outcome.best
    return str(best.user_attrs[FOLDER])
