"""Golden cases of the options: each a plain program in torch, step by step, from the papers; nothing of congru is in it.

- Layer norm (Ba et al. 2016, arXiv 1607.06450): torch.nn.functional.layer_norm, gate by gate.
- Dreamer (Hafner et al. 2020, arXiv 2010.02193): its authors' order (reset, candidate, update) and sense (the update gate
  is the share that is written).
- Zoneout (Krueger et al. 2016, arXiv 1606.01305), recurrent dropout (Gal & Ghahramani 2016, arXiv 1512.05287).
- Heads: one cell for each, side by side.

Arrays have torch.nn's names and rows (r, z, n; i, f, g, o), gains `gain_ih`, `gain_hh`; of a head they begin with `head_K/`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from case_file import GoldenCase, about, draw, record_versions, save
from torch import Tensor

B, T, I, H = 3, 6, 4, 6
NUM_HEADS = 2
GATES = {"gru": 3, "lstm": 4, "rnn": 1}
Arrays = dict[str, Tensor]
Step = Callable[[Tensor, list[Tensor], list[Tensor]], list[Tensor]]


def drawn(seed: int, shapes: dict[str, tuple[int, ...]]) -> dict[str, np.ndarray]:
    return {name: draw(seed + k, *shape) for k, (name, shape) in enumerate(shapes.items())}


def parameters(
    cell: str, hidden: int, more: dict[str, tuple[int, ...]], seed: int = 0
) -> dict[str, np.ndarray]:
    rows = GATES[cell] * hidden
    shapes: dict[str, tuple[int, ...]] = {
        "weight_ih": (rows, I), "weight_hh": (rows, hidden), "bias_ih": (rows,), "bias_hh": (rows,)
    }  # fmt: skip
    return drawn(seed, shapes | more)


def heads(cell: str, more: dict[str, tuple[int, ...]]) -> dict[str, np.ndarray]:
    return {
        f"head_{k}/{name}": array
        for k in range(NUM_HEADS)
        for name, array in parameters(cell, H // NUM_HEADS, more, 10 * k).items()
    }


def normed(parts: list[Tensor], gains: list[Tensor]) -> list[Tensor]:
    """Every gate's sums normalised over its units."""
    return [F.layer_norm(part, part.shape[-1:], gain) for part, gain in zip(parts, gains)]


def gru_layer_norm(w: Arrays, before: bool) -> Step:
    def step(x: Tensor, state: list[Tensor], seen: list[Tensor]) -> list[Tensor]:
        (h,), (masked,) = state, seen
        g_i, g_h = w["gain_ih"].chunk(3), w["gain_hh"].chunk(3)
        b_i, b_h = w["bias_ih"].chunk(3), w["bias_hh"].chunk(3)
        from_x = normed(list(F.linear(x, w["weight_ih"]).chunk(3, 1)), list(g_i))
        from_h = normed(list(F.linear(masked, w["weight_hh"]).chunk(3, 1)), list(g_h))
        reset = torch.sigmoid(from_x[0] + b_i[0] + from_h[0] + b_h[0])
        update = torch.sigmoid(from_x[1] + b_i[1] + from_h[1] + b_h[1])
        if before:
            again = normed([F.linear(reset * masked, w["weight_hh"].chunk(3)[2])], [g_h[2]])[0]
            candidate = torch.tanh(from_x[2] + b_i[2] + again + b_h[2])
        else:
            candidate = torch.tanh(from_x[2] + b_i[2] + reset * (from_h[2] + b_h[2]))
        return [candidate + update * (h - candidate)]

    return step


def lstm_layer_norm(w: Arrays) -> Step:
    def step(x: Tensor, state: list[Tensor], seen: list[Tensor]) -> list[Tensor]:
        from_x = normed(list(F.linear(x, w["weight_ih"]).chunk(4, 1)), list(w["gain_ih"].chunk(4)))
        from_h = normed(list(F.linear(seen[0], w["weight_hh"]).chunk(4, 1)), list(w["gain_hh"].chunk(4)))
        sums = torch.cat(from_x, 1) + w["bias_ih"] + torch.cat(from_h, 1) + w["bias_hh"]
        i, f, g, o = sums.chunk(4, 1)
        c = torch.sigmoid(f) * state[1] + torch.sigmoid(i) * torch.tanh(g)
        return [torch.sigmoid(o) * torch.tanh(F.layer_norm(c, c.shape[1:], w["gain_c"], w["bias_c"])), c]

    return step


def dreamer(w: Arrays) -> Step:
    """kernel [I + H, 3H], bias [3H], and scale and offset [3H] of the norm."""

    def step(x: Tensor, state: list[Tensor], seen: list[Tensor]) -> list[Tensor]:
        parts = torch.cat([x, seen[0]], 1) @ w["kernel"] + w["bias"]
        parts = F.layer_norm(parts, parts.shape[1:], w["scale"], w["offset"], eps=1e-3)
        reset, candidate, update = parts.chunk(3, 1)
        candidate = torch.tanh(torch.sigmoid(reset) * candidate)
        update = torch.sigmoid(update - 1)
        return [update * candidate + (1 - update) * state[0]]

    return step


