"""The torch twin of every node of a network: the same parameters under the same names, batch-first.

`congru.runtime.nodes` declares the nodes and runs them in NumPy; a test holds both equal and demands a twin of every type.
Legend: B batch, T time, S memory positions, F features.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from congru.errors import SettingsError
from congru.nn.gru import GRU
from congru.nn.lstm import LSTM
from congru.nn.mingru import MinGRU
from congru.nn.recurrent import RecurrentLayer
from congru.nn.rnn import RNN
from congru.runtime.nodes import Node, Spec, convolution, pointwise, pooling, recurrent
from congru.runtime.nodes import attention as attentions


@dataclass
class Run:
    """One pass: the state before (None: the initial one) and after, lengths [B], those of memories, and reset [B, T]."""

    state: Mapping[str, Tensor] | None = None
    lengths: Tensor | None = None
    memory_lengths: Mapping[str, Tensor] = field(default_factory=dict)
    reset: Tensor | None = None
    after: dict[str, Tensor] = field(default_factory=dict)
    pictures: dict[str, Tensor] | None = None

    def before(self, name: str, initial: Tensor) -> Tensor:
        """A part of the state, or its initial value."""
        return initial if self.state is None else self.state[name]


class Twin(nn.Module):
    """A node in torch: `forward(run, *inputs) -> output`."""

    def __init__(self, node: Node, *x: Spec) -> None:
        super().__init__()
        self.node_name = node.name

    def refuse_reset(self, run: Run) -> None:
        """Raise where sequences restart within a row: only recurrent nodes can."""
        if run.reset is not None:
            raise SettingsError(
                f"reset is given, expected None: node {self.node_name!r} cannot begin anew within a row"
            )


TWINS: dict[type[Node], Callable[..., nn.Module]] = {}


def twin_of(node: Node, inputs: tuple[Spec, ...], backend: str) -> nn.Module:
    """The module of a node; its parameters start as torch.nn's do."""
    make = TWINS[type(node)]
    return (
        make(node, *inputs, backend=backend)
        if isinstance(node, recurrent.RecurrentNode)
        else make(node, *inputs)
    )


def _twin(kind: type[Node]) -> Callable[[type[nn.Module]], type[nn.Module]]:
    def register(module: type[nn.Module]) -> type[nn.Module]:
        TWINS[kind] = module
        return module

    return register


def _uniform(*shape: int, fan_in: int) -> nn.Parameter:
    bound = max(fan_in, 1) ** -0.5
    return nn.Parameter(torch.empty(shape).uniform_(-bound, bound))


# Pointwise


@_twin(pointwise.Embedding)
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


@_twin(pointwise.Linear)
class LinearTwin(Twin):
    """W x + b; a tied W is an embedding's table, passed in `forward` by the network."""

    def __init__(self, node: pointwise.Linear, *x: Spec) -> None:
        super().__init__(node, *x)
        fan_in = x[0].features
        weight = None if node.tied else _uniform(node.size, fan_in, fan_in=fan_in)
        self.register_parameter("weight", weight)
        self.register_parameter("bias", _uniform(node.size, fan_in=fan_in) if node.bias else None)

    def forward(self, run: Run, x: Tensor, table: Tensor | None = None) -> Tensor:
        weight = self.get_parameter("weight") if table is None else table
        bias = self._parameters["bias"]
        return F.linear(x, weight, bias)


@_twin(pointwise.LayerNorm)
class LayerNormTwin(Twin):
    """torch.nn.LayerNorm."""

    def __init__(self, node: pointwise.LayerNorm, *x: Spec) -> None:
        super().__init__(node, *x)
        self.weight, self.bias = nn.Parameter(torch.ones(x[0].size)), nn.Parameter(torch.zeros(x[0].size))

    def forward(self, run: Run, x: Tensor) -> Tensor:
        return F.layer_norm(x, self.weight.shape, self.weight, self.bias)


@_twin(pointwise.Relu)
class ReluTwin(Twin):
    """max(x, 0)."""

    def forward(self, run: Run, x: Tensor) -> Tensor:
        return F.relu(x)


