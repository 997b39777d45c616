"""Twins of the nodes that compute every step by itself: embedding, linear, norm, activations, dropout, joins."""

from __future__ import annotations

import itertools
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from congru.nn.twins.twin import Run, Twin, twin, uniform
from congru.runtime.nodes import Node, Spec, pointwise


@twin(pointwise.Embedding)
class EmbeddingTwin(Twin):
    """Rows of tables, summed or concatenated."""

    def __init__(self, node: pointwise.Embedding, *x: Spec) -> None:
        super().__init__(node, *x)
        self.concat, self.several = node.combine == "concat", bool(x[0].size)
        self.names = list(node.weights(*x))
        for name, shape in node.weights(*x).items():
            self.register_parameter(name, nn.Parameter(torch.randn(shape)))

    def forward(self, run: Run, tokens: Tensor) -> Tensor:
        tables: list[Tensor] = [self.get_parameter(name) for name in self.names]
        if not self.several:
            return F.embedding(tokens, tables[0])
        if self.concat:
            return torch.cat([F.embedding(tokens[..., k], table) for k, table in enumerate(tables)], -1)
        begins = [0, *itertools.accumulate(len(table) for table in tables[:-1])]
        rows = (tokens + torch.tensor(begins, device=tokens.device)).flatten(0, -2)
        summed: Tensor = _SumOfRows.apply(rows, torch.cat(tables))  # type: ignore[no-untyped-call]
        return summed.view(*tokens.shape[:-1], -1)


class _SumOfRows(torch.autograd.Function):
    """y_n = sum over k of table[rows[n, k]]; backward adds up column by column, PyTorch's own sorts all rows first."""

    @staticmethod
    def forward(ctx: Any, rows: Tensor, table: Tensor) -> Tensor:
        ctx.save_for_backward(rows)
        ctx.table = table.shape, table.dtype
        return F.embedding_bag(rows, table, mode="sum")

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, dy: Tensor) -> tuple[None, Tensor]:
        (rows,) = ctx.saved_tensors
        shape, dtype = ctx.table
        dtable = dy.new_zeros(shape)
        for column in rows.unbind(1):
            dtable.index_add_(0, column, dy)
        return None, dtable.to(dtype)


@twin(pointwise.Linear)
class LinearTwin(Twin):
    """W x + b; a tied W is an embedding's table, passed in `forward` by the network."""

    def __init__(self, node: pointwise.Linear, *x: Spec) -> None:
        super().__init__(node, *x)
        fan_in = x[0].features
        weight = None if node.tied else uniform(node.size, fan_in, fan_in=fan_in)
        self.register_parameter("weight", weight)
        self.register_parameter("bias", uniform(node.size, fan_in=fan_in) if node.bias else None)

    def forward(self, run: Run, x: Tensor, table: Tensor | None = None) -> Tensor:
        weight = self.get_parameter("weight") if table is None else table
        bias = self._parameters["bias"]
        return F.linear(x, weight, bias)


@twin(pointwise.LayerNorm)
class LayerNormTwin(Twin):
    """torch.nn.LayerNorm."""

    def __init__(self, node: pointwise.LayerNorm, *x: Spec) -> None:
        super().__init__(node, *x)
        self.weight, self.bias = nn.Parameter(torch.ones(x[0].size)), nn.Parameter(torch.zeros(x[0].size))

    def forward(self, run: Run, x: Tensor) -> Tensor:
        return F.layer_norm(x, self.weight.shape, self.weight, self.bias)


@twin(pointwise.Relu)
class ReluTwin(Twin):
    """max(x, 0)."""

    def forward(self, run: Run, x: Tensor) -> Tensor:
        return F.relu(x)


@twin(pointwise.Tanh)
class TanhTwin(Twin):
    """tanh(x)."""

    def forward(self, run: Run, x: Tensor) -> Tensor:
        return torch.tanh(x)


@twin(pointwise.Sigmoid)
class SigmoidTwin(Twin):
    """sigmoid(x)."""

    def forward(self, run: Run, x: Tensor) -> Tensor:
        return torch.sigmoid(x)


@twin(pointwise.Dropout)
class DropoutTwin(Twin):
    """Zeros in training, by feature, by step, or the same at every step."""

    def __init__(self, node: pointwise.Dropout, *x: Spec) -> None:
        super().__init__(node, *x)
        self.p, self.axes = node.p, len(x[0].size)
        self.whole_steps, self.locked = node.whole_steps, node.locked and x[0].axes != "row"

    def forward(self, run: Run, x: Tensor) -> Tensor:
        if not self.training or not self.p:
            return x
        shape = list(x.shape)
        if self.whole_steps:
            shape[-self.axes :] = [1] * self.axes
        if self.locked:
            shape[1] = 1
        return x * F.dropout(x.new_ones(shape), self.p)


def _like(value: Tensor, own: Spec, joined: Spec) -> Tensor:
    """A row [B, F] so that it broadcasts over the steps beside it."""
    return value[:, None] if own.axes == "row" and joined.axes != "row" else value


class _Join(Twin):
    def __init__(self, node: Node, *x: Spec) -> None:
        super().__init__(node, *x)
        self.specs, self.joined = x, node.infer(*x)

    def parts(self, values: tuple[Tensor, ...]) -> list[Tensor]:
        """The inputs with equal axes before the features."""
        return [_like(value, own, self.joined) for value, own in zip(values, self.specs)]


@twin(pointwise.Add)
class AddTwin(_Join):
    """The sum."""

    def forward(self, run: Run, *values: Tensor) -> Tensor:
        total, *rest = self.parts(values)
        for value in rest:
            total = total + value
        return total


@twin(pointwise.Concat)
class ConcatTwin(_Join):
    """Features side by side."""

    def forward(self, run: Run, *values: Tensor) -> Tensor:
        parts = self.parts(values)
        lead = torch.broadcast_shapes(  # type: ignore[no-untyped-call]
            *(part.shape[:-1] for part in parts)
        )
        return torch.cat([part.expand(*lead, part.shape[-1]) for part in parts], -1)


@twin(pointwise.Flatten)
class FlattenTwin(Twin):
    """Pictures as one axis."""

    def __init__(self, node: pointwise.Flatten, *x: Spec) -> None:
        super().__init__(node, *x)
        self.axes = len(x[0].size)

    def forward(self, run: Run, x: Tensor) -> Tensor:
        return x.flatten(-self.axes)


@twin(pointwise.RowMax)
class RowMaxTwin(Twin):
    """The largest value of every row of pictures."""

    def forward(self, run: Run, x: Tensor) -> Tensor:
        return x.amax(-1).flatten(-2)
