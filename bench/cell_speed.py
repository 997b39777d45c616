"""How fast is a recurrent layer on this CPU, in inference and in training, beside its peers?

Every peer runs in this process, in turn, at each shape; a peer's answer is compared with ours before it is timed.
Training is forward and backward with the gradients of all parameters and of x. `ms` and `times_ours` are of calls
after a pause, `ms_in_a_row` and `times_ours_in_a_row` of calls behind others of the same peer. Peers that are not
installed (`pip install openvino jax`) are left out and named. Every peer has `--threads` threads, JAX as far as
bench/jax_peer.py can say. About 8 minutes.

    python -m bench.cell_speed [--repetitions 15] [--threads N] [--no-compile]
"""

from __future__ import annotations

import argparse
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from bench import jax_peer
from bench.record import ROOT, write_result
from bench.timing import after_pause, in_a_row, interleaved, ratio, rows, summary
from congru import nn
from congru.kernels.binding import extension

# B, T, I, H; also of train_memory.py.
SHAPES = [
    (1, 1000, 64, 128),
    (1, 1000, 256, 256),
    (16, 1000, 64, 64),
    (32, 100, 128, 256),
    (64, 200, 128, 512),
    (128, 50, 512, 512),
]
# What was asked for, times nn.GRU, by shape in this order.
BARS = {"inference": (12.0, 5.0, 7.0, 2.7, 1.8, 1.2), "training": (20.0, 10.0, 10.0, 3.0, 1.7, 1.15)}
AGREEMENT = 1e-5  # largest difference of y, relative to 1; gradients: relative to their largest value
BUDGET_S = 40.0  # of one shape, in inference or in training
Run = Callable[[], object]


def layers(I: int, H: int) -> dict[str, torch.nn.Module]:
    """Ours and PyTorch's, the GRUs and LSTMs with the same weights."""
    torch.manual_seed(0)
    modules: dict[str, torch.nn.Module] = {}
    for name in ("GRU", "LSTM", "RNN"):
        theirs = getattr(torch.nn, name)(I, H, batch_first=True)
        ours = getattr(nn, name)(I, H, batch_first=True)
        ours.load_state_dict(theirs.state_dict())
        modules[f"congru {name}"], modules[f"torch.nn.{name}"] = ours, theirs
    return modules


def inference(layer: torch.nn.Module, x: Tensor) -> Run:
    def run() -> Tensor:
        with torch.no_grad():
            y: Tensor = layer(x)[0]
        return y

    return run


def training(layer: torch.nn.Module, x: Tensor, dy: Tensor) -> Run:
    x = x.clone().requires_grad_()
    wanted = [x, *layer.parameters()]

    def run() -> list[Tensor]:
        y = layer(x)[0]
        return [y, *torch.autograd.grad(y, wanted, dy)]

    return run


def onnx_gru(layer: torch.nn.Module, B: int, I: int, H: int, x: Tensor, threads: int) -> Run | None:
    """onnxruntime's GRU node with the weights of `layer`; None where it is not installed."""
    try:
        import onnxruntime
        from onnx import TensorProto, helper, numpy_helper
    except ModuleNotFoundError:
        return None

    def zrn(part: Tensor) -> Tensor:
        r, z, n = part.detach().chunk(3)
        return torch.cat([z, r, n])

    state = layer.state_dict()
    bias = torch.cat([zrn(state["bias_ih_l0"]), zrn(state["bias_hh_l0"])])
    weights = {"W": zrn(state["weight_ih_l0"])[None], "R": zrn(state["weight_hh_l0"])[None], "B": bias[None]}
    node = helper.make_node("GRU", ["X", "W", "R", "B"], ["Y"], hidden_size=H, linear_before_reset=1)
    graph = helper.make_graph(
        [node],
        "gru",
        [helper.make_tensor_value_info("X", TensorProto.FLOAT, [x.shape[1], B, I])],
        [helper.make_tensor_value_info("Y", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(value.numpy(), name) for name, value in weights.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 14)], ir_version=8)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(model.SerializeToString(), options)
    time_first = np.ascontiguousarray(x.numpy().swapaxes(0, 1))
    return lambda: torch.from_numpy(session.run(None, {"X": time_first})[0][:, 0]).transpose(0, 1)


def openvino_gru(layer: torch.nn.Module, x: Tensor, threads: int) -> Run | None:
    """OpenVINO's compilation (oneDNN kernels) of the torch layer; None where it is not installed."""
    try:
        import openvino
    except ModuleNotFoundError:
        return None
    model = openvino.convert_model(layer, example_input=x)
    compiled = openvino.compile_model(
        model, "CPU", {"INFERENCE_NUM_THREADS": threads, "INFERENCE_PRECISION_HINT": "f32"}
    )
    request, array = compiled.create_infer_request(), x.numpy()
    return lambda: torch.from_numpy(request.infer([array])[0])


