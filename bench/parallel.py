"""How many iterations does a GRU need that is solved over time at once? `congru.nn.run_in_parallel`, float32, B = 1.

Networks: random weights as torch draws them and larger ones, a long memory (update gates biased to keep), and one that is trained
here to go on with sums of sines, on such a wave and on what it generates itself. For each, in one window of 1,024 steps, the
iterations with the whole diagonal, with none (fixed-point iteration) and damped as the function does it; then the function on
10,000 steps, with its residual and its distance from the layer. Nothing is timed.

    python -m bench.parallel
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from bench.record import write_result
from congru import nn
from congru.kernels import newton
from congru.kernels.newton import Limits

STEPS, LONG, H, MOST = 1024, 10_000, 64, 400
TOLERANCE = 64 * torch.finfo(torch.float32).eps


def waves(rows: int, steps: int) -> Tensor:
    """Means of three sines [B, T, 1]."""
    frequency, phase = 0.05 + 0.3 * torch.rand(rows, 3, 1), 6.28 * torch.rand(rows, 3, 1)
    return torch.sin(torch.arange(float(steps)) * frequency + phase).mean(1)[..., None]


def trained() -> tuple[nn.GRU, torch.nn.Linear]:
    """A GRU that predicts the next value of a wave, and its output."""
    layer, out = nn.GRU(1, H, batch_first=True), torch.nn.Linear(H, 1)
    optimizer = torch.optim.Adam([*layer.parameters(), *out.parameters()], lr=5e-3)
    for _ in range(400):
        x = waves(32, 201)
        loss = (out(layer(x[:, :-1])[0]) - x[:, 1:]).square().mean()
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(layer.parameters(), 1.0)
        optimizer.step()
    return layer, out


def generated(layer: nn.GRU, out: torch.nn.Linear, steps: int) -> Tensor:
    """What the network goes on with after 50 steps of a wave, fed its own output."""
    y, h = layer(waves(1, 50))
    values = [out(y[:, -1:])]
    for _ in range(steps - 1):
        y, h = layer(values[-1], h)
        values.append(out(y))
    return torch.cat(values, 1)


def networks() -> dict[str, tuple[nn.GRU, Tensor]]:
    """Each network with an input [1, T, I]."""
    cases: dict[str, tuple[nn.GRU, Tensor]] = {}
    for scale in (1, 2, 3, 4):
        layer = nn.GRU(8, H, batch_first=True)
        for parameter in layer.parameters():
            parameter.data.mul_(scale)
        cases[f"random weights x {scale}"] = layer, torch.randn(1, LONG, 8)
    layer = nn.GRU(8, H, batch_first=True)
    nn.chrono_init(layer, 500)
    cases["long memory"] = layer, torch.randn(1, LONG, 8)
    with torch.enable_grad():
        layer, out = trained()
    cases["trained on waves, a wave"] = layer, waves(1, LONG)
    cases["trained on waves, what it generates"] = layer, generated(layer, out, LONG)
    return cases


def iterations(layer: nn.GRU, x: Tensor, kind: str) -> int:
    """Iterations in one window; MOST where they do not converge."""

    class Fixed(newton._Damping):
        def after(self, errors: Tensor) -> float:
            return 0.0 if kind == "none" else 1.0

    damping, newton._Damping = newton._Damping, newton._Damping if kind == "damped" else Fixed  # type: ignore[misc]
    try:
        gi = F.linear(x[0, :STEPS, None], layer.weight_ih_l0, layer.bias_ih_l0)
        limits = Limits(TOLERANCE, MOST, STEPS)
        bound = torch.ones(())
        return newton._window(gi, torch.zeros(1, H), layer.weight_hh_l0, layer.bias_hh_l0, bound, limits)[2]
    finally:
        newton._Damping = damping  # type: ignore[misc]


@torch.no_grad()
def main() -> int:
    torch.manual_seed(0)
    figures: dict[str, Any] = {}
    for name, (layer, x) in networks().items():
        row: dict[str, Any] = {
            f"iterations, {kind}": iterations(layer, x, kind) for kind in ("whole", "none", "damped")
        }
        y, _ = layer(x)
        result = nn.run_in_parallel(layer, x)
        row["most iterations of a window"] = result.iterations
        row["sequential steps of 10,000"] = result.sequential_steps
        row["residual"] = result.residual
        row["distance from the layer"] = float((result.y - y).abs().max())
        figures[name] = row
        print(f"{name:38} {row}", flush=True)
    write_result("parallel", "python -m bench.parallel", figures)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
