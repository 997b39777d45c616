"""What does one step of a GRU cost from Python, and beside its peers?

One row (B = 1), I = H, float32, one thread. `stepper` is one of `congru.kernels.packed`; with bfloat16 weights it reads
half the bytes; `Session` is a model that is a bare GRU; `Session, whole model` one with an embedding of 65 tokens and a
linear head; `Session on NumPy` the bare GRU without the core. Peers: torch.nn.GRUCell without gradients, onnxruntime's GRU
node over one step, the state handed in and out. Every answer is compared with the stepper's first (with bfloat16 weights,
bit for bit, with that of rounded ones); then all take turns, in blocks of steps.

    python -m bench.step_speed [--repetitions 400]
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any, cast

import numpy as np
import onnxruntime
import torch
from onnx import TensorProto, helper, numpy_helper

from bench.record import ROOT, write_result
from bench.timing import interleaved, ratio, summary
from congru.kernels import binding, packed
from congru.kernels.rounding import rounded
from congru.reference.conventions import from_canonical
from congru.runtime.network import Network
from congru.runtime.session import Session

HIDDEN_SIZES = (32, 64, 128, 256, 512, 1024)
NUM_TOKENS = 65
BLOCK = 20  # steps per measurement
BAR_US, GOAL_US = 2.5, 1.5  # of one step from Python at H = 64
AGREEMENT = 1e-5
NAMES = ("weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0")
Step = Callable[[], object]


def session(layers: list[dict[str, Any]], weights: dict[str, np.ndarray], backend: str) -> Session:
    """A session of a network that is in no folder."""
    network = Network({"layers": layers}, weights, backend)
    return Session(network)


def onnx_step(weights: tuple[np.ndarray, ...], x: np.ndarray) -> Step:
    """onnxruntime's GRU node over one step; the state goes in and out."""
    size = x.shape[-1]
    arrays, options = from_canonical("onnx", cast(Any, weights))
    node = helper.make_node("GRU", ["X", "W", "R", "B", "", "h"], ["", "Y_h"], hidden_size=size, **options)
    graph = helper.make_graph(
        [node],
        "gru",
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 1, size]) for name in ("X", "h")],
        [helper.make_tensor_value_info("Y_h", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(np.ascontiguousarray(value), name) for name, value in arrays.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 14)], ir_version=8)
    settings = onnxruntime.SessionOptions()
    settings.intra_op_num_threads = 1
    runner = onnxruntime.InferenceSession(model.SerializeToString(), settings)
    feed = {"X": x[None, None], "h": np.zeros((1, 1, size), np.float32)}

    def step() -> np.ndarray:
        (feed["h"],) = runner.run(None, feed)
        return feed["h"]

    return step


def torch_step(weights: tuple[np.ndarray, ...], x: np.ndarray) -> Step:
    """torch.nn.GRUCell without gradients."""
    size = x.shape[-1]
    cell = torch.nn.GRUCell(size, size)
    cell.load_state_dict({name[:-3]: torch.from_numpy(part) for name, part in zip(NAMES, weights)})
    row, h = torch.from_numpy(x)[None], torch.zeros(1, size)

    def step() -> np.ndarray:
        nonlocal h
        with torch.inference_mode():
            h = cell(row, h)
        return h.numpy()

    return step


def check_bfloat16(weights: tuple[np.ndarray, ...], row: np.ndarray) -> None:
    """Exit unless five steps on bfloat16 weights have the bits of five on weights that were rounded before."""
    coarse = packed.pack("gru", weights, weight_dtype="bfloat16").stepper()
    expected = packed.pack("gru", rounded("gru", weights)).stepper()
    for _ in range(5):
        if not np.array_equal(coarse.step(row), expected.step(row)):
            raise SystemExit("bfloat16 weights give other bits than rounded ones")


