"""A network one step at a time: weights prepared once and shared, the state held inside.

What a session runs; the outputs are, bit for bit, those of `Network.run`. Rows are [B, F]. On the native core recurrent nodes
keep their state in steppers; every other node with a state keeps arrays.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from congru.errors import ShapeError
from congru.kernels import binding
from congru.runtime.cells import Array
from congru.runtime.graph import Graph, Placed
from congru.runtime.nodes.node import Compute, Pointwise
from congru.runtime.nodes.pointwise import Dropout, Linear
from congru.runtime.nodes.pooling import Last
from congru.runtime.recurrent import Recurrent, RecurrentSteps
from congru.runtime.run import Run, State, twin_of

Stage = Callable[[Any], Any]


class Stateful(Protocol):
    """A node in a stream that holds a state."""

    @property
    def function(self) -> Callable[..., Any]:
        """The output row of one step, of its input rows."""

    def copy(self) -> Stateful:
        """An independent twin with the same state."""

    def together(self, parts: list[Any], *rows: Any) -> Array:
        """One step of N such parts at once: inputs [N, F], or a list of N that hold for a stream; rows [N, O]."""

    def read(self) -> State:
        """The state in arrays of its own."""

    def write(self, state: Mapping[str, Array]) -> None:
        """Go on from a state."""


class _Call(NamedTuple):
    """One node of the plan: where its inputs lie, where its output goes."""

    inputs: tuple[int, ...]
    output: int
    part: int | None = None  # which of the parts with a state computes it


class _ByRun:
    """A node in a stream, computed as a sequence of one step; its state lies in arrays."""

    def __init__(self, placed: Placed, compute: Compute, lengths: Mapping[str, NDArray[np.int64]]) -> None:
        node, inputs, _ = placed
        self._compute, self._lengths = compute, dict(lengths)
        self._names = [f"{node.name}.{part}" for part in node.state(*inputs)]
        self._state: State = {}
        self._stepped = [spec.axes == "steps" for spec in inputs]

    def step(self, *rows: Any) -> Array:
        run = Run(self._state, None, self._lengths)
        y = self._compute(run, *(row[None] if stepped else row for row, stepped in zip(rows, self._stepped)))
        self._state = run.after
        out: Array = y[0]
        return out

    @property
    def function(self) -> Callable[..., Any]:
        return self.step

    def copy(self) -> _ByRun:
        return twin_of(self)  # a step makes new arrays: nobody writes to those of a state

    def together(self, parts: list[_ByRun], *rows: Any) -> Array:
        if not self._names:  # what it reads beside the steps belongs to each stream
            each = [
                [row[k] if isinstance(row, list) else row[k : k + 1] for row in rows]
                for k in range(len(parts))
            ]
            return np.concatenate([part.step(*inputs) for part, inputs in zip(parts, each)])
        joined = {name: np.concatenate([part._state[name] for part in parts], axis=1) for name in self._names}
        run = Run(joined)
        y: Array = self._compute(run, *(row[None] for row in rows))[0]
        for k, part in enumerate(parts):
            part._state = {name: run.after[name][:, k : k + 1].copy() for name in self._names}
        return y

    def read(self) -> State:
        return {name: self._state[name].copy() for name in self._names}

    def write(self, state: Mapping[str, Array]) -> None:
        self._state = {name: state[name].copy() for name in self._names}


class _Shared(NamedTuple):
    """What all copies of a stream have in common."""

    calls: list[_Call]
    call_indices: list[int]  # which call each part with a state computes
    step_slots: list[int]  # where the inputs with steps go
    outputs: dict[str, int]
    fixed: list[Any]  # what holds for the whole stream; None where steps write
    table: Array | None  # of the embedding a chain begins with
    features: int  # of the first input, where it holds vectors
    is_row: Callable[..., bool] | None
    batch_size: int


class Steps:
    """The nodes of a streaming network in the order they run; its state is what was written last, and the steps since.

    `stages` is the whole network where it is a chain from one input to one output: functions of one row each. None else.
    `output` is its first output; `lends`: whether outputs may be arrays that the next step, or the caller, writes over.
    `chain`: the stages in one call of the core, which answers to x with [O], or None where x wants a closer look; then `last`
    holds the output [1, O] by name, and the next call writes over it. None where some stage is not the core's.
    """

    __slots__ = (
        "_functions",
        "_shared",
        "_stateful",
        "_values",
        "chain",
        "last",
        "lends",
        "output",
        "stages",
    )

    def __init__(
        self,
        graph: Graph,
        computes: Mapping[str, Compute],
        batch_size: int,
        constants: Mapping[str, NDArray[Any]],
        memory_lengths: Mapping[str, NDArray[np.int64]],
        table: Array | None,
    ) -> None:
        self._stateful: list[Stateful] = []
        self._functions: list[Callable[..., Any]] = []  # of the calls; those with a state are each copy's own
        self._values: list[Any] = [constants.get(name) for name in graph.inputs]
        slots = {name: index for index, name in enumerate(graph.inputs)}
        first = next(iter(graph.inputs.values()))
        self._shared = shared = _Shared(
            calls=[],
            call_indices=[],
            step_slots=[slots[name] for name in graph.step_inputs],
            outputs={},
            fixed=[],
            table=table,
            features=first.features if first.tokens is None and len(first.size) == 1 else 0,
            is_row=binding.extension().is_row if binding.is_available() else None,
            batch_size=batch_size,
        )
        fresh = set()  # slots that every step fills with an array of its own
        constant = set(graph.constant_inputs)
        once = Run({}, None, memory_lengths)
        for placed in graph.placed:
            node = placed.node
            if isinstance(node, (Dropout, Last)):  # in a stream: the step as it is
                slots[node.name] = slots[node.of[0]]
                continue
            slots[node.name] = slot = len(self._values)
            self._values.append(None)
            inputs = tuple(slots[name] for name in node.of)
            if constant.issuperset(node.of):
                constant.add(node.name)
                self._values[slot] = computes[node.name](once, *(self._values[index] for index in inputs))
            else:
                self._add(placed, computes[node.name], batch_size, memory_lengths, inputs, slot)
                if isinstance(node, Linear):
                    fresh.add(slot)
        shared.fixed.extend(self._values)
        shared.outputs.update({name: slots[name] for name in graph.outputs})
        self.output = next(iter(graph.outputs))
        self.lends = not fresh.issuperset(shared.outputs.values())
        self.stages = self._list_stages()
        self._join()

    def row(self, x: Any) -> Array | None:
        """The row that enters `stages` for one step of one stream, where x is plainly right: a token in range, a finite
        float32 vector. None asks for a closer look.
        """
        shared = self._shared
        table = shared.table
        if table is not None:
            if type(x) is int and 0 <= x < len(table):
                return table[x : x + 1]
        elif shared.is_row is not None and shared.features and shared.is_row(x, shared.features):
            row: Array = x[None]
            return row
        return None

    def rows(self, x: NDArray[Any]) -> Any:
        """The rows that enter `stages` for checked tokens [B] or vectors [B, I]."""
        table = self._shared.table
        return x if table is None else table[x]

    def step(self, rows: list[NDArray[Any]]) -> dict[str, Array]:
        """The outputs of one step by name, for checked rows in the order of the inputs with steps."""
        values = self._values
        for slot, row in zip(self._shared.step_slots, rows):
            values[slot] = row
        for function, (inputs, output, _) in zip(self._functions, self._shared.calls):
            values[output] = function(*(values[index] for index in inputs))
        return {name: values[slot] for name, slot in self._shared.outputs.items()}

    def together(self, many: list[Steps], rows: list[NDArray[Any]]) -> dict[str, Array]:
        """The outputs [N, O] by name of one step of N streams of this network, of one row each; rows [N, ..] for every input."""
        if self.stages is not None:
            (row,) = rows
            for function, (_, _, part) in zip(self._functions, self._shared.calls):
                if part is None:
                    row = function(row)
                else:
                    row = self._stateful[part].together([steps._stateful[part] for steps in many], row)
            return {self.output: row}
        values: list[Any] = [
            None if fixed is None else [steps._values[slot] for steps in many]
            for slot, fixed in enumerate(self._shared.fixed)
        ]
        for slot, row in zip(self._shared.step_slots, rows):
            values[slot] = row
        for function, (inputs, output, part) in zip(self._functions, self._shared.calls):
            read = [values[index] for index in inputs]
            if part is None:
                flat = [np.concatenate(value) if isinstance(value, list) else value for value in read]
                values[output] = function(*flat)
            else:
                values[output] = self._stateful[part].together(
                    [steps._stateful[part] for steps in many], *read
                )
        return {name: values[slot] for name, slot in self._shared.outputs.items()}

    def run(self, xs: list[NDArray[Any]]) -> dict[str, Array]:
        """The outputs [T, B, O] by name, for checked inputs [T, B, ..], T >= 1."""
        parts: dict[str, list[Array]] = {name: [] for name in self._shared.outputs}
        for rows in zip(*xs):
            for name, row in self.step(list(rows)).items():
                parts[name].append(row.copy())
        return {name: np.stack(rows) for name, rows in parts.items()}

    def read(self) -> State:
        """The state, in arrays of its own."""
        state: State = {}
        for part in self._stateful:
            state.update(part.read())
        return state

    def write(self, state: State) -> None:
        """Go on from a state as `read` returns it."""
        for part in self._stateful:
            part.write(state)

    def copy(self) -> Steps:
        """An independent twin with the same state; the weights are shared."""
        twin = object.__new__(Steps)
        twin._shared, twin.output, twin.lends = self._shared, self.output, self.lends
        twin._values, twin._stateful = list(self._values), [part.copy() for part in self._stateful]
        twin._functions = list(self._functions)
        for part, index in enumerate(self._shared.call_indices):
            twin._functions[index] = twin._stateful[part].function
        twin.stages = None if self.stages is None else twin._stages()
        twin.last, twin.chain = {}, None
        if self.chain is not None:
            twin._join()
        return twin

    def _add(
        self,
        placed: Placed,
        compute: Compute,
        batch_size: int,
        lengths: Mapping[str, NDArray[np.int64]],
        inputs: tuple[int, ...],
        slot: int,
    ) -> None:
        """Add what one node does in a step."""
        if isinstance(compute, Pointwise):
            self._shared.calls.append(_Call(inputs, slot))
            self._functions.append(compute.function)
            return
        part: Stateful = _ByRun(placed, compute, lengths)
        if isinstance(compute, Recurrent) and compute.backend == "native":
            part = compute.steps(batch_size)
        self._shared.call_indices.append(len(self._shared.calls))
        self._shared.calls.append(_Call(inputs, slot, len(self._stateful)))
        self._functions.append(part.function)
        self._stateful.append(part)

    def _join(self) -> None:
        """Make the chain, where all stages are the core's and take one row of float32."""
        self.chain: Any = None
        self.last: dict[str, Array] = {}
        shared = self._shared
        if shared.is_row is None or shared.batch_size != 1 or self.stages is None:
            return
        core = binding.extension()
        parts: list[Any] = []
        for stage in self.stages:
            joined = getattr(stage, "__self__", stage)  # a bound step of a stepper, or a dense layer
            parts += joined.steppers if isinstance(joined, RecurrentSteps) else [joined]
        table = shared.table
        if not all(isinstance(part, (core.Stepper, core.Int8Stepper, core.Dense)) for part in parts):
            return
        if table is None and not shared.features:
            return
        if table is not None and (table.dtype != np.float32 or not table.flags.c_contiguous):
            return
        try:
            self.chain = core.Chain(tuple(parts), shared.features if table is None else table.shape[1], table)
        except ShapeError:  # some stage computes in float64
            return
        self.last = {self.output: self.chain.last[None]}

    def _list_stages(self) -> list[Stage] | None:
        """The functions, one after the other, where each reads the one before alone; the first table is left to `rows`."""
        if len(self._shared.step_slots) != 1 or len(self._shared.outputs) != 1:
            return None
        calls = self._shared.calls
        slots = [self._shared.step_slots[0], *(call.output for call in calls)]
        if any(call.inputs != (slot,) for call, slot in zip(calls, slots)):
            return None
        if next(iter(self._shared.outputs.values())) != slots[-1]:
            return None
        return self._stages()

    def _stages(self) -> list[Stage]:
        return self._functions if self._shared.table is None else self._functions[1:]
