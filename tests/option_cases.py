"""Random calls of a cell with options, and the same call written down again in torch, one row and unit group at a time."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch.nn.functional import layer_norm as torch_layer_norm

from cases import Case, make_case
from congru.reference.option_equations import gain_names

# (cell, reset before, layer_norm): every form that has options.
OPTION_FORMS = [
    ("gru", False, False),
    ("gru", True, False),
    ("gru", False, True),
    ("gru", True, True),
    ("gru", False, "dreamer"),
    ("lstm", False, False),
    ("lstm", False, True),
    ("rnn", False, False),
]
# What is around the equations of a step.
AROUND = [
    {},
    {"zoneout": True},
    {"mask": True},
    {"num_heads": 2},
    {"zoneout": True, "mask": True, "num_heads": 3, "ragged": True, "resets": True, "h_reset": True},
    {"zoneout": True, "mask": True, "ragged": True, "resets": True, "reverse": True},
]


# Every call there is.
OPTION_CALLS = [
    (*form, around)
    for form in OPTION_FORMS
    for around in AROUND
    if form[2] != "dreamer" or "num_heads" not in around
]


def call_id(value: Any) -> str:
    """The name of a parameter of a test."""
    return "-".join(value) or "alone" if isinstance(value, dict) else str(value)


def make_option_case(
    cell: str, reset_before: bool, layer_norm: bool | str, seed: int = 0, H: int = 6, **around: Any
) -> Case:
    """Return a random call whose options are keywords of `congru.reference.options.forward`."""
    num_heads = around.pop("num_heads", 1)
    zoneout, mask = around.pop("zoneout", False), around.pop("mask", False)
    case = make_case(cell, seed, H=H, **around)
    rng = np.random.default_rng([seed, H, num_heads])
    (B, T, _), rows = case.x.shape, len(case.weights[0])
    weights = list(case.weights)
    if num_heads > 1:
        weights[1] = rng.normal(size=(rows, H // num_heads))
    for name in gain_names(cell, layer_norm, reset_before):
        weights.append(rng.normal(size=H if name.endswith("_c") else rows))
    options = {**case.options, "layer_norm": layer_norm, "num_heads": num_heads}
    if cell == "gru":
        options["reset_before"] = reset_before
    if zoneout:
        options["zoneout"] = tuple(1.0 * (rng.random((B, T, H)) < 0.4) for _ in case.state)
    if mask:
        options["recurrent_mask"] = 2.0 * (rng.random((B, H)) < 0.5)
    return case._replace(weights=tuple(weights), options=options)


def _normed(a: Any, gain: Any, units: int, eps: float = 1e-5) -> Any:
    """Normalise consecutive groups of `units` numbers of a vector."""
    return torch.cat([torch_layer_norm(part, (units,), eps=eps) for part in a.split(units)]) * gain


def torch_option_step(
    cell: str, x: Any, state: Any, w: list[Any], options: dict[str, Any]
) -> tuple[Any, Any]:
    """One step on x [I]: the new state before zoneout, and the gates. state[-1] is h as U sees it."""
    norm, heads = options["layer_norm"], options["num_heads"]
    W, U, b_i, b_h = w[:4]
    seen, H = state[-1], len(state[0])
    units, G = H // heads, len(W) // H

    def recurrent(h: Any, gate: int) -> Any:
        blocks = U[gate * H : (gate + 1) * H].split(units)
        return torch.cat([block @ own for block, own in zip(blocks, h.split(units))])

    u = [recurrent(seen, gate) for gate in range(G)]
    i = list((W @ x).split(H))
    if norm == "dreamer":
        r, z, n = (_normed(torch.cat(i) + torch.cat(u) + b_h, w[4], 3 * H, 1e-3) + b_i).split(H)
        r, z = torch.sigmoid(r), torch.sigmoid(z + 1)
        n = torch.tanh(r * n)
        return (torch.lerp(n, state[0], z),), (r, z, n)
    g_i, g_h = (w[4].split(H), w[5].split(H)) if norm else (None, None)
    b_i, b_h = b_i.split(H), b_h.split(H)
    side_i = [(_normed(i[k], g_i[k], units) if norm else i[k]) + b_i[k] for k in range(G)]
    side_h = [(_normed(u[k], g_h[k], units) if norm else u[k]) + b_h[k] for k in range(G)]
    a = [p + q for p, q in zip(side_i, side_h)]
    if cell == "rnn":
        return (torch.tanh(a[0]),), (torch.tanh(a[0]),)
    if cell == "lstm":
        i, f, g, o = torch.sigmoid(a[0]), torch.sigmoid(a[1]), torch.tanh(a[2]), torch.sigmoid(a[3])
        c = f * state[1] + i * g
        return (o * torch.tanh(_normed(c, w[6], units) + w[7] if norm else c), c), (i, f, g, o)
    r, z = torch.sigmoid(a[0]), torch.sigmoid(a[1])
    if options["reset_before"]:
        u_n = recurrent(r * seen, 2)
        n = torch.tanh(side_i[2] + (_normed(u_n, g_h[2], units) if norm else u_n) + b_h[2])
    else:
        n = torch.tanh(side_i[2] + r * side_h[2])
    return (torch.lerp(n, state[0], z),), (r, z, n)


def option_oracle(cell: str, case: Case) -> tuple[Any, Any, Any, list[Any]]:
    """Return y, the final state, gates, and the gradients of x, the state, the weights and h_reset, in this order."""
    o = case.options
    start = o.get("h_reset")
    start = () if start is None else start if isinstance(start, tuple) else (start,)
    leaves = [torch.tensor(part, requires_grad=True) for part in (case.x, *case.state, *case.weights, *start)]
    S = len(case.state)
    x, state, w = leaves[0], leaves[1 : 1 + S], leaves[1 + S : 1 + S + len(case.weights)]
    begin = leaves[1 + S + len(case.weights) :] or [torch.zeros(case.state[0].shape[1]).double()] * S
    (B, T, _), H = x.shape, case.state[0].shape[1]
    y, gates, finals = torch.zeros(B, T, H).double(), None, []
    for b in range(B):
        length = T if o.get("lengths") is None else int(o["lengths"][b])
        row = [part[b] for part in state]
        for t in reversed(range(length)) if o.get("reverse") else range(length):
            boundary = t + 1 if o.get("reverse") else t
            if o.get("reset") is not None and boundary < length and o["reset"][b, boundary]:
                row = begin
            mask = o.get("recurrent_mask")
            seen = row[0] if mask is None else row[0] * torch.tensor(mask[b])
            new, gates_now = torch_option_step(cell, x[b, t], [*row, seen], w, o)
            if o.get("zoneout") is not None:
                keep = [torch.tensor(part[b, t]) > 0 for part in o["zoneout"]]
                new = [torch.where(d, old, part) for d, old, part in zip(keep, row, new)]
            row = list(new)
            y[b, t] = row[0]
            gates = torch.zeros(B, T, len(gates_now), H).double() if gates is None else gates
            gates[b, t] = torch.stack(gates_now).detach()
        finals.append(row)
    final = [torch.stack(part) for part in zip(*finals)]
    loss = (y * torch.tensor(case.dy)).sum()
    loss = loss + sum((a * torch.tensor(d)).sum() for a, d in zip(final, case.dstate))
    grads = torch.autograd.grad(loss, leaves, materialize_grads=True)
    return y.detach().numpy(), [p.detach().numpy() for p in final], gates, [g.numpy() for g in grads]
