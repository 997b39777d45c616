"""What the loop does in one go: a step, an evaluation, a checkpoint, and going on from one.

sum, count, carry = learner.loss(networks, batch, carry)
loss = sum over all processes / count over all processes
g = clip(d loss / d parameters);  AdamW(g, learning_rate * factor(used share of the budget))

Several processes send one message a step, see :mod:`congru.train.exchange`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from lightning_fabric import Fabric
from torch import Tensor

from congru.errors import CongruError, RunFolderError, TrainingError
from congru.train import checkpoint
from congru.train.averaging import make_averaging
from congru.train.base import AnyLearner
from congru.train.batches import Batches
from congru.train.devices import gather, on_rank_zero
from congru.train.events import Reporter, Standing
from congru.train.exchange import DataParallel, divide_gradients
from congru.train.folder import Metric, RunFolder
from congru.train.interrupt import StopSignal
from congru.train.local_steps import average_over, exchanges
from congru.train.nests import tree_map
from congru.train.networks import Objective, make_optimizer
from congru.train.schedule import Budget, Clock, learning_rate_factor
from congru.train.seeding import rng_state, seed_everything, set_rng_state
from congru.train.settings import ModelSettings
from congru.train.watch import Watch


@dataclass
class State:
    """Where training stands; goes into each checkpoint as it is."""

    step: int = 0
    seconds: float = 0.0
    best: float | None = None
    best_tie: float | None = None
    best_step: int = 0
    without_better: int = 0
    evaluations: int = 0
    evaluated_step: int = -1
    evaluation_seconds: float = 0.0
    evaluation_ended: float = 0.0
    log_every: int = 1
    recent_loss: float = math.nan
    loss_sum: float = 0.0
    norm_sum: float = 0.0
    num_summed: int = 0
    validation: dict[str, float] = field(default_factory=dict)


class Trainer:
    """What the loop works with, on one of the processes: networks, optimizer, budget, clock, state.

    ``folder`` is None on all processes but the first.
    """

    def __init__(
        self, fabric: Fabric, learner: AnyLearner, settings: ModelSettings, reporter: Reporter
    ) -> None:
        self.fabric, self.learner, self.settings, self.reporter = fabric, learner, settings, reporter
        self.folder: RunFolder | None = None
        self.networks = learner.module
        objective = Objective(learner.module, learner.loss, learner.precision)
        self.objective, self.optimizer = fabric.setup(objective, self.make_optimizer())
        strategy = fabric.strategy
        self.exchange = strategy.exchange if isinstance(strategy, DataParallel) else None
        if self.exchange is not None:
            self.exchange.waiting = lambda: self.note("waiting")
        self.averaging = make_averaging(self.networks, settings)
        self.batches = Batches(learner, fabric.global_rank, fabric.world_size, settings.workers)
        self.budget = Budget.of(settings, learner.steps_per_epoch)
        self.state = State()
        self.clock = Clock()
        self.carry: Any = None
        self.watch: Watch | None = None
        self.synced = True  # whether all processes have the same weights
        self._failure: CongruError | None = None  # what the first process met while it wrote a row
        self._saved_seconds = 0.0

    @property
    def fraction(self) -> float:
        """The used share of the budget."""
        return self.budget.fraction(self.state.step, self.state.seconds, self.state.evaluation_seconds)

    @property
    def steps_alone(self) -> bool:
        """Whether this process now steps on its own gradient (post-local SGD: after the warm-up)."""
        every = self.settings.sync_every
        return every > 1 and self.exchange is not None and self.fraction >= self.settings.warmup

    def note(self, doing: str) -> None:
        """Tell the watch over the processes what this one does."""
        if self.watch is not None:
            self.watch.at(doing, self.state.step)

    def over(self) -> bool:
        """Whether the budget is used up, or patience has run out."""
        patience = self.settings.patience
        return self.fraction >= 1.0 or (patience is not None and self.state.without_better >= patience)

    @property
    def num_parameters(self) -> int:
        """Number of weights."""
        return sum(parameter.numel() for parameter in self.networks.parameters())

    def make_optimizer(self) -> torch.optim.AdamW:
        """A fresh optimizer of the networks."""
        return make_optimizer(self.networks, self.settings, self.learner.rate_factors)

    def start_clock(self) -> None:
        """Training begins, or goes on, now."""
        self.clock = Clock(self.state.seconds)

    def step(self, batch: Any, stop: StopSignal) -> bool:
        """One optimizer step; True where any process was asked to stop."""
        state = self.state
        factor = learning_rate_factor(self.fraction, self.settings.warmup)
        for group in self.optimizer.param_groups:
            group["lr"] = self.settings.learning_rate * factor * group["factor"]
        alone = self.steps_alone
        self.note("step")
        loss, norm, self.carry = self.optimize(batch, self.carry, self.optimizer, stop.requested)
        self.averaging.after_step(self.networks)
        state.step += 1
        self.synced = not alone or exchanges(state.step, self.settings, self.budget)
        asked = stop.requested and self.exchange is None
        if self.exchange is None:
            state.seconds = self.clock.seconds
        elif self.synced:
            if alone:
                self._say(torch.tensor(loss), torch.tensor(1.0), stop.requested)
                self.note("waiting")
                average_over(self.exchange, self.networks, self.optimizer)
                self._heard = self.exchange.hear()
            heard = self._heard
            loss, asked, state.seconds = heard.loss, heard.asked, heard.seconds
            if heard.failed:
                on_rank_zero(self.fabric, self.raise_failure)
        state.loss_sum += loss
        state.norm_sum += norm
        state.num_summed += 1
        self.reporter.step(self.standing())
        return asked

    def optimize(
        self, batch: Any, carry: Any, optimizer: Any, asked: bool = False
    ) -> tuple[float, float, Any]:
        """Loss, backward, clip, update. Returns loss, gradient norm and the detached state to carry over.

        ``asked``: whether this process was asked to stop, which the others hear of with its gradients.
        """
        alone = self.steps_alone
        with self.fabric.no_backward_sync(self.objective, enabled=alone):
            total, count, carry = self.objective(self.fabric.to_device(batch), carry)
            optimizer.zero_grad(set_to_none=True)
            if self.exchange is None or alone:
                mean = total / count.clamp(min=1)
                self.fabric.backward(mean)
                loss = float(mean.detach())
            else:
                self._say(total, count, asked)
                self.fabric.backward(total)
                self._heard = self.exchange.hear()
                divide_gradients(self.networks.parameters(), self._heard.count)
                loss = self._heard.loss
        limit = self.settings.clip if self.settings.clip is not None else math.inf
        norm = self.fabric.clip_gradients(self.objective, optimizer, max_norm=limit, error_if_nonfinite=False)
        for name, number in (("loss", loss), ("gradient norm", float(norm))):  # type: ignore[arg-type]
            if not math.isfinite(number):
                raise TrainingError(self.not_finite(name, number))
        optimizer.step()
        return loss, float(norm), carry  # type: ignore[arg-type]

    def _say(self, total: Tensor, count: Tensor, asked: bool) -> None:
        """Prepare what goes to the other processes with the next message."""
        assert self.exchange is not None
        self.exchange.say(total, count, self.clock.seconds, asked, self._failure is not None)

    def not_finite(self, name: str, number: float) -> str:
        """The line for a number that ends the training."""
        kept = f"; the last good checkpoint is {self.folder.last}" if self.folder else ""
        clip = "" if self.settings.clip is not None else " or set --clip 1"
        return (
            f"{name} is {number} at step {self.state.step + 1}, expected a finite number: "
            f"lower --learning-rate (now {self.settings.learning_rate:g}){clip}, "
            f"or look for such values in the data{kept}"
        )

    def evaluation_due(self) -> bool:
        """Whether to evaluate now."""
        since = self.state.seconds - self.state.evaluation_ended
        return self.budget.evaluation_due(
            self.state.step, self.fraction, since, self.state.evaluation_seconds
        )

    def record_due(self) -> bool:
        """Whether to write a row of training loss now."""
        return self.state.num_summed >= self.state.log_every

    def checkpoint_due(self) -> bool:
        """Whether the last checkpoint is too old."""
        return self.state.seconds - self._saved_seconds >= self.settings.save_seconds

    def standing(self) -> Standing:
        """Where the run stands, for the screen."""
        state = self.state
        speed = state.step / max(state.seconds, 1e-9)
        left = state.seconds * (1.0 / max(self.fraction, 1e-9) - 1.0) if state.step else 0.0
        return Standing(
            step=state.step,
            fraction=self.fraction,
            loss=state.loss_sum / state.num_summed if state.num_summed else state.recent_loss,
            seconds=state.seconds,
            seconds_left=left,
            steps_per_second=speed,
            validation=state.validation.get(self.learner.metric),
        )

    def record(self) -> None:
        """Write the mean training loss and gradient norm since the last row."""
        state = self.state
        loss, norm = state.loss_sum / state.num_summed, state.norm_sum / state.num_summed
        state.recent_loss = loss
        state.loss_sum = state.norm_sum = 0.0
        state.num_summed = 0
        rate = self.optimizer.param_groups[0]["lr"]
        values = (("loss", loss), ("gradient_norm", norm), ("learning_rate", float(rate)))
        rows = [Metric(state.step, state.seconds, "train", name, value) for name, value in values]
        if self.folder is None:
            return
        try:
            self.folder.append_metrics(rows)
        except CongruError as error:
            if self.exchange is None:
                raise
            self._failure = error  # raised on all when they have heard of it, with the next message

    def raise_failure(self) -> None:
        """Raise what the first process met while it wrote a row."""
        if self._failure is not None:
            raise self._failure

    def tie_value(self, metrics: Mapping[str, float]) -> float | None:
        """The value that decides between equal ones; None where the task has none."""
        return None if self.learner.tie_metric is None else metrics[self.learner.tie_metric]

    def is_better(self, metrics: Mapping[str, float]) -> bool:
        """Whether these validation metrics are the best so far."""
        value, best = metrics[self.learner.metric], self.state.best
        if value == best:
            tie = self.tie_value(metrics)
            return tie is not None and self.state.best_tie is not None and tie < self.state.best_tie
        return best is None or (value < best if self.learner.minimize else value > best)

    def save(self) -> None:
        """Write the full state to ``last/``."""
        carries = gather(self.fabric, tree_map(lambda tensor: tensor.cpu(), self.carry))
        generators = gather(self.fabric, rng_state())
        self._saved_seconds = self.state.seconds

        def write() -> None:
            assert self.folder is not None
            self.raise_failure()
            self.folder.sync_metrics()
            checkpoint.save(self.folder.last, self.content(carries, generators, self.folder.metrics_size()))
            self.folder.set_status(
                step=self.state.step, seconds=round(self.state.seconds, 3), best=self.state.best
            )

        on_rank_zero(self.fabric, write)

    def content(self, carries: Any, generators: Any, metrics_size: int) -> dict[str, Any]:
        """The full state as a checkpoint holds it; ``carries`` and ``generators`` one for each process."""
        return {
            "networks": self.networks.state_dict(),
            "averaging": self.averaging.state(),
            "optimizer": self.optimizer.state_dict(),
            "state": asdict(self.state),
            "carries": carries,
            "generators": generators,
            "steps_per_epoch": self.learner.steps_per_epoch,
            "threads": torch.get_num_threads(),
            "metrics_size": metrics_size,
        }

    def restore(self, folder: Path) -> str | None:
        """Continue from the checkpoint of the run in ``folder``; without one, from the start.

        Returns what differs from a run that was not interrupted, None where nothing does: another number of processes takes
        the same steps on the same batches with the same objective, but draws other random masks, and streams that are carried
        over begin anew.
        """
        if not checkpoint.exists(folder / "last"):
            if self.folder is not None:
                self.folder.cut_metrics(0)
            return None
        content = checkpoint.load(folder / "last")
        try:
            return self._take_over(content, folder)
        except (KeyError, TypeError, ValueError, IndexError, AttributeError) as error:
            if isinstance(error, CongruError):
                raise
            raise RunFolderError(
                f"{folder / 'last'} holds no state of such a run ({error!r}), expected a checkpoint of this version: "
                "start another run with another --out"
            ) from None

    def _take_over(self, content: Mapping[str, Any], folder: Path) -> str | None:
        """Take over what a checkpoint holds; what differs, as :meth:`restore` says."""
        rank, world = self.fabric.global_rank, self.fabric.world_size
        then, now = content["steps_per_epoch"], self.learner.steps_per_epoch
        if then != now:
            raise RunFolderError(
                f"steps per epoch is {now}, but the run in {folder} was started with {then}: "
                "use the same data, or start another run with another --out"
            )
        try:
            self.networks.load_state_dict(content["networks"])
        except RuntimeError:
            raise RunFolderError(
                f"{folder} has a model of other sizes, expected the same settings and data: use another --out"
            ) from None
        self.averaging.restore(self.fabric.to_device(content["averaging"]))
        self.optimizer.load_state_dict(content["optimizer"])
        self.state = State(**content["state"])
        self._saved_seconds = self.state.seconds
        if self.folder is not None:
            self.folder.cut_metrics(content["metrics_size"])
        saved = len(content["generators"])
        if saved != world or None in content["generators"]:
            seed_everything(self.settings.seed + rank + world * (self.state.step + 1))
            was = f"{saved} processes" if saved > 1 else "1 process"
            lost = "" if saved != world else " of which some were lost"
            return f"{world} now, saved by {was}{lost}: same batches and objective; masks and carried states begin anew"
        self.carry = self.fabric.to_device(content["carries"][rank])
        if self.settings.threads is None:  # another number of threads adds in another order
            torch.set_num_threads(content["threads"])
        set_rng_state(content["generators"][rank])
        return None
