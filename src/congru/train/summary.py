"""What is printed and written before and after the loop: the summary, the fixed files of the run folder, the result."""

from __future__ import annotations

import contextlib
import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from congru.errors import RunFolderError, SettingsError
from congru.report.cell import card
from congru.report.page import Section
from congru.report.table import html_table
from congru.train.devices import crowded, processes_in_words
from congru.train.estimate import Estimate
from congru.train.events import Ending, Summary
from congru.train.folder import RunFolder, read_metrics, reading, utc_now
from congru.train.plots import draw_plots
from congru.train.provenance import data_record, describe, environment
from congru.train.report import report_html
from congru.train.resolve import shown, to_yaml
from congru.train.trainer import Trainer
from congru.train.wording import duration, verdict_of

# Gives a further chapter of report.html from the run folder, for example the gates of the model in model/.
SectionMaker = Callable[[Path], Section]


@dataclass(frozen=True)
class RunResult:
    """What a run came to."""

    status: str
    """``finished``, ``early stop`` or ``dry run``."""
    folder: Path | None
    """The run folder; None after a dry run."""
    metric: str
    best: float | None
    """Best validation value of ``metric``; the model in ``model_folder`` has it."""
    best_step: int
    baselines: dict[str, float]
    steps: int
    seconds: float
    num_parameters: int

    def __fspath__(self) -> str:
        """The run folder: a result stands wherever a run folder may, as in ``congru.load(result)``."""
        if self.folder is None:
            raise SettingsError("the result is of a dry run, expected a run folder: train without dry_run")
        return str(self.folder)

    def _repr_html_(self) -> str:
        rows: list[tuple[str, float | None]] = [
            (f"model (step {self.best_step:,})", self.best),
            *self.baselines.items(),
        ]
        where = f"; model in {self.model_folder}" if self.folder else ""
        spent = f"{self.status}: {self.steps:,} steps in {duration(self.seconds)}, {self.num_parameters:,} parameters{where}"
        return card("Training", [spent], html_table(rows, ("", self.metric)))

    @property
    def model_folder(self) -> Path | None:
        """The folder that ``congru.load`` reads."""
        return self.folder / "model" if self.folder else None


def summarize(trainer: Trainer, origin: Mapping[str, str], out: Path, estimate: Estimate) -> Summary:
    """What is known before training."""
    learner = trainer.learner
    return Summary(
        task=learner.task,
        out=str(out),
        settings=shown(trainer.settings, origin),
        data=describe(learner),
        num_parameters=trainer.num_parameters,
        memory_bytes=estimate.memory_bytes,
        step_ms=estimate.step_seconds * 1e3,
        num_steps=estimate.num_steps,
        total_seconds=estimate.total_seconds,
        metric=learner.metric,
        baselines=dict(learner.baselines),
        minimize=learner.minimize,
        processes=processes_in_words(trainer.fabric, trainer.settings),
        crowded=crowded(trainer.fabric),
    )


def open_folder(trainer: Trainer, out: Path) -> None:
    """Open the run folder; a run that is continued must have been started on the same data."""
    folder = RunFolder(out, trainer.settings.resume)
    try:
        folder.check_same_data(data_record(describe(trainer.learner), trainer.settings))
    except RunFolderError:
        folder.close()
        raise
    trainer.folder = folder


def write_start(trainer: Trainer, origin: Mapping[str, str]) -> None:
    """Write what is known before training."""
    settings, learner, folder = trainer.settings, trainer.learner, trainer.folder
    assert folder is not None
    folder.write_text("config.yaml", to_yaml(settings, origin))
    folder.write_json("env.json", environment(trainer.fabric.device, trainer.fabric.world_size))
    folder.write_json("data.json", data_record(describe(learner), settings))
    folder.set_status(
        state="running",
        task=learner.task,
        metric=learner.metric,
        minimize=learner.minimize,
        baselines=dict(learner.baselines),
        num_parameters=trainer.num_parameters,
        started=utc_now(),
    )
    folder.log(f"{'continue' if settings.resume else 'start'} {learner.task} at step {trainer.state.step}")


def leave_folder(trainer: Trainer, state: str, error: str = "") -> None:
    """Note how training was left: ``interrupted`` or ``failed``."""
    if trainer.folder is None:
        return
    with contextlib.suppress(RunFolderError):  # a full disk may be why training is left
        trainer.folder.set_status(state=state, **({"error": error} if error else {}))
        trainer.folder.log(f"{state} {error}".rstrip())
    trainer.folder.close()


def result_of(trainer: Trainer, status: str, out: Path | None) -> RunResult:
    """The result of a run that has ended."""
    state = trainer.state
    return RunResult(
        status=status,
        folder=out,
        metric=trainer.learner.metric,
        best=state.best,
        best_step=state.best_step,
        baselines=dict(trainer.learner.baselines),
        steps=state.step,
        seconds=state.seconds,
        num_parameters=trainer.num_parameters,
    )


def _amount(validation: object) -> str:
    """How much validation data a learner says it has, short enough for a sentence."""
    text = (
        f"{validation:,} row{'' if validation == 1 else 's'}"
        if isinstance(validation, int)
        else validation
        if isinstance(validation, str)
        else ""
    )
    text = text.partition(":")[0]  # what follows says how it is made up
    return text if len(text) <= 60 else ""


def sum_up(
    trainer: Trainer, result: RunResult, sections: Sequence[SectionMaker], report: bool = True
) -> None:
    """Write the final status, plots and the report where it is wanted, and print the closing table."""
    folder = trainer.folder
    assert folder is not None
    described = trainer.learner.describe()
    data = str(described.get("source", ""))
    scored = trainer.learner.eval_files or (data if data and Path(data).exists() else "DATA",)
    next_lines = [
        shlex.join(["congru", "run", str(folder.model), *trainer.learner.run_flags]),
        shlex.join(["congru", "eval", str(folder.model), *scored]),
        shlex.join(["congru", "inspect", str(folder.model)]),
    ]
    ending = Ending(
        status=result.status,
        metric=result.metric,
        best=result.best,
        best_step=result.best_step,
        baselines=result.baselines,
        minimize=trainer.learner.minimize,
        steps=result.steps,
        seconds=result.seconds,
        num_parameters=result.num_parameters,
        out=str(folder.path),
        next_lines=next_lines,
        validation=trainer.learner.validation_words or _amount(described.get("validation")),
    )
    folder.set_status(
        state="finished",
        reason=result.status,
        step=result.steps,
        seconds=round(result.seconds, 3),
        best=result.best,
        best_step=result.best_step,
        verdict=verdict_of(ending),
        next=next_lines,
    )
    folder.log(f"{result.status}: best {result.metric} {result.best} at step {result.best_step}")
    if report:
        rows = read_metrics(folder.path / "metrics.csv")
        draw_plots(folder, rows, result.metric, result.baselines)
        with reading(folder.path, "the files of this run"):
            text = report_html(folder.path, [make(folder.path) for make in sections])
        folder.write_text("report.html", text)
    folder.close()
    trainer.reporter.after(ending)
