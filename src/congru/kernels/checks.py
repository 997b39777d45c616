"""The checks of a call's arrays: of one kind, of fitting shapes and dtypes, on one device; each error is one line with its fix.

NumPy arrays and torch tensors alike; torch is not imported.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import Any

from congru.errors import CongruError, SettingsError, ShapeError, check_shape
from congru.kernels.call import Call, Sequence
from congru.kernels.cells import CELLS, Array, State, Weights, is_tensor
from congru.kernels.options import Options


def check(call: Sequence, one_step: bool) -> Call:
    """Check everything but the values in `lengths`, and describe the call."""
    cell, x, state, weights, lengths, reset, h_reset = call[:7]
    reset_before, options = call.reset_before, call.options
    if cell not in CELLS:
        raise SettingsError(f"cell is {cell!r}, expected one of {', '.join(CELLS)}: pass one of these")
    if reset_before and cell != "gru":
        raise SettingsError(f"reset_before is True, expected False for {cell}: only the gru has this form")
    tensors = is_tensor(x)
    masks = {"zoneout": options.zoneout or (), "recurrent_mask": (options.recurrent_mask,)}
    _check_kind(x, state, weights, lengths, reset, h_reset, masks)
    axes, fix = (
        ("[B, I]", "one step has no time axis") if one_step else ("[B, T, I]", "add axes with x[None]")
    )
    rank = 2 if one_step else 3
    if len(x.shape) != rank:
        check_shape("x", x, axes, (None,) * rank, fix)
    hidden_size = _check_weights(cell, weights, x, options, reset_before)
    _check_state(cell, state, h_reset, x, hidden_size)
    steps = None if one_step else x.shape[1]
    options.check_masks(cell, len(CELLS[cell].states), x.shape[0], steps, hidden_size)
    if tensors:
        _check_tensors(x, weights, state, h_reset, lengths, reset, masks)
    elif x.dtype.kind != "f":
        raise ShapeError(f"x has dtype {x.dtype}, expected a floating dtype: pass x.astype('float32')")
    if not one_step:
        _check_time(x, lengths, reset)
    gradient = tensors and _needs_gradient((x, *weights, *(state or ()), *(h_reset or ())))
    if gradient and options.weight_dtype is not None:
        raise SettingsError(
            f"weight_dtype is {options.weight_dtype!r}, expected None where a gradient is wanted: call under torch.no_grad()"
        )
    return Call(
        cell=cell,
        library="torch" if tensors else "numpy",
        dtype=str(x.dtype).removeprefix("torch."),
        device=x.device.type if tensors else "cpu",
        batch=x.shape[0],
        steps=steps,
        input_size=x.shape[-1],
        hidden_size=hidden_size,
        lengths=lengths is not None,
        reset=reset is not None,
        reverse=call.reverse,
        reset_before=reset_before,
        return_gates=call.return_gates,
        gradient=gradient,
        recompute=call.recompute and gradient,
        options=options.names(),
        weight_dtype=options.weight_dtype,
        num_heads=options.num_heads,
    )


def _check_kind(
    x: Array,
    state: State | None,
    weights: Weights,
    lengths: Array | None,
    reset: Array | None,
    h_reset: State | None,
    masks: dict[str, Any],
) -> None:
    """All arrays are NumPy arrays, or all are torch tensors."""
    tensors = is_tensor(x)
    groups: dict[str, Any] = {"x": (x,), "weights": weights, "h_reset": h_reset or (), **masks}
    groups["state"] = () if state is None else state
    for name, group in {**groups, "lengths": (lengths,), "reset": (reset,)}.items():
        if not isinstance(group, (tuple, list)):
            raise ShapeError(f"{name} is {type(group).__name__}, expected a tuple of arrays: pass ({name},)")
        for array in group:
            if array is None and name != "x":
                continue
            if not hasattr(array, "shape") or is_tensor(array) != tensors:
                kind = "torch.Tensor" if tensors else "numpy.ndarray"
                raise ShapeError(
                    f"{name} is {type(array).__name__}, expected {kind} as x: convert one of them"
                )


def check_blocks(cell: str, names: tuple[str, ...], weights: Weights) -> tuple[int, int]:
    """Check that the named weights are all there, and W [G*H, I] in blocks of a gate each; returns G*H and H."""
    num_gates = len(CELLS[cell].gates)
    if len(weights) != len(names):
        raise ShapeError(
            f"weights has {len(weights)} arrays, expected {len(names)} for {cell}: pass ({', '.join(names)})"
        )
    for name, part in zip(names, weights):
        if part is None and not name.startswith("b_"):
            raise ShapeError(f"{name} is None, expected an array for {cell}: only a bias may be None")
    W: Array = weights[0]
    if len(W.shape) != 2 or W.shape[0] % num_gates:
        raise ShapeError(
            f"W has shape {tuple(W.shape)}, expected [{num_gates}H, I]: {cell} has {num_gates} blocks of rows"
        )
    return W.shape[0], W.shape[0] // num_gates


def _check_weights(cell: str, weights: Weights, x: Array, options: Options, reset_before: bool) -> int:
    """Check the weights against each other and x; returns the hidden size."""
    names = (*CELLS[cell].weights, *options.gains(cell, reset_before))
    rows, hidden_size = check_blocks(cell, names, weights)
    num_gates = len(CELLS[cell].gates)
    columns = options.recurrent_width(hidden_size)
    one_head = columns == hidden_size
    sizes = {"W": (rows, x.shape[-1]), "U": (rows, columns), "g_c": (hidden_size,), "b_c": (hidden_size,)}
    axes = {"W": f"[{num_gates}H, I]", "U": f"[{num_gates}H, H{'' if one_head else '/num_heads'}]"}
    axes |= {"g_c": "[H]", "b_c": "[H]"}
    fixes = {"W": "give W one column for each feature of x"}
    fixes["U"] = f"give U the rows of W and {'H' if one_head else 'H / num_heads'} columns"
    fixes |= {name: "pass ones for the norm alone" for name in ("g_i", "g_h", "g_c")}
    for name, part in zip(names, weights):
        if part is not None and tuple(part.shape) != sizes.get(name, (rows,)):
            fix = fixes.get(name, "pass None for no bias")
            check_shape(name, part, axes.get(name, f"[{num_gates}H]"), sizes.get(name, (rows,)), fix)
    return int(hidden_size)


def _check_state(cell: str, state: State | None, h_reset: State | None, x: Array, hidden_size: int) -> None:
    names = CELLS[cell].states
    if state is not None and len(state) != len(names):
        raise ShapeError(
            f"state has {len(state)} arrays, expected {len(names)} for {cell}: pass ({', '.join(names)},)"
        )
    for name, part in zip(names, state or ()):
        if tuple(part.shape) != (x.shape[0], hidden_size):
            check_shape(name, part, "[B, H]", (x.shape[0], hidden_size), "pass None for zeros")
    for part in h_reset or ():
        if tuple(part.shape) != (hidden_size,):
            check_shape("h_reset", part, "[H]", (hidden_size,), "pass one vector, shared by the batch")


def _check_tensors(
    x: Array,
    weights: Weights,
    state: State | None,
    h_reset: State | None,
    lengths: Array | None,
    reset: Array | None,
    masks: dict[str, Any],
) -> None:
    """Tensors are on one device and of one floating dtype; autocast may change the dtype on the way."""
    for name, part in {"lengths": lengths, "reset": reset}.items():
        if part is not None and part.device != x.device:
            raise ShapeError(
                f"{name} is on {part.device}, expected {x.device} as x: move it with .to(x.device)"
            )
    groups = {"weights": weights, "state": state or (), "h_reset": h_reset or (), **masks}
    for name, group in groups.items():
        for part in group:
            if part is None:
                continue
            # The weights come first: x is held against them, everything else against x.
            (wrong, odd), (other, whole) = ("x", x), (name, part)
            if name != "weights":
                (wrong, odd), (other, whole) = (other, whole), (wrong, odd)
            if part.device != x.device:
                raise ShapeError(
                    f"{wrong} is on {odd.device}, expected {whole.device} as {other}: move it with .to('{whole.device}')"
                )
            if part.dtype != x.dtype and not autocast_joins(part, x):
                raise ShapeError(
                    f"{wrong} has dtype {odd.dtype}, expected {whole.dtype} as {other}: convert with .to({whole.dtype})"
                )
    if not x.dtype.is_floating_point:
        raise ShapeError(f"x has dtype {x.dtype}, expected a floating dtype: pass x.float()")


def autocast_joins(a: Array, b: Array) -> bool:
    """Whether autocast brings two tensors to one dtype, which it does with all floating ones but float64."""
    torch = sys.modules["torch"]
    floating = a.dtype.is_floating_point and b.dtype.is_floating_point
    alike = (a.dtype == torch.float64) == (b.dtype == torch.float64)
    return bool(floating and alike and torch.is_autocast_enabled(a.device.type))


def _check_time(x: Array, lengths: Array | None, reset: Array | None) -> None:
    """Check lengths [B] and reset [B, T] against x [B, T, I]."""
    batch, steps = x.shape[:2]
    if lengths is not None:
        if tuple(lengths.shape) != (batch,):
            check_shape("lengths", lengths, "[B]", (batch,), "pass one length per row of x")
        if "int" not in str(lengths.dtype):
            raise ShapeError(f"lengths has dtype {lengths.dtype}, expected integers: pass whole steps")
    if reset is not None:
        if tuple(reset.shape) != (batch, steps):
            check_shape("reset", reset, "[B, T]", (batch, steps), "pass one flag per row and step of x")
        if "bool" not in str(reset.dtype):
            raise ShapeError(f"reset has dtype {reset.dtype}, expected bool: pass reset != 0")


def check_lengths(lengths: Array, steps: int) -> None:
    """Check the values, where they can be read."""
    if _readable(lengths) and lengths.shape[0]:
        for worst in (int(lengths.min()), int(lengths.max())):
            if not 0 <= worst <= steps:
                raise CongruError(f"lengths holds {worst}, expected 0 to T = {steps}: count the valid steps")


def _readable(array: Array) -> bool:
    """Whether its values are at hand: not on another device (the host would wait), traced or mapped."""
    if not is_tensor(array):
        return True
    torch = sys.modules["torch"]
    traced = torch.compiler.is_compiling() or torch._C._are_functorch_transforms_active()
    return array.device.type == "cpu" and not traced


def _needs_gradient(arrays: Iterable[Array | None]) -> bool:
    return bool(sys.modules["torch"].is_grad_enabled()) and any(
        array is not None and array.requires_grad for array in arrays
    )
