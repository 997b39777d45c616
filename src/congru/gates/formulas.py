"""The equations of a form as lines of text, as the report prints them."""

from __future__ import annotations

from congru.gates.form import Form

_PLAIN = {
    "gru": (
        "r = sigmoid(W_r x + b_ir + U_r h + b_hr)            reset",
        "z = sigmoid(W_z x + b_iz + U_z h + b_hz)            keep",
        "n = tanh   (W_n x + b_in + r * (U_n h + b_hn))      candidate",
        "h' = (1 - z) * n + z * h                            new state",
    ),
    "lstm": (
        "i, f, o = sigmoid(W x + b_i + U h + b_h)   input, keep (forget), output",
        "g = tanh(W_g x + b_ig + U_g h + b_hg)      candidate",
        "c' = f * c + i * g                         cell",
        "h' = o * tanh(c')                          new state",
    ),
    "rnn": ("h' = tanh(W x + b_i + U h + b_h)            nothing is kept by a gate",),
    "rnn_relu": ("h' = relu(W x + b_i + U h + b_h)            nothing is kept by a gate",),
    "mingru": (
        "z = sigmoid(W_z x + b_z)     keep, from the input alone",
        "n = g(W_n x + b_n)           candidate, g(a) = a + 0.5 if a >= 0 else sigmoid(a)",
        "h' = (1 - z) * n + z * h     new state",
    ),
}
_BEFORE = "n = tanh   (W_n x + b_in + U_n (r * h) + b_hn)      candidate, reset before"
_DREAMER = (
    "a = g_i * norm(W x + U h + b_h) + b_i      one norm over all three sums",
    "r = sigmoid(a_r)                           reset",
    "z = sigmoid(a_z + 1)                       keep",
    "n = tanh(r * a_n)                          candidate",
    "h' = (1 - z) * n + z * h                   new state",
)


def formulas_of(form: Form) -> list[str]:
    """The equations of one step, one line each, then what the options change.

    >>> print("\\n".join(formulas_of(Form("rnn", zoneout=0.1))))
    h' = tanh(W x + b_i + U h + b_h)            nothing is kept by a gate
    then h' = p * h + (1 - p) * h', p = 0.1: zoneout keeps this share of the old state whatever the gates say
    """
    lines = list(_PLAIN[form.cell])
    if form.reset_before:
        lines[2] = _BEFORE
    if form.layer_norm == "dreamer":
        lines = list(_DREAMER)
    elif form.layer_norm:
        lines.append("W x stands for g_i * norm(W x), U h for g_h * norm(U h), gate by gate: layer norm")
        if form.cell == "lstm":
            lines.append("h' = o * tanh(g_c * norm(c') + b_c)")
    if form.num_heads > 1:
        lines.append(f"U connects the units of one head alone, {form.num_heads} heads")
    if form.zoneout:
        parts = "h' = p * h + (1 - p) * h'"
        if form.cell == "lstm":
            parts += " and c' = p * c + (1 - p) * c'"
        lines.append(
            f"then {parts}, p = {form.zoneout:g}: zoneout keeps this share of the old state whatever the gates say"
        )
    return lines