def plain(w: Arrays, cell: str) -> Step:
    """torch.nn's cell; a masked GRU is written out, since its h stands outside of the products too."""
    names = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
    weights = [w[name] for name in names]

    def step(x: Tensor, state: list[Tensor], seen: list[Tensor]) -> list[Tensor]:
        if cell == "lstm":
            return list(torch.lstm_cell(x, [seen[0], state[1]], *weights))
        if cell == "rnn":
            return [torch.rnn_tanh_cell(x, seen[0], *weights)]
        if torch.equal(seen[0], state[0]):
            return [torch.gru_cell(x, state[0], *weights)]
        from_x, from_h = F.linear(x, weights[0], weights[2]), F.linear(seen[0], weights[1], weights[3])
        reset, update, _ = torch.sigmoid(from_x + from_h).chunk(3, 1)
        candidate = torch.tanh(from_x.chunk(3, 1)[2] + reset * from_h.chunk(3, 1)[2])
        return [candidate + update * (state[0] - candidate)]

    return step


def in_heads(steps: list[Step]) -> Step:
    """Cells side by side: each reads all of x and its own part of the state."""

    def step(x: Tensor, state: list[Tensor], seen: list[Tensor]) -> list[Tensor]:
        n = len(steps)
        own = [
            one(x, [part.chunk(n, 1)[k] for part in state], [part.chunk(n, 1)[k] for part in seen])
            for k, one in enumerate(steps)
        ]
        return [torch.cat(parts, 1) for parts in zip(*own)]

    return step


def generate(
    name: str,
    cell: str,
    arrays: dict[str, np.ndarray],
    make: Callable[[Arrays], Step],
    *,
    num_heads: int = 1,
    zoneout: str | None = None,
    mask: bool = False,
    **more: Any,
) -> None:
    """Run and save one case; zoneout "drawn" keeps whole units, "expected" a share of each."""
    x, parts = draw(100, B, T, I), 2 if cell == "lstm" else 1
    x[:, 2] *= 0.01  # sums as small as the norm's epsilon
    state = tuple(draw(101 + k, 1, B, H) for k in range(parts))
    masks: dict[str, np.ndarray] = {}
    if zoneout is not None:
        shares = [np.random.default_rng(110 + k).random((B, T, H)) for k in range(parts)]
        kept = [(d < 0.4) * 1.0 if zoneout == "drawn" else d for d in shares]
        masks |= {f"zoneout_{k}": d.astype(np.float32) for k, d in enumerate(kept)}
    if mask:
        masks["recurrent_mask"] = 2 * (np.random.default_rng(120).random((B, H)) < 0.5).astype(np.float32)
    tensors = {key: torch.tensor(array).double() for key, array in (arrays | masks).items()}
    if num_heads == 1:
        step = make(tensors)
    else:
        own = [
            {key.partition("/")[2]: part for key, part in tensors.items() if key.startswith(f"head_{k}/")}
            for k in range(num_heads)
        ]
        step = in_heads([make(head) for head in own])
    now, outputs = [torch.tensor(part[0]).double() for part in state], []
    for t in range(T):
        seen = [now[0] * tensors["recurrent_mask"]] if mask else [now[0]]
        new = step(torch.tensor(x[:, t]).double(), now, seen)
        if zoneout is not None:
            new = [
                torch.lerp(a, old, tensors[f"zoneout_{k}"][:, t]) for k, (a, old) in enumerate(zip(new, now))
            ]
        now = new
        outputs.append(now[0])
    described = about("options", cell, num_heads=num_heads, options=more)
    y, final = torch.stack(outputs, 1).numpy(), tuple(part[None].numpy() for part in now)
    save(f"option_{name}", GoldenCase(described, x, None, state, [arrays | masks], y, final))


if __name__ == "__main__":
    norms = {"gain_ih": (3 * H,), "gain_hh": (3 * H,)}
    for before in (False, True):
        generate(
            f"gru_layer_norm_{'before' if before else 'after'}", "gru", parameters("gru", H, norms),
            lambda w, before=before: gru_layer_norm(w, before), mask=True, layer_norm=True, reset_before=before,
        )  # fmt: skip
    norms = {"gain_ih": (4 * H,), "gain_hh": (4 * H,), "gain_c": (H,), "bias_c": (H,)}
    generate("lstm_layer_norm", "lstm", parameters("lstm", H, norms), lstm_layer_norm, layer_norm=True)
    norms = {"kernel": (I + H, 3 * H), "bias": (3 * H,), "scale": (3 * H,), "offset": (3 * H,)}
    generate("gru_dreamer", "gru", drawn(0, norms), dreamer, mask=True, layer_norm="dreamer")
    for cell in GATES:
        for zoneout in ("drawn", "expected"):
            generate(
                f"{cell}_zoneout_{zoneout}", cell, parameters(cell, H, {}), lambda w, cell=cell: plain(w, cell),
                zoneout=zoneout, mask=zoneout == "drawn",
            )  # fmt: skip
        parts = heads(cell, {})
        generate(
            f"{cell}_heads",
            cell,
            parts,
            lambda w, cell=cell: plain(w, cell),
            num_heads=NUM_HEADS,
            zoneout="drawn",
        )
    for cell, make in (("gru", lambda w: gru_layer_norm(w, False)), ("lstm", lstm_layer_norm)):
        rows = GATES[cell] * H // NUM_HEADS
        norms = {"gain_ih": (rows,), "gain_hh": (rows,)}
        norms |= {"gain_c": (H // NUM_HEADS,), "bias_c": (H // NUM_HEADS,)} if cell == "lstm" else {}
        generate(
            f"{cell}_layer_norm_heads", cell, heads(cell, norms), make, num_heads=NUM_HEADS, layer_norm=True
        )
    record_versions("generate_options.py", "torch")