@_twin(pointwise.Tanh)
class TanhTwin(Twin):
    """tanh(x)."""

    def forward(self, run: Run, x: Tensor) -> Tensor:
        return torch.tanh(x)


@_twin(pointwise.Sigmoid)
class SigmoidTwin(Twin):
    """sigmoid(x)."""

    def forward(self, run: Run, x: Tensor) -> Tensor:
        return torch.sigmoid(x)


@_twin(pointwise.Dropout)
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


@_twin(pointwise.Add)
class AddTwin(_Join):
    """The sum."""

    def forward(self, run: Run, *values: Tensor) -> Tensor:
        total, *rest = self.parts(values)
        for value in rest:
            total = total + value
        return total


@_twin(pointwise.Concat)
class ConcatTwin(_Join):
    """Features side by side."""

    def forward(self, run: Run, *values: Tensor) -> Tensor:
        parts = self.parts(values)
        lead = torch.broadcast_shapes(  # type: ignore[no-untyped-call]
            *(part.shape[:-1] for part in parts)
        )
        return torch.cat([part.expand(*lead, part.shape[-1]) for part in parts], -1)


@_twin(pointwise.Flatten)
class FlattenTwin(Twin):
    """Pictures as one axis."""

    def __init__(self, node: pointwise.Flatten, *x: Spec) -> None:
        super().__init__(node, *x)
        self.axes = len(x[0].size)

    def forward(self, run: Run, x: Tensor) -> Tensor:
        return x.flatten(-self.axes)


# Recurrent

_LAYERS: dict[type[Node], type[RecurrentLayer]] = {
    recurrent.Gru: GRU,
    recurrent.Lstm: LSTM,
    recurrent.Rnn: RNN,
    recurrent.MinGru: MinGRU,
}


def _layer(node: recurrent.RecurrentNode, x: Spec, backend: str) -> RecurrentLayer:
    options = {key: value for key, value in vars(node).items() if key not in ("name", "of")}
    return _LAYERS[type(node)](x.features, **options, batch_first=True, backend=backend)


for _kind in _LAYERS:
    TWINS[_kind] = _layer


# Pooling


def _padding(x: Tensor, lengths: Tensor) -> Tensor:
    """[B, T]: padding."""
    return torch.arange(x.shape[1], device=x.device) >= lengths[:, None]


def _after(states: Tensor, before: Tensor, lengths: Tensor | None) -> Tensor:
    """The state [B, F] after each row's last step, of the states [B, T, F] after every step."""
    if states.shape[1] == 0:
        return before
    if lengths is None:
        return states[:, -1]
    index = (lengths.to(torch.int64) - 1).clamp(min=0)
    picked = states.gather(1, index[:, None, None].expand(-1, 1, states.shape[2])).squeeze(1)
    return torch.where((lengths == 0)[:, None], before, picked)


@_twin(pooling.Last)
class LastTwin(Twin):
    """The last valid step; zeros where there is none."""

    def forward(self, run: Run, x: Tensor) -> Tensor:
        return _after(x, x.new_zeros(x.shape[0], x.shape[2]), run.lengths)


class _Running(Twin):
    """A pool that may answer at every step."""

    def __init__(self, node: Any, *x: Spec) -> None:
        super().__init__(node, *x)
        self.running = bool(node.running)

    def before(self, run: Run, part: str, x: Tensor, size: int, start: float = 0.0) -> Tensor:
        """A part of the state [B, F]."""
        return run.before(f"{self.node_name}.{part}", x.new_full((1, x.shape[0], size), start))[0]

    def keep(self, run: Run, part: str, states: Tensor, before: Tensor) -> None:
        """Note a part of the state after the run."""
        run.after[f"{self.node_name}.{part}"] = _after(states, before, run.lengths)[None]


