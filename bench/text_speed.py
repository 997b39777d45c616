"""How much faster does `congru train text` read text on the C core than on PyTorch's own kernels, and with bfloat16 products?

Whole training steps of the default settings (loss, backward, clipping, AdamW) on random symbols, the same network on
each backend, in turn; first the loss and the gradients of the backends are compared. bfloat16: what `--precision bfloat16`
runs ("auto" chooses the backend), which is the default where the processor multiplies it faster than float32.

    python -m bench.text_speed [--repetitions 9] [--threads N] [SETTING=VALUE ...]
"""

from __future__ import annotations

import argparse
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from bench.record import ROOT, write_result
from bench.timing import interleaved, ratio, summary
from congru.nn.network import Network
from congru.tasks.text.network import network_config
from congru.tasks.text.settings import Settings
from congru.train.networks import make_optimizer
from congru.train.resolve import resolve

NUM_SYMBOLS = 65
PEERS = {
    "the C core": ("native", "float32"),
    "PyTorch's kernels": ("aten", "float32"),
    "bptt": ("bptt", "float32"),
    "bfloat16": ("auto", "bfloat16"),
    "PyTorch's kernels, bfloat16": ("aten", "bfloat16"),
}
# Of the loss and of every gradient, relative to its largest value.
AGREEMENT = {"float32": 1e-4, "bfloat16": 1e-1}


def network(settings: Settings, backend: str) -> Network:
    torch.manual_seed(0)
    return Network(network_config(settings, NUM_SYMBOLS), backend=backend)


def loss_of(module: Network, precision: str, batch: Tensor) -> Tensor:
    with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bfloat16"):
        logits, _ = module(batch[:, :-1])
        return F.cross_entropy(logits.flatten(0, 1), batch[:, 1:].flatten())


def stepper(module: Network, precision: str, settings: Settings, batch: Tensor) -> Callable[[], object]:
    optimizer = make_optimizer(module, settings)

    def step() -> float:
        loss = loss_of(module, precision, batch)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(module.parameters(), settings.clip or float("inf"))
        optimizer.step()
        return float(loss.detach())

    return step


def check(settings: Settings, batch: Tensor) -> None:
    """Exit unless every backend gives the loss and the gradients of the first."""
    expected: list[Tensor] | None = None
    for name, (backend, precision) in PEERS.items():
        module = network(settings, backend).eval()  # without dropout
        loss = loss_of(module, precision, batch)
        results = [loss.detach(), *torch.autograd.grad(loss, list(module.parameters()))]
        expected = expected or results
        for a, b in zip(results, expected):
            error = float((a - b).abs().max() / b.abs().max())
            if not error <= AGREEMENT[precision]:
                raise SystemExit(
                    f"{name} differs from the C core by {error:.2g}, expected {AGREEMENT[precision]}"
                )


def main() -> None:
    """Measure, and write results/text_speed.json."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--repetitions", type=int, default=9)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("settings", nargs="*", help="SETTING=VALUE, for other than default settings")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    overrides = dict(setting.split("=", 1) for setting in arguments.settings)
    settings, _ = resolve(Settings, {**overrides, "minutes": 1.0})
    batch = torch.randint(0, NUM_SYMBOLS, (settings.batch_size, settings.chunk + 1))
    check(settings, batch)
    steps = {
        name: stepper(network(settings, backend).train(), precision, settings, batch)
        for name, (backend, precision) in PEERS.items()
    }
    seconds = interleaved(steps, arguments.repetitions, budget_s=90)
    ours = next(iter(PEERS))
    figures = {
        "threads": arguments.threads,
        "step_ms": {name: summary(values) for name, values in seconds.items()},
        "times_ours": {name: ratio(seconds, name, ours) for name in seconds if name != ours},
        "characters_per_second": round(
            settings.batch_size * settings.chunk * 1000 / summary(seconds[ours])["median"]
        ),
        "shape": {
            name: getattr(settings, name) for name in ("batch_size", "chunk", "hidden_size", "num_layers")
        },
    }
    print(figures)
    words = [
        "python -m bench.text_speed",
        f"--repetitions {arguments.repetitions} --threads {arguments.threads}",
    ]
    target = write_result(
        "text_speed", " ".join([*words, *arguments.settings]), figures, repetitions=arguments.repetitions
    )
    print(target.relative_to(ROOT))


if __name__ == "__main__":
    main()
