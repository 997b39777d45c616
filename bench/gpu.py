"""How fast are the layers on a card, beside cuDNN, packed sequences and a compiled loop? Without a CUDA device it says so.

For each shape (B, T, I, H) and dtype: a plain call, rows of lengths uniform in T/4..T, a reset every 50 steps, and layer norm,
in inference and training. Ways: `auto` (what a user gets), `triton` where the kernels take the size, torch.nn.GRU and
torch.nn.LSTM (cuDNN), packed sequences, and for few steps a loop of GRUCell under torch.compile. Results and gradients are
compared with float64 before anything is timed. Then one step for 1,024 sessions beside torch.nn.GRUCell, and a GRU solved
over time at once beside cuDNN.

One measurement is one call between two events of the card, ways in turn, after warm-up: medians. float32 is exact (tf32 off);
"tf32" allows it. `share of peak` is the arithmetic of the call over its time and over the rate of one large product here.

    python -m bench.gpu [--repetitions 30]
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from statistics import median
from typing import Any

import torch
from torch import Tensor
from torch.nn.utils.rnn import pack_padded_sequence

from bench.record import spread, write_result
from congru import nn
from congru.errors import BackendError
from congru.kernels.cells import CELLS

SHAPES = (
    (1, 1000, 64, 128),
    (1, 10_000, 256, 256),
    (32, 100, 128, 256),
    (64, 200, 128, 512),
    (128, 50, 512, 512),
    (16, 1000, 64, 64),
    (256, 512, 512, 1024),
)
DTYPES = ("float32", "tf32", "bfloat16")
VARIANTS = ("plain", "ragged", "resets", "layer norm")
KINDS = ("inference", "training")
WARM_UP = 5
MOST_STEPS_OF_A_LOOP = 100  # the compiler unrolls it
MOST_STEPS_CHECKED = 1000  # the float64 loop has one launch a step and more
LIMITS = {"float32": 1e-4, "tf32": 5e-2, "bfloat16": 2e-1}
Run = Callable[[], Tensor]


class Loop(torch.nn.Module):
    """A GRUCell over time in Python, for torch.compile."""

    def __init__(self, I: int, H: int) -> None:
        super().__init__()
        self.cell = torch.nn.GRUCell(I, H)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """x [B, T, I] -> y [B, T, H], h."""
        h, rows = x.new_zeros(x.shape[0], self.cell.hidden_size), []
        for step in x.unbind(1):
            h = self.cell(step, h)
            rows.append(h)
        return torch.stack(rows, 1), h


def keywords_of(variant: str, B: int, T: int, device: str) -> dict[str, Tensor]:
    """The keywords of a call of our layer."""
    if variant == "ragged":
        return {"lengths": torch.linspace(max(1, T // 4), T, B, device=device).long()}
    if variant == "resets":
        return {"reset": (torch.arange(T, device=device) % 50 == 0).expand(B, T)}
    return {}


def modules_of(variant: str, I: int, H: int, T: int) -> dict[str, torch.nn.Module]:
    """The layers that run a variant, batch first, ours with the same weights."""
    options = {"layer_norm": True} if variant == "layer norm" else {}
    modules: dict[str, torch.nn.Module] = {
        name: nn.GRU(I, H, batch_first=True, backend=name, **options) for name in ("auto", "triton")
    }
    modules["triton"].load_state_dict(modules["auto"].state_dict())
    if variant in ("plain", "ragged"):
        modules["torch.nn.GRU"] = torch.nn.GRU(I, H, batch_first=True)
        modules["torch.nn.GRU"].load_state_dict(modules["auto"].state_dict())
        modules["torch.nn.LSTM"] = torch.nn.LSTM(I, H, batch_first=True)
    if variant == "plain" and T <= MOST_STEPS_OF_A_LOOP:
        loop = Loop(I, H)
        loop.cell.load_state_dict({name[:-3]: part for name, part in modules["auto"].state_dict().items()})
        modules["compiled loop"] = torch.compile(loop)  # type: ignore[assignment]
    return modules


def run_of(module: torch.nn.Module, x: Tensor, dy: Tensor, keywords: dict[str, Any], kind: str) -> Run:
    """One call: y, or y after a backward."""
    ours = isinstance(module, nn.GRU)
    lengths = None if ours or "lengths" not in keywords else keywords["lengths"].cpu()

    def forward() -> Tensor:
        if lengths is None:
            y = module(x, **(keywords if ours else {}))[0]
        else:  # packing is part of what a user waits for
            packed, _ = module(pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False))
            y, _ = torch.nn.utils.rnn.pad_packed_sequence(packed, batch_first=True, total_length=x.shape[1])
        return y  # type: ignore[no-any-return]

    def inference() -> Tensor:
        with torch.inference_mode():
            return forward()

    def training() -> Tensor:
        module.zero_grad(set_to_none=True)
        y = forward()
        y.backward(dy)
        return y.detach()

    return inference if kind == "inference" else training


def runs_at(
    shape: tuple[int, int, int, int], variant: str, kind: str, dtype: str, device: str
) -> dict[str, Run]:
    """The ways that run a shape, each compared with float64 (the LSTM, another function, is not)."""
    B, T, I, H = shape
    torch.manual_seed(0)
    modules = modules_of(variant, I, H, T)
    kept = torch.float32 if dtype == "tf32" else getattr(torch, dtype)
    x = torch.randn(B, T, I, device=device)
    dy = torch.randn(B, T, H, device=device).to(kept)
    keywords = keywords_of(variant, B, T, device)
    exact = nn.GRU(I, H, batch_first=True, backend="composite", layer_norm=variant == "layer norm")
    exact.load_state_dict(modules["auto"].state_dict())
    exact = exact.to(device, torch.float64)
    expected = None
    if T <= MOST_STEPS_CHECKED:
        expected = run_of(exact, x.double(), dy.double(), keywords, kind)()
    runs = {}
    for name, module in modules.items():
        run = run_of(module.to(device, kept), x.to(kept), dy, keywords, kind)
        try:
            y = run()
        except BackendError:
            continue  # more units than the kernels take
        if expected is not None and name != "torch.nn.LSTM":
            error = max(_distance(y, expected), *_gradient_distances(module, exact, kind))
            if not error <= LIMITS[dtype]:
                raise SystemExit(f"{name} at {shape}, {variant}, {dtype}: {error:.3g} from float64")
        runs[name] = run
    return runs


def _distance(actual: Tensor, expected: Tensor) -> float:
    """The largest difference, relative to what is largest."""
    return float((actual.double() - expected).abs().max() / expected.abs().max().clamp(min=1))


def _gradient_distances(module: torch.nn.Module, exact: torch.nn.Module, kind: str) -> list[float]:
    """Of the gradients of all weights, in the order in which both have them; of inference none."""
    if kind == "inference":
        return [0.0]
    pairs = zip(module.parameters(), exact.parameters(), strict=True)
    return [_distance(own.grad, theirs.grad) for own, theirs in pairs]  # type: ignore[arg-type]


def seconds_of(runs: dict[str, Run], repetitions: int) -> dict[str, list[float]]:
    """Seconds on the card of each call by name, ways in turn."""
    for run in runs.values():
        for _ in range(WARM_UP):
            run()
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(repetitions):
        for name, run in runs.items():
            begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
            torch.cuda.synchronize()
            begin.record()
            run()
            end.record()
            end.synchronize()
            seconds[name].append(begin.elapsed_time(end) / 1e3)
    return seconds


def flops_of(shape: tuple[int, int, int, int], kind: str) -> int:
    """Multiplications and additions of the products of a GRU; the backward has twice as many as the forward."""
    B, T, I, H = shape
    return 2 * B * T * len(CELLS["gru"].gates) * H * (I + H) * (1 if kind == "inference" else 3)


def peak(dtype: str, size: int = 8192) -> float:
    """Operations a second of one large product on this card."""
    kept = torch.float32 if dtype == "tf32" else getattr(torch, dtype)
    a = torch.randn(size, size, device="cuda").to(kept)
    return 2 * size**3 / median(seconds_of({"product": lambda: a @ a}, 10)["product"])


def one_step(repetitions: int, sessions: int = 1024, I: int = 256, H: int = 512) -> dict[str, Any]:
    """One step of many sessions: GRUCell, the kernel, and the same under auto."""
    theirs = torch.nn.GRUCell(I, H).cuda()
    cells = {name: nn.GRUCell(I, H, backend=name).cuda() for name in ("auto", "triton")}
    x, h = torch.randn(sessions, I, device="cuda"), torch.randn(sessions, H, device="cuda")
    runs: dict[str, Run] = {"torch.nn.GRUCell": torch.inference_mode()(lambda: theirs(x, h))}
    for name, cell in cells.items():
        cell.load_state_dict(theirs.state_dict())
        runs[name] = torch.inference_mode()(lambda cell=cell: cell(x, h))
    for name, run in runs.items():
        error = float((run() - runs["torch.nn.GRUCell"]()).abs().max())
        if not error <= LIMITS["float32"]:
            raise SystemExit(f"{name} in one step: {error:.3g} from GRUCell")
    return {name: spread(values) for name, values in seconds_of(runs, repetitions).items()}


def over_time(repetitions: int, T: int = 65_536, I: int = 64, H: int = 128) -> dict[str, Any]:
    """A GRU solved over time at once beside cuDNN, B = 1."""
    layer, x = torch.nn.GRU(I, H).cuda(), torch.randn(T, 1, I, device="cuda")
    with torch.inference_mode():
        proof = nn.run_in_parallel(layer, x)
        distance = float((proof.y - layer(x)[0]).abs().max())
    runs: dict[str, Run] = {
        "torch.nn.GRU": torch.inference_mode()(lambda: layer(x)[0]),
        "at once": torch.inference_mode()(lambda: nn.run_in_parallel(layer, x).y),
    }
    figures: dict[str, Any] = {name: spread(part) for name, part in seconds_of(runs, repetitions).items()}
    return figures | {"residual": proof.residual, "iterations": proof.iterations, "distance": distance}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repetitions", type=int, default=30)
    repetitions = parser.parse_args().repetitions
    if not torch.cuda.is_available():
        raise SystemExit(
            "torch finds no CUDA device here, and this measures one: run it on a machine with a card"
        )
    figures: dict[str, Any] = {"card": torch.cuda.get_device_name()}
    for dtype in DTYPES:
        torch.set_float32_matmul_precision("high" if dtype == "tf32" else "highest")
        torch.backends.cudnn.allow_tf32 = dtype == "tf32"
        rate = figures[f"peak {dtype}"] = peak(dtype)
        for shape in SHAPES:
            for variant in VARIANTS:
                for kind in KINDS:
                    runs = runs_at(shape, variant, kind, dtype, "cuda")
                    seconds = seconds_of(runs, repetitions)
                    entry: dict[str, Any] = {name: spread(values) for name, values in seconds.items()}
                    share = flops_of(shape, kind) / median(seconds["auto"]) / rate
                    figures[f"{kind} {variant} {dtype} {shape}"] = entry | {"share of peak": share}
                    print(
                        kind,
                        variant,
                        dtype,
                        shape,
                        {name: f"{median(v):.3g} s" for name, v in seconds.items()},
                    )
    figures["one step"] = one_step(repetitions)
    figures["over time"] = over_time(repetitions)
    write_result("gpu", "python -m bench.gpu", figures, repetitions=repetitions, packages=("triton",))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
