"""Other libraries' layouts of a GRU, LSTM or RNN, to and from the canonical one: what they mean.

The libraries, their rows, biases and senses of z: `congru.reference.systems`. Arrays and layers: `congru.reference.layouts`.

What cannot be said exactly is refused, never approximated: reset before and after are different functions;
the bias of the candidate's recurrent product can be merged into the input bias only for reset before, where
both are added; other activations, clipping and peepholes are other cells. Reading changes nothing but order,
shape, where z writes the sign of the z rows (sigmoid(-a) = 1 - sigmoid(a)), and where a library adds a number to the
forget gate the forget gate's bias; the dtype stays.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from congru.errors import ConventionError, SettingsError, ShapeError
from congru.reference.layouts import Numbers
from congru.reference.systems import FORGET_BIAS, ROWS, SYSTEMS, System


class Canonical(NamedTuple):
    """Weights (W, U, b_i, b_h) in the canonical row order; a bias is None where the layer has none."""

    weights: tuple[Numbers, Numbers, Numbers | None, Numbers | None]
    reset_before: bool


class Foreign(NamedTuple):
    """A system's arrays, and the options that `to_canonical` needs to read them back."""

    arrays: dict[str, Numbers]
    options: dict[str, Any]


def to_canonical(
    system: str,
    arrays: Mapping[str, npt.ArrayLike],
    *,
    cell: str = "gru",
    z: str | None = None,
    **options: Any,
) -> Canonical:
    """Return the canonical weights of one layer, one direction, stored as `system` stores it.

    options are the system's own: keras reset_after, activation, recurrent_activation; onnx linear_before_reset, clip,
    activations, input_forget; tensorflow1 and haiku LSTM forget_bias; onnx, ncnn and oneDNN `direction`, oneDNN `layer`
    (default 0): which one to read. An option not given has the system's default. `z` = "keep" | "write" overrides the
    sense of z. Raises ConventionError for what the canonical cell cannot compute, ShapeError for wrong arrays,
    SettingsError for wrong names.

    >>> kernel, recurrent = np.arange(6.0).reshape(1, 6), np.zeros((2, 6))
    >>> weights, reset_before = to_canonical("keras", {"kernel": kernel, "recurrent_kernel": recurrent})
    >>> weights[0].ravel().tolist(), reset_before
    ([2.0, 3.0, 0.0, 1.0, 4.0, 5.0], False)
    """
    row = _find(system, cell)
    numbers = {name: np.asarray(array) for name, array in arrays.items()}
    options, reset_before = _check_options(system, row, cell, options)
    _check_arrays(system, row, cell, numbers, options)
    W, U, b_i, b_h = (
        None if part is None else _reorder(part, row.rows[cell], ROWS[cell])
        for part in row.layout_of(cell).read(numbers, options)
    )
    assert W is not None
    assert U is not None
    if cell == "lstm":
        b_i = _add_to_forget_gate(b_i, U, options.get(FORGET_BIAS, row.forget_bias))
    if cell == "gru" and _sense(row, z) == "write":
        W, U, b_i, b_h = negate_z((W, U, b_i, b_h))
    return Canonical((W, U, b_i, b_h), reset_before)


def from_canonical(
    system: str,
    weights: tuple[Any, Any, Any, Any],
    reset_before: bool = False,
    *,
    cell: str = "gru",
    z: str | None = None,
    forget_bias: float | None = None,
) -> Foreign:
    """Return the arrays of `system` for canonical weights of one layer, one direction, with the options they
    need. `forget_bias`: what the LSTM there adds to its forget gate, None = the system's default.

    The inverse of `to_canonical(system, arrays, cell=cell, **options)`. ONNX and oneDNN arrays have L = D =
    1: join directions with np.concatenate. Where the system has one bias, biases are merged, which is exact
    where allowed. Raises ConventionError where the system cannot compute the cell.

    >>> W, U = np.ones((3, 2)), np.ones((3, 1))
    >>> arrays, options = from_canonical("onnx", (W, U, None, None), reset_before=True)
    >>> {name: array.shape for name, array in arrays.items()}, options
    ({'W': (1, 3, 2), 'R': (1, 3, 1)}, {'linear_before_reset': 0})
    """
    row = _find(system, cell)
    options: dict[str, Any] = {}
    if cell == "gru" and row.reset in ("after", "before"):
        if reset_before != (row.reset == "before"):
            raise ConventionError(
                f"reset_before is {reset_before}, expected {not reset_before} for {system}, which resets "
                f"{row.reset} the recurrent product: these are two functions, not two layouts; train with "
                f"reset_before={not reset_before}, or choose a system that has both"
            )
    elif cell == "gru":
        options[row.reset] = row.reset_values[1 if reset_before else 0]
    elif reset_before:
        raise SettingsError(f"reset_before is True, expected False for {cell}: only the GRU has a reset gate")
    W, U, b_i, b_h = (None if part is None else np.asarray(part) for part in weights)
    assert W is not None
    assert U is not None
    if cell == "gru" and _sense(row, z) == "write":
        W, U, b_i, b_h = negate_z((W, U, b_i, b_h))
    b_i, b_h = _biases(row.layout_of(cell).biases(options), b_i, b_h, cell == "gru" and not reset_before)
    if cell == "lstm" and (row.forget_bias or forget_bias is not None):
        _check_options(system, row, cell, {} if forget_bias is None else {FORGET_BIAS: forget_bias})
        b_i = _add_to_forget_gate(b_i, U, -(row.forget_bias if forget_bias is None else forget_bias))
        options |= {} if forget_bias is None else {FORGET_BIAS: forget_bias}
    W, U, b_i, b_h = (
        None if part is None else _reorder(part, ROWS[cell], row.rows[cell]) for part in (W, U, b_i, b_h)
    )
    assert W is not None
    assert U is not None
    return Foreign(row.layout_of(cell).write(W, U, b_i, b_h, options), options)


