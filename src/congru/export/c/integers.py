"""C of a GRU in integers, the same numbers as `congru.runtime.integer`."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from congru.export.c.writer import Call, Value, Writer, literal, offset
from congru.runtime.integer import IntegerGRU, sigmoid_table

_TABLE = sigmoid_table()


def integer_layers(c: Writer, call: Call, x: Value) -> Value:
    """Every layer in integers; the output of the last as floats."""
    assert call.integers is not None
    name, (state,) = call.node.name, call.state.values()
    c.int16.add(state.text.removeprefix("self->"))
    for layer, cell in enumerate(call.integers):
        H, columns = cell.size, cell.W.q.shape[1]
        h = offset(state.text, layer * H)
        entering, seen = c.bytes(columns), c.bytes(H)
        if layer:
            c.line("state_int8", f"state_int8({entering}, {offset(state.text, (layer - 1) * H)}, {H});")
        else:
            c.line(
                "quantise_int8",
                f"quantise_int8({entering}, {x.text}, {literal(float(cell.inverse))}, {columns});",
            )
        c.line("state_int8", f"state_int8({seen}, {h}, {H});")
        _layer(c, cell, f"{name}.l{layer}", h, entering, seen)
        c.macs += cell.W.q.size + cell.U.q.size
    y = c.result(call, H)
    c.line("state_float", f"state_float({y.text}, {h}, {H});")
    return y


def _layer(c: Writer, cell: IntegerGRU, name: str, h: str, x: str, seen: str) -> None:
    H, columns = cell.size, cell.W.q.shape[1]
    parts = []
    for part, matrix, factor in (("W", cell.W, cell.of_input), ("U", cell.U, cell.of_state)):
        parts.append(c.array(f"{name}.{part}", matrix.q))
        parts.append(c.array(f"{name}.{part}.factors", _whole(factor.M)))
        parts.append(str(factor.shift))
    biases, table = c.array(f"{name}.bias", _whole(cell.b_i)), c.array("sigmoid_table", _TABLE)
    head = f"{h}, {x}, {seen}, {', '.join(parts)}, {biases}"
    if cell.reset_before:
        more = f"{c.buffer(H)}, {c.bytes(H)}"
        c.line("gru_int8_before", f"gru_int8_before({head}, {table}, {more}, {columns}, {H});")
    else:
        b_n = c.array(f"{name}.bias_n", _whole(cell.b_n))
        c.line("gru_int8", f"gru_int8({head}, {b_n}, {table}, {columns}, {H});")


def _whole(values: NDArray[np.int64]) -> NDArray[np.int32]:
    return values.astype(np.int32)
