"""Weights packed once for the C core, and shared: by steppers, by sequences, by threads.

`pack` copies the weights of one layer in one direction into an immutable `Packed`. A stepper holds states only, so that a
thousand streams of a model cost a thousand states; `Packed.advance` steps many of them in one call, and `Packed.sequence`
runs whole sequences. float32 and float64; whatever is computed has the same bits for any batch, chunking and number of threads.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Protocol

import numpy as np

from congru.errors import SettingsError, ShapeError, check_shape
from congru.kernels import heads
from congru.kernels.binding import CODES, DTYPES, WEIGHT_DTYPES, aligned, extension
from congru.kernels.cells import CELLS, Array, State, Weights
from congru.kernels.checks import check_blocks
from congru.kernels.rounding import rounded
from congru.reference.option_equations import gain_names
from congru.reference.options import check_heads


class Stepper(Protocol):
    """States that step on packed weights: for one thread at a time. Arrays are contiguous and of the weights' dtype."""

    def step(self, x: Array, /) -> Array:
        """One step ``x [B, I] -> y [B, H]``: the stepper's own array, overwritten by the next step."""

    def read(self, *state: Array) -> None:
        """Copy the state out, into h [B, H] and, for the LSTM, c [B, H]."""

    def write(self, *state: Array) -> None:
        """Copy a state in, from h [B, H] and, for the LSTM, c [B, H]."""

    def copy(self) -> Stepper:
        """Another stepper in the same state, on the same weights."""


