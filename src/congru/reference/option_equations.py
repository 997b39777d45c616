"""The equations of the cells with their options, one step forward and backward.

    i  = P(x; W, g_i) + b_i        u = P(m * h; U, g_h) + b_h        what W x + b_i and U h + b_h become
    P(v; M, g) = g * norm(M v) gate by gate with `layer_norm=True` (Ba et al. 2016, arXiv 1607.06450), else M v

    GRU   r = s(i_r + u_r)   z = s(i_z + u_z)   n = tanh(i_n + r * u_n)   h~ = (1 - z) * n + z * h
          reset before: u_n = P(r * m * h; U_n, g_hn) + b_hn   n = tanh(i_n + u_n)
    LSTM  i, f, o = s(..)   g = tanh(..)   c~ = f * c + i * g   h~ = o * tanh(c~)
          with layer norm: h~ = o * tanh(g_c * norm(c~) + b_c)
    RNN   h~ = tanh(i + u)
    h' = d * h + (1 - d) * h~      and so for c                      zoneout (Krueger et al. 2016, arXiv 1606.01305)

`layer_norm="dreamer"` is the GRU of DreamerV2 and V3 (Hafner et al. 2020, arXiv 2010.02193): one norm over
the 3H joined sums, the reset on the whole candidate, the update gate biased by 1 towards keeping. Its
authors write the share of the candidate, s(a - 1); here z is what is kept, so their update rows of g_i and
b_i are negated:

    a = g_i * norm(W x + U (m * h) + b_h) + b_i     r = s(a_r)   z = s(a_z + 1)   n = tanh(r * a_n)

m [B, H] is `recurrent_mask`, one row for all steps (Gal & Ghahramani 2016, arXiv 1512.05287); d [B, T, H] is
`zoneout`, 0 or 1 in training, its expectation afterwards. With `num_heads` U is [G*H, H/num_heads]: the units of a
head see the state of their head alone, and are normalised alone.

Weights are (W, U, b_i, b_h); layer norm adds (g_i [G*H], g_h [G*H]), for the LSTM also (g_c [H], b_c [H]), for
"dreamer" (g_i [3H],). b_i and b_h are Ba et al.'s biases, added after the norm.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from congru.errors import SettingsError
from congru.reference import gru, lstm, rnn
from congru.reference.activations import sigmoid, tanh
from congru.reference.arguments import Array, State, Weights
from congru.reference.layer_norm import normalise, normalise_backward, project, project_backward

CELLS = {"gru": gru.CELL, "lstm": lstm.CELL, "rnn": rnn.CELL}
DREAMER_EPSILON = 1e-3  # tf.keras.layers.LayerNormalization's default
UPDATE_BIAS = 1.0  # of "dreamer", in the sense of keeping

PLAIN = ("W", "U", "b_i", "b_h")
_GAINS: dict[tuple[str, bool | str], tuple[str, ...]] = {
    ("gru", True): ("g_i", "g_h"),
    ("lstm", True): ("g_i", "g_h", "g_c", "b_c"),
    ("gru", "dreamer"): ("g_i",),
}


class Form(NamedTuple):
    """Which equations a step computes."""

    cell: str
    reset_before: bool
    layer_norm: bool | str
    num_heads: int


def gain_names(
    cell: str, layer_norm: bool | str, reset_before: bool = False, num_heads: int = 1
) -> tuple[str, ...]:
    """Names of the weights that layer norm adds; raise `SettingsError` where the cell has no such form.

    >>> gain_names("lstm", True)
    ('g_i', 'g_h', 'g_c', 'b_c')
    """
    if layer_norm is False:
        return ()
    if layer_norm is not True and layer_norm != "dreamer":
        raise SettingsError(
            f"layer_norm is {layer_norm!r}, expected False, True or 'dreamer': pass one of these"
        )
    if (cell, layer_norm) not in _GAINS:
        have = "the gru" if layer_norm == "dreamer" else "the gru and the lstm"
        raise SettingsError(
            f"layer_norm is {layer_norm!r}, expected False for {cell}: only {have} can have it"
        )
    if layer_norm == "dreamer" and reset_before:
        raise SettingsError(
            "reset_before is True, expected False with layer_norm='dreamer': its reset gate acts after the norm"
        )
    if layer_norm == "dreamer" and num_heads != 1:
        raise SettingsError(
            f"num_heads is {num_heads!r}, expected 1 with layer_norm='dreamer': its norm joins all units"
        )
    return _GAINS[cell, layer_norm]


Named = dict[str, Array | None]
_SIDES = {"i": ("W", "g_i", "b_i"), "h": ("U", "g_h", "b_h")}


def _sums(side: str, v: Array, w: Named, form: Form, gates: slice = slice(None)) -> list[Array]:
    """P(v; ..) + b of the input side "i" or the recurrent side "h", one [B, H] per gate of `gates`."""
    M, gain, bias = _rows(side, w, form, gates)
    num_gates = len(range(*gates.indices(len(CELLS[form.cell].gates))))
    total = project(v, M, gain, num_gates * form.num_heads)
    return np.split(total if bias is None else total + bias, num_gates, axis=1)


def _sums_backward(
    dsums: list[Array], side: str, v: Array, w: Named, dw: Named, form: Form, gates: slice = slice(None)
) -> Array:
    """Return dv of `_sums` and add the gradients of its weights to dw."""
    M, gain, _ = _rows(side, w, form, gates)
    dp = np.concatenate(dsums, axis=1)
    dv, dM, dgain = project_backward(dp, v, M, gain, len(dsums) * form.num_heads)
    for part, add in zip(_rows(side, dw, form, gates), (dM, dgain, dp.sum(axis=0))):
        if part is not None and add is not None:
            part += add
    return dv


def _rows(side: str, w: Named, form: Form, gates: slice) -> tuple[Array, Array | None, Array | None]:
    """Views of a side's matrix, gain and bias: the rows of `gates`."""
    num_gates = len(CELLS[form.cell].gates)
    M, gain, bias = (
        None
        if part is None
        else part.reshape(num_gates, -1, *part.shape[1:])[gates].reshape(-1, *part.shape[1:])
        for part in map(w.get, _SIDES[side])
    )
    assert M is not None
    return M, gain, bias


