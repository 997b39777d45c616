"""Random calls of a cell, and the same call in plain torch: what the tests of every implementation share.

`oracle` is independent of the package: one row at a time, no masks, torch's own cells where torch has the
cell, and gradients by autograd.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import torch

ROWS = {"gru": 3, "lstm": 4, "rnn": 1, "mingru": 2}
NUM_STATES = {"gru": 1, "lstm": 2, "rnn": 1, "mingru": 1}
# Every cell and reset form, as pytest parameters.
FORMS = [("gru", False), ("gru", True), ("lstm", False), ("rnn", False), ("mingru", False)]


class Case(NamedTuple):
    """Arrays of one call, all non-zero, and its options."""

    x: np.ndarray
    state: tuple[np.ndarray, ...]
    weights: tuple[np.ndarray | None, ...]
    options: dict[str, Any]
    dy: np.ndarray
    dstate: tuple[np.ndarray, ...]


def make_case(
    cell: str, seed: int = 0, B: int = 3, T: int = 5, I: int = 4, H: int = 7, **options: Any
) -> Case:
    """Return a random call; `ragged=True`, `resets=True` and `h_reset=True` draw such arguments."""
    rng = np.random.default_rng([seed, B, T, I, H])
    G = ROWS[cell]
    weights: tuple[np.ndarray | None, ...] = tuple(
        rng.normal(size=size) for size in ((G * H, I), (G * H, H), (G * H,), (G * H,))
    )
    if cell == "mingru":
        weights = (weights[0], weights[2])
    states = [tuple(rng.normal(size=(B, H)) for _ in range(NUM_STATES[cell])) for _ in range(2)]
    if options.pop("ragged", False):
        # Whole, empty, and between.
        options["lengths"] = np.array([T, 0, *rng.integers(0, T + 1, size=B)])[:B]
    if options.pop("resets", False):
        options["reset"] = rng.random((B, T)) < 0.4
    if options.get("h_reset") is True:
        starts = tuple(rng.normal(size=H) for _ in range(NUM_STATES[cell]))
        options["h_reset"] = starts if len(starts) > 1 else starts[0]
    return Case(
        rng.normal(size=(B, T, I)), states[0], weights, options, rng.normal(size=(B, T, H)), states[1]
    )


def torch_step(cell: str, x: Any, state: Any, weights: Any, reset_before: bool) -> tuple[Any, Any]:
    """One step on x [1, I] in torch; gates [G, H] for the cells torch lacks or hides."""
    W, *_ = weights
    b_i, b_h = (torch.zeros(len(W), dtype=W.dtype) if b is None else b for b in (weights[-2], weights[-1]))
    if cell == "mingru":
        W, b = weights
        a_z, a_n = (x @ W.T + (0 if b is None else b)).chunk(2, 1)
        z, n = torch.sigmoid(a_z), torch.where(a_n >= 0, a_n + 0.5, torch.sigmoid(a_n))
        return (torch.lerp(n, state[0], z),), torch.cat([z, n])
    _, U, _, _ = weights
    i, u = (x @ W.T + b_i).chunk(ROWS[cell], 1), (state[0] @ U.T + b_h).chunk(ROWS[cell], 1)
    if cell == "rnn":
        h = torch.rnn_tanh_cell(x, state[0], W, U, b_i, b_h)
        return (h,), h
    if cell == "lstm":
        gates = [torch.sigmoid(i[k] + u[k]) if k != 2 else torch.tanh(i[k] + u[k]) for k in range(4)]
        return torch.lstm_cell(x, state, W, U, b_i, b_h), torch.cat(gates)
    r, z = torch.sigmoid(i[0] + u[0]), torch.sigmoid(i[1] + u[1])
    if not reset_before:
        return (torch.gru_cell(x, state[0], W, U, b_i, b_h),), torch.cat([r, z, torch.tanh(i[2] + r * u[2])])
    (_, _, U_n), (_, _, b_hn) = U.chunk(3), b_h.chunk(3)
    n = torch.tanh(i[2] + torch.nn.functional.linear(r * state[0], U_n, b_hn))
    return (torch.lerp(n, state[0], z),), torch.cat([r, z, n])


def oracle(cell: str, case: Case, reset_before: bool = False) -> tuple[Any, Any, Any, dict[str, Any]]:
    """Return y, final state, gates and gradients {x, state, weights, h_reset} of a call, as NumPy arrays."""

    def leaf(array: Any) -> Any:
        return None if array is None else torch.tensor(array, requires_grad=True)

    B, T, _ = case.x.shape
    H = case.state[0].shape[1]
    x, state, weights = leaf(case.x), tuple(map(leaf, case.state)), tuple(map(leaf, case.weights))
    h_reset = case.options.get("h_reset")
    start = tuple(map(leaf, h_reset if isinstance(h_reset, tuple) else (h_reset,)))
    zeros = torch.zeros(H).double()
    begin = (*(zeros if part is None else part for part in start), zeros)
    lengths, reset = case.options.get("lengths"), case.options.get("reset")
    reverse = case.options.get("reverse", False)
    y, gates = torch.zeros(B, T, H).double(), torch.zeros(B, T, ROWS[cell], H).double()
    finals = []
    for b in range(B):
        n = T if lengths is None else int(lengths[b])
        row = tuple(part[b : b + 1] for part in state)
        for t in reversed(range(n)) if reverse else range(n):
            boundary = t + 1 if reverse else t
            if reset is not None and boundary < n and reset[b, boundary]:
                row = tuple(s[None] for s in begin[: len(row)])
            row, gates[b, t] = torch_step(cell, x[b, t : t + 1], row, weights, reset_before)
            y[b, t] = row[0][0]
        finals.append(row)
    final = tuple(torch.cat(part) for part in zip(*finals))
    loss = (y * torch.tensor(case.dy)).sum()
    loss = loss + sum((a * torch.tensor(b)).sum() for a, b in zip(final, case.dstate))
    loss.backward()

    def grad(part: Any) -> Any:
        return None if part is None else np.zeros(part.shape) if part.grad is None else part.grad.numpy()

    dh_reset = tuple(map(grad, start)) if isinstance(h_reset, tuple) else grad(start[0])
    grads = {
        "x": grad(x),
        "state": tuple(map(grad, state)),
        "weights": tuple(map(grad, weights)),
        "h_reset": dh_reset,
    }
    return (
        y.detach().numpy(),
        tuple(part.detach().numpy() for part in final),
        gates.detach().numpy(),
        grads,
    )
