"""``report.html`` of a sweep: the result, how it came, which settings matter, every trial."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING

from congru.report.markup import figure, paragraphs, preformatted
from congru.report.page import Section, page
from congru.report.table import Cell, html_table
from congru.sweep import pictures
from congru.sweep.outcome import BEST, Outcome
from congru.sweep.slots import ERROR, SLOT
from congru.sweep.space import Space
from congru.sweep.storage import optuna, quiet
from congru.train.folder import write_bytes
from congru.train.wording import duration

if TYPE_CHECKING:
    from optuna import Study

REPORT = "report.html"
FEWEST = 8  # trials that trained to the end, below which importance is not said


def write_report(outcome: Outcome, space: Space, study: Study, folder: Path) -> Path:
    """Write the page and return its path."""
    plan = outcome.plan
    sections = [
        Section("Result", paragraphs(outcome.lines(), "question") + _result_table(outcome)),
        Section("The best setting", _best_table(outcome, space)),
        Section(
            "Trial by trial",
            figure(pictures.progress(outcome.trials, plan.metric, plan.minimize, plan.baselines)),
        ),
        Section("Which settings matter", _importance(outcome, space, study)),
        Section("All trials over the settings", _parallel(outcome, space)),
        Section("Every trial", _trial_table(outcome, space)),
        Section("What to type next", preformatted("\n".join(next_lines(outcome, folder)))),
    ]
    path = folder / REPORT
    write_bytes(path, page(f"Sweep of {plan.task}: {len(outcome.trials)} trials", sections).encode())
    return path


def next_lines(outcome: Outcome, folder: Path) -> list[str]:
    """What to type with the result."""
    data = outcome.plan.data or ["DATA"]
    return [
        shlex.join(["congru", "run", str(folder)]),
        shlex.join(["congru", "train", outcome.plan.task, *data, "--config", str(folder / BEST)]),
    ]


def _result_table(outcome: Outcome) -> str:
    rows: list[tuple[Cell, ...]] = [("best trial", outcome.best.value)]
    rows += [(f"refit {number}", value) for number, value in enumerate(outcome.refitted(), 1)]
    rows += list(outcome.plan.baselines.items())
    note = f"{'Less' if outcome.plan.minimize else 'More'} is better; validation data, the test part was not read."
    return html_table(rows, ("", outcome.plan.metric)) + paragraphs([note], "note")


def _best_table(outcome: Outcome, space: Space) -> str:
    first = outcome.trials[0].params
    rows: list[tuple[Cell, ...]] = []
    for dimension in space:
        began = first.get(dimension.name)
        rows.append(
            (dimension.name, _text(outcome.values.get(dimension.name)), _text(began), _range_of(dimension))
        )
    return html_table(rows, ("setting", "best", "first trial", "searched"))


def _range_of(dimension: object) -> str:
    choices, low, high = (getattr(dimension, name) for name in ("choices", "low", "high"))
    return ", ".join(map(str, choices)) if choices else f"{low:g} to {high:g}"


def _importance(outcome: Outcome, space: Space, study: Study) -> str:
    complete = sum(trial.state.name == "COMPLETE" for trial in outcome.trials)
    if complete < FEWEST or len(space) < 2:
        return paragraphs(
            [f"{complete} trials trained to the end: too few to say which settings matter ({FEWEST})."],
            "limit",
        )
    with quiet():
        shares = optuna.importance.get_param_importances(study)
    note = (
        "By PED-ANOVA: how much the values of the best trials differ from those of all. A guide over this space and these"
        " trials, not a law."
    )
    return figure(pictures.importance(shares)) + paragraphs([note], "limit")


def _parallel(outcome: Outcome, space: Space) -> str:
    picture = pictures.parallel(outcome.trials, space, outcome.plan.metric, outcome.plan.minimize)
    note = "Each line is a trial that trained to the end; yellow is best. An axis runs from the lowest to the highest value."
    return figure(picture) + paragraphs([note], "note")


def _trial_table(outcome: Outcome, space: Space) -> str:
    words = {"COMPLETE": "", "PRUNED": "ended early", "FAIL": "failed"}
    rows: list[tuple[Cell, ...]] = []
    for trial in outcome.trials:
        seconds = trial.duration.total_seconds() if trial.duration else 0.0
        status = trial.user_attrs.get(ERROR) or words[trial.state.name]
        values = [_text(trial.params.get(dimension.name)) for dimension in space]
        rows.append((str(trial.user_attrs[SLOT]), trial.value, *values, duration(seconds), status))
    header = ("trial", outcome.plan.metric, *(dimension.name for dimension in space), "time", "")
    return html_table(rows, header)


def _text(value: object) -> str:
    if value is None:
        return ""
    return f"{value:.4g}" if isinstance(value, float) else str(value)