class Packed:
    """The weights of one layer in one direction, packed by `pack`. Immutable: any number of threads may use it at once.

    `handles` are the core's objects, one for each head: ``_core.forward(packed=handle, ...)`` runs on one.
    """

    __slots__ = ("cell", "dtype", "handles", "hidden_size", "input_size")

    def __init__(
        self, cell: str, dtype: np.dtype[Any], handles: tuple[Any, ...], input_size: int, hidden_size: int
    ) -> None:
        self.cell, self.dtype, self.handles = cell, dtype, handles
        self.input_size, self.hidden_size = input_size, hidden_size

    def __deepcopy__(self, memo: dict[int, Any]) -> Packed:
        return self

    def stepper(self, batch: int = 1, state: State | None = None) -> Stepper:
        """States that start as `state`, a tuple of [B, H] (None: zeros), and step on these weights.

        >>> weights = [np.ones(shape, "float32") for shape in ((6, 3), (6, 2), (6,), (6,))]
        >>> one = pack("gru", weights).stepper()
        >>> one.step(np.zeros((1, 3), "float32")).shape
        (1, 2)
        """
        if isinstance(batch, bool) or not isinstance(batch, (int, np.integer)) or batch < 0:
            raise SettingsError(f"batch is {batch!r}, expected a whole number from 0: pass 1 for one row")
        parts = [handle.stepper(int(batch)) for handle in self.handles]
        made: Stepper = parts[0] if len(parts) == 1 else _HeadsStepper(self, int(batch), parts)
        if state is not None:
            made.write(*self._checked_state(state, int(batch)))
        return made

    def advance(self, steppers: Sequence[Stepper], x: Array) -> Array:
        """One step of N steppers of these weights, each of batch 1 and given once: ``x [N, I] -> y [N, H]``.

        Every row has the bits of its stepper stepped alone. Other threads run meanwhile. Raises `ShapeError` for a stepper
        of other weights, of another batch, or in use.

        >>> packed = pack("rnn", [np.ones(shape, "float32") for shape in ((2, 3), (2, 2), (2,), (2,))])
        >>> packed.advance([packed.stepper(), packed.stepper()], np.zeros((2, 3), "float32")).shape
        (2, 2)
        """
        if len(self.handles) == 1:
            y: Array = self.handles[0].advance(steppers, x)
            return y
        for number, stepper in enumerate(steppers):
            if not isinstance(stepper, _HeadsStepper):
                raise ShapeError(
                    f"steppers[{number}] is {type(stepper).__name__}, expected one made by stepper():"
                    " pass steppers of one packed"
                )
        parts = [
            handle.advance([stepper.parts[head] for stepper in steppers], x)  # type: ignore[attr-defined]
            for head, handle in enumerate(self.handles)
        ]
        return np.concatenate(parts, axis=1)

    def sequence(
        self,
        x: Array,
        state: State | None = None,
        *,
        lengths: Array | None = None,
        reset: Array | None = None,
        h_reset: State | None = None,
        reverse: bool = False,
        return_gates: bool = False,
    ) -> tuple[Array, State, Array | None]:
        """Run ``x [B, T, I]``: y [B, T, H], the final state, and gates [B, T, G, H] or None; see `congru.ops.sequence`.

        Bit for bit what `congru.ops.sequence` gives on the native backend, without packing the weights again.

        >>> packed = pack("rnn", [np.ones(shape, "float32") for shape in ((2, 3), (2, 2), (2,), (2,))])
        >>> packed.sequence(np.zeros((4, 5, 3), "float32"))[0].shape
        (4, 5, 2)
        """
        x = self._checked_input(x)
        B, T, _ = x.shape
        if state is not None:
            state = self._checked_state(state, B)
        if lengths is not None:
            check_shape("lengths", lengths, "[B]", (B,), "pass one length per row of x")
            lengths = aligned(lengths, np.int64)
            if B and not 0 <= int(lengths.min()) <= int(lengths.max()) <= T:
                raise ShapeError(
                    f"lengths is {lengths.tolist()}, expected 0 to T = {T}: count the valid steps"
                )
        if reset is not None:
            check_shape("reset", reset, "[B, T]", (B, T), "pass one flag per row and step of x")
            reset = np.ascontiguousarray(reset, np.bool_)
        for part in h_reset or ():
            check_shape("h_reset", part, "[H]", (self.hidden_size,), "pass one vector, shared by the batch")
        count, parts = len(self.handles), []
        for head, handle in enumerate(self.handles):
            start = None if state is None else heads.units_of_head(state, count, head)
            restart = None if h_reset is None else heads.units_of_head(h_reset, count, head)
            parts.append(self._run(handle, x, start, restart, lengths, reset, int(reverse), return_gates))
        if count == 1:
            return parts[0]
        y, finals, gates = zip(*parts)
        final = tuple(np.concatenate(part, axis=-1) for part in zip(*finals))
        return np.concatenate(y, axis=-1), final, np.concatenate(gates, axis=-1) if return_gates else None

    def _run(
        self,
        handle: Any,
        x: Array,
        state: State | None,
        h_reset: State | None,
        lengths: Array | None,
        reset: Array | None,
        reverse: int,
        return_gates: bool,
    ) -> tuple[Array, State, Array | None]:
        """One head of a checked call."""
        (B, T, _), H = x.shape, self.hidden_size // len(self.handles)
        G, num_states, size = len(CELLS[self.cell].gates), len(CELLS[self.cell].states), self.dtype.itemsize
        y = np.empty((B, T, H), self.dtype)
        final = tuple(np.empty((B, H), self.dtype) for _ in range(num_states))
        gates = np.empty((B, T, G, H), self.dtype) if return_gates else None
        start = [aligned(part, self.dtype) for part in state or ()]
        restart = [aligned(part, self.dtype) for part in h_reset or ()]
        extension().forward(
            packed=handle,
            reverse=reverse,
            B=B,
            T=T,
            x_batch=x.strides[0] // size,
            x_time=x.strides[1] // size,
            y_batch=T * H,
            y_time=H,
            gates_batch=T * G * H,
            gates_time=G * H,
            **_addresses(x=x, y=y, gates=gates, lengths=lengths, reset=reset),
            **_addresses(**dict(zip(("h0", "c0"), start)), **dict(zip(("h_reset", "c_reset"), restart))),
            **_addresses(**dict(zip(("h", "c"), final))),
        )
        return y, final, gates

    def _checked_input(self, x: Array) -> Array:
        """x [B, T, I] with whole numbers of elements between its rows and steps."""
        fix = f"pass {self.dtype} features as the weights'"
        check_shape("x", x, "[B, T, I]", (None, None, self.input_size), fix)
        if x.dtype != self.dtype:
            raise ShapeError(f"x has dtype {x.dtype}, expected {self.dtype} as the weights: convert it")
        size = self.dtype.itemsize
        straight = x.strides[2] == size and not x.strides[0] % size and not x.strides[1] % size
        return x if straight and x.flags.aligned else aligned(x)

    def _checked_state(self, state: State, batch: int) -> State:
        names = CELLS[self.cell].states
        if len(state) != len(names):
            raise ShapeError(
                f"state has {len(state)} arrays, expected {len(names)} for {self.cell}: pass ({', '.join(names)},)"
            )
        for name, part in zip(names, state):
            check_shape(name, part, "[B, H]", (batch, self.hidden_size), "pass None for zeros")
        return tuple(aligned(part, self.dtype) for part in state)


