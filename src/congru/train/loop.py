"""The one training loop: a schedule that ends exactly with the budget, early stop, checkpoints, exact resume.

:func:`fit` tells the whole story: start the processes, try three steps, say what will happen, train, sum up.
:func:`train` is the loop; what one step does is in :mod:`congru.train.trainer`.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lightning_fabric import Fabric

from congru.errors import CongruError
from congru.train.alone import watch_others
from congru.train.base import AnyLearner
from congru.train.batches import Batches
from congru.train.devices import (
    is_rank_zero,
    look_for_unused,
    num_processes,
    on_rank_zero,
    open_fabric,
    raise_on_rank_zero,
)
from congru.train.estimate import Estimate, try_steps
from congru.train.events import Reporter
from congru.train.folder import check_out, claim_next, next_free
from congru.train.interrupt import StopSignal, TrainingInterrupted, TrainingPruned
from congru.train.progress import make_reporter
from congru.train.provenance import resume_line
from congru.train.seeding import seed_everything
from congru.train.settings import ModelSettings
from congru.train.sharing import Unprepared, prepare
from congru.train.sizing import ORIGIN, Size, choose, is_open
from congru.train.summary import (
    RunResult,
    SectionMaker,
    leave_folder,
    open_folder,
    result_of,
    sum_up,
    summarize,
    write_start,
)
from congru.train.trackers import with_trackers
from congru.train.trainer import Trainer
from congru.train.validation import evaluate

__all__ = ["RunResult", "fit", "train"]

ROWS_PER_RUN = 500  # rows of training loss in metrics.csv


def fit(
    learner: AnyLearner | Unprepared,
    settings: ModelSettings,
    *,
    origin: Mapping[str, str] | None = None,
    sections: Sequence[SectionMaker] = (),
    reporter: Reporter | None = None,
    report: bool = True,
) -> RunResult:
    """Train ``learner`` and leave a run folder.

    Args:
        learner: the task's training problem; of several processes the first makes one that is unprepared, for all.
        settings: resolved settings.
        origin: where each setting came from, as :func:`congru.train.resolve.resolve` returns it.
        sections: makers of further chapters of ``report.html``, called with the run folder at the end.
        reporter: receives the events instead of what the settings ask for; where it raises `TrainingPruned` the run is
            left as one that was interrupted.
        report: whether to draw plots and write ``report.html``.

    Returns:
        The best validation value, where the model is, and what it took.

    Raises:
        SettingsError, RunFolderError, TrainingError: one line each, see their names.
        TrainingInterrupted: Ctrl-C or SIGTERM; the run is saved.
    """
    out, named = settings.out, settings.out is not None
    writes = is_rank_zero() and not settings.dry_run
    if isinstance(learner, Unprepared) and num_processes(settings) == 1:
        learner = learner.make()  # before a folder is made
    if out is None:
        claims = writes and not settings.resume
        out = (claim_next if claims else next_free)(Path("runs"), learner.task)
    if writes:
        check_out(out, settings.resume)
    fabric = open_fabric(settings)
    reporter = reporter or make_reporter(settings, fabric.is_global_zero)
    if writes:
        reporter = with_trackers(reporter, settings.track)
    try:
        with raise_on_rank_zero(fabric):
            out = Path(fabric.broadcast(str(out)))
            if isinstance(learner, Unprepared):
                learner = prepare(fabric, learner)
            look_for_unused(fabric, learner)
            return _fit(fabric, learner, settings, origin or {}, out, reporter, sections, report)
    finally:
        reporter.close()
        if not named and is_rank_zero():
            with contextlib.suppress(OSError):  # a folder that holds something stays
                out.rmdir()


def _fit(
    fabric: Fabric,
    learner: AnyLearner,
    settings: ModelSettings,
    origin: Mapping[str, str],
    out: Path,
    reporter: Reporter,
    sections: Sequence[SectionMaker],
    report: bool,
) -> RunResult:
    seed_everything(settings.seed + fabric.global_rank)
    reason = ""
    if fabric.world_size == 1 and is_open(settings, origin, learner.sizes):
        learner, settings, origin, reason = _sized(fabric, learner, settings, origin, reporter)
    trainer = Trainer(fabric, learner, settings, reporter)
    estimate = _try(trainer)
    reporter.before(summarize(trainer, origin, out, estimate))
    if reason:
        reporter.say("size", f"the budget chose {reason}")
    if settings.dry_run:
        reporter.say("dry run", "dry run: nothing was written")
        return result_of(trainer, "dry run", None)
    trainer.state.log_every = max(1, estimate.num_steps // ROWS_PER_RUN)
    _open(trainer, origin, out)
    if reason and trainer.folder is not None:
        trainer.folder.log(f"the budget chose {reason}")
    try:
        trainer.watch = watch_others(trainer, out)
        status = _train_or_raise(trainer, out)
    except BaseException as error:
        stopped = isinstance(error, (KeyboardInterrupt, BrokenPipeError, TrainingPruned))
        leave_folder(trainer, "interrupted" if stopped else "failed", str(error))
        raise
    result = result_of(trainer, status, out)
    on_rank_zero(fabric, lambda: sum_up(trainer, result, sections, report))
    return result


def _sized(
    fabric: Fabric,
    learner: AnyLearner,
    settings: ModelSettings,
    origin: Mapping[str, str],
    reporter: Reporter,
) -> tuple[AnyLearner, ModelSettings, Mapping[str, str], str]:
    """The learner, its settings and their origin in the size that the budget allows, and why it is this one."""

    def resized(size: Size) -> AnyLearner:
        return learner.resized(settings.model_copy(update=dict(size.settings)))

    def step_seconds(size: Size) -> float:
        other = resized(size)
        return _try(Trainer(fabric, other, other.settings, reporter)).step_seconds

    choice = choose(learner.sizes, step_seconds, 60.0 * settings.budget[1])
    other = resized(choice.size)
    return other, other.settings, {**origin, **dict.fromkeys(choice.size.settings, ORIGIN)}, choice.reason


def _try(trainer: Trainer) -> Estimate:
    """Three steps with an optimizer of their own; nothing of them stays."""
    optimizer = trainer.make_optimizer()

    def step(batch: Any, carry: Any) -> Any:
        return trainer.optimize(batch, carry, optimizer)[2]

    rank = (trainer.fabric.global_rank, trainer.fabric.world_size)
    return try_steps(trainer.networks, step, Batches(trainer.learner, *rank).epoch(0), trainer.budget)


def _open(trainer: Trainer, origin: Mapping[str, str], out: Path) -> None:
    """Open the run folder and take over the state of a run that is continued; a refusal changes nothing."""
    on_rank_zero(trainer.fabric, lambda: open_folder(trainer, out))
    try:
        if trainer.settings.resume:
            differs = trainer.restore(out)
            note = f" ({differs})" if differs else ""
            trainer.reporter.say("resumed", f"continuing {out} at step {trainer.state.step}{note}")
        on_rank_zero(trainer.fabric, lambda: write_start(trainer, origin))
    except BaseException:
        if trainer.folder is not None:
            trainer.folder.close()
        raise


def _train_or_raise(trainer: Trainer, out: Path) -> str:
    """Train to the end: ``finished`` or ``early stop``; TrainingInterrupted where the user stops it."""
    watch = trainer.watch
    try:
        with StopSignal() as stop:
            status = train(trainer, stop)
    except RuntimeError as error:
        if watch is not None and not isinstance(error, CongruError):
            watch.fault(error)  # a collective operation failed: whose fault was it?
        raise
    finally:
        if watch is not None:
            watch.close()
    if status == "interrupted":
        line = resume_line(trainer.learner, out)
        text = f"interrupted at step {trainer.state.step}, saved; to continue:\n  {line}"
        trainer.reporter.say("interrupted", text)
        raise TrainingInterrupted(line)
    return status


def train(trainer: Trainer, stop: StopSignal) -> str:
    """THE LOOP. Returns ``finished``, ``early stop`` or ``interrupted``."""
    trainer.start_clock()
    if trainer.state.evaluated_step < 0:
        trainer.note("evaluation")
        evaluate(trainer)
        trainer.save()
    while not trainer.over():
        epoch, start = divmod(trainer.state.step, trainer.learner.steps_per_epoch)
        if start == 0:
            trainer.carry = None
        for batch in trainer.batches.epoch(epoch, start):
            asked = trainer.step(batch, stop)
            if not trainer.synced:  # the others may stand elsewhere
                continue
            if trainer.record_due():
                trainer.record()
            if trainer.evaluation_due():
                trainer.note("evaluation")
                evaluate(trainer)
                trainer.save()
            elif asked or trainer.checkpoint_due():
                trainer.save()
            if trainer.over():
                break
            if asked:
                return "interrupted"
    return "finished" if trainer.fraction >= 1.0 else "early stop"
