"""One step of a recurrent cell in ONNX operations, with every option: the equations of `congru.reference.option_equations`.

ONNX's own GRU, LSTM and RNN know neither layer norm nor zoneout nor the minGRU; a loop over these steps does.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from congru.export.onnx.builder import Builder
from congru.kernels.cells import CELLS
from congru.reference.layer_norm import EPSILON
from congru.reference.option_equations import DREAMER_EPSILON, UPDATE_BIAS, gain_names
from congru.runtime.form import Form

Weights = dict[str, NDArray[Any] | None]


def named_weights(form: Form, weights: tuple[NDArray[Any] | None, ...]) -> Weights:
    """The weights of one layer and direction by the names of `congru.reference`; U [G*H, H] without heads."""
    from congru.reference.options import dense

    if form.cell == "mingru":
        return dict(zip(("W", "b_i"), weights))
    gains = gain_names(form.cell, form.layer_norm, form.reset_before)
    named = dict(zip(("W", "U", "b_i", "b_h", *gains), weights, strict=True))
    U = named["U"]
    assert U is not None
    named["U"] = dense(U.astype(np.float64), len(CELLS[form.cell].gates), form.num_heads).astype(np.float32)
    return named


class CellStep:
    """The step of one layer and direction: `CellStep(form, weights, name)(builder, x, states)` -> (y, states after)."""

    def __init__(self, form: Form, weights: Weights, name: str) -> None:
        self.form, self.w, self.name = form, weights, name

    def __call__(self, b: Builder, x: str, states: list[str]) -> tuple[str, list[str]]:
        """y [B, H] and the states after, of x [B, I] and the states before."""
        new = getattr(self, f"_{self.form.cell}")(b, x, states)
        keep = np.float32(self.form.zoneout)
        if keep:
            new = [
                b.op("Add", b.op("Mul", b.constant(keep), old), b.op("Mul", b.constant(1 - keep), part))
                for old, part in zip(states, new)
            ]
        return new[0], new

    def _part(self, b: Builder, part: str, rows: slice = slice(None)) -> str | None:
        value = self.w.get(part)
        return None if value is None else b.constant(value[rows], name=f"{self.name}.{part}")

    def _sums(self, b: Builder, side: str, v: str, rows: slice = slice(None), gates: int = 0) -> str:
        """P(v; M, g) + b of the input side "i" or the recurrent side "h", for the rows of `gates` gates."""
        matrix = self.w["W" if side == "i" else "U"]
        assert matrix is not None
        gates = gates or len(CELLS[self.form.cell].gates)
        total = b.matmul(v, matrix[rows], f"{self.name}.{'W' if side == 'i' else 'U'}")
        gain = self._part(b, f"g_{side}", rows)
        if gain is not None and self.form.layer_norm is True:
            total = b.op("Mul", norm(b, total, gates * self.form.num_heads, EPSILON), gain)
        bias = self._part(b, f"b_{side}", rows)
        return total if bias is None else b.op("Add", total, bias)

    def _split(self, b: Builder, value: str, count: int) -> list[str]:
        return b.ops("Split", value, outputs=count, axis=-1) if count > 1 else [value]

    def _gru(self, b: Builder, x: str, states: list[str]) -> list[str]:
        (h,), H = states, self.form.hidden_size
        if self.form.layer_norm == "dreamer":
            return self._dreamer(b, x, h)
        i_r, i_z, i_n = self._split(b, self._sums(b, "i", x), 3)
        if self.form.reset_before:
            u_r, u_z = self._split(b, self._sums(b, "h", h, slice(2 * H), 2), 2)
        else:
            u_r, u_z, u_n = self._split(b, self._sums(b, "h", h), 3)
        r = b.op("Sigmoid", b.op("Add", i_r, u_r))
        z = b.op("Sigmoid", b.op("Add", i_z, u_z))
        if self.form.reset_before:
            driven = self._sums(b, "h", b.op("Mul", r, h), slice(2 * H, 3 * H), 1)
        else:
            driven = b.op("Mul", r, u_n)
        n = b.op("Tanh", b.op("Add", i_n, driven))
        return [_mixed(b, z, h, n)]

    def _dreamer(self, b: Builder, x: str, h: str) -> list[str]:
        W, U, b_h = self.w["W"], self.w["U"], self.w["b_h"]
        assert W is not None
        assert U is not None
        total = b.dense(
            b.op("Concat", x, h, axis=-1), np.concatenate([W, U], axis=1), b_h, f"{self.name}.joined"
        )
        a = norm(b, total, 1, DREAMER_EPSILON)
        gain, bias = self._part(b, "g_i"), self._part(b, "b_i")
        a = a if gain is None else b.op("Mul", a, gain)
        a = a if bias is None else b.op("Add", a, bias)
        a_r, a_z, a_n = self._split(b, a, 3)
        r = b.op("Sigmoid", a_r)
        z = b.op("Sigmoid", b.op("Add", a_z, b.constant(UPDATE_BIAS)))
        n = b.op("Tanh", b.op("Mul", r, a_n))
        return [_mixed(b, z, h, n)]

    def _lstm(self, b: Builder, x: str, states: list[str]) -> list[str]:
        h, c = states
        i, f, g, o = self._split(b, b.op("Add", self._sums(b, "i", x), self._sums(b, "h", h)), 4)
        i, f, g, o = b.op("Sigmoid", i), b.op("Sigmoid", f), b.op("Tanh", g), b.op("Sigmoid", o)
        c = b.op("Add", b.op("Mul", f, c), b.op("Mul", i, g))
        read = c
        gain, bias = self._part(b, "g_c"), self._part(b, "b_c")
        if gain is not None:
            read = b.op("Mul", norm(b, c, self.form.num_heads, EPSILON), gain)
            read = read if bias is None else b.op("Add", read, bias)
        return [b.op("Mul", o, b.op("Tanh", read)), c]

    def _rnn(self, b: Builder, x: str, states: list[str]) -> list[str]:
        return [b.op("Tanh", b.op("Add", self._sums(b, "i", x), self._sums(b, "h", states[0])))]

    def _mingru(self, b: Builder, x: str, states: list[str]) -> list[str]:
        a_z, a_n = self._split(b, self._sums(b, "i", x), 2)
        zero, half = b.constant(0.0), b.constant(0.5)
        n = b.op("Where", b.op("GreaterOrEqual", a_n, zero), b.op("Add", a_n, half), b.op("Sigmoid", a_n))
        return [_mixed(b, b.op("Sigmoid", a_z), states[0], n)]


def norm(b: Builder, a: str, parts: int, epsilon: float) -> str:
    """(a - mean) / sqrt(variance + epsilon) of each of the equal parts of a [B, N]."""
    split = b.op("Reshape", a, b.whole(0, parts, -1))
    centred = b.op("Sub", split, b.op("ReduceMean", split, axes=[-1]))
    variance = b.op("ReduceMean", b.op("Mul", centred, centred), axes=[-1])
    scaled = b.op("Div", centred, b.op("Sqrt", b.op("Add", variance, b.constant(epsilon))))
    return b.op("Reshape", scaled, b.whole(0, -1))


def _mixed(b: Builder, z: str, h: str, n: str) -> str:
    """(1 - z) n + z h."""
    return b.op("Add", n, b.op("Mul", z, b.op("Sub", h, n)))
