"""From the arguments of a call to what a backend judges of them, checked: the only check between the user and a kernel.

The rules are in `congru.kernels.checks`. A call of a kind that was found right is not checked again.
"""

from __future__ import annotations

import sys
from typing import Any

import numpy as np

from congru.kernels.call import Call, Sequence
from congru.kernels.cells import Array, State, Weights
from congru.kernels.checks import check, check_lengths


def describe(call: Sequence, *, one_step: bool = False) -> Call:
    """Check the arguments of `ops.sequence` (or `ops.step` if `one_step`: x is [B, I]) and describe the call."""
    cell, x, state, weights, lengths, reset, h_reset, *flags, options = call
    mask = options.recurrent_mask
    settings = (cell, *flags, one_step, options.layer_norm, options.num_heads, options.weight_dtype)
    more = None if lengths is reset is mask is None else (lengths, reset, mask)
    key = _signature(settings, x, more, state, weights, h_reset, options.zoneout)
    kind = None if key is None else _checked.get(key)
    if kind is None:
        kind = check(call, one_step)
        _remember(key, kind)
    if lengths is not None:
        check_lengths(lengths, x.shape[1])
    return kind


def describe_step(cell: str, x: Array, state: State | None, weights: Weights) -> Call:
    """`describe` of one step without options, in fewer microseconds."""
    key = _signature((cell, "step"), x, None, state, weights)
    kind = None if key is None else _checked.get(key)
    if kind is None:
        kind = describe(Sequence(cell, x, state, weights), one_step=True)
        _remember(key, kind)
    return kind


# Calls that were found right, by all that the checks look at: a step then costs microseconds, not tens of them.
_checked: dict[tuple[Any, ...], Call] = {}
_MOST_CHECKED = 1024


def _remember(key: tuple[Any, ...] | None, kind: Call) -> None:
    if key is None:
        return
    if len(_checked) >= _MOST_CHECKED:
        _checked.clear()
    _checked[key] = kind


def _signature(
    settings: tuple[Any, ...], x: Array, more: tuple[Array | None, ...] | None, *groups: Any
) -> tuple[Any, ...] | None:
    """All that `_check` and the `Call` depend on; None where that is more than can be a key, or x is not alone in its kind.

    `more` are arrays of any dtype; tensors in `groups` must be of the dtype and on the device of x.
    """
    if type(x) is np.ndarray:
        return _array_signature(settings, x, more, *groups)
    torch = sys.modules.get("torch")
    if torch is None or torch.compiler.is_compiling():
        return None
    Tensor, Parameter = torch.Tensor, torch.nn.Parameter
    if type(x) is not Tensor and type(x) is not Parameter:
        return None
    dtype, cpu, device = x.dtype, x.is_cpu, x.device
    gradient = torch.is_grad_enabled()
    needed = gradient and x.requires_grad
    key: list[Any] = [settings, x.shape, dtype, device]
    for array in more or ():
        if array is not None and (type(array) is not Tensor or array.device != device):
            return None
        key += (None,) if array is None else (array.shape, array.dtype)
    for group in groups:
        if group is None:
            key.append(None)
            continue
        if type(group) is not tuple:
            return None
        key.append(len(group))
        for array in group:
            if array is None:
                key.append(None)
                continue
            kind = type(array)
            if (kind is not Parameter and kind is not Tensor) or array.dtype is not dtype:
                return None
            if not (array.is_cpu if cpu else array.device == device):
                return None
            key.append(array.shape)
            if gradient and not needed:
                needed = array.requires_grad
    key.append(needed)
    return tuple(key)


def _array_signature(settings: tuple[Any, ...], x: Array, *groups: Any) -> tuple[Any, ...] | None:
    """`_signature` of NumPy arrays."""
    key: list[Any] = [settings, x.shape, x.dtype]
    for group in groups:
        if group is None:
            key.append(None)
            continue
        if type(group) is not tuple:
            return None
        key.append(len(group))
        for array in group:
            if array is None:
                key.append(None)
            elif type(array) is not np.ndarray:
                return None
            else:
                key += (array.shape, array.dtype)
    return tuple(key)
