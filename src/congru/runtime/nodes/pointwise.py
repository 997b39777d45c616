"""Nodes that treat every step by itself: embedding, linear, layer norm, activations, dropout, add, concat, flatten, row_max."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from congru.errors import SettingsError
from congru.kernels import binding, rows
from congru.runtime.activations import sigmoid, tanh
from congru.runtime.cells import Array
from congru.runtime.dense import dense
from congru.runtime.nodes.node import (
    PointwiseNode,
    Shapes,
    Spec,
    Weights,
    choice,
    flag,
    share,
    text,
    whole,
)

EPSILON = np.float32(1e-5)  # torch.nn.LayerNorm's default


@dataclass(frozen=True, kw_only=True)
class Embedding(PointwiseNode, type="embedding"):
    """The row of a table for every token; of K tokens side by side, the sum or the concatenation of K rows."""

    size: int = whole()
    combine: str = choice("sum", "sum", "concat")

    def infer(self, *x: Spec) -> Spec:
        """[.., size], of K tokens concatenated [.., K * size]."""
        (tokens,) = x
        self.need(tokens.tokens is not None, tokens, "tokens")
        assert tokens.tokens is not None
        rows = len(tokens.tokens) if self.combine == "concat" else 1
        return tokens._replace(size=(rows * self.size,), tokens=None)

    def weights(self, *x: Spec) -> Shapes:
        """weight [V, size]; of K tokens side by side weight_0, weight_1, ..."""
        tokens = x[0].tokens
        assert tokens is not None
        if not x[0].size:
            return {"weight": (tokens[0], self.size)}
        return {f"weight_{index}": (count, self.size) for index, count in enumerate(tokens)}

    def function(self, weights: Weights, *x: Spec, backend: str) -> Callable[..., Any]:
        """Rows by token."""
        tables = [weights[name] for name in self.weights(*x)]
        if not x[0].size:
            (table,) = tables
            return lambda tokens: table.take(tokens, 0)
        if self.combine == "concat":
            return lambda tokens: np.concatenate([t[tokens[..., k]] for k, t in enumerate(tables)], axis=-1)

        def summed(tokens: Any) -> Array:
            total: Array = tables[0][tokens[..., 0]]
            for index, table in enumerate(tables[1:], 1):
                total = total + table[tokens[..., index]]
            return total

        return summed


@dataclass(frozen=True, kw_only=True)
class Linear(PointwiseNode, type="linear"):
    """y = W x + b. `tied` names an embedding whose table is W: through a projection where a linear node of the embedding's
    size stands before.
    """

    size: int = whole()
    bias: bool = flag(True)
    tied: str | None = text(None, "the name of an embedding")

    def infer(self, *x: Spec) -> Spec:
        """[.., size]."""
        return self.need_features(x[0])._replace(size=(self.size,))

    def weights(self, *x: Spec) -> Shapes:
        """weight [size, F] unless tied, bias [size]."""
        shapes: Shapes = {} if self.tied else {"weight": (self.size, x[0].features)}
        if self.bias:
            shapes["bias"] = (self.size,)
        return shapes

    def check_table(self, table: tuple[int, int] | None, x: Spec) -> None:
        """Raise unless the embedding `tied` names has a table [size, F] (None: there is no such embedding)."""
        if table is None:
            raise SettingsError(
                f"{self}: tied is {self.tied!r}, expected the name of an embedding of one token"
            )
        if table != (self.size, x.features):
            raise SettingsError(
                f"{self}: out, in are {(self.size, x.features)}, expected {table} to share {self.tied!r}:"
                " change the sizes, put a linear node before, or untie"
            )

    def function(self, weights: Weights, *x: Spec, backend: str) -> Callable[..., Any]:
        """W x + b; a tied weight comes under the name "weight"."""
        return dense(weights["weight"], weights.get("bias"), backend)


@dataclass(frozen=True, kw_only=True)
class LayerNorm(PointwiseNode, type="layer_norm"):
    """(x - mean) / sqrt(variance + 1e-5) * weight + bias over the features (Ba et al. 2016)."""

    def infer(self, *x: Spec) -> Spec:
        """As it came."""
        return self.need_features(x[0])

    def weights(self, *x: Spec) -> Shapes:
        """weight [F], bias [F]."""
        return {"weight": x[0].size, "bias": x[0].size}

    def function(self, weights: Weights, *x: Spec, backend: str) -> Callable[..., Any]:
        """The formula above."""
        weight, bias = weights["weight"], weights["bias"]
        if backend == "native" and binding.is_available():
            return lambda value: rows.layer_norm(np.ascontiguousarray(value), weight, bias)
        return lambda value: layer_norm(value, weight, bias)


def layer_norm(x: Array, weight: Array, bias: Array) -> Array:
    """(x - mean) / sqrt(variance + 1e-5) * weight + bias over the last axis."""
    centred: Array = x - np.mean(x, axis=-1, keepdims=True)
    variance = np.mean(centred * centred, axis=-1, keepdims=True)
    centred /= np.sqrt(variance + EPSILON)
    centred *= weight
    centred += bias
    return centred


class _Activation(PointwiseNode):
    def infer(self, *x: Spec) -> Spec:
        """As it came."""
        self.need(x[0].tokens is None, x[0], "features")
        return x[0]


@dataclass(frozen=True, kw_only=True)
class Relu(_Activation, type="relu"):
    """max(x, 0)."""

    def function(self, weights: Weights, *x: Spec, backend: str) -> Callable[..., Any]:
        """max(x, 0)."""
        return lambda value: np.maximum(value, np.float32(0))


@dataclass(frozen=True, kw_only=True)
class Tanh(_Activation, type="tanh"):
    """tanh(x)."""

    def function(self, weights: Weights, *x: Spec, backend: str) -> Callable[..., Any]:
        """tanh(x)."""
        return tanh(backend)


@dataclass(frozen=True, kw_only=True)
class Sigmoid(_Activation, type="sigmoid"):
    """1 / (1 + exp(-x))."""

    def function(self, weights: Weights, *x: Spec, backend: str) -> Callable[..., Any]:
        """1 / (1 + exp(-x))."""
        return sigmoid(backend)


@dataclass(frozen=True, kw_only=True)
class Dropout(_Activation, type="dropout"):
    """In training a share `p` of the features becomes 0 and the others 1 / (1 - p) times as large; in use nothing happens.

    `whole_steps`: all features of a step together (word dropout). `locked`: the same features at every step of a sequence
    (Gal & Ghahramani 2016).
    """

    p: float = share()
    whole_steps: bool = flag(False)
    locked: bool = flag(False)

    def function(self, weights: Weights, *x: Spec, backend: str) -> Callable[..., Any]:
        """The value itself."""
        return lambda value: value


def _joined(node: PointwiseNode, *x: Spec) -> Spec:
    """Axes of several inputs together: rows are repeated over the steps beside them."""
    first = next((value for value in x if value.axes != "row"), x[0])
    for value in x:
        node.need(value.tokens is None, value, "features")
        same = value.axes == "row" or (value[3:] == first[3:] and value.axes == first.axes)
        node.need(same, value, f"{first.axes} with the same source and delay as its other inputs, or a row")
    return first


def _as_steps(value: Any, own: Spec, joined: Spec) -> Any:
    """A row [B, F] so that it broadcasts along the other inputs' axes, in a sequence."""
    return value[:, None] if own.axes == "row" and joined.axes == "memory" else value


