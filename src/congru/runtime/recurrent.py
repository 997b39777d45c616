"""The recurrent layers of a network: all their depths and directions, their states and their gates.

Each direction of each depth runs either on the NumPy steps of cells.py or through `congru.ops` (the native
core, or the reference). Arrays are time-major here: x [T, B, F]; states are [L*D, B, H] by name.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from congru import ops
from congru.errors import BackendError, SettingsError
from congru.kernels import packed
from congru.kernels.binding import extension
from congru.kernels.cells import CELLS
from congru.kernels.packed import Packed
from congru.kernels.rounding import to_bfloat16
from congru.runtime import cells
from congru.runtime.activations import sigmoid
from congru.runtime.cells import Array
from congru.runtime.dense import dense
from congru.runtime.form import Form
from congru.runtime.option_cells import OptionCell
from congru.runtime.run import Run

BACKENDS = ("auto", "numpy", "native", "reference")
FEW_ROWS = (
    256  # rows of all steps up to which weights that are packed already win over packing them for the call
)
WEIGHT_DTYPES = ("float32", "bfloat16")
DirectionWeights = tuple[Array | None, ...]


class Recurrent:
    """One GRU, LSTM, RNN or minGRU with all its depths (L) and directions (D)."""

    def __init__(self, form: Form, weights: Sequence[DirectionWeights], backend: str) -> None:
        self.form, self.weights = form, list(weights)
        # Of a minGRU the core has the product with the inputs; its steps, a few operations each, are NumPy's.
        self.backend = "numpy" if form.cell == "mingru" and backend == "native" else backend
        self.parts = [f"{form.name}.{part}" for part in CELLS[form.cell].states]
        self._packed: list[Packed] = []
        self._cells = [_cell(form, parts, backend) for parts in weights] if self.backend == "numpy" else []

    def __call__(self, run: Run, x: Array) -> Array:
        """y [T, B, D*H] of x [T, B, F]; the states after are added to `run`, and what it records."""
        states = [run.state[part] for part in self.parts]
        finals: list[cells.State] = []
        traces = self._trace_arrays(x, run)
        first, ways = x, self.form.num_directions
        for depth in range(self.form.num_layers):
            outputs = []
            for way in range(ways):
                index = depth * ways + way
                state = tuple(part[index] for part in states)
                y, final = self._run_direction(index, x, state, run.lengths, traces[index])
                outputs.append(y)
                finals.append(final)
            x = outputs[0] if len(outputs) == 1 else np.concatenate(outputs, axis=-1)
        for number, part in enumerate(self.parts):
            arrays = [final[number] for final in finals]
            run.after[part] = arrays[0][None] if len(arrays) == 1 else np.stack(arrays)
        if run.seen is not None:
            run.seen[self.form.name] = (first, x)
        return x

    def packed(self) -> list[Packed]:
        """The weights of every layer and direction packed for the core, once for all streams."""
        if not self._packed:
            options: dict[str, Any] = {**self.form.keywords(), "zoneout": self.form.zoneout}
            self._packed = [packed.pack(self.form.cell, weights, **options) for weights in self.weights]
        return self._packed

    def steps(self, batch_size: int) -> RecurrentSteps:
        """The layers one step at a time on the native core."""
        return RecurrentSteps(self, batch_size)

    def _run_direction(
        self, index: int, x: Array, state: cells.State, lengths: Any, gates: Array | None
    ) -> tuple[Array, cells.State]:
        form, reverse = self.form, index % self.form.num_directions == 1
        if self.backend == "numpy":
            return cells.run_cell(self._cells[index], x, state, lengths, reverse, gates)
        rows = np.ascontiguousarray(x.swapaxes(0, 1))
        asked: dict[str, Any] = {"lengths": lengths, "reverse": reverse, "return_gates": gates is not None}
        if self.backend == "native" and rows.shape[0] * rows.shape[1] <= FEW_ROWS:
            y, final, recorded = self.packed()[index].sequence(rows, state, **asked)
        else:
            y, final, recorded = ops.sequence(
                form.cell,
                rows,
                state,
                self.weights[index],
                backend=self.backend,
                **asked,
                **form.keywords(),
                **_zoneout(form.zoneout, rows, state),
            )
        if gates is not None and recorded is not None:
            gates[...] = recorded.swapaxes(0, 1)
        return np.ascontiguousarray(y.swapaxes(0, 1)), final

    def _trace_arrays(self, x: Array, run: Run) -> list[Array | None]:
        """Time-major [T, B, G, H] arrays to be filled, views of run.gates[name] [L, D, B, T, G, H]; or None each."""
        if run.gates is None:
            return [None] * len(self.weights)
        form, (steps, batch_size) = self.form, x.shape[:2]
        rows = len(CELLS[form.cell].gates)
        shape = (form.num_layers, form.num_directions, batch_size, steps, rows, form.hidden_size)
        run.gates[form.name] = np.zeros(shape, np.float32)
        flat = run.gates[form.name].reshape(len(self.weights), *shape[2:])
        return [part.swapaxes(0, 1) for part in flat]


class RecurrentSteps:
    """One recurrent node in a stream: a stepper of the native core for every depth; the state lies in them."""

    __slots__ = ("_batch_size", "_layer", "_steppers")  # a copy is cheaper than with a dictionary

    def __init__(self, layer: Recurrent, batch_size: int) -> None:
        self._layer, self._batch_size = layer, batch_size
        self._steppers = [weights.stepper(batch_size) for weights in layer.packed()]

    @property
    def function(self) -> Callable[[Array], Array]:
        """y [B, H] of x [B, F]."""
        return self._steppers[0].step if len(self._steppers) == 1 else self.step

    @property
    def steppers(self) -> list[Any]:
        """The steppers, the first layer's first."""
        return self._steppers

    def copy(self) -> RecurrentSteps:
        """An independent twin with the same state."""
        twin = object.__new__(RecurrentSteps)
        twin._layer, twin._batch_size = self._layer, self._batch_size
        twin._steppers = [stepper.copy() for stepper in self._steppers]
        return twin

    def step(self, x: Array) -> Array:
        """y [B, H] of x [B, F]."""
        for stepper in self._steppers:
            x = stepper.step(x)
        return x

    def together(self, parts: list[RecurrentSteps], *rows: Any) -> Array:
        """One step of N streams at once, without a lock: y [N, H] of x [N, F]; each row as if alone."""
        (x,) = rows
        for depth, weights in enumerate(self._layer.packed()):
            x = weights.advance([part._steppers[depth] for part in parts], x)
        y: Array = x
        return y

    def read(self) -> dict[str, Array]:
        """The state in arrays of its own, [L, B, H] by name."""
        form = self._layer.form
        shape = (form.num_layers, self._batch_size, form.hidden_size)
        parts = [np.empty(shape, np.float32) for _ in self._layer.parts]
        for depth, stepper in enumerate(self._steppers):
            stepper.read(*(part[depth] for part in parts))
        return dict(zip(self._layer.parts, parts))

    def write(self, state: Mapping[str, Array]) -> None:
        """Go on from a state as `read` returns it."""
        for depth, stepper in enumerate(self._steppers):
            stepper.write(*(state[name][depth] for name in self._layer.parts))