def negate_z(
    weights: tuple[Numbers, Numbers, Numbers | None, Numbers | None],
) -> tuple[Numbers, Numbers, Numbers | None, Numbers | None]:
    """Return GRU weights with the z rows negated: a z that writes becomes one that keeps, and back,
    exactly.
    """

    def negate(part: Numbers) -> Numbers:
        r, z, n = np.split(part, 3)
        return np.concatenate([r, -z, n])

    W, U, b_i, b_h = weights
    return negate(W), negate(U), None if b_i is None else negate(b_i), None if b_h is None else negate(b_h)


def _add_to_forget_gate(b: Numbers | None, U: Numbers, amount: float) -> Numbers | None:
    """Return the bias [4H] in the canonical order with the forget gate's share moved; None where nothing is to add."""
    if not amount:
        return b
    b, num_hidden = np.zeros(len(U), U.dtype) if b is None else b.copy(), U.shape[1]
    b[num_hidden : 2 * num_hidden] += amount
    return b


def merge_biases(b_i: Numbers | None, b_h: Numbers | None, reset_after: bool) -> Numbers | None:
    """Return b_i + b_h [GH], the one bias of a cell that adds both in the same place; None + None = None.

    Under reset after, r multiplies b_hn (the last third of b_h): raises ConventionError unless it is zero.
    """
    if reset_after and b_h is not None and np.any(np.split(b_h, 3)[2]):
        raise ConventionError(
            "b_hn is not zero, expected zeros to merge it into b_in: reset after multiplies it by r, "
            "n = tanh(W_n x + b_in + r * (U_n h + b_hn)); keep two biases, or train with reset_before=True"
        )
    return b_h if b_i is None else b_i if b_h is None else b_i + b_h