_Step = tuple[State, list[Array]]
_Back = tuple[Array, Array, State]


def _gru(x: Array, seen: Array, state: State, w: Named, form: Form) -> _Step:
    if form.layer_norm == "dreamer":
        return _dreamer(x, seen, state, w, form)
    (h,) = state
    i_r, i_z, i_n = _sums("i", x, w, form)
    u_r, u_z = _sums("h", seen, w, form, slice(2))
    r = sigmoid(i_r + u_r)
    z = sigmoid(i_z + u_z)
    if form.reset_before:
        (u_n,) = _sums("h", r * seen, w, form, slice(2, 3))
        n = tanh(i_n + u_n)
    else:
        (u_n,) = _sums("h", seen, w, form, slice(2, 3))
        n = tanh(i_n + r * u_n)
    return ((1 - z) * n + z * h,), [r, z, n]


def _gru_backward(
    dnew: State, x: Array, seen: Array, state: State, w: Named, dw: Named, gates: Array, form: Form
) -> _Back:
    if form.layer_norm == "dreamer":
        return _dreamer_backward(dnew, x, seen, state, w, dw, gates, form)
    (dh_new,), (h,), (r, z, n) = dnew, state, gates
    dz = dh_new * (h - n)
    dn = dh_new * (1 - z)
    da_n = dn * (1 - n * n)
    da_z = dz * z * (1 - z)
    if form.reset_before:
        drh = _sums_backward([da_n], "h", r * seen, w, dw, form, slice(2, 3))
        dr, dseen = drh * seen, drh * r
    else:
        (u_n,) = _sums("h", seen, w, form, slice(2, 3))
        dr, dseen = da_n * u_n, _sums_backward([da_n * r], "h", seen, w, dw, form, slice(2, 3))
    da_r = dr * r * (1 - r)
    dseen = dseen + _sums_backward([da_r, da_z], "h", seen, w, dw, form, slice(2))
    dx = _sums_backward([da_r, da_z, da_n], "i", x, w, dw, form)
    return dx, dseen, (dh_new * z,)


def _dreamer(x: Array, seen: Array, state: State, w: Named, form: Form) -> _Step:
    (h,) = state
    v, M, g, b = _joined(x, seen, w)
    a_r, a_z, a_n = np.split(project(v, M, g, 1, DREAMER_EPSILON) + b, 3, axis=1)
    r = sigmoid(a_r)
    z = sigmoid(a_z + UPDATE_BIAS)
    n = tanh(r * a_n)
    return ((1 - z) * n + z * h,), [r, z, n]


