"""What do the options cost on the C core? Every variant beside our plain layer of its cell, in inference and in training.

All run in this process, in turn, at each shape. Before it is timed, a variant's outputs are compared with those of
`composite`. Training is forward and backward with the gradients of all parameters and of x.

    python -m bench.options_speed [--repetitions 15] [--threads N]
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor

from bench.record import write_result
from bench.timing import interleaved, ratio, summary
from congru import nn
from congru.kernels.binding import extension

SHAPES = [(32, 100, 128, 256), (16, 1000, 64, 64), (1, 1000, 64, 128)]  # B, T, I, H
BAR, GOAL = 1.3, 1.1  # times the plain GRU
AGREEMENT = 1e-4  # largest difference of y; the states of a float32 GRU drift over 1,000 steps
Run = Callable[[], object]


class Variant(NamedTuple):
    """A layer by its class and arguments, the arguments of its call, the variant whose time it is set beside, and how many
    first steps of its outputs are checked."""

    layer: str
    form: dict[str, Any]
    call: dict[str, Any]
    beside: str = "plain"
    checked: int | None = None


def variants(B: int, T: int, H: int) -> dict[str, Variant]:
    """The variants by name. Lengths run from T/2 to T, one step in a hundred is a reset."""
    generator = torch.Generator().manual_seed(0)
    lengths = torch.linspace(T // 2, T, B).round().long()
    reset = torch.rand(B, T, generator=generator) < 0.01
    return {
        "plain": Variant("GRU", {}, {}),
        # Norms make small differences larger: any two orders of rounding part company in the end.
        "layer_norm": Variant("GRU", {"layer_norm": True}, {}, checked=100),
        "layer_norm dreamer": Variant("GRU", {"layer_norm": "dreamer"}, {}, checked=100),
        "zoneout": Variant("GRU", {"zoneout": 0.1}, {}),
        "recurrent_dropout": Variant("GRU", {"recurrent_dropout": 0.2}, {}),
        "input_dropout": Variant("GRU", {"input_dropout": 0.2}, {}),
        "num_heads 4": Variant("GRU", {"num_heads": 4}, {}),
        "resets": Variant("GRU", {}, {"reset": reset}),
        "lengths": Variant("GRU", {}, {"lengths": lengths}),
        "gates returned": Variant("GRU", {}, {"return_gates": True}),
        "reset_before plain": Variant("GRU", {"reset_before": True}, {}),
        "reset_before layer_norm": Variant(
            "GRU", {"reset_before": True, "layer_norm": True}, {}, "reset_before plain", 100
        ),
        "lstm plain": Variant("LSTM", {}, {}),
        "lstm layer_norm": Variant("LSTM", {"layer_norm": True}, {}, "lstm plain", 20),
        "lstm zoneout": Variant("LSTM", {"zoneout": 0.1}, {}, "lstm plain"),
    }


def run_of(layer: torch.nn.Module, call: dict[str, Any], x: Tensor, dy: Tensor | None) -> Run:
    """One call without a gradient, or forward and backward."""
    if dy is None:

        def infer() -> Tensor:
            with torch.no_grad():
                y: Tensor = layer(x, **call)[0]
            return y

        return infer
    x = x.clone().requires_grad_()
    wanted = [x, *layer.parameters()]

    def train() -> tuple[Tensor, ...]:
        return torch.autograd.grad(layer(x, **call)[0], wanted, dy)

    return train


def check(name: str, layer: torch.nn.Module, variant: Variant, x: Tensor) -> None:
    """Exit unless the layer runs on the core and agrees with torch operations."""
    if "'native'" not in str(layer.explain(x)):  # type: ignore[operator]
        raise SystemExit(f"{name}: {layer.explain(x)}")  # type: ignore[operator]
    outputs = []
    for backend in ("native", "composite"):
        layer.backend = backend  # type: ignore[assignment]
        torch.manual_seed(1)
        with torch.no_grad():
            outputs.append(layer(x, **variant.call)[0][:, : variant.checked])
    layer.backend = "native"  # type: ignore[assignment]
    error = float((outputs[0] - outputs[1]).abs().max())
    if not error <= AGREEMENT:
        raise SystemExit(f"{name}: y differs from composite by {error:.2g}, expected {AGREEMENT}")


def main() -> None:
    """Measure, and write results/options_speed.json."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--repetitions", type=int, default=15)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    figures: dict[str, Any] = {
        "threads": arguments.threads,
        "instruction_set": extension().isa(),
        "bar": BAR,
        "goal": GOAL,
    }
    for B, T, I, H in SHAPES:
        torch.manual_seed(0)
        x, dy = torch.randn(B, T, I), torch.randn(B, T, H)
        built, variant_of = {}, variants(B, T, H)
        for name, variant in variant_of.items():
            torch.manual_seed(0)
            layer = getattr(nn, variant.layer)(I, H, batch_first=True, **variant.form)
            built[name] = layer, variant.call
            check(name, layer, variant, x)
        for what in ("inference", "training"):
            for layer, _ in built.values():
                layer.train(what == "training")
            runs = {
                name: run_of(*pair, x, dy if what == "training" else None) for name, pair in built.items()
            }
            seconds = interleaved(runs, arguments.repetitions)
            times = {
                name: ratio(seconds, name, variant_of[name].beside) for name in seconds if name != "plain"
            }
            figures[f"{what} {B}, {T}, {I}, {H}"] = {
                "ms": {name: summary(values) for name, values in seconds.items()},
                "times_plain": times,
            }
            print(what, (B, T, I, H), times, flush=True)
    command = (
        f"python -m bench.options_speed --repetitions {arguments.repetitions} --threads {arguments.threads}"
    )
    target = write_result("options_speed", command, figures, repetitions=arguments.repetitions)
    print(target)


if __name__ == "__main__":
    main()
