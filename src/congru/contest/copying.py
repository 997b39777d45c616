"""The copy task (Hochreiter & Schmidhuber 1997, section 5.1; Arjovsky et al. 2016, arXiv 1511.06464, section 5.1).

The first S steps show a symbol each, of an alphabet of A; then nothing, until a cue asks for all of them in their
order. What was shown at step k is asked at step k + lag, so T = lag + S. The loss is the cross-entropy at the S steps
that are asked; who remembers nothing guesses, at log A.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor

from congru.contest.problem import Batch, as_tensor
from congru.errors import SettingsError

LENGTH = 4
ALPHABET = 8


def unordered_loss() -> float:
    """The loss of who remembers which symbols were shown, and how often, but not their order.

    The mean entropy of the S symbols shown, over all A^S sequences: what a memory without a clock can reach.

    >>> round(unordered_loss(), 4)
    1.1395
    """
    shown = np.array(list(itertools.product(range(ALPHABET), repeat=LENGTH)))
    shares = np.stack([(shown == symbol).mean(axis=1) for symbol in range(ALPHABET)])
    logs = np.log(np.where(shares > 0, shares, 1.0))
    return float(-(shares * logs).sum(axis=0).mean())


@dataclass(frozen=True)
class Copying:
    """Inputs: the A symbols one-hot, and the cue; a blank is all zeros. Outputs: A logits per step.

    >>> batch = Copying(10).draw(np.random.default_rng(0), 3)
    >>> tuple(batch.x.shape), batch.x.sum(dim=2)[0].tolist(), tuple(batch.target.shape)
    ((3, 14, 9), [1.0, 1.0, 1.0, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0], (3, 4))
    """

    lag: int
    name = "copy"
    num_inputs = ALPHABET + 1
    num_outputs = ALPHABET
    baseline = math.log(ALPHABET)

    def __post_init__(self) -> None:
        if self.lag < LENGTH:
            raise SettingsError(
                f"lags holds {self.lag}, expected {LENGTH} or more for copy: {LENGTH} symbols come first"
            )

    @property
    def asked(self) -> slice:
        return slice(self.lag, self.lag + LENGTH)

    @property
    def neutral(self) -> npt.NDArray[np.float64]:
        return np.zeros(self.num_inputs)

    def draw(self, random: np.random.Generator, batch_size: int) -> Batch:
        symbols = random.integers(0, ALPHABET, (batch_size, LENGTH))
        x = np.zeros((batch_size, self.lag + LENGTH, self.num_inputs))
        x[:, :LENGTH, :ALPHABET] = np.eye(ALPHABET)[symbols]
        x[:, self.lag, ALPHABET] = 1.0
        planted = np.tile(np.arange(LENGTH), (batch_size, 1))
        return Batch(as_tensor(x), torch.from_numpy(symbols), planted)

    def loss(self, answers: Tensor, target: Tensor) -> Tensor:
        return F.cross_entropy(answers.flatten(0, 1), target.flatten())

    def cotangent(self, weight: npt.NDArray[np.float64], target: float) -> npt.NDArray[np.float64]:
        """The right symbol's logit over the mean of all: a softmax sees differences only."""
        u: npt.NDArray[np.float64] = weight[int(target)] - weight.mean(axis=0)
        return u
