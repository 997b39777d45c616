"""The NumPy executor of a network (see graph.py): what `Model.run` and `Session` compute with.

Public arrays are batch-major: tokens [B, T] or vectors [B, T, F] per input, outputs [B, T, O] or, pooled, [B, O]. A state is a
dictionary "<node>.<part>" -> [N, B, F], passed in and returned: for a recurrent node "<node>.h" (and "<node>.c" for LSTM)
[L*D, B, H]. A network with one input takes the array alone, one with one output returns the array alone; else dictionaries.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from congru.errors import ShapeError, check_shape
from congru.runtime.cells import Array
from congru.runtime.graph import Graph, alone
from congru.runtime.integer import Integers, StoredWeights
from congru.runtime.nodes.node import Compute, Weights
from congru.runtime.nodes.pointwise import Embedding
from congru.runtime.nodes.recurrent import RecurrentNode
from congru.runtime.recurrent import choose_backend, rounded_weights
from congru.runtime.run import Run, State
from congru.runtime.steps import Steps
from congru.runtime.values import check_lengths, check_rows, check_value, finite_float32

__all__ = ["Network", "Recording", "State", "weight_problem"]

Inputs: TypeAlias = "ArrayLike | Mapping[str, ArrayLike]"
Outputs: TypeAlias = "Array | dict[str, Array]"
Counts: TypeAlias = "ArrayLike | Mapping[str, ArrayLike] | None"


class Recording(NamedTuple):
    """One run with what happened inside.

    `seen`: the input [B, T, F] and output [B, T, D*H] of every recurrent node; `start`: the state it began from; `gates`
    [L, D, B, T, G, H] by node (rows as in `congru.reference`); `pictures`: the weights of attention by node, [B, T, S] over a
    memory, [B, T] of a pool.
    """

    output: Outputs
    state: State
    start: State
    seen: dict[str, tuple[Array, Array]]
    gates: dict[str, Array]
    pictures: dict[str, Array]


def weight_problem(graph: Graph, weights: Weights) -> str | None:
    """What is wrong with the weights, as one clause; None if they are all there, fit and are finite."""
    shapes = graph.weight_shapes
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
    """A network with its weights, run in float32.

    `config` is its declaration (`congru.runtime.graph`); `weights` maps "<node>.<part>" to float32 arrays. `weight_dtype`
    "bfloat16" computes with the recurrent nodes' matrices rounded to it; on the native core a step then reads half
    the bytes. Raises :class:`SettingsError` for a wrong declaration and :class:`ShapeError` for weights that do not
    fit it.

    >>> config = {"inputs": {"x": {"features": 2}}, "nodes": [{"type": "linear", "name": "head", "size": 1}],
    ...           "outputs": ["head"]}
    >>> weights = {"head.weight": np.ones((1, 2), np.float32), "head.bias": np.zeros(1, np.float32)}
    >>> y, state = Network(config, weights).run([[[1.0, 2.0]]])
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
        graph = Graph(config)
        problem = weight_problem(graph, weights)
        if problem:
            raise ShapeError(f"weights: the dictionary {problem}: pass the weights of this network")
        self._build(graph, weights, backend, weight_dtype)

    @classmethod
    def of_checked(
        cls,
        graph: Graph,
        weights: Weights,
        backend: str = "auto",
        weight_dtype: str = "float32",
        integers: Integers | None = None,
    ) -> Network:
        """A network of a graph and of weights in which :func:`weight_problem` has found nothing.

        `integers`: what it computes in whole numbers, see `congru.runtime.integer`.
        """
        network = cls.__new__(cls)
        network._build(graph, weights, backend, weight_dtype, integers)
        return network

    def _build(
        self,
        graph: Graph,
        weights: Weights,
        backend: str,
        weight_dtype: str,
        integers: Integers | None = None,
    ) -> None:
        self.graph = graph
        self.num_parameters = sum(int(weight.size) for weight in weights.values())
        self.weight_dtype = weight_dtype
        self.weights = rounded_weights(weights, {node.name for node in graph.recurrent}, weight_dtype)
        own = [
            (node, graph.weights_of(node, inputs, self.weights), inputs) for node, inputs, _ in graph.placed
        ]
        layers = {
            node.form(weight_dtype): node.direction_weights(parts)
            for node, parts, _ in own
            if isinstance(node, RecurrentNode)
        }
        self.backend, self._why = choose_backend(layers, backend)
        how = {"backend": self.backend, "weight_dtype": weight_dtype}
        self.integers = integers or Integers({}, {})
        self.computes: dict[str, Compute] = {
            node.name: self.integers.build(node, parts, self.backend)
            if isinstance(node, RecurrentNode) and node.name in self.integers.scales
            else node.build(parts, *inputs, **how)
            for node, parts, inputs in own
        }
        if self.integers.scales:
            self.weights = StoredWeights(self.weights, self.integers)
        self._initial = {
            f"{node.name}.{part}": value
            for node, parts, _ in own
            for part, value in node.initial(parts).items()
        }

    # What a network with one input and one output is

    @property
    def tokens(self) -> bool:
        """Whether its first input holds tokens."""
        return next(iter(self.graph.inputs.values())).tokens is not None

    @property
    def num_tokens(self) -> int:
        """How many symbols its first input knows; 0 where it holds vectors."""
        tokens = next(iter(self.graph.inputs.values())).tokens
        return tokens[0] if tokens else 0

    @property
    def input_size(self) -> int | None:
        """How many features one step of its first input has; None for tokens."""
        first = next(iter(self.graph.inputs.values()))
        return None if first.tokens is not None else int(np.prod(first.size))

    @property
    def output_size(self) -> int:
        """How many features its first output has."""
        return int(np.prod(next(iter(self.graph.outputs.values())).size))

    @property
    def pooled(self) -> bool:
        """Whether its first output is one vector per sequence."""
        return next(iter(self.graph.outputs.values())).axes == "row"

    # State

    @property
    def state_names(self) -> list[str]:
        """The names of the states, such as "rnn.h"; empty where no node has one."""
        return list(self.graph.state_shapes)

    def initial_state(self, batch_size: int = 1) -> State:
        """The state before the first step: zeros, or the learned h0 where a node has one."""
        state = {}
        for name, (depth, size) in self.graph.state_shapes.items():
            state[name] = np.zeros((depth, batch_size, size), np.float32)
            if name in self._initial:
                state[name] += self._initial[name][:, None]
        return state

    def stream_problem(self) -> str | None:
        """Why the network cannot run step by step, as one clause; None if it can."""
        return self.graph.stream_problem()

    def explain(self) -> str:
        """Say in one sentence what the recurrent layers run on, and why.

        >>> config = {"inputs": {"x": {"features": 1}}, "nodes": [{"type": "rnn", "name": "a", "hidden_size": 1}],
        ...           "outputs": ["a"]}
        >>> Network(config, {f"a.{kind}_l0": np.ones(shape, np.float32) for kind, shape in
        ...         (("weight_ih", (1, 1)), ("weight_hh", (1, 1)), ("bias_ih", 1), ("bias_hh", 1))},
        ...         backend="numpy").explain()
        "The recurrent layers run on 'numpy', as asked."
        """
        return f"The recurrent layers run on {self.backend!r}, {self._why}."

    # Running

    def run(
        self, x: Inputs, state: Mapping[str, ArrayLike] | None = None, lengths: Counts = None
    ) -> tuple[Any, State]:
        """Run x [B, T] (tokens) or [B, T, F] and return the output [B, T, O] (pooled: [B, O]) and the state
        after.

        Several inputs: a dictionary by name; rows are [B, F], memories [B, S, F]. `state` None means the initial state.
        `lengths` [B] whole numbers 0..T: steps at and after lengths[b] are padding, and the state is the one after step
        lengths[b]-1; with memories a dictionary by input, "steps" for all inputs with steps. Raises :class:`ShapeError` for
        a wrong shape, token or value.
        """
        outputs, run, _ = self._run(x, state, lengths)
        return alone(outputs), run.after

    def record(
        self,
        x: Inputs,
        state: Mapping[str, ArrayLike] | None = None,
        lengths: Counts = None,
        *,
        gates: bool = True,
    ) -> Recording:
        """`run`, with what went into and came out of every recurrent node, its gates, and the weights of attention.

        Without `gates` none are recorded: they follow from what was seen.
        """
        recorded: dict[str, Any] = {"seen": {}, "pictures": {}, "gates": {} if gates else None}
        outputs, run, start = self._run(x, state, lengths, **recorded)
        seen = {name: (_batch_first(x), _batch_first(y)) for name, (x, y) in recorded["seen"].items()}
        pictures = {name: _batch_first(picture) for name, picture in recorded["pictures"].items()}
        return Recording(alone(outputs), run.after, start, seen, recorded["gates"] or {}, pictures)

    def trace(
        self, x: Inputs, state: Mapping[str, ArrayLike] | None = None, lengths: Counts = None
    ) -> tuple[Any, State, dict[str, Array]]:
        """`run`, and the gates of every recurrent node: name -> [L, D, B, T, G, H] (rows as in `congru.reference`)."""
        recording = self.record(x, state, lengths)
        return recording.output, recording.state, recording.gates

    def advance(self, values: Mapping[str, NDArray[Any]], run: Run) -> dict[str, Array]:
        """The outputs, time-major, of checked inputs, time-major."""
        known: dict[str, Any] = dict(values)
        for node, _, _ in self.graph.placed:
            known[node.name] = self.computes[node.name](run, *(known[name] for name in node.of))
        return {name: known[name] for name in self.graph.outputs}

    def steps(
        self,
        batch_size: int = 1,
        constants: Mapping[str, NDArray[Any]] | None = None,
        memory_lengths: Mapping[str, NDArray[np.int64]] | None = None,
    ) -> Steps:
        """The network one step at a time, its state inside; `constants` are its checked rows and memories."""
        first, inputs, _ = self.graph.placed[0]
        begins = isinstance(first, Embedding) and not inputs[0].size and inputs[0].axes == "steps"
        table = self.weights[f"{first.name}.weight"] if begins else None
        return Steps(self.graph, self.computes, batch_size, constants or {}, memory_lengths or {}, table)

    # Checks

    def check_value(self, name: str, value: ArrayLike, axes: str) -> NDArray[Any]:
        """An input as int64 tokens or float32 vectors, contiguous; `axes` is the shape before its own axes, "[B, T]" say."""
        spec, what = self.graph.inputs[name], "x" if len(self.graph.inputs) == 1 else f"x[{name!r}]"
        return check_value(np.asarray(value), spec, axes, what)

    def check_state(self, state: Mapping[str, ArrayLike], batch_size: int) -> State:
        """The state as float32 arrays; raises :class:`ShapeError` where a name or shape does not belong to
        this network.
        """
        names = set(self.graph.state_shapes)
        if set(state) != names:
            raise ShapeError(
                f"state has the names {sorted(state)}, expected {sorted(names)}:"
                " pass the state this model returned"
            )
        checked = {}
        for name, (depth, size) in self.graph.state_shapes.items():
            array = np.asarray(state[name])
            fix = "pass the state this model returned"
            check_shape(f"state[{name!r}]", array, "[L*D, B, H]", (depth, batch_size, size), fix)
            checked[name] = finite_float32(array, f"state[{name!r}]")
        return checked

    def check_constants(
        self, constants: Mapping[str, ArrayLike], lengths: Mapping[str, ArrayLike], batch_size: int
    ) -> tuple[dict[str, NDArray[Any]], dict[str, NDArray[np.int64]]]:
        """The rows [B, F] and memories [B, S, F] of a stream, and the memories' lengths, checked."""
        wanted = self.graph.constant_inputs
        if set(constants) != set(wanted):
            raise ShapeError(
                f"constants has {', '.join(sorted(constants)) or 'nothing'}, expected {', '.join(wanted) or 'nothing'}:"
                " pass the rows and memories of this network"
            )
        checked, counts = {}, {}
        for name in wanted:
            memory = self.graph.inputs[name].axes == "memory"
            checked[name] = self.check_value(name, constants[name], "[B, S]" if memory else "[B]")
            check_rows(name, len(checked[name]), batch_size)
            if memory and name in lengths:
                counts[name] = check_lengths(
                    lengths[name], batch_size, checked[name].shape[1], f"lengths[{name!r}]"
                )
        return checked, counts

    def _run(
        self, x: Inputs, state: Mapping[str, ArrayLike] | None, lengths: Counts, **recorded: Any
    ) -> tuple[dict[str, Array], Run, State]:
        inputs, graph = self.graph.named_inputs(x), self.graph
        by_name = lengths if isinstance(lengths, Mapping) else {} if lengths is None else {"steps": lengths}
        values, sizes = {}, None
        for name in graph.step_inputs:
            values[name] = np.ascontiguousarray(self.check_value(name, inputs[name], "[B, T]").swapaxes(0, 1))
            if sizes is not None and values[name].shape[:2] != sizes:
                raise ShapeError(
                    f"x[{name!r}] has [B, T] = {values[name].shape[1::-1]}, expected {sizes[::-1]} as the input before:"
                    " pass as many rows and steps"
                )
            sizes = values[name].shape[:2]
        constants = {name: inputs[name] for name in graph.constant_inputs}
        steps, batch_size = sizes or (0, len(np.asarray(next(iter(constants.values())))))
        known = {"steps", *graph.constant_inputs}
        for name in by_name:
            if name not in known:
                raise ShapeError(
                    f"lengths has {name!r}, expected {', '.join(sorted(known))}: correct the name"
                )
        counts = by_name.get("steps")
        checked = None if counts is None else check_lengths(counts, batch_size, steps)
        rows, memory_lengths = self.check_constants(constants, by_name, batch_size)
        before = self.initial_state(batch_size) if state is None else self.check_state(state, batch_size)
        run = Run(before, checked, memory_lengths, **recorded)
        outputs = self.advance({**values, **rows}, run)
        specs = graph.outputs
        return (
            {name: _batch_first(y) if specs[name].axes == "steps" else y for name, y in outputs.items()},
            run,
            before,
        )


def _batch_first(array: Array) -> Array:
    return np.ascontiguousarray(array.swapaxes(0, 1))
