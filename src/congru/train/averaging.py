"""Averaged weights: what is evaluated and saved, while training goes on with the weights themselves.

none    w_n
last k  mean of w at the last k evaluations
EMA     a_n = d_n a_{n-1} + (1 - d_n) w_n,   d_n = min(d, (1 + n) / (10 + n)),   a_0 = w_0
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import torch
from torch import nn

from congru.train.settings import TrainSettings

Weights = dict[str, torch.Tensor]


class Averaging:
    """No average: the weights as they are."""

    def after_step(self, networks: nn.Module) -> None:
        """An optimizer step was made."""

    def before_evaluation(self, networks: nn.Module) -> None:
        """The networks are about to be evaluated."""

    @contextlib.contextmanager
    def applied(self, networks: nn.Module) -> Iterator[None]:
        """Within the block the networks have the averaged weights."""
        yield

    def state(self) -> dict[str, Any]:
        """What a checkpoint keeps."""
        return {}

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from a :meth:`state`."""


class _Stored(Averaging):
    """Shared by the averages: swap the averaged weights in, and the own ones back."""

    def average(self) -> Weights:
        """The averaged weights."""
        raise NotImplementedError

    @contextlib.contextmanager
    def applied(self, networks: nn.Module) -> Iterator[None]:
        """Within the block the networks have the averaged weights."""
        own = _copy(networks)
        networks.load_state_dict(self.average())
        try:
            yield
        finally:
            networks.load_state_dict(own)


class MovingAverage(_Stored):
    """The exponential moving average with decay ``d``, updated after every step."""

    def __init__(self, networks: nn.Module, decay: float) -> None:
        self.decay, self.steps, self.weights = decay, 0, _copy(networks)

    def after_step(self, networks: nn.Module) -> None:
        """Take the new weights in."""
        self.steps += 1
        decay = min(self.decay, (1 + self.steps) / (10 + self.steps))
        for name, value in networks.state_dict().items():
            self.weights[name].lerp_(value, 1 - decay)

    def average(self) -> Weights:
        """The averaged weights."""
        return self.weights

    def state(self) -> dict[str, Any]:
        """Weights and the number of steps in them."""
        return {"weights": self.weights, "steps": self.steps}

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from a :meth:`state`."""
        self.steps = state["steps"]
        for name, value in state["weights"].items():
            self.weights[name].copy_(value)


class LastEvaluations(_Stored):
    """The mean of the weights at the last ``count`` evaluations, this one included."""

    def __init__(self, count: int) -> None:
        self.count = count
        self.snapshots: list[Weights] = []

    def before_evaluation(self, networks: nn.Module) -> None:
        """Take a snapshot; the oldest goes."""
        self.snapshots = [*self.snapshots, _copy(networks)][-self.count :]

    def average(self) -> Weights:
        """The averaged weights."""
        names = self.snapshots[0]
        return {name: torch.stack([shot[name] for shot in self.snapshots]).mean(0) for name in names}

    def state(self) -> dict[str, Any]:
        """The snapshots."""
        return {"snapshots": self.snapshots}

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from a :meth:`state`."""
        self.snapshots = list(state["snapshots"])


def make_averaging(networks: nn.Module, settings: TrainSettings) -> Averaging:
    """The average that the settings ask for."""
    if settings.ema is not None:
        return MovingAverage(networks, settings.ema)
    if settings.average > 1:
        return LastEvaluations(settings.average)
    return Averaging()


def _copy(networks: nn.Module) -> Weights:
    return {name: value.detach().clone() for name, value in networks.state_dict().items()}
