"""One evaluation: validation rows shared out over the processes, metrics, a sample, and the model if it is better.

Training does not notice: weights, random numbers and modes are afterwards what they were.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch

from congru.errors import CongruError, SettingsError, TrainingError
from congru.gates.inspect import inspect
from congru.gates.monitor import gate_statistics
from congru.train.devices import gather, on_rank_zero
from congru.train.folder import Metric, RunFolder, writing
from congru.train.provenance import model_record
from congru.train.saving import save
from congru.train.seeding import rng_untouched
from congru.train.trainer import Trainer


def evaluate(trainer: Trainer) -> None:
    """Measure the networks, with their averaged weights, on all processes; better ones go to ``model/``.

    Raises:
        TrainingError: the metric is not finite.
    """
    state, networks, began = trainer.state, trainer.networks, trainer.clock.seconds
    trainer.averaging.before_evaluation(networks)
    networks.eval()
    try:
        with torch.no_grad(), rng_untouched(trainer.settings.seed), trainer.averaging.applied(networks):
            shares = gather(trainer.fabric, _evaluate_share(trainer))
            state.validation, began, ended = on_rank_zero(
                trainer.fabric, lambda: (_write(trainer, _joined(shares)), began, trainer.clock.seconds)
            )
    finally:
        networks.train()
    state.seconds = state.evaluation_ended = ended
    state.evaluation_seconds = ended - began
    state.evaluated_step = state.step
    state.evaluations += 1
    if trainer.is_better(state.validation):
        state.best, state.best_tie = (
            state.validation[trainer.learner.metric],
            trainer.tie_value(state.validation),
        )
        state.best_step, state.without_better = state.step, 0
    else:
        state.without_better += 1


def _evaluate_share(trainer: Trainer) -> list[Any] | CongruError:
    """What ``learner.evaluate`` returns for this process's share of the rows, or the error it met."""
    learner, rows = trainer.learner, trainer.learner.validation_rows()
    rank, world = trainer.fabric.global_rank, trainer.fabric.world_size
    begin, end = (len(rows) * part // world for part in (rank, rank + 1))
    size = learner.evaluation_batch
    try:
        return [
            learner.evaluate(trainer.networks, rows[start : min(start + size, end)])
            for start in range(begin, end, size)
        ]
    except CongruError as error:
        return error


def _joined(shares: Sequence[list[Any] | CongruError] | None) -> list[Any]:
    """The parts of all processes in the order of the rows."""
    parts: list[Any] = []
    for share in shares or []:
        if isinstance(share, CongruError):
            raise share
        parts += share
    return parts


def _write(trainer: Trainer, parts: list[Any]) -> dict[str, float]:
    """On the first process: metrics, sample, gate statistics, the model folder."""
    learner = trainer.learner
    trainer.raise_failure()
    metrics = {name: float(value) for name, value in learner.metrics(parts).items()}
    value = metrics[learner.metric]
    if not math.isfinite(value):
        raise TrainingError(trainer.not_finite(f"validation {learner.metric}", value))
    sample = learner.sample(trainer.networks)
    folder, step = trainer.folder, trainer.state.step
    if folder is not None:
        folder.append_metrics(_rows(trainer, metrics))
        if sample is not None:
            folder.write_text(f"samples/step-{step:07d}.txt", sample.text)
            for name, content in sample.files.items():
                folder.write_file(f"samples/step-{step:07d}-{name}", content)
        if trainer.is_better(metrics):
            _save(trainer, folder, parts, value)
        trainer.state.validation = metrics
        trainer.reporter.evaluated(trainer.standing(), metrics, sample.text if sample is not None else None)
        folder.log(f"step {step} " + " ".join(f"{name} {number:.6g}" for name, number in metrics.items()))
    return metrics


def _rows(trainer: Trainer, metrics: dict[str, float]) -> list[Metric]:
    """The rows of metrics.csv for an evaluation."""
    state = trainer.state
    values = [("validation", name, value) for name, value in metrics.items()]
    if trainer.settings.monitor:
        values += [("gates", name, value) for name, value in _gates(trainer).items()]
    return [Metric(state.step, state.seconds, split, name, value) for split, name, value in values]


def _gates(trainer: Trainer) -> dict[str, float]:
    """Statistics of the gates on the learner's probe."""
    probe = trainer.learner.probe()
    if probe is None:
        raise SettingsError(
            f"monitor is True, expected False for the task {trainer.learner.task}, which has no probe: leave it out"
        )
    return gate_statistics(inspect(trainer.networks[probe.network], trainer.fabric.to_device(probe.input)))


def _save(trainer: Trainer, folder: RunFolder, parts: list[Any], value: float) -> None:
    state = trainer.state
    record = model_record(trainer.learner, trainer.settings, trainer.num_parameters)
    with writing(folder.model):
        save(
            trainer.learner,
            folder.model,
            parts,
            {**record, "value": value, "step": state.step, "seconds": round(state.seconds, 1)},
        )
