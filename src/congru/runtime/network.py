"""The NumPy executor of the declarative network (see declaration.py): what `Model.run` and `Session` compute
with.

Public arrays are batch-major: x [B, T] tokens or [B, T, I] vectors, output [B, T, O] or, pooled, [B, O]. A
state is a dictionary "<layer>.h" (and "<layer>.c" for LSTM) -> [L*D, B, H], passed in and returned. Legend: F
features between layers, G gate rows.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from congru.errors import ShapeError, check_shape
from congru.runtime.cells import Array
from congru.runtime.declaration import (
    GATE_ROWS,
    POOLINGS,
    Layer,
    check_network,
    every_layer,
    input_size,
    output_size,
    recurrent_layers,
    state_shapes,
    weight_shapes,
)
from congru.runtime.layers import POOLING, pointwise
from congru.runtime.recurrent import Pass, Recurrent, State, Weights, choose_backend, in_weight_dtype
from congru.runtime.steps import Steps

__all__ = ["Network", "State", "check_network", "weight_problem"]


Step = Callable[[Array, Pass], Array]


def weight_problem(layers: list[Layer], weights: Weights) -> str | None:
    """What is wrong with the weights, as one clause; None if they are all there, fit and are finite."""
    shapes = weight_shapes(layers)
    missing, extra = sorted(set(shapes) - set(weights)), sorted(set(weights) - set(shapes))
    if missing:
        return f"lacks the tensor {missing[0]!r}, expected by its network ({len(missing)} missing)"
    if extra:
        return f"holds the tensor {extra[0]!r}, expected none of that name ({len(extra)} too many)"
    for name, shape in shapes.items():
        weight = weights[name]
        if weight.shape != shape:
            return f"holds {name!r} with shape {weight.shape}, expected {shape}"
        if weight.dtype != np.float32:
            return f"holds {name!r} as {weight.dtype}, expected float32"
        if not np.isfinite(weight).all():
            return f"holds {name!r} with NaN or infinite values, expected finite numbers"
    return None


class Network:
    """A declarative network with its weights, run in float32.

    `config` is {"layers": [...]}; `weights` maps "<layer>.<parameter>" to float32 arrays. `weight_dtype`
    "bfloat16" computes with the recurrent layers' matrices rounded to it; on the native core a step then reads half
    the bytes. Raises :class:`SettingsError` for a wrong declaration and :class:`ShapeError` for weights that do not
    fit it.

    >>> layers = [{"type": "linear", "name": "head", "in": 2, "out": 1}]
    >>> weights = {"head.weight": np.ones((1, 2), np.float32), "head.bias": np.zeros(1, np.float32)}
    >>> y, state = Network({"layers": layers}, weights).run([[[1.0, 2.0]]])
    >>> y.tolist(), state
    ([[[3.0]]], {})
    """

    def __init__(
        self,
        config: Mapping[str, Any],
        weights: Weights,
        backend: str = "auto",
        weight_dtype: str = "float32",
    ) -> None:
        self.layers = check_network(config)
        problem = weight_problem(self.layers, weights)
        if problem:
            raise ShapeError(f"weights: the dictionary {problem}: pass the weights of this network")
        self.tokens = self.layers[0]["type"] == "embedding"
        self.num_tokens = int(self.layers[0]["num_embeddings"]) if self.tokens else 0
        self.input_size = input_size(self.layers)
        self.output_size = output_size(self.layers)
        self.pooled = any(layer["type"] in POOLINGS for layer in self.layers)
        self.num_parameters = sum(int(weight.size) for weight in weights.values())
        self._state_shapes = state_shapes(self.layers)
        weights, self.weight_dtype = in_weight_dtype(self.layers, weights, weight_dtype), weight_dtype
        self.backend, self._why = choose_backend(self.layers, weights, backend, weight_dtype)
        self._weights = weights
        self._steps = [_build(layer, weights, self.backend, weight_dtype) for layer in self.layers]
        self._learned_h0 = {
            f"{layer['name']}.{part}": weights[f"{layer['name']}.{part}0"]
            for layer in recurrent_layers(self.layers)
            if layer["learn_h0"]
            for part in ("h", "c")
            if f"{layer['name']}.{part}" in self._state_shapes
        }

    @property
    def state_names(self) -> list[str]:
        """The names of the states, such as "rnn.h"; empty where no layer is recurrent."""
        return list(self._state_shapes)

    def initial_state(self, batch_size: int = 1) -> State:
        """The state before the first step: zeros, or the learned h0 where a layer has one."""
        state = {}
        for name, (depth, hidden) in self._state_shapes.items():
            state[name] = np.zeros((depth, batch_size, hidden), np.float32)
            if name in self._learned_h0:
                state[name] += self._learned_h0[name][:, None]
        return state

    def stream_problem(self) -> str | None:
        """Why the network cannot run step by step, as one clause; None if it can."""
        for layer in every_layer(self.layers):
            if layer.get("bidirectional"):
                return f"the layer {layer['name']!r} is bidirectional and reads the whole sequence first"
            if layer["type"] == "mean":
                return "the layer 'mean' averages over the whole sequence"
        return None

    def explain(self) -> str:
        """Say in one sentence what the recurrent layers run on, and why.

        >>> Network({"layers": [{"type": "rnn", "name": "a", "input_size": 1, "hidden_size": 1}]},
        ...         {f"a.{kind}_l0": np.ones(shape, np.float32) for kind, shape in
        ...          (("weight_ih", (1, 1)), ("weight_hh", (1, 1)), ("bias_ih", 1), ("bias_hh", 1))},
        ...         backend="numpy").explain()
        "The recurrent layers run on 'numpy', as asked."
        """
        return f"The recurrent layers run on {self.backend!r}, {self._why}."

    def steps(self, batch_size: int = 1) -> Steps | None:
        """The network packed for one step at a time; None where its recurrent layers do not run on the core."""
        if self.backend != "native" or not self._state_shapes:
            return None
        return Steps(self.layers, self._weights, batch_size, self.weight_dtype)

    def run(
        self, x: ArrayLike, state: Mapping[str, ArrayLike] | None = None, lengths: ArrayLike | None = None
    ) -> tuple[Array, State]:
        """Run x [B, T] (tokens) or [B, T, I] and return the output [B, T, O] (pooled: [B, O]) and the state
        after.

        `state` None means the initial state. `lengths` [B] whole numbers 0..T: steps at and after lengths[b]
        are padding, and the state is the one after step lengths[b]-1. Raises :class:`ShapeError` for a wrong
        shape, token or value.
        """
        return self._run(x, state, lengths, None)

    def trace(
        self, x: ArrayLike, state: Mapping[str, ArrayLike] | None = None, lengths: ArrayLike | None = None
    ) -> tuple[Array, State, dict[str, Array]]:
        """`run`, and the gates of every recurrent layer: name -> [L, D, B, T, G, H] (rows as in
        `congru.reference`).
        """
        gates: dict[str, Array] = {}
        out, after = self._run(x, state, lengths, gates)
        return out, after, gates

    def advance(self, x: NDArray[Any], state: State) -> tuple[Array, State]:
        """`run` for time-major input that has been checked: x [T, B] or [T, B, I], output [T, B, O] or [B,
        O].
        """
        return self._advance(x, Pass(state, None, None))

    def check_input(self, x: ArrayLike, axes: str) -> NDArray[Any]:
        """x as int64 tokens or float32 vectors, contiguous; `axes` is the shape before the features, "[B,
        T]" for example.
        """
        rank = axes.count(",") + 1 if axes != "[]" else 0
        array = np.asarray(x)
        if not self.tokens:
            assert self.input_size is not None
            features = f"{axes[:-1]}, I]" if rank else "[I]"
            sizes = (*[None] * rank, self.input_size)
            check_shape("x", array, features, sizes, f"pass {self.input_size} features per step")
            return _finite_float32(array)
        if array.dtype.kind not in "iu" and array.size:
            raise ShapeError(
                f"x has dtype {array.dtype}, expected whole numbers: pass token ids, or text to feed()"
            )
        check_shape("x", array, axes, (None,) * rank, "pass token ids")
        if array.size and not 0 <= int(array.min()) <= int(array.max()) < self.num_tokens:
            wrong = array[(array < 0) | (array >= self.num_tokens)].flat[0]
            raise ShapeError(
                f"x holds the token {wrong}, expected 0 to {self.num_tokens - 1}: use this model's tokenizer"
            )
        return np.asarray(array, np.int64, order="C")

    def check_state(self, state: Mapping[str, ArrayLike], batch_size: int) -> State:
        """The state as float32 arrays; raises :class:`ShapeError` where a name or shape does not belong to
        this network.
        """
        names = set(self._state_shapes)
        if set(state) != names:
            raise ShapeError(
                f"state has the names {sorted(state)}, expected {sorted(names)}:"
                " pass the state this model returned"
            )
        checked = {}
        for name, (depth, hidden) in self._state_shapes.items():
            array = np.asarray(state[name])
            fix = "pass the state this model returned"
            check_shape(f"state[{name!r}]", array, "[L*D, B, H]", (depth, batch_size, hidden), fix)
            checked[name] = _finite_float32(array, f"state[{name!r}]")
        return checked

    def _run(
        self,
        x: ArrayLike,
        state: Mapping[str, ArrayLike] | None,
        lengths: ArrayLike | None,
        gates: dict[str, Array] | None,
    ) -> tuple[Array, State]:
        array = self.check_input(x, "[B, T]")
        batch_size, steps = array.shape[:2]
        before = self.initial_state(batch_size) if state is None else self.check_state(state, batch_size)
        counts = None if lengths is None else _check_lengths(lengths, batch_size, steps)
        time_major = np.ascontiguousarray(array.swapaxes(0, 1))
        out, after = self._advance(time_major, Pass(before, counts, gates))
        return (out if self.pooled else np.ascontiguousarray(out.swapaxes(0, 1))), after

    def _advance(self, x: NDArray[Any], run: Pass) -> tuple[Array, State]:
        for step in self._steps:
            x = step(x, run)
        return x, run.after


def _finite_float32(array: NDArray[Any], name: str = "x") -> Array:
    if array.dtype.kind not in "fiub":
        raise ShapeError(f"{name} has dtype {array.dtype}, expected numbers: pass float32")
    with np.errstate(over="ignore"):
        values = np.asarray(array, np.float32, order="C")
    if not np.isfinite(values).all():
        where = [int(i) for i in np.argwhere(~np.isfinite(values))[0]]
        raise ShapeError(
            f"{name} holds {array[tuple(where)]} at {where}, expected finite float32 numbers: fill or drop it"
        )
    return values


def _check_lengths(lengths: ArrayLike, batch_size: int, steps: int) -> NDArray[np.int64]:
    array = np.asarray(lengths)
    check_shape("lengths", array, "[B]", (batch_size,), "pass one length per sequence")
    if array.dtype.kind not in "iu" and array.size:
        raise ShapeError(f"lengths has dtype {array.dtype}, expected whole numbers: pass integers")
    for length in array:
        if not 0 <= length <= steps:
            raise ShapeError(
                f"lengths holds {length}, expected 0 to T = {steps}: pass the number of valid steps"
            )
    return array.astype(np.int64)


def _build(layer: Layer, weights: Weights, backend: str, weight_dtype: str) -> Step:
    """The function that runs one layer."""
    kind = layer["type"]
    if kind in GATE_ROWS:
        return Recurrent(layer, weights, backend, weight_dtype)
    if kind == "residual":
        return _residual([_build(inner, weights, backend, weight_dtype) for inner in layer["layers"]])
    if kind in POOLING:
        pool = POOLING[kind]
        return lambda x, run: pool(x, run.lengths)
    function = pointwise(layer, weights)
    return lambda x, run: function(x)


def _residual(steps: list[Step]) -> Step:
    def run_residual(x: Array, run: Pass) -> Array:
        y = x
        for step in steps:
            y = step(y, run)
        return x + y

    return run_residual