def _biases(
    kind: str, b_i: Numbers | None, b_h: Numbers | None, reset_after: bool
) -> tuple[Numbers | None, Numbers | None]:
    """Return b_i and b_h as a system with this kind of biases stores them; both or none."""
    if b_i is None and b_h is None:
        return None, None
    if kind == "one":
        return merge_biases(b_i, b_h, reset_after), None
    one = b_i if b_i is not None else b_h
    assert one is not None
    b_i, b_h = (np.zeros_like(one) if part is None else part for part in (b_i, b_h))
    if kind == "two":
        return b_i, b_h
    b_hn = b_h.copy()
    b_hn[: len(b_h) // 3 * 2] = 0
    return b_i + (b_h - b_hn), b_hn


def _find(system: str, cell: str) -> System:
    """Return the row of the table, or raise SettingsError for an unknown name."""
    if system not in SYSTEMS:
        raise SettingsError(
            f"system is {system!r}, expected one of {', '.join(SYSTEMS)}: pass one of these names"
        )
    having = [name for name, row in SYSTEMS.items() if cell in row.rows]
    if not having:
        raise SettingsError(f"cell is {cell!r}, expected one of {', '.join(ROWS)}: pass one of these names")
    if system not in having:
        raise SettingsError(
            f"system is {system!r}, expected one of {', '.join(having)} for {cell}: pass one of these"
        )
    return SYSTEMS[system]


def _sense(row: System, z: str | None) -> str:
    """Return the sense of z: the system's, unless the caller says otherwise."""
    if z not in (None, "keep", "write"):
        raise SettingsError(f"z is {z!r}, expected 'keep' or 'write': z=None takes the system's own sense")
    return z or row.z


def _check_options(
    system: str, row: System, cell: str, options: dict[str, Any]
) -> tuple[dict[str, Any], bool]:
    """Return the options with defaults, and reset_before; raise for names and values that cannot be."""
    by_option = cell == "gru" and row.reset not in ("after", "before")
    known = [row.reset] if by_option else []
    known += [*row.positions, *(name for name, values in row.must_be.items() if cell in values)]
    known += [FORGET_BIAS] if cell == "lstm" and row.forget_bias else []
    for name, value in options.items():
        if name not in known:
            raise SettingsError(
                f"{name} is not an option of {system} for {cell}, "
                f"expected one of {', '.join(known) or 'none'}: leave it out"
            )
        if name in row.must_be:
            _check_same_cell(name, value, row.must_be[name][cell], cell)
    settled = {**dict.fromkeys(row.positions, 0), **options}
    if not by_option:
        return settled, cell == "gru" and row.reset == "before"
    after, before, default = row.reset_values
    settled.setdefault(row.reset, default)
    if settled[row.reset] not in (after, before):
        raise SettingsError(
            f"{row.reset} is {settled[row.reset]!r}, expected {after} or {before}: pass one of them"
        )
    return settled, bool(settled[row.reset] == before)


def _check_same_cell(name: str, value: Any, expected: Any, cell: str) -> None:
    """Raise ConventionError where an option makes the layer another function; None is the default."""
    written = value
    if name == "activations" and value is not None:
        # ONNX ignores the case, and lists them once per direction.
        written = [str(part).capitalize() for part in value]
        written = expected if written == expected * 2 else written
    if value is not None and written != expected:
        raise ConventionError(
            f"{name} is {value!r}, expected {expected!r}: a layer with another {name} computes another "
            f"function than the {cell} here, so it is not converted; train it with the default"
        )


def _reorder(part: Numbers, rows: str, wanted: str) -> Numbers:
    """Return the blocks of H rows of `part`, given in the order `rows`, in the order `wanted`."""
    blocks = dict(zip(rows, np.split(part, len(rows))))
    return np.concatenate([blocks[gate] for gate in wanted])


def _check_arrays(
    system: str, row: System, cell: str, arrays: Mapping[str, Numbers], options: Mapping[str, Any]
) -> None:
    """Raise unless the arrays have the system's names and shapes that fit each other."""
    layout = row.layout_of(cell)
    shapes = layout.shapes(options)
    needed = [name for name in shapes if name not in layout.optional]
    unknown, missing = sorted(set(arrays) - set(shapes)), sorted(set(needed) - set(arrays))
    if unknown or missing:
        raise ConventionError(
            f"arrays has {', '.join(sorted(arrays))}, expected {', '.join(needed)} and at most "
            f"{', '.join(layout.optional) or 'nothing else'} for {system} {cell}: "
            + (f"{', '.join(unknown)} has no place in this cell" if unknown else f"add {', '.join(missing)}")
        )
    sizes: dict[str, int] = {}
    for name, axes in shapes.items():
        if name in arrays:
            written = axes.replace("2GH", f"{2 * len(ROWS[cell])}H").replace("GH", f"{len(ROWS[cell])}H")
            _check_axes(system, name, arrays[name].shape, written, sizes, options)
    for name in row.positions:
        count = sizes["L" if name == "layer" else "D"]
        if not 0 <= options[name] < count:
            raise SettingsError(
                f"{name} is {options[name]}, expected 0 to {count - 1}: the arrays have {count}"
            )


def _check_axes(
    system: str,
    name: str,
    shape: tuple[int, ...],
    axes: str,
    sizes: dict[str, int],
    options: Mapping[str, Any],
) -> None:
    """Solve one written shape, last axis first, adding what it says about H, I, D, L to `sizes`."""
    tokens = axes.strip("[]").split(", ")
    fits = len(tokens) == len(shape)
    for token, size in reversed(list(zip(tokens, shape))):
        if token == "I+H":
            token, size = "I", size - sizes["H"]
            fits = fits and size > 0
        match = re.fullmatch(r"(\d*)([A-Z]?)", token)
        assert match is not None
        count, letter = int(match[1] or 1), match[2]
        if letter:
            fits = fits and size % count == 0 and sizes.setdefault(letter, size // count) == size // count
        else:
            fits = fits and size == count
    if not fits:
        known = ", ".join(f"{letter} = {size}" for letter, size in sorted(sizes.items()))
        with_options = "".join(f", {option}={value!r}" for option, value in sorted(options.items()))
        raise ShapeError(
            f"{name} has shape {shape}, expected {axes} with {known} ({system}{with_options}): "
            f"pass one layer's arrays and options as {system} stores them"
        )