def steps_of(size: int) -> dict[str, Step]:
    """Every way of stepping at I = H = size, each checked over five steps against the first."""
    rng = np.random.default_rng(size)
    scale = size**-0.5

    def draw(*shape: int) -> np.ndarray:
        return (scale * rng.standard_normal(shape)).astype(np.float32)

    weights = (draw(3 * size, size), draw(3 * size, size), draw(3 * size), draw(3 * size))
    gru = {"type": "gru", "name": "rnn", "input_size": size, "hidden_size": size}
    named = {f"rnn.{name}": part for name, part in zip(NAMES, weights)}
    whole = [
        {"type": "embedding", "name": "embed", "num_embeddings": NUM_TOKENS, "size": size},
        gru,
        {"type": "linear", "name": "head", "in": size, "out": NUM_TOKENS},
    ]
    more = {
        "embed.weight": draw(NUM_TOKENS, size),
        "head.weight": draw(NUM_TOKENS, size),
        "head.bias": draw(65),
    }
    x = more["embed.weight"][3]
    stepper, row = packed.pack("gru", weights).stepper(), x[None].copy()
    coarse = packed.pack("gru", weights, weight_dtype="bfloat16").stepper()
    check_bfloat16(weights, row)
    bare, on_numpy = session([gru], named, "native"), session([gru], named, "numpy")
    model, model_on_numpy = (
        session(whole, {**named, **more}, "native"),
        session(whole, {**named, **more}, "numpy"),
    )
    steps: dict[str, Step] = {
        "stepper": lambda: stepper.step(row),
        "stepper, bfloat16 weights": lambda: coarse.step(row),
        "Session": lambda: bare.step(x),
        "torch.nn.GRUCell": torch_step(weights, x),
        "onnxruntime GRU": onnx_step(weights, x),
        "Session on NumPy": lambda: on_numpy.step(x),
        "Session, whole model": lambda: model.step(3),
        "Session, whole model on NumPy": lambda: model_on_numpy.step(3),
    }
    for _ in range(5):
        outputs = {name: np.array(step(), np.float32).ravel() for name, step in steps.items()}
        del outputs["stepper, bfloat16 weights"]
        for name, value in outputs.items():
            expected = outputs["Session, whole model" if "whole" in name else "stepper"]
            error = float(np.abs(value - expected).max())
            if not error <= AGREEMENT:
                raise SystemExit(f"{name} at H = {size} is off by {error:.2g}, expected {AGREEMENT}")
    return steps


def block(step: Step) -> Step:
    def run() -> None:
        for _ in range(BLOCK):
            step()

    return run


def main() -> None:
    """Measure, and write results/step_speed.json."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--repetitions", type=int, default=400)
    repetitions = parser.parse_args().repetitions
    torch.set_num_threads(1)
    figures: dict[str, Any] = {
        "instruction_set": binding.extension().isa(),
        "bar_us": BAR_US,
        "goal_us": GOAL_US,
        "steps_per_measurement": BLOCK,
    }
    for size in HIDDEN_SIZES:
        blocks = {name: block(step) for name, step in steps_of(size).items()}
        seconds = interleaved(blocks, repetitions, pause_s=0.0)  # a pause would empty the caches
        microseconds = {name: summary(values, BLOCK * 1e-6) for name, values in seconds.items()}
        for name, values in seconds.items():
            microseconds[name]["min"] = float(f"{min(values) / BLOCK * 1e6:.4g}")
        figures[f"H {size}"] = {
            "us": microseconds,
            "times_stepper": {name: ratio(seconds, name, "stepper") for name in seconds if name != "stepper"},
        }
        medians = {name: entry["median"] for name, entry in microseconds.items()}
        print(f"H {size}: median us {medians}", flush=True)
    target = write_result(
        "step_speed",
        f"python -m bench.step_speed --repetitions {repetitions}",
        figures,
        repetitions=repetitions,
        packages=["onnxruntime"],
    )
    print(target.relative_to(ROOT))


if __name__ == "__main__":
    main()
