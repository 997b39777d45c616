"""The common form every source is brought to: a stack of recurrent layers as plain arrays, and the run through it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from congru.errors import CongruError, ShapeError, check_shape
from congru.gates.form import Form, as_form
from congru.gates.layer import Layer, make_layer
from congru.gates.recover import marks, starts_of
from congru.gates.simulate import simulate
from congru.gates.weights import Array, as_weights, hidden_size


class Stack(NamedTuple):
    """Recurrent layers as arrays: weights[l][d] is the cell's weight tuple of layer l, direction d (D = 1 or 2).

    `h_reset` holds one array [L*D, H] per part of the state: the learned start, None = zeros. `backward`
    says that a stack of one direction runs from the last step to the first. layer_norm, num_heads (U is [G*H,
    H/num_heads]) and zoneout are the options of `congru.gates.form.Form`.

    >>> layer = Stack("gru", [[(np.ones((3, 2)), np.ones((3, 1)), None, None)]])
    >>> layer.num_layers, layer.num_directions, layer.input_size
    (1, 1, 2)
    """

    cell: str
    weights: Sequence[Sequence[Any]]
    reset_before: bool = False
    name: str = "layer"
    h_reset: tuple[Any, ...] | None = None
    backward: bool = False
    layer_norm: bool | str = False
    num_heads: int = 1
    zoneout: float = 0.0

    @property
    def form(self) -> Form:
        """The equations of every layer."""
        return as_form(Form(self.cell, self.reset_before, self.layer_norm, self.num_heads, self.zoneout))

    @property
    def num_layers(self) -> int:
        """L."""
        return len(self.weights)

    @property
    def num_directions(self) -> int:
        """D."""
        return len(self.weights[0])

    @property
    def input_size(self) -> int:
        """I of the first layer."""
        return int(np.asarray(self.weights[0][0][0]).shape[1])

    @property
    def hidden_size(self) -> int:
        """H."""
        return hidden_size(self.cell, np.asarray(self.weights[0][0][0]))


def check_steps(x: Array, input_size: int | None = None, name: str = "x") -> Array:
    """Return x [B, T, I], one sequence [T, I] as a batch of one; raise where it has no steps or other features."""
    if x.ndim == 2:
        x = x[None]
    check_shape(name, x, "[B, T, I]", (None, None, input_size), f"pass {input_size} features per step")
    if x.shape[1] == 0 or x.shape[0] == 0:
        raise ShapeError(
            f"{name} has shape {tuple(x.shape)}, expected at least one row and one step (T >= 1): there is "
            "nothing to see"
        )
    return x


def trace_stack(
    stack: Stack,
    x: npt.ArrayLike,
    *,
    state: tuple[Any, ...] | None = None,
    y: npt.ArrayLike | None = None,
    lengths: npt.ArrayLike | None = None,
    reset: npt.ArrayLike | None = None,
    precision: str = "",
) -> tuple[tuple[Layer, ...], ...]:
    """Return the layers [L][D] with their gates for x [B, T, I].

    state: one array [L*D, B, H] per part (h; LSTM h and c), None = the learned start or zeros. `y` [B, T,
    D*H] is what the top layer returned; without it, and for the layers below, the equations are run here
    step by step. `precision`: what the layers computed in, where y does not tell.
    """
    array = np.asarray(x)
    if array.dtype.kind not in "fiu":
        raise ShapeError(f"x has dtype {array.dtype}, expected real numbers: pass floats [B, T, I]")
    array = check_steps(array.astype(np.result_type(array.dtype, np.float32), copy=False), stack.input_size)
    layers: list[tuple[Layer, ...]] = []
    for depth, directions in enumerate(stack.weights):
        outputs = None
        if y is not None and depth == stack.num_layers - 1:
            outputs = np.split(np.asarray(y), stack.num_directions, axis=2)
        row = []
        for way, weights in enumerate(directions):
            start, restart = _starts(stack, state, depth * stack.num_directions + way, array.shape[0])
            shared: dict[str, Any] = {
                "lengths": lengths,
                "reset": reset,
                "reverse": way == 1 or stack.backward,
            }
            output = (
                outputs[way]
                if outputs is not None
                else _run(stack.form, array, weights, start, restart, **shared)
            )
            name = _layer_name(stack, depth, way)
            row.append(
                make_layer(
                    name,
                    stack.form,
                    array,
                    output,
                    weights,
                    start,
                    h_reset=restart,
                    precision=precision,
                    **shared,
                )
            )
        layers.append(tuple(row))
        array = np.concatenate([layer.y for layer in row], axis=2)
    return tuple(layers)


def _starts(stack: Stack, state: tuple[Any, ...] | None, index: int, num_batch: int) -> tuple[Any, Any]:
    """The start ([B, H], ...) or None, and the restart ([H], ...) or None, of one layer and direction."""
    restart = None if stack.h_reset is None else tuple(np.asarray(part)[index] for part in stack.h_reset)
    if state is not None:
        num_parts = 2 if stack.cell == "lstm" else 1
        if len(state) != num_parts:
            parts = "(h, c)" if num_parts == 2 else "h alone"
            raise CongruError(
                f"h0 has {len(state)} parts, expected {parts} for {stack.cell}: or pass h0=None"
            )
        size = (stack.num_layers * stack.num_directions, num_batch, stack.hidden_size)
        for part in state:
            check_shape("h0", np.asarray(part), "[L*D, B, H]", size, "pass h0=None for the model's own start")
        return tuple(np.asarray(part)[index] for part in state), restart
    if restart is not None:
        return tuple(np.broadcast_to(part, (num_batch, len(part))) for part in restart), restart
    return None, None


def _run(
    form: Form,
    x: Array,
    weights: Any,
    state: Any,
    h_reset: Any,
    *,
    lengths: npt.ArrayLike | None,
    reset: npt.ArrayLike | None,
    reverse: bool,
) -> Array:
    """What the layer returns for x, by the equations."""
    num_batch, num_steps, _ = x.shape
    checked = as_weights(form, weights, x.dtype)
    valid, is_first = marks(lengths, reset, num_batch, num_steps, reverse)
    start, restart = starts_of(
        form.cell, state, h_reset, (num_batch, hidden_size(form.cell, checked.W)), x.dtype
    )
    y, _ = simulate(
        form, np.where(valid[:, :, None], x, 0), checked, start, restart, valid=valid, is_first=is_first,
        reverse=reverse,
    )  # fmt: skip
    return y


def _layer_name(stack: Stack, depth: int, way: int) -> str:
    name = stack.name
    if stack.num_layers > 1:
        name += f" layer {depth + 1}"
    if stack.num_directions > 1:
        name += " backward" if way else " forward"
    return name
