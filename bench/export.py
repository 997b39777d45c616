"""How far is every task's model from itself in every target, how large, and how long takes a step there?

The networks of each task at its default sizes (chess and translation at 256 units), with random weights, are written as a
model folder and exported to every target; each export replays the golden cases in its target (onnxruntime, a compiler's
program, Node, torch, Keras) and times a step of one stream beside a session of the runtime. Then a GRU of 64 inputs and
64 units as C, in float32 and int8, compiled for microcontrollers and run under qemu where that is installed (`apt-get
install qemu-user`, `pip install ziglang`).

    python -m bench.export
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from bench.record import write_result
from congru.errors import ExportError
from congru.export.c.compiler import STRICT, compile_c, flash_bytes, zig
from congru.export.exporter import IN_INTEGERS, export_model
from congru.runtime.folder import save_model
from congru.runtime.golden import make_golden
from congru.runtime.graph import Graph
from congru.runtime.network import Network
from congru.tasks.assistant.network import network_config as understanding
from congru.tasks.assistant.network import policy_config
from congru.tasks.assistant.settings import Settings as AssistantSettings
from congru.tasks.chess.networks import declarations
from congru.tasks.chess.settings import Settings as ChessSettings
from congru.tasks.forecast.network import network_config as forecasting
from congru.tasks.forecast.window import Window
from congru.tasks.music.network import frame_networks
from congru.tasks.music.settings import Settings as MusicSettings
from congru.tasks.sentiment.network import network_config as classifying
from congru.tasks.sentiment.settings import Settings as SentimentSettings
from congru.tasks.speech.network import network_config as recognising
from congru.tasks.speech.settings import Settings as SpeechSettings
from congru.tasks.translate.network import network_configs
from congru.tasks.translate.settings import Settings as TranslateSettings
from congru.tasks.video.network import network_config as watching
from congru.tasks.video.settings import Settings as VideoSettings

Networks = dict[str, dict[str, Any]]
TARGETS = ("onnx", "c", "int8", "wasm", "numpy", "torch", "keras")
CROSS = {  # name -> how zig calls the processor
    "Cortex-M4": ("-target", "thumb-freestanding-eabihf", "-mcpu=cortex_m4"),
    "Cortex-M55": ("-target", "thumb-freestanding-eabihf", "-mcpu=cortex_m55"),
    "RISC-V 32": ("-target", "riscv32-freestanding-none", "-mcpu=baseline_rv32"),
}
RUN = {  # emulator -> what it runs
    "qemu-arm": ("-target", "arm-linux-musleabihf", "-mcpu=cortex_a7"),
    "qemu-riscv64": ("-target", "riscv64-linux-musl"),
}
# One thread, whose processor time is that of the step; torch below Keras.
ALONE = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1") | {
    "KERAS_BACKEND": "torch"
}
TEXT = {
    "inputs": {"text": {"tokens": 65}},
    "nodes": [
        {"type": "embedding", "name": "embed", "size": 64},
        {"type": "gru", "name": "rnn", "hidden_size": 256},
        {"type": "linear", "name": "head", "size": 65},
    ],
    "outputs": ["head"],
}
GRU_64 = {
    "inputs": {"x": {"features": 64}},
    "nodes": [{"type": "gru", "name": "rnn", "hidden_size": 64}],
    "outputs": ["rnn"],
}


def networks() -> dict[str, Networks]:
    """The networks of every task; those that stream where the task has both."""
    tags = AssistantSettings()
    return {
        "text": {"main": TEXT},
        "forecast": {"main": forecasting(Window(horizon=24, input_size=96, segment=1), "gru", 64, 1, 0.1)},
        "sentiment": {"main": classifying(SentimentSettings(streaming=True), 7205, 2)},
        "assistant": {
            "main": policy_config(tags, "gru", tags.hidden_size, 118, 16),
            "understanding": understanding(tags, "gru", tags.hidden_size, [5000, 52, 558, 2788], 79, 7),
        },
        "translate": network_configs(TranslateSettings(hidden_size=256, embedding_size=192), 5001, 5001),
        "speech": {"main": recognising(SpeechSettings(), 117, 29)},
        "music": frame_networks(MusicSettings(), "gru", MusicSettings().hidden_size),
        "video": {"main": watching(VideoSettings(streaming=True), (1, 32, 32), 10)},
        "chess": declarations(ChessSettings(hidden_size=256), "gru", 256, 65),
    }


def save(folder: Path, task: str, declared: Networks) -> Path:
    """A model folder of networks with uniform weights up to 1 / sqrt(columns)."""
    rng, weights, golden = np.random.default_rng(0), dict[str, Any](), dict[str, Any]()
    for name, config in declared.items():
        weights[name] = {
            key: (rng.uniform(-1, 1, shape) / np.sqrt(shape[-1])).astype(np.float32)
            for key, shape in Graph(config).weight_shapes.items()
        }
        golden[name] = make_golden(config, Network(config, weights[name]).run)
    config = {"task": task, "cell": "gru", "networks": declared, "task_config": {}}
    save_model(folder, config=config, weights=weights, golden=golden, files={}, card="")
    return folder


def measure(build: Path) -> dict[str, dict[str, Any]]:
    """Task -> target -> an entry for every file."""
    figures: dict[str, dict[str, Any]] = {}
    for task, declared in networks().items():
        folder, figures[task] = save(build / task, task, declared), {}
        small = build / f"{task}-int8"
        for target in TARGETS:
            figures[task][target] = entries(
                folder, target, small if target == "int8" else build / f"{task}-{target}"
            )
        for target in IN_INTEGERS:
            figures[task][f"{target}, int8"] = entries(small, target, build / f"{task}-int8-{target}")
        print(task, {target: len(part["written"]) for target, part in figures[task].items()}, flush=True)
    return figures


def entries(folder: Path, target: str, out: Path) -> dict[str, Any]:
    """What one export says of itself."""
    export = export_model(folder, target, out)
    keys = ("network", "form", "bytes", "error", "step_us", "source_us", "facts")
    return {
        "written": [{key: getattr(entry, key) for key in keys} for entry in export.written],
        "refused": {entry.network: entry.reason for entry in export.refused},
        "notes": export.notes,
    }


def microcontrollers(build: Path) -> dict[str, dict[str, Any]]:
    """A GRU of 64 by 64 in float32 and int8: bytes of flash and RAM, and the error where an emulator runs it."""
    folder, figures = save(build / "gru", "text", {"main": GRU_64}), dict[str, dict[str, Any]]()
    export_model(folder, "int8", build / "gru8")
    for name, model in (("float32", folder), ("int8", build / "gru8")):
        out = build / f"{model.name}-c"
        export = export_model(model, "c", out)
        facts = export.written[0].facts
        figures[name] = {
            "RAM": facts["RAM, B"],
            "multiply-adds": facts["multiply-adds"],
            "flash": {},
            "error": {},
        }
        sources = [out / f"{model.name}.c", out / f"{model.name}_test.c"]
        for processor, target in CROSS.items():
            compile_c(zig(*target), [*STRICT, "-Os", "-c"], sources[:1], build / "small.o")
            figures[name]["flash"][processor] = flash_bytes(build / "small.o")
        for emulator, target in RUN.items():
            if shutil.which(emulator) is None:
                continue
            compile_c(zig(*target), ["-std=c99", "-O2", "-static"], sources, build / "program")
            done = subprocess.run([emulator, str(build / "program")], capture_output=True, text=True)
            figures[name]["error"][emulator] = float(done.stdout.split()[-1])
            if done.returncode:
                raise ExportError(f"{emulator} says {done.stdout.strip()}, expected an error below 1e-4")
    return figures


def main() -> int:
    if any(
        os.environ.get(name) != value for name, value in ALONE.items()
    ):  # libraries look once, when they are loaded
        return subprocess.run([sys.executable, "-m", "bench.export"], env={**os.environ, **ALONE}).returncode
    with tempfile.TemporaryDirectory() as folder:
        figures: dict[str, Any] = {"tasks": measure(Path(folder))}
        if importlib.util.find_spec("ziglang") is not None:
            figures["microcontrollers"] = microcontrollers(Path(folder))
    path = write_result(
        "export",
        "python -m bench.export",
        figures,
        packages=("onnx", "onnxruntime", "keras", "ziglang"),
    )
    print(path)
    return 0


if __name__ == "__main__":
    sys.exit(main())
