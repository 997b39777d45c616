"""The textbook's claim, measured: has a GRU fewer parameters than an LSTM, is it faster, does it take less memory?

GRU, LSTM and RNN at equal hidden size and at equal parameters, ours and PyTorch's: parameters, milliseconds of
inference and of training (forward and backward), and the bytes that training keeps for the backward pass. Outputs are
compared with PyTorch's first. Draws docs/textbook.svg.

    python -m bench.textbook [--repetitions 15] [--threads N]
"""

from __future__ import annotations

import argparse
import io
from typing import Any

import torch
from torch import Tensor

from bench.cell_speed import Run, check, inference, training
from bench.record import ROOT, write_result
from bench.tables import result
from bench.timing import interleaved, ratio, summary
from congru import nn
from congru.report.style import BLUE, GREY, INK, ORANGE, in_both_modes, new_figure, styled

B, T, I, H = 32, 100, 128, 256
CELLS = ("GRU", "LSTM", "RNN")
SIDES = {"congru": nn, "torch.nn": torch.nn}
COLORS = {"GRU": BLUE, "LSTM": ORANGE, "RNN": GREY}


def num_parameters(cell: str, hidden_size: int) -> int:
    """G H (I + H) + 2 G H, with G = 3, 4 or 1 blocks of rows."""
    return {"GRU": 3, "LSTM": 4, "RNN": 1}[cell] * hidden_size * (I + hidden_size + 2)


def hidden_size_for(cell: str, parameters: int) -> int:
    """The hidden size whose number of parameters is nearest."""
    return min(range(1, 2000), key=lambda size: abs(num_parameters(cell, size) - parameters))


def kept_bytes(layer: torch.nn.Module, x: Tensor) -> int:
    """Bytes of the tensors that one forward pass keeps for the backward, each storage once, without the weights."""
    own = {part.untyped_storage().data_ptr() for part in (x, *layer.parameters())}
    kept: dict[int, int] = {}

    def pack(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in own:
            kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        y = layer(x)[0]
    kept[y.untyped_storage().data_ptr()] = y.untyped_storage().nbytes()
    return sum(kept.values())


def measure(sizes: dict[str, int], repetitions: int) -> dict[str, Any]:
    """One table: a row per cell and side."""
    torch.manual_seed(0)
    x = torch.randn(B, T, I)
    layers: dict[str, torch.nn.Module] = {}
    for cell in CELLS:
        for side, module in SIDES.items():
            layers[f"{side} {cell}"] = getattr(module, cell)(I, sizes[cell], batch_first=True)
        layers[f"torch.nn {cell}"].load_state_dict(layers[f"congru {cell}"].state_dict())
    runs: dict[str, dict[str, Run]] = {"inference": {}, "training": {}}
    for name, layer in layers.items():
        dy = torch.randn(B, T, sizes[name.split()[1]], generator=torch.Generator().manual_seed(1))
        runs["inference"][name], runs["training"][name] = inference(layer, x), training(layer, x, dy)
    for cell in CELLS:
        for what in runs:
            check(cell, runs[what][f"torch.nn {cell}"](), runs[what][f"congru {cell}"]())
    seconds = {what: interleaved(named, repetitions) for what, named in runs.items()}
    table = {}
    for name, layer in layers.items():
        cell = name.split()[1]
        table[name] = {
            "hidden_size": sizes[cell],
            "parameters": sum(part.numel() for part in layer.parameters()),
            **{f"{what}_ms": summary(named[name]) for what, named in seconds.items()},
            **{f"{what}_times_lstm": ratio(named, name, _lstm(name)) for what, named in seconds.items()},
            "kept_for_backward_mb": round(kept_bytes(layer, x) / 1e6, 2),
        }
    return table


def _lstm(name: str) -> str:
    return f"{name.split()[0]} LSTM"


def draw(figures: dict[str, Any]) -> None:
    """docs/textbook.svg: training and inference time against the LSTM of the same side, at equal hidden size."""
    with styled("textbook") as matplotlib:
        figure = new_figure(matplotlib, 8.2, 2.9)
        axes = figure.subplots(1, 2, sharey=True)
        for axis, what in zip(axes, ("inference", "training")):
            names = [f"{side} {cell}" for side in SIDES for cell in CELLS]
            values = [figures["equal hidden size"][name][f"{what}_ms"]["median"] for name in names]
            heights = [index + (index >= len(CELLS)) * 0.6 for index in range(len(names))]
            axis.barh(heights, values, color=[COLORS[name.split()[1]] for name in names])
            for height, value in zip(heights, values):
                axis.annotate(f" {value:.3g} ms", (value, height), va="center", fontsize=9, color=INK)
            axis.set_yticks(heights, names)
            axis.set_xlim(0, max(values) * 1.25)
            axis.set_title(f"{what}, {figures['threads']} threads")
            axis.set_xlabel("milliseconds (median), less is better")
        axes[0].invert_yaxis()  # shared
        text = io.StringIO()
        figure.savefig(text, format="svg", metadata={"Date": None})
    title = "How long GRU, LSTM and RNN take, congru and PyTorch"
    (ROOT / "docs" / "textbook.svg").write_text(in_both_modes(text.getvalue(), title), encoding="utf-8")


def main() -> None:
    """Measure, write results/textbook.json, draw docs/textbook.svg."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--repetitions", type=int, default=15)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument(
        "--draw", action="store_true", help="only draw the picture, from results/textbook.json"
    )
    arguments = parser.parse_args()
    if arguments.draw:
        draw(result("textbook")["figures"])
        return
    torch.set_num_threads(arguments.threads)
    parameters = num_parameters("GRU", H)
    equal = {cell: hidden_size_for(cell, parameters) for cell in CELLS}
    figures: dict[str, Any] = {
        "shape": {"B": B, "T": T, "I": I},
        "threads": arguments.threads,
        "equal hidden size": measure(dict.fromkeys(CELLS, H), arguments.repetitions),
        "equal parameters": measure(equal, arguments.repetitions),
    }
    target = write_result(
        "textbook",
        f"python -m bench.textbook --repetitions {arguments.repetitions} --threads {arguments.threads}",
        figures,
        repetitions=arguments.repetitions,
    )
    draw(figures)  # after the record: the picture is a tracked file
    for title in ("equal hidden size", "equal parameters"):
        for name, row in figures[title].items():
            times = ", ".join(
                f"{what} {row[f'{what}_ms']['median']} ms" for what in ("inference", "training")
            )
            print(f"{title}: {name} H={row['hidden_size']}, {row['parameters']:,} parameters, {times},"
                  f" keeps {row['kept_for_backward_mb']} MB")  # fmt: skip
    print(target.relative_to(ROOT))


if __name__ == "__main__":
    main()