def compiled(layer: torch.nn.Module, wrap: Callable[[torch.nn.Module], Run]) -> Run | None:
    """torch.compile of nn.GRU; None, with the reason printed, where it cannot."""
    try:
        run = wrap(torch.compile(layer))
        run()
    except Exception as error:  # a compiler may fail in any way; the benchmark goes on and says so
        print(f"torch.compile is left out: {type(error).__name__}: {str(error).splitlines()[0][:120]}")
        return None
    return run


def check(name: str, actual: Any, expected: Any) -> None:
    """Exit unless the two runs agree."""
    pairs = zip(actual, expected) if isinstance(actual, list) else [(actual, expected)]
    for index, (a, b) in enumerate((a.detach(), b.detach()) for a, b in pairs):
        error = float((a - b).abs().max() / max(1.0, float(b.abs().max())))
        if not error <= AGREEMENT:
            raise SystemExit(f"{name}: result {index} differs from ours by {error:.2g}, expected {AGREEMENT}")


def runs_at(shape: tuple[int, int, int, int], what: str, threads: int, with_compile: bool) -> dict[str, Run]:
    """Everything that can be timed at this shape, each GRU and LSTM checked against ours."""
    B, T, I, H = shape
    every, x, dy = layers(I, H), torch.randn(B, T, I), torch.randn(B, T, H)

    def wrap(layer: torch.nn.Module) -> Run:
        return inference(layer, x) if what == "inference" else training(layer, x, dy)

    runs: dict[str, Run] = {name: wrap(layer) for name, layer in every.items()}
    gru = every["torch.nn.GRU"]
    others: dict[str, Run | None] = {}
    if what == "inference":
        others["onnxruntime GRU"] = onnx_gru(gru, B, I, H, x, threads)
        others["OpenVINO GRU"] = openvino_gru(gru, x, threads)
    others["JAX GRU"] = jax_peer.gru(gru, x, None if what == "inference" else dy)
    if with_compile:
        others["torch.compile(nn.GRU)"] = compiled(gru, wrap)
    missing = [name for name, run in others.items() if run is None and "compile" not in name]
    if missing:
        print(f"left out, not installed: {', '.join(missing)}")
    runs.update({name: run for name, run in others.items() if run is not None})
    for name, run in runs.items():
        ours = "congru LSTM" if "LSTM" in name else "congru RNN" if "RNN" in name else "congru GRU"
        check(name, run(), runs[ours]())
    return runs


def entry_of(seconds: dict[str, list[list[float]]], bar: float, flops: int) -> dict[str, Any]:
    """What results/ holds of one shape; `seconds` are those of `bench.timing.rows`."""
    entry: dict[str, Any] = {}
    for suffix, chosen in (("", after_pause(seconds)), ("_in_a_row", in_a_row(seconds))):
        entry[f"ms{suffix}"] = {name: summary(values) for name, values in chosen.items()}
        entry[f"times_ours{suffix}"] = {
            name: ratio(chosen, name, "congru GRU") for name in chosen if name != "congru GRU"
        }
    entry["bar_times_nn_gru"] = bar
    entry["gflops"] = float(f"{flops / entry['ms']['congru GRU']['median'] / 1e6:.4g}")
    entry["turns"] = len(seconds["congru GRU"])
    return entry


def product_rate(repetitions: int = 10) -> float:
    """GFLOP/s of torch.mm at 2048: what this machine gives a large product just now."""
    a, b = torch.randn(2048, 2048), torch.randn(2048, 2048)
    seconds = interleaved({"mm": lambda: torch.mm(a, b)}, repetitions)["mm"]
    return float(f"{2 * 2048**3 / np.median(seconds) / 1e9:.4g}")


def main() -> None:
    """Measure, and write results/cell_speed.json."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--repetitions", type=int, default=15)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument(
        "--no-compile", action="store_true", help="leave torch.compile out (it takes minutes)"
    )
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    jax_peer.limit_threads(arguments.threads)
    warnings.filterwarnings("ignore")
    figures: dict[str, Any] = {"threads": arguments.threads, "instruction_set": extension().isa()}
    for what, bars in BARS.items():
        for shape, bar in zip(SHAPES, bars):
            runs = runs_at(shape, what, arguments.threads, not arguments.no_compile)
            B, T, I, H = shape
            flops = 2 * B * T * 3 * H * (I + H) * (1 if what == "inference" else 3)
            entry = entry_of(rows(runs, arguments.repetitions, budget_s=BUDGET_S), bar, flops)
            figures[f"{what} {B}, {T}, {I}, {H}"] = entry
            for suffix in ("", "_in_a_row"):
                print(f"{what} {shape}{suffix.replace('_', ' ')}: {entry[f'times_ours{suffix}']}", flush=True)
            print(f"bar {bar}, {entry['gflops']} GFLOP/s", flush=True)
    figures["torch.mm 2048 gflops"] = product_rate()
    target = write_result(
        "cell_speed",
        f"python -m bench.cell_speed --repetitions {arguments.repetitions} --threads {arguments.threads}"
        + (" --no-compile" if arguments.no_compile else ""),
        figures,
        repetitions=arguments.repetitions,
        packages=("onnxruntime", "openvino", "jax"),
    )
    print(target.relative_to(ROOT))


if __name__ == "__main__":
    main()