@dataclass(frozen=True, kw_only=True)
class Add(PointwiseNode, type="add"):
    """The sum of its inputs: a residual connection, say."""

    num_inputs: ClassVar[tuple[int, int | None]] = (2, None)

    def infer(self, *x: Spec) -> Spec:
        """As its inputs, which have equal sizes."""
        joined = _joined(self, *x)
        for value in x:
            self.need(value.size == x[0].size, value, f"{x[0].size[0]} features as its first input")
        return joined

    def function(self, weights: Weights, *x: Spec, backend: str) -> Callable[..., Any]:
        """The sum, in order."""
        joined = _joined(self, *x)

        def add(*values: Any) -> Any:
            total = _as_steps(values[0], x[0], joined)
            for value, own in zip(values[1:], x[1:]):
                total = total + _as_steps(value, own, joined)
            return total

        return add


@dataclass(frozen=True, kw_only=True)
class Concat(PointwiseNode, type="concat"):
    """The features of its inputs side by side."""

    num_inputs: ClassVar[tuple[int, int | None]] = (2, None)

    def infer(self, *x: Spec) -> Spec:
        """The sum of the sizes."""
        joined = _joined(self, *x)
        for value in x:
            self.need_features(value)
        return joined._replace(size=(sum(value.features for value in x),))

    def function(self, weights: Weights, *x: Spec, backend: str) -> Callable[..., Any]:
        """Along the last axis."""
        joined = _joined(self, *x)

        def concat(*values: Any) -> Any:
            parts = [_as_steps(value, own, joined) for value, own in zip(values, x)]
            leads = {part.shape[:-1] for part in parts}
            if len(leads) > 1:
                lead = np.broadcast_shapes(*leads)
                parts = [np.broadcast_to(part, (*lead, part.shape[-1])) for part in parts]
            return np.concatenate(parts, axis=-1)

        return concat


@dataclass(frozen=True, kw_only=True)
class Flatten(PointwiseNode, type="flatten"):
    """The features of a picture [C, H, W] as one axis."""

    def infer(self, *x: Spec) -> Spec:
        """[.., C * H * W]."""
        self.need(x[0].tokens is None and len(x[0].size) > 1, x[0], "several axes of features")
        return x[0]._replace(size=(int(np.prod(x[0].size)),))

    def function(self, weights: Weights, *x: Spec, backend: str) -> Callable[..., Any]:
        """Reshaped."""
        axes = len(x[0].size)
        size = int(np.prod(x[0].size))
        return lambda value: value.reshape(*value.shape[:-axes], size)


@dataclass(frozen=True, kw_only=True)
class RowMax(PointwiseNode, type="row_max"):
    """The largest value of every row of a picture, wherever in the row it stands.

    y[c H + i] = max over columns j of x[c, i, j]: how high a thing stands is kept, how far to the side is not.
    """

    def infer(self, *x: Spec) -> Spec:
        """[.., C * H]."""
        pictures = x[0].tokens is None and len(x[0].size) == 3
        self.need(pictures, x[0], "pictures of channels x rows x columns")
        return x[0]._replace(size=(x[0].size[0] * x[0].size[1],))

    def function(self, weights: Weights, *x: Spec, backend: str) -> Callable[..., Any]:
        """Over the last axis."""
        size = x[0].size[0] * x[0].size[1]
        return lambda value: value.max(-1).reshape(*value.shape[:-3], size)
