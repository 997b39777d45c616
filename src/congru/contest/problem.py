"""What a problem of memory is: sequences drawn on the spot, what is asked about them, and where the answer lies.

B batch, T steps, I inputs, O outputs, S answers per sequence.
"""

from __future__ import annotations

from typing import NamedTuple, Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor


class Batch(NamedTuple):
    """x [B, T, I] float32; target [B, S], numbers or classes; `planted` [B, M], the steps the answers stand on."""

    x: Tensor
    target: Tensor
    planted: npt.NDArray[np.int64]


class Problem(Protocol):
    """One problem at one lag. `asked` are the steps at which a network's output [B, T, O] counts, S of them."""

    @property
    def name(self) -> str: ...
    @property
    def lag(self) -> int: ...
    @property
    def num_inputs(self) -> int: ...
    @property
    def num_outputs(self) -> int: ...
    @property
    def asked(self) -> slice: ...

    @property
    def neutral(self) -> npt.NDArray[np.float64]:
        """An input [I] that says nothing."""
        ...

    @property
    def baseline(self) -> float:
        """The expected loss of the best answer that remembers nothing."""
        ...

    def draw(self, random: np.random.Generator, batch_size: int) -> Batch:
        """Fresh sequences."""
        ...

    def loss(self, answers: Tensor, target: Tensor) -> Tensor:
        """The mean loss of answers [B, S, O]."""
        ...

    def cotangent(self, weight: npt.NDArray[np.float64], target: float) -> npt.NDArray[np.float64]:
        """The direction u [H] in the state that decides an answer, for a read-out with weight [O, H]."""
        ...


def as_tensor(array: npt.NDArray[np.float64]) -> Tensor:
    """An array as float32."""
    return torch.from_numpy(array.astype(np.float32))