def pack(
    cell: str,
    weights: Weights | Sequence[Array | None],
    *,
    reset_before: bool = False,
    layer_norm: bool | str = False,
    num_heads: int = 1,
    zoneout: float = 0.0,
    weight_dtype: str | None = None,
) -> Packed:
    """Pack the NumPy weights (W, U, b_i, b_h and the gains of a layer norm; biases may be None) of one layer.

    Options as in :func:`congru.ops.sequence`; `zoneout` is the share of the old state that every step keeps. Raises
    `SettingsError` for an option the core has not, `ShapeError` for weights that do not fit.
    """
    if (cell, reset_before) not in CODES:
        raise SettingsError(f"cell is {cell!r}, expected one of gru, lstm, rnn: the core packs no other")
    if weight_dtype not in WEIGHT_DTYPES:
        raise SettingsError(
            f"weight_dtype is {weight_dtype!r}, expected None or 'bfloat16': pass one of these"
        )
    if weight_dtype and layer_norm:
        raise SettingsError(
            f"weight_dtype is {weight_dtype!r}, expected None with layer norm: the core has no such weights"
        )
    if not 0 <= zoneout < 1:
        raise SettingsError(f"zoneout is {zoneout!r}, expected 0 to below 1: pass the share that is kept")
    names = (*CELLS[cell].weights, *gain_names(cell, layer_norm, reset_before, num_heads))
    parts = _checked_weights(cell, names, tuple(weights), num_heads)
    W, U = parts[0], parts[1]
    if weight_dtype and W.dtype != np.float32:
        parts, weight_dtype = rounded(cell, parts), None
    num_gates, H = len(CELLS[cell].gates), U.shape[1]
    share = np.full(H, zoneout, W.dtype) if zoneout else None
    zones = dict.fromkeys(("zoneout", "zoneout_c")[: len(CELLS[cell].states)], share)
    handles = []
    for head in range(num_heads):
        own = parts if num_heads == 1 else heads.weights_of_head(parts, num_gates, num_heads, head)
        arrays = {name: None if part is None else aligned(part) for name, part in zip(names, own)}
        handles.append(
            extension().Packed(
                cell=CODES[cell, reset_before],
                dtype=DTYPES[str(W.dtype)],
                weight_dtype=WEIGHT_DTYPES[weight_dtype],
                I=W.shape[1],
                H=H,
                **_addresses(**arrays, **zones),
            )
        )
    return Packed(cell, W.dtype, tuple(handles), W.shape[1], H * num_heads)


def _checked_weights(cell: str, names: Sequence[str], weights: Weights, num_heads: int) -> tuple[Array, ...]:
    """The weights, contiguous, all of one dtype and of fitting shapes."""
    rows, H = check_blocks(cell, tuple(names), weights)
    num_gates = len(CELLS[cell].gates)
    W: Array = weights[0]
    if not rows:
        raise ShapeError(
            f"W has shape {tuple(W.shape)}, expected [{num_gates}H, I]: {cell} has {num_gates} blocks of rows"
        )
    if str(W.dtype) not in DTYPES:
        raise ShapeError(f"W has dtype {W.dtype}, expected float32 or float64: convert it")
    if num_heads != 1 or num_heads is True:
        check_heads(num_heads, H)
    sizes = {"W": (rows, W.shape[1]), "U": (rows, H // num_heads), "g_c": (H,), "b_c": (H,)}
    axes = {"U": f"[{num_gates}H, H{'' if num_heads == 1 else '/num_heads'}]", "g_c": "[H]", "b_c": "[H]"}
    for name, part in zip(names, weights):
        if part is None:
            continue
        fix = "give it the rows of W" if name in axes else "pass one value for each row of W"
        check_shape(name, part, axes.get(name, f"[{num_gates}H]"), sizes.get(name, (rows,)), fix)
        if part.dtype != W.dtype:
            raise ShapeError(f"{name} has dtype {part.dtype}, expected {W.dtype} as W: convert it")
    return tuple(None if part is None else aligned(part) for part in weights)


def _addresses(**arrays: Array | None) -> dict[str, int]:
    return {name: array.ctypes.data for name, array in arrays.items() if array is not None}


class _HeadsStepper:
    """The steppers of every head, as one: each head sees the whole x and its own units."""

    def __init__(self, packed: Packed, batch: int, parts: list[Any]) -> None:
        self.parts, self._packed, self._batch = parts, packed, batch
        self._units = packed.hidden_size // len(parts)
        self._y = np.empty((batch, packed.hidden_size), packed.dtype)

    def step(self, x: Array, /) -> Array:
        """See `Stepper`."""
        return np.concatenate([part.step(x) for part in self.parts], axis=1, out=self._y)

    def read(self, *state: Array) -> None:
        """See `Stepper`."""
        self._check(state)
        for units, part in self._columns():
            own = [np.empty((self._batch, self._units), self._packed.dtype) for _ in state]
            part.read(*own)
            for whole, array in zip(state, own):
                whole[:, units] = array

    def write(self, *state: Array) -> None:
        """See `Stepper`."""
        self._check(state)
        for units, part in self._columns():
            part.write(*(np.ascontiguousarray(whole[:, units]) for whole in state))

    def copy(self) -> _HeadsStepper:
        """See `Stepper`."""
        return _HeadsStepper(self._packed, self._batch, [part.copy() for part in self.parts])

    def _columns(self) -> Iterator[tuple[slice, Any]]:
        for head, part in enumerate(self.parts):
            yield slice(head * self._units, (head + 1) * self._units), part

    def _check(self, state: State) -> None:
        names = CELLS[self._packed.cell].states
        if len(state) != len(names):
            raise TypeError(f"expected {len(names)} arrays, the state of the cell")
        for name, part in zip(names, state):
            check_shape(
                name, part, "[B, H]", (self._batch, self._packed.hidden_size), "pass an array of the state"
            )
