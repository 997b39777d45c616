"""A GRU in integers: int8 products with int32 sums, gates in fixed point; one result, bit for bit, on every machine.

    x8 = round(x / s_x)         to -127..127, s_x by calibration; of the state h8 = round(127 h), as |h| <= 1
    a  = m_W (W8 x8) + b_i      whole numbers of 2^-16; m_W = 2^16 s_x s_W for each row of W
    u  = m_U (U8 h8) + b_h      the same; m_U = 2^16 s_U / 127 for each row of U
    r, z = sigmoid(a + u)       whole numbers of 2^-15, from a table of 1/32 apart with straight lines between
    n  = tanh(a_n + r u_n)      = 2 sigmoid(2 a) - 1;  reset before: u_n = m_U (U8 round(127 r h)) + b_hn
    h' = n + z (h - n)          whole numbers of 2^-15: the state itself has 16 bits

Weights are w = s q, one s for each row. A product with a multiplier is (acc M + 2^(k-1)) >> k with |M| < 2^31. Rounding is half
away from zero where a float becomes whole, half up in shifts. C says the same in `congru/export/c/kernels/gru_int8.h`, and in
every kernel of `core/int8.h`, which sessions and sequences run on where the core is.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from congru.kernels import binding
from congru.runtime.cells import Array, State, run_cell
from congru.runtime.form import Form
from congru.runtime.nodes.recurrent import RecurrentNode
from congru.runtime.recurrent import Recurrent
from congru.runtime.tensors import SCALE

INTEGER = "int8.json"  # the side file of a model folder: network -> node -> s_x of each direction of its first layer
STATE_SCALE = 1 / 127
ONE = 1 << 15  # of gates and state
SUM_BITS = 16  # of the gates' sums
TABLE_END, TABLE_BITS = 11, 11  # the table of sigmoid ends at 11; 2^11 sums lie between two of its entries
LARGEST_SUM = 1 << 28  # sums beyond it, far on the flat of every gate, are cut
_EXACT_COLUMNS = (1 << 24) // 127**2  # up to here float32 adds int8 products without rounding
Whole = NDArray[np.int64]


class Quantised(NamedTuple):
    """A matrix w[i] = scale[i] q[i], q int8 [rows, columns] within -127..127."""

    q: NDArray[np.int8]
    scale: Array


def quantise(weight: Array) -> Quantised:
    """The int8 matrix closest to a float32 one, row by row.

    >>> quantise(np.float32([[1.0, -0.5], [0.0, 0.0]])).q.tolist()
    [[127, -64], [0, 0]]
    """
    flat = weight.reshape(len(weight), -1)
    scale = (np.abs(flat).max(axis=1) / 127).astype(np.float32)
    safe = np.where(scale > 0, scale, np.float32(1)).astype(np.float64)
    q = rounded(flat / safe[:, None]).clip(-127, 127).astype(np.int8)
    return Quantised(q.reshape(weight.shape), scale)


def rounded(value: NDArray[Any]) -> NDArray[Any]:
    """To whole numbers, half away from zero."""
    whole: NDArray[Any] = np.trunc(value + np.copysign(np.asarray(0.5, value.dtype), value))
    return whole


def sigmoid_table() -> NDArray[np.int16]:
    """sigmoid(k / 32) for k = 0 .. 352, as whole numbers of 2^-15."""
    x = np.arange(TABLE_END * 32 + 1) / 32
    return np.minimum(np.round(ONE / (1 + np.exp(-x))), ONE - 1).astype(np.int16)


_TABLE = sigmoid_table().astype(np.int64)


def sigmoid(a: Whole) -> Whole:
    """sigmoid of sums in 2^-16, in 2^-15."""
    size = np.minimum(np.abs(a), (TABLE_END << SUM_BITS) - 1)
    k, rest = size >> TABLE_BITS, size & ((1 << TABLE_BITS) - 1)
    low = _TABLE[k]
    y: Whole = low + (((_TABLE[k + 1] - low) * rest + (1 << (TABLE_BITS - 1))) >> TABLE_BITS)
    return np.where(a < 0, ONE - y, y)


class Integers(NamedTuple):
    """What a network has in integers: its quantised matrices by "<node>.<part>", and s_x of the nodes that compute in them."""

    matrices: Mapping[str, Quantised]
    scales: Mapping[str, Sequence[float]]

    def build(self, node: RecurrentNode, weights: Mapping[str, Array], backend: str) -> IntegerRecurrent:
        """A node of `scales` in integers, on the core where `backend` is "native"; `weights` by its own names."""
        own = {
            name.partition(".")[2]: matrix
            for name, matrix in self.matrices.items()
            if name.partition(".")[0] == node.name
        }
        return integer_recurrent(node, weights, own, self.scales[node.name], backend)


class StoredWeights(Mapping[str, Array]):
    """The weights of a network whose matrices for integer nodes are kept in int8; each becomes float32 when it is asked for."""

    def __init__(self, weights: Mapping[str, Array], integers: Integers) -> None:
        owners = integers.scales.keys()
        self._int8 = {n: m for n, m in integers.matrices.items() if n.partition(".")[0] in owners}
        self._names = list(weights)
        self._plain = {name: array for name, array in weights.items() if name not in self._int8}

    def __getitem__(self, name: str) -> Array:
        matrix = self._int8.get(name)
        if matrix is None:
            return self._plain[name]
        wide: Array = (matrix.q * matrix.scale[:, None]).astype(np.float32)
        return wide

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)


class Multipliers(NamedTuple):
    """Whole numbers M and a shift k: M / 2^k stands for the factor of each row."""

    M: Whole
    shift: int


def multipliers(factors: NDArray[Any]) -> Multipliers:
    """The multipliers of some factors, with the largest shift at which the largest one fits into 31 bits."""
    largest = float(factors.max(initial=0.0))
    shift = int(np.clip(30 - np.floor(np.log2(largest)), 1, 62)) if largest > 0 else 1
    return Multipliers(np.round(factors.astype(np.float64) * 2.0**shift).astype(np.int64), shift)


class IntegerGRU:
    """One direction of one layer, a `congru.runtime.cells.Cell`; `margin`: how near an input came to the middle of two steps."""

    gate_rows = 3

    def __init__(
        self, W: Quantised, U: Quantised, b_i: Array | None, b_h: Array | None, form: Form, scale: float
    ) -> None:
        self.size, self.reset_before, self.scale = form.hidden_size, form.reset_before, np.float32(scale)
        self.inverse = np.float32(1 / self.scale)
        self.W, self.U = W, U
        self.of_input = multipliers(W.scale.astype(np.float64) * float(self.scale) * 2.0**SUM_BITS)
        self.of_state = multipliers(U.scale.astype(np.float64) * STATE_SCALE * 2.0**SUM_BITS)
        none = np.zeros(len(W.q), np.float32)
        i, h = (none if bias is None else bias for bias in (b_i, b_h))
        split = 3 * self.size if self.reset_before else 2 * self.size
        joined = np.concatenate([i[:split].astype(np.float64) + h[:split], i[split:]])
        self.b_i, self.b_n = (
            rounded(bias * 2.0**SUM_BITS).astype(np.int64) for bias in (joined, h[split:].astype(np.float64))
        )
        self.margin = 0.5

    @cached_property
    def _factors(self) -> tuple[NDArray[Any], NDArray[Any]]:
        return _factor(self.W.q), _factor(self.U.q)

    def packed(self, kernel: str | None = None) -> Any:
        """The cell on the C core, an `Int8` of core/python_int8.c: the same integers, by one of its kernels."""
        return binding.extension().Int8(
            np.ascontiguousarray(self.W.q),
            np.ascontiguousarray(self.U.q),
            self.of_input.M.astype(np.int32),
            self.of_input.shift,
            self.of_state.M.astype(np.int32),
            self.of_state.shift,
            self.b_i.astype(np.int32),
            None if self.reset_before else self.b_n.astype(np.int32),
            sigmoid_table(),
            float(self.inverse),
            kernel,
        )

    @property
    def fits_core(self) -> bool:
        """Whether the numbers are as small as core/congru.h wants them."""
        factors = max(int(part.M.max(initial=0)) for part in (self.of_input, self.of_state))
        biases = max(int(np.abs(bias).max(initial=0)) for bias in (self.b_i, self.b_n))
        return factors < 1 << 31 and biases < 1 << 29 and max(self.W.q.shape[1], self.size) <= 60_000

    def inputs(self, x: Array) -> Any:
        """What the input adds to the sums of every step, [T, B, 3H], in 2^-16."""
        steps = x * self.inverse
        self.margin = min(self.margin, float(np.abs(np.abs(steps) % 1 - 0.5).min(initial=0.5)))
        a = _scaled(rounded(steps).clip(-127, 127) @ self._factors[0], self.of_input)
        a += self.b_i
        return a

    def step(self, a: Any, state: State) -> tuple[State, State]:
        """See :class:`congru.runtime.cells.Cell`; the state is a float that is a whole number of 2^-15."""
        H = self.size
        h = to_state(state[0])
        if self.reset_before:
            rz = sigmoid(a[:, : 2 * H] + self._of_state(h, slice(0, 2 * H)))
            r, z = rz[:, :H], rz[:, H:]
            n = tanh(a[:, 2 * H :] + self._of_state((r * h + ONE // 2) >> 15, slice(2 * H, 3 * H)))
        else:
            u = self._of_state(h, slice(0, 3 * H))
            rz = sigmoid(a[:, : 2 * H] + u[:, : 2 * H])
            r, z = rz[:, :H], rz[:, H:]
            n = tanh(a[:, 2 * H :] + ((r * (u[:, 2 * H :] + self.b_n) + ONE // 2) >> 15))
        h = n + ((z * (h - n) + ONE // 2) >> 15)
        return (from_state(h),), tuple(from_state(part) for part in (r, z, n))

    def _of_state(self, h: Whole, rows: slice) -> Whole:
        """m_U (U8 h8) for some rows of U."""
        eighths = np.sign(h) * ((np.abs(h) * 127 + ONE // 2) >> 15)
        part = Multipliers(self.of_state.M[rows], self.of_state.shift)
        U = self._factors[1]
        return _scaled(eighths.astype(U.dtype) @ U[:, rows], part)


def tanh(a: Whole) -> Whole:
    """tanh of sums in 2^-16, in 2^-15."""
    return 2 * sigmoid(2 * a) - ONE


def to_state(h: Array) -> Whole:
    """A float state as whole numbers of 2^-15, at most 32767 of them."""
    return rounded(h.astype(np.float64) * ONE).clip(1 - ONE, ONE - 1).astype(np.int64)


def from_state(h: Whole) -> Array:
    """Whole numbers of 2^-15 as float32, exactly."""
    return (h / ONE).astype(np.float32)


def _factor(q: NDArray[np.int8]) -> NDArray[Any]:
    """The transposed matrix in floats that hold every sum of products exactly."""
    kind = np.float32 if q.shape[1] <= _EXACT_COLUMNS else np.float64
    return np.ascontiguousarray(q.T.astype(kind))


def _scaled(sums: NDArray[Any], factor: Multipliers) -> Whole:
    whole = (sums.astype(np.int64) * factor.M + (1 << (factor.shift - 1))) >> factor.shift
    return whole.clip(-LARGEST_SUM, LARGEST_SUM)


class IntegerRecurrent(Recurrent):
    """A GRU node in integers: `congru.runtime.recurrent.Recurrent` over other cells, the same bits on NumPy and on the core."""

    def __init__(self, form: Form, cells: Sequence[IntegerGRU], backend: str) -> None:
        super().__init__(form, [()] * len(cells), "none")
        native = backend == "native" and binding.is_available() and all(cell.fits_core for cell in cells)
        self.backend, self.cells = "native" if native else "numpy", list(cells)
        self._on_core: list[Any] = []

    def packed(self) -> list[Any]:
        """Every layer and direction on the core, once for all streams."""
        if not self._on_core:
            self._on_core = [cell.packed() for cell in self.cells]
        return self._on_core

    def _run_direction(
        self, index: int, x: Array, state: State, lengths: Any, gates: Array | None
    ) -> tuple[Array, State]:
        reverse = index % self.form.num_directions == 1
        if self.backend == "numpy" or gates is not None:  # gates are recorded by NumPy alone
            return run_cell(self.cells[index], x, state, lengths, reverse, gates)
        h = np.array(state[0], np.float32, order="C")
        return self.packed()[index].sequence(np.ascontiguousarray(x), h, lengths, reverse), (h,)


def runs_in_integers(node: object) -> bool:
    """Whether a node can be computed here: a GRU of either form without layer norm, heads and zoneout."""
    return isinstance(node, RecurrentNode) and node.type == "gru" and not node.form().has_options


def integer_recurrent(
    node: RecurrentNode,
    weights: Mapping[str, Array],
    int8: Mapping[str, Quantised],
    scales: Sequence[float],
    backend: str = "native",
) -> IntegerRecurrent:
    """The node in integers; `int8` are its quantised matrices by its own names, `scales` s_x of the first layer's directions."""
    form, cells = node.form(), []
    for index, end in enumerate(node.ends):
        scale = scales[index] if index < node.num_directions else STATE_SCALE
        W, U = int8[f"weight_ih_{end}"], int8[f"weight_hh_{end}"]
        b_i, b_h = weights.get(f"bias_ih_{end}"), weights.get(f"bias_hh_{end}")
        cells.append(IntegerGRU(W, U, b_i, b_h, form, scale))
    return IntegerRecurrent(form, cells, backend)


def quantised(tensors: Mapping[str, NDArray[Any]]) -> dict[str, Quantised]:
    """The int8 tensors that have their scales beside them."""
    return {
        name: Quantised(array, tensors[name + SCALE])
        for name, array in tensors.items()
        if array.dtype == np.int8 and name + SCALE in tensors
    }


def parse_scales(content: bytes) -> dict[str, dict[str, list[float]]]:
    """The content of int8.json; raises ValueError where it is something else."""
    scales = json.loads(content)
    for nodes in scales.values():
        for node, values in nodes.items():
            if not values or not all(isinstance(v, float) and 0 < v < np.inf for v in values):
                raise ValueError(f"the scales of {node!r} are {values!r}, expected positive numbers")
    return dict(scales)
