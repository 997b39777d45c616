"""The adding problem (Hochreiter & Schmidhuber 1997, section 5.4; this form: Le et al. 2015, arXiv 1504.00941).

Every step has a value from U(0, 1) and a mark. Two steps of the T = lag are marked, one in each half; after the last
step the sum of their values is asked. Always answering 1 costs the variance of that sum, 2 / 12 = 1/6.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch.nn.functional as F
from torch import Tensor

from congru.contest.problem import Batch, as_tensor
from congru.errors import SettingsError


@dataclass(frozen=True)
class Adding:
    """Inputs: value, mark. Output: the sum, at the last step.

    >>> batch = Adding(10).draw(np.random.default_rng(0), 3)
    >>> tuple(batch.x.shape), batch.x[..., 1].sum(dim=1).tolist(), tuple(batch.target.shape)
    ((3, 10, 2), [2.0, 2.0, 2.0], (3, 1))
    """

    lag: int
    name = "adding"
    num_inputs = 2
    num_outputs = 1
    baseline = 1 / 6

    def __post_init__(self) -> None:
        if self.lag < 2:
            raise SettingsError(f"lags holds {self.lag}, expected 2 or more for adding: it marks two steps")

    @property
    def asked(self) -> slice:
        return slice(self.lag - 1, self.lag)

    @property
    def neutral(self) -> npt.NDArray[np.float64]:
        return np.array([0.5, 0.0])

    def draw(self, random: np.random.Generator, batch_size: int) -> Batch:
        values = random.random((batch_size, self.lag))
        half = self.lag // 2
        first, second = random.integers(0, half, batch_size), random.integers(half, self.lag, batch_size)
        planted = np.stack([first, second], axis=1)
        marks = np.zeros_like(values)
        np.put_along_axis(marks, planted, 1.0, axis=1)
        x = np.stack([values, marks], axis=2)
        return Batch(as_tensor(x), as_tensor((values * marks).sum(axis=1, keepdims=True)), planted)

    def loss(self, answers: Tensor, target: Tensor) -> Tensor:
        return F.mse_loss(answers.squeeze(2), target)

    def cotangent(self, weight: npt.NDArray[np.float64], target: float) -> npt.NDArray[np.float64]:
        u: npt.NDArray[np.float64] = weight[0]
        return u