def _dreamer_backward(
    dnew: State, x: Array, seen: Array, state: State, w: Named, dw: Named, gates: Array, form: Form
) -> _Back:
    (dh_new,), (h,), (r, z, n) = dnew, state, gates
    v, M, g, b = _joined(x, seen, w)
    a_n = np.split(project(v, M, g, 1, DREAMER_EPSILON) + b, 3, axis=1)[2]
    dz = dh_new * (h - n)
    dn = dh_new * (1 - z)
    dra = dn * (1 - n * n)
    da = np.concatenate([dra * a_n * r * (1 - r), dz * z * (1 - z), dra * r], axis=1)
    dv, dM, dg = project_backward(da, v, M, g, 1, DREAMER_EPSILON)
    (I, H) = x.shape[1], h.shape[1]
    grads = {"W": dM[:, :I], "U": dM[:, I : I + H], "b_h": dM[:, -1], "g_i": dg, "b_i": da.sum(axis=0)}
    dw.update((name, None if dw[name] is None else grads[name]) for name in grads)
    return dv[:, :I], dv[:, I : I + H], (dh_new * z,)


def _joined(x: Array, seen: Array, w: Named) -> tuple[Array, Array, Array | None, Array]:
    """Rows [x, m * h, 1] and weights [W, U, b_h] of the one product of "dreamer", its gain and its bias."""
    W, U, b_i, b_h = (w[name] for name in PLAIN)
    assert W is not None
    assert U is not None
    none = np.zeros(len(W))
    M = np.concatenate([W, U, (none if b_h is None else b_h)[:, None]], axis=1)
    return np.concatenate([x, seen, np.ones((len(x), 1))], axis=1), M, w["g_i"], none if b_i is None else b_i


def _lstm(x: Array, seen: Array, state: State, w: Named, form: Form) -> _Step:
    (i, f, g, o), c, c_read, _ = _lstm_gates(x, seen, state, w, form)
    return (o * tanh(c_read), c), [i, f, g, o]


def _lstm_gates(
    x: Array, seen: Array, state: State, w: Named, form: Form
) -> tuple[list[Array], Array, Array, tuple[Array, Array] | None]:
    """The gates, c~, what tanh reads of it, and norm(c~) with its scale where there is one."""
    (i, f, g, o) = (a + b for a, b in zip(_sums("i", x, w, form), _sums("h", seen, w, form)))
    i, f, g, o = sigmoid(i), sigmoid(f), tanh(g), sigmoid(o)
    c = f * state[1] + i * g
    if not form.layer_norm:
        return [i, f, g, o], c, c, None
    gain, bias = w["g_c"], w["b_c"]
    assert gain is not None
    hat, scale = normalise(c, form.num_heads)
    c_read = gain * hat if bias is None else gain * hat + bias
    return [i, f, g, o], c, c_read, (hat, scale)


def _lstm_backward(
    dnew: State, x: Array, seen: Array, state: State, w: Named, dw: Named, gates: Array, form: Form
) -> _Back:
    dh_new, dc_new = dnew
    (i, f, g, o), _, c_read, norm = _lstm_gates(x, seen, state, w, form)
    tanh_c = tanh(c_read)
    do = dh_new * tanh_c
    dread = dh_new * o * (1 - tanh_c * tanh_c)
    if norm is not None:
        dw["g_c"] = (dread * norm[0]).sum(axis=0)
        dw["b_c"] = None if w["b_c"] is None else dread.sum(axis=0)
        gain = w["g_c"]
        assert gain is not None
        dread = normalise_backward(dread * gain, *norm)
    dc = dc_new + dread
    da_i, da_f = dc * g * i * (1 - i), dc * state[1] * f * (1 - f)
    da_g, da_o = dc * i * (1 - g * g), do * o * (1 - o)
    da = [da_i, da_f, da_g, da_o]
    dx = _sums_backward(da, "i", x, w, dw, form)
    dseen = _sums_backward(da, "h", seen, w, dw, form)
    return dx, dseen, (np.zeros_like(seen), dc * f)


def _rnn(x: Array, seen: Array, state: State, w: Named, form: Form) -> _Step:
    (i,), (u,) = _sums("i", x, w, form), _sums("h", seen, w, form)
    n = tanh(i + u)
    return (n,), [n]


def _rnn_backward(
    dnew: State, x: Array, seen: Array, state: State, w: Named, dw: Named, gates: Array, form: Form
) -> _Back:
    (n,) = gates
    da = [dnew[0] * (1 - n * n)]
    dx = _sums_backward(da, "i", x, w, dw, form)
    return dx, _sums_backward(da, "h", seen, w, dw, form), (np.zeros_like(seen),)


FORWARD = {"gru": _gru, "lstm": _lstm, "rnn": _rnn}
BACKWARD = {"gru": _gru_backward, "lstm": _lstm_backward, "rnn": _rnn_backward}


def named(form: Form, weights: Weights) -> Named:
    """The weights of a form by name."""
    names = (*PLAIN, *gain_names(form.cell, form.layer_norm, form.reset_before))
    return dict(zip(names, weights, strict=True))