@_twin(pooling.Mean)
class MeanTwin(_Running):
    """The mean over the valid steps, or over those so far."""

    def forward(self, run: Run, x: Tensor) -> Tensor:
        if not self.running:
            if run.lengths is None:
                return x.sum(1) / max(x.shape[1], 1)
            valid = x.masked_fill(_padding(x, run.lengths)[:, :, None], 0.0)
            return valid.sum(1) / run.lengths.clamp(min=1)[:, None]
        self.refuse_reset(run)
        total, count = self.before(run, "sum", x, x.shape[2]), self.before(run, "count", x, 1)
        sums = total[:, None] + x.cumsum(1)
        counts = count[:, None] + torch.arange(1, x.shape[1] + 1, device=x.device, dtype=x.dtype)[:, None]
        self.keep(run, "sum", sums, total)
        self.keep(run, "count", counts, count)
        return sums / counts


@_twin(pooling.Max)
class MaxTwin(_Running):
    """The maximum over the valid steps, or over those so far."""

    def forward(self, run: Run, x: Tensor) -> Tensor:
        if not self.running:
            if x.shape[1] == 0:
                return x.new_zeros(x.shape[0], x.shape[2])
            if run.lengths is None:
                return x.amax(1)
            largest = x.masked_fill(_padding(x, run.lengths)[:, :, None], float(pooling.LOWEST)).amax(1)
            return largest.masked_fill((run.lengths == 0)[:, None], 0.0)
        self.refuse_reset(run)
        before = self.before(run, "max", x, x.shape[2], float(pooling.LOWEST))
        y = torch.cat([before[:, None], x], 1).cummax(1).values[:, 1:]
        self.keep(run, "max", y, before)
        return y


@_twin(pooling.AttentionPool)
class AttentionPoolTwin(_Running):
    """s_t = v . tanh(A y_t + a); w = softmax(s); running: over the steps so far, all steps of a row at once, [T, T]."""

    def __init__(self, node: pooling.AttentionPool, *x: Spec) -> None:
        super().__init__(node, *x)
        features, size = x[0].features, node.size
        self.weight, self.bias = _uniform(size, features, fan_in=features), _uniform(size, fan_in=features)
        self.query = _uniform(size, fan_in=size)

    def forward(self, run: Run, y: Tensor) -> Tensor:
        s = torch.tanh(F.linear(y, self.weight, self.bias)) @ self.query
        if self.running:
            return self._so_far(run, y, s)
        if y.shape[1] == 0:
            return y.new_zeros(y.shape[0], y.shape[2])
        if run.lengths is not None:
            s = s.masked_fill(_padding(y, run.lengths), float("-inf"))
            s = s.masked_fill((run.lengths == 0)[:, None], 0.0)
        w = s.softmax(1)
        if run.lengths is not None:
            w = w.masked_fill(_padding(y, run.lengths), 0.0)
        if run.pictures is not None:
            run.pictures[self.node_name] = w
        return torch.einsum("bt,btf->bf", w, y)

    def _so_far(self, run: Run, y: Tensor, s: Tensor) -> Tensor:
        self.refuse_reset(run)
        largest = self.before(run, "largest", y, 1, float(pooling.LOWEST))
        total, weighted = self.before(run, "total", y, 1), self.before(run, "sum", y, y.shape[2])
        steps = y.shape[1]
        scores = s[:, None, :].expand(-1, steps, -1)
        later = torch.ones(steps, steps, dtype=torch.bool, device=y.device).triu(1)
        scores = scores.masked_fill(later, float("-inf"))
        highest = torch.cat([largest[:, None], s[:, :, None]], 1).cummax(1).values[:, 1:]
        w = (scores - highest).exp()
        fade = (largest[:, None] - highest).exp()
        totals = total[:, None] * fade + w.sum(-1, keepdim=True)
        sums = weighted[:, None] * fade + w @ y
        for part, states, before in (
            ("largest", highest, largest),
            ("total", totals, total),
            ("sum", sums, weighted),
        ):
            self.keep(run, part, states, before)
        return sums / totals


# Attention


