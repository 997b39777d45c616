"""The read-out of a model: is its output a linear function of the top layer's states, and which one?

    every step   out_t = W y_t + b            last step   out = W y_last + b
    final        out = W [h_forward; h_backward] + b      mean        out = W mean_t(y_t) + b

Nobody has to declare it: each matrix of the model with D*H columns is tried against the output the model
gave. It is taken only where it reproduces that output, so a tanh or a normalisation on the way is noticed,
not guessed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from congru.gates.weights import Array

TOLERANCE = 1e-4  # of the largest output: float32 products in another order
KINDS = {
    "steps": "at every step",
    "last": "of the last step",
    "final": "of the final states",
    "mean": "of the mean over steps",
}


@dataclass(frozen=True)
class Readout:
    """out = weight [O, D*H] @ (states pooled as `kind` says) + bias [O]; `labels` name the O outputs."""

    name: str
    kind: str
    weight: Array
    bias: Array
    labels: tuple[str, ...] = ()

    def label(self, output: int) -> str:
        """The name of an output."""
        return self.labels[output] if output < len(self.labels) else f"output {output}"

    def apply(self, y: Array, lengths: npt.NDArray[np.int64]) -> Array:
        """The outputs of states y [B, T, D*H]: [B, T, O], or [B, O] where the read-out pools."""
        result: Array = pool(self.kind, y, lengths) @ self.weight.T + self.bias
        return result


def pool(kind: str, y: Array, lengths: npt.NDArray[np.int64]) -> Array:
    """What a read-out multiplies: y itself, its last step, its two final states, or its mean over valid steps."""
    rows = np.arange(len(y))
    last = y[rows, np.maximum(lengths - 1, 0)]
    if kind == "steps":
        return y
    if kind == "last":
        return last
    if kind == "final":
        half = y.shape[2] // 2
        return np.concatenate([last[:, :half], y[:, 0, half:]], axis=1)
    total: Array = y.sum(axis=1) / np.maximum(lengths, 1)[:, None].astype(y.dtype)
    return total


def find_readout(
    y: Array,
    lengths: npt.NDArray[np.int64],
    directions: int,
    output: Array | None,
    linears: Mapping[str, tuple[Array, Array | None]],
    labels: Sequence[str] = (),
) -> Readout | None:
    """The linear read-out that turns the top states y [B, T, D*H] into `output`, or None where none of them does."""
    if output is None:
        return None
    for name, (weight, bias) in linears.items():
        if weight.shape[1] != y.shape[2]:
            continue
        shift = np.zeros(len(weight), weight.dtype) if bias is None else bias
        for kind in ("steps", "last", "mean", *(("final",) if directions == 2 else ())):
            candidate = Readout(name, kind, weight, shift, tuple(labels))
            if _gives(candidate.apply(y, lengths), output, lengths):
                return candidate
    return None


def _gives(computed: Array, output: Array, lengths: npt.NDArray[np.int64]) -> bool:
    """Whether two outputs agree at every valid step, as they are or up to the constant of a log-softmax."""
    if computed.shape[-1] == 1 and output.ndim == computed.ndim - 1:
        output = output[..., None]
    candidates = [output] if output.ndim != 3 else [output, output.swapaxes(0, 1)]
    return any(
        _agree(computed, candidate, lengths) for candidate in candidates if candidate.shape == computed.shape
    )


def _agree(computed: Array, output: Array, lengths: npt.NDArray[np.int64]) -> bool:
    difference = output - computed
    if computed.ndim == 3:
        difference = difference[np.arange(computed.shape[1]) < lengths[:, None]]
    if (
        computed.shape[-1] > 1
        and output.max() <= 0
        and np.allclose(np.exp(output).sum(axis=-1), 1, atol=1e-4)
    ):
        difference = difference - difference.mean(axis=-1, keepdims=True)
    scale = max(1e-6, float(np.abs(computed).max()))
    return bool(difference.size > 0 and np.abs(difference).max() <= TOLERANCE * scale)
