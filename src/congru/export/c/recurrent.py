"""C of GRU, LSTM, tanh RNN and minGRU with every option, one layer after the other."""

from __future__ import annotations

from typing import Any

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
    """One layer: its sums of the input and of the state, then the function of its cell."""

    def __init__(
        self, c: Writer, form: Form, weights: dict[str, NDArray[Any] | None], name: str, states: list[Value]
    ) -> None:
        self.c, self.form, self.w, self.name, self.states = c, form, weights, name, states
        self.H, self.keep = form.hidden_size, literal(form.zoneout)
        self.h = states[0].text

    def write(self, x: Value) -> None:
        """The statements of one step on x."""
        getattr(self, f"_{self.form.cell}")(x)

    def _array(self, part: str, rows: slice = slice(None)) -> str:
        return offset(self.c.array(f"{self.name}.{part}", self.w.get(part)), rows.start or 0)

    def _sums(self, side: str, x: Value, rows: slice = slice(None)) -> str:
        """P(v; M, g) + b of the input side "ih" or the recurrent side "hh", for some rows of the matrix."""
        matrix = self.w[f"weight_{side}"]
        assert matrix is not None
        count, columns = matrix[rows].shape
        gained = self.form.layer_norm is True
        y = self.c.buffer(count)
        bias = "0" if gained else self._array(f"bias_{side}", rows)
        if side == "hh" and self.form.num_heads > 1:
            weight = offset(self._array(f"weight_{side}"), (rows.start or 0) * columns)
            self.c.line("heads", f"heads({y}, {weight}, {bias}, {x.text}, {count}, {columns}, {self.H});")
            self.c.macs += count * columns
        else:
            self.c.dense(y, f"{self.name}.weight_{side}", matrix, bias, x.text, rows)
        if gained:
            parts = count // self.H * self.form.num_heads
            gain, bias = self._array(f"gain_{side}", rows), self._array(f"bias_{side}", rows)
            self._norm(y, y, gain, bias, parts, count // parts, EPSILON)
        return y

    def _norm(self, y: str, x: str, gain: str, bias: str, parts: int, size: int, epsilon: float) -> None:
        self.c.line("norm", f"norm({y}, {x}, {gain}, {bias}, {parts}, {size}, {literal(epsilon)});")

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
        H = self.H
        W, U = self.w["weight_ih"], self.w["weight_hh"]
        assert W is not None
        assert U is not None
        a, u = self.c.buffer(3 * H), self.c.buffer(3 * H)
        self.c.dense(a, f"{self.name}.weight_ih", W, "0", x.text)
        self.c.dense(u, f"{self.name}.weight_hh", U, self._array("bias_hh"), self.h)
        self.c.line("add", f"add({a}, {u}, {3 * H});")
        self._norm(a, a, self._array("gain_ih"), self._array("bias_ih"), 1, 3 * H, DREAMER_EPSILON)
        self.c.line("gru_dreamer", f"gru_dreamer({self.h}, {a}, {H}, {self.keep});")

    def _lstm(self, x: Value) -> None:
        H, cell = self.H, self.states[1].text
        a, u = self._sums("ih", x), self._sums("hh", self.states[0])
        self.c.line("add", f"add({a}, {u}, {4 * H});")
        self.c.line("lstm", f"lstm_gates({cell}, {a}, {H});")
        read = a
        if self.form.layer_norm:
            read, parts = self.c.buffer(H), self.form.num_heads
            self._norm(read, a, self._array("gain_c"), self._array("bias_c"), parts, H // parts, EPSILON)
        keeps = f"{self.keep}, {self.keep}"
        self.c.line("lstm", f"lstm_state({self.h}, {cell}, {a}, {read}, {a} + {3 * H}, {H}, {keeps});")

    def _rnn(self, x: Value) -> None:
        i, u = self._sums("ih", x), self._sums("hh", self.states[0])
        self.c.line("rnn", f"rnn({self.h}, {i}, {u}, {self.H}, {self.keep});")

    def _mingru(self, x: Value) -> None:
        self.c.line("mingru", f"mingru({self.h}, {self._sums('ih', x)}, {self.H});")