@_twin(attentions.Attention)
class AttentionTwin(Twin):
    """All steps at once: [B, T, S] scores, softmax over the valid positions, the weighted memory."""

    def __init__(self, node: attentions.Attention, *x: Spec) -> None:
        super().__init__(node, *x)
        self.score, self.source = node.score, x[1].source
        for name, shape in node.weights(*x).items():
            self.register_parameter(name, _uniform(*shape, fan_in=shape[-1]))

    def forward(self, run: Run, q: Tensor, memory: Tensor) -> Tensor:
        if self.score == "additive":
            asked = F.linear(q, self.get_parameter("query_weight"))[:, :, None]
            keys = F.linear(memory, self.get_parameter("memory_weight"))[:, None]
            s = torch.tanh(asked + keys) @ self.get_parameter("score_weight")
        else:
            turned = q @ self.get_parameter("weight") if self.score == "bilinear" else q
            s = turned @ memory.transpose(1, 2)
        counts = run.memory_lengths.get(self.source)
        if counts is not None:
            padding = _padding(memory, counts)[:, None]
            s = s.masked_fill(padding, torch.finfo(s.dtype).min)
        w = s.softmax(-1) if memory.shape[1] else s
        if counts is not None:
            w = w.masked_fill(padding, 0.0)
        if run.pictures is not None:
            run.pictures[self.node_name] = w
        return w @ memory


# Convolution


class _Window(Twin):
    """The last K inputs of every step; before the first, and before the state's, zeros."""

    def __init__(self, node: Any, *x: Spec) -> None:
        super().__init__(node, *x)
        self.taps = node.taps()

    def windows(self, run: Run, x: Tensor) -> Tensor:
        """[B, T, K * F], the oldest first."""
        self.refuse_reset(run)
        if self.taps == 1:
            return x
        batch, steps, size = x.shape
        name = f"{self.node_name}.past"
        past = run.before(name, x.new_zeros(self.taps - 1, batch, size)).transpose(0, 1)
        whole = torch.cat([past, x], 1)
        if run.lengths is None:
            after = whole[:, steps:]
        else:
            rows = run.lengths.to(torch.int64)[:, None] + torch.arange(self.taps - 1, device=x.device)
            after = whole.gather(1, rows[:, :, None].expand(-1, -1, size))
        run.after[name] = after.transpose(0, 1)
        return torch.cat([whole[:, k : k + steps] for k in range(self.taps)], -1)


@_twin(convolution.CausalConvolution)
class CausalConvolutionTwin(_Window):
    """A linear map of every window."""

    def __init__(self, node: convolution.CausalConvolution, *x: Spec) -> None:
        super().__init__(node, *x)
        fan_in = node.kernel * x[0].features
        self.weight = _uniform(node.size, fan_in, fan_in=fan_in)
        self.register_parameter("bias", _uniform(node.size, fan_in=fan_in) if node.bias else None)

    def forward(self, run: Run, x: Tensor) -> Tensor:
        return F.linear(self.windows(run, x), self.weight, self._parameters["bias"])


@_twin(convolution.Stack)
class StackTwin(_Window):
    """The windows themselves."""

    def forward(self, run: Run, x: Tensor) -> Tensor:
        return self.windows(run, x)


@_twin(convolution.PictureConvolution)
class PictureConvolutionTwin(Twin):
    """torch.nn.Conv2d on every picture."""

    def __init__(self, node: convolution.PictureConvolution, *x: Spec) -> None:
        super().__init__(node, *x)
        self.stride, self.padding = node.stride, node.padding
        shape = node.weights(*x)["weight"]
        fan_in = shape[1] * shape[2] * shape[3]
        self.weight = _uniform(*shape, fan_in=fan_in)
        self.register_parameter("bias", _uniform(node.channels, fan_in=fan_in) if node.bias else None)

    def forward(self, run: Run, x: Tensor) -> Tensor:
        flat = x.flatten(0, -4)
        y = F.conv2d(flat, self.weight, self._parameters["bias"], self.stride, self.padding)
        return y.reshape(*x.shape[:-3], *y.shape[1:])
