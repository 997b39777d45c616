"""C of GRU, LSTM, tanh RNN and minGRU with every option, one layer after the other."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from congru.export.c.emitters import C
from congru.export.c.integers import integer_layers
from congru.export.c.writer import Call, Value, Writer, literal, offset
from congru.reference.layer_norm import EPSILON
from congru.reference.option_equations import DREAMER_EPSILON
from congru.runtime.form import Form
from congru.runtime.nodes.recurrent import RecurrentNode


@C.emits("gru", "lstm", "rnn", "mingru")
def recurrent(c: Writer, call: Call, x: Value) -> Value:
    """Every layer reads the state of the one before, which it has just replaced."""
    node = call.node
    assert isinstance(node, RecurrentNode)
    form, H = node.form(), node.hidden_size
    if call.integers is not None:
        return integer_layers(c, call, x)
    for layer, end in enumerate(node.ends):
        weights = {stem: call.weights.get(f"{stem}_{end}") for stem in node.stems}
        states = [
            Value(f"{value.text} + {layer * H}" if layer else value.text, H) for value in call.state.values()
        ]
        Layer(c, form, weights, f"{node.name}.{end}", states).write(x)
        x = states[0]
    return x


class Layer:
    """One layer: its sums of the input and of the state, then the function of its cell, in the order of the core."""

    def __init__(
        self, c: Writer, form: Form, weights: dict[str, NDArray[Any] | None], name: str, states: list[Value]
    ) -> None:
        self.c, self.form, self.w, self.name, self.states = c, form, dict(weights), name, states
        self.H, self.keep = form.hidden_size, literal(form.zoneout)
        self.h = states[0].text
        self._join_biases()

    def write(self, x: Value) -> None:
        """The statements of one step on x."""
        getattr(self, f"_{self.form.cell}")(x)

    def _join_biases(self) -> None:
        """Biases stand with the sums of the input, but that inside the reset of a GRU."""
        b_i, b_h = self.w.get("bias_ih"), self.w.get("bias_hh")
        if b_h is None or self.form.layer_norm == "dreamer":
            return
        inside = self.form.cell == "gru" and not self.form.reset_before
        start = 2 * self.H if inside else len(b_h)
        joined = np.zeros_like(b_h) if b_i is None else b_i.copy()
        joined[:start] += b_h[:start]
        self.w["bias_ih"], self.w["bias_hh"] = joined, b_h[start:] if inside else None

    def _array(self, part: str, rows: slice = slice(None)) -> str:
        return offset(self.c.array(f"{self.name}.{part}", self.w.get(part)), rows.start or 0)

    def _sums(self, side: str, x: Value, rows: slice = slice(None)) -> str:
        """P(v; M, g) + b of the input side "ih" or the recurrent side "hh", for some rows of the matrix."""
        matrix = self.w[f"weight_{side}"]
        assert matrix is not None
        start, stop, _ = rows.indices(len(matrix))
        normed = self.form.layer_norm is True
        y = self.c.buffer(stop - start)
        heads = self.form.num_heads if side == "hh" else 1
        columns = matrix.shape[1]
        centred = normed and id(matrix) not in self.c.int8
        if centred:
            matrix = self._centred(side)
        for row in range(start, stop, self.H // heads) if heads > 1 else [start]:
            head = slice(row, row + self.H // heads) if heads > 1 else slice(start, stop)
            read = offset(x.text, row % self.H // columns * columns if heads > 1 else 0)
            self._product(offset(y, row - start), side, matrix, read, head, normed)
        if normed:
            parts = (stop - start) // self.H * self.form.num_heads
            gain, size = self._array(f"gain_{side}", rows), (stop - start) // parts
            self._norm(y, gain, self._bias_of_norm(side, start, stop), parts, size, centred)
        return y

    def _product(self, y: str, side: str, matrix: NDArray[Any], x: str, rows: slice, normed: bool) -> None:
        """M x + b of some rows; a bias that only the last rows have stands with those."""
        name, bias = f"{self.name}.weight_{side}", self.w.get(f"bias_{side}")
        if normed or bias is None:
            self.c.dense(y, name, matrix, "0", x, rows)
            return
        first = len(matrix) - len(bias)
        if rows.start < first:
            self.c.dense(y, name, matrix, "0", x, slice(rows.start, min(first, rows.stop)))
        if rows.stop > first:
            start = max(first, rows.start)
            y, text = offset(y, start - rows.start), offset(self._array(f"bias_{side}"), start - first)
            self.c.dense(y, name, matrix, text, x, slice(start, rows.stop))

    def _centred(self, side: str) -> NDArray[Any]:
        """The matrix less the mean of the rows that are normalised together: its products then have mean zero."""
        name = f"centred_{side}"
        matrix = self.w[f"weight_{side}"]
        assert matrix is not None
        if name not in self.w:
            whole = self.form.layer_norm == "dreamer"
            size = len(matrix) if whole else self.H // self.form.num_heads
            self.w[name] = _less_its_mean(matrix, size)
        made = self.w[name]
        assert made is not None
        return made

    def _bias_of_norm(self, side: str, start: int, stop: int) -> str:
        bias = self.w.get(f"bias_{side}")
        if bias is None:
            return "0"
        if len(bias) < stop:  # that inside the reset, behind zeros
            key = f"bias_{side}_whole"
            self.w[key] = np.concatenate([np.zeros(stop - len(bias), bias.dtype), bias])
            return self._array(key)
        return offset(self._array(f"bias_{side}"), start)

    def _norm(self, y: str, gain: str, bias: str, parts: int, size: int, centred: bool, x: str = "") -> None:
        epsilon = literal(EPSILON)
        self.c.line(
            "norm", f"norm({y}, {x or y}, {gain}, {bias}, {parts}, {size}, {epsilon}, 4, {int(centred)});"
        )

    def _gru(self, x: Value) -> None:
        H, h = self.H, self.h
        if self.form.layer_norm == "dreamer":
            self._dreamer(x)
            return
        i = self._sums("ih", x)
        if not self.form.reset_before:
            u = self._sums("hh", self.states[0])
            self.c.line("gru_after", f"gru_after({h}, {i}, {u}, {H}, {self.keep});")
            return
        u = self._sums("hh", self.states[0], slice(0, 2 * H))
        self.c.line("gru_before", f"gru_before_gates({h}, {i}, {u}, {H});")
        n = self._sums("hh", Value(u, H), slice(2 * H, 3 * H))
        self.c.line("gru_before", f"gru_before_state({h}, {i}, {u} + {H}, {n}, {H}, {self.keep});")

    def _dreamer(self, x: Value) -> None:
        H, b_i, b_h = self.H, self.w["bias_ih"], self.w["bias_hh"]
        assert b_i is not None
        assert b_h is not None
        a, u = self.c.buffer(3 * H), self.c.buffer(3 * H)
        self.w["bias_of_sums"], bias = _less_its_mean(b_h[:, None], 3 * H)[:, 0], b_i.copy()
        bias[H : 2 * H] += np.float32(1)
        self.w["bias_of_norm"] = bias
        self.c.dense(a, f"{self.name}.weight_ih", self._centred("ih"), self._array("bias_of_sums"), x.text)
        self.c.dense(u, f"{self.name}.weight_hh", self._centred("hh"), "0", self.h)
        self.c.line("add", f"add({a}, {u}, {3 * H});")
        gain, text = self._array("gain_ih"), self._array("bias_of_norm")
        self.c.line("norm_of_all", f"norm_of_all({a}, {a}, {gain}, {text}, {H}, {literal(DREAMER_EPSILON)});")
        self.c.line("gru_dreamer", f"gru_dreamer({self.h}, {a}, {H}, {self.keep});")

    def _lstm(self, x: Value) -> None:
        H, cell = self.H, self.states[1].text
        a, u = self._sums("ih", x), self._sums("hh", self.states[0])
        self.c.line("add", f"add({a}, {u}, {4 * H});")
        self.c.line("lstm", f"lstm_gates({cell}, {a}, {H});")
        read = a
        if self.form.layer_norm:
            read, parts = self.c.buffer(H), self.form.num_heads
            self._norm(read, self._array("gain_c"), self._array("bias_c"), parts, H // parts, False, a)
        keeps = f"{self.keep}, {self.keep}"
        self.c.line("lstm", f"lstm_state({self.h}, {cell}, {a}, {read}, {a} + {3 * H}, {H}, {keeps});")

    def _rnn(self, x: Value) -> None:
        i, u = self._sums("ih", x), self._sums("hh", self.states[0])
        self.c.line("rnn", f"rnn({self.h}, {i}, {u}, {self.H}, {self.keep});")

    def _mingru(self, x: Value) -> None:
        self.c.line("mingru", f"mingru({self.h}, {self._sums('ih', x)}, {self.H});")


def _less_its_mean(matrix: NDArray[Any], size: int) -> NDArray[Any]:
    """Blocks of `size` rows less the mean of their rows, the sums in order."""
    blocks = matrix.reshape(-1, size, matrix.shape[1])
    mean = np.add.accumulate(blocks, axis=1)[:, -1:] / np.float32(size)
    return (blocks - mean).reshape(matrix.shape)