def choose_backend(layers: Mapping[Form, Sequence[DirectionWeights]], backend: str) -> tuple[str, str]:
    """The backend by name, and why: "auto" becomes native where it runs all recurrent layers, else numpy.

    Raises :class:`BackendError` where one asked for by name cannot run.
    """
    if backend not in BACKENDS:
        raise BackendError(
            f"backend is {backend!r}, expected one of {', '.join(BACKENDS)}: pass one of these"
        )
    wanted = "native" if backend == "auto" else backend
    try:
        for form, weights in layers.items() if wanted != "numpy" else ():
            _ask(form, weights, wanted)
    except BackendError as error:
        if backend != "auto":
            raise
        return "numpy", f"because 'native' cannot: {error}"
    return wanted, "the first that can" if backend == "auto" else "as asked"


def _ask(form: Form, weights: Sequence[DirectionWeights], backend: str) -> None:
    """Raise BackendError unless `backend` runs every direction of a layer on float32, with lengths and gates."""
    if form.cell == "mingru" and backend == "native":
        extension()
        return
    for index, parts in enumerate(weights):
        assert parts[0] is not None
        x = np.zeros((1, 1, parts[0].shape[1]), np.float32)
        states = tuple(np.zeros((1, form.hidden_size), np.float32) for _ in CELLS[form.cell].states)
        ops.explain(
            form.cell,
            x,
            None,
            parts,
            lengths=np.ones(1, int),
            reverse=index % form.num_directions == 1,
            return_gates=True,
            backend=backend,
            **form.keywords(),
            **_zoneout(form.zoneout, x, states),
        )


def rounded_weights(
    weights: Mapping[str, Array], recurrent: set[str], weight_dtype: str
) -> Mapping[str, Array]:
    """The weights, with those that products of the nodes `recurrent` read rounded to `weight_dtype`; all stay float32.

    Raises :class:`SettingsError` for another dtype than those of `WEIGHT_DTYPES`.
    """
    if weight_dtype not in WEIGHT_DTYPES:
        raise SettingsError(
            f"weight_dtype is {weight_dtype!r}, expected one of {', '.join(WEIGHT_DTYPES)}: pass one of these"
        )
    if weight_dtype == "float32":
        return weights
    return {
        name: to_bfloat16(array)
        if name.partition(".")[0] in recurrent
        and name.partition(".")[2].startswith(("weight_ih", "weight_hh"))
        else array
        for name, array in weights.items()
    }


def _zoneout(keep: float, x: Array, state: cells.State) -> dict[str, Any]:
    """Zoneout's expectation on x [B, T, F] as keyword of `congru.ops.sequence`; nothing where there is none."""
    if not keep:
        return {}
    sizes = (*x.shape[:2], state[0].shape[1])
    return {"zoneout": tuple(np.broadcast_to(np.float32(keep), sizes) for _ in state)}


def _cell(form: Form, parts: DirectionWeights, backend: str) -> cells.Cell:
    W = parts[0]
    assert W is not None  # held by weight_problem
    if form.cell == "mingru":
        return cells.MinGRU(form.hidden_size, dense(W, parts[1], backend), sigmoid(backend))
    if form.has_options:
        return OptionCell(form, parts)
    _, U, b_i, b_h = parts
    assert U is not None
    if form.cell == "gru":
        return cells.GRU(W, U, b_i, b_h, form.reset_before)
    cell = cells.LSTM if form.cell == "lstm" else cells.RNN
    return cell(W, U, b_i, b_h)
