"""`congru doctor`: this installation in a few lines; with a file, whether its recurrent layers compute what they should."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import platform
import shlex
import sys
import time
from pathlib import Path

import numpy as np
from cyclopts import App

from congru.errors import SettingsError
from congru.version import __version__

app = App(name="doctor", help="Say what is installed, or whether a model file computes what it should.")

# Import name -> (distribution, what it is for, the extra that brings it).
OPTIONAL = {
    "torch": ("torch", "training", "train"),
    "lightning_fabric": ("lightning-fabric", "training", "train"),
    "matplotlib": ("matplotlib", "pictures", "train"),
    "pooch": ("pooch", "public data sets", "train"),
    "tokenizers": ("tokenizers", "byte-pair tokens", "text"),
    "narwhals": ("narwhals", "tables", "forecast"),
    "pandas": ("pandas", "tables", "forecast"),
    "onnx": ("onnx", "ONNX files", "export"),
    "h5py": ("h5py", "Keras files", "convert"),
}


@app.default
def doctor(file: Path | None = None, /, *, against: Path | None = None, fix: Path | None = None) -> int:
    """Print the state of this installation, or check a model file; exit status 1 if something is wrong.

    Parameters
    ----------
    file:
        A file that `congru convert` reads, or a model folder: its recurrent layers, and whether each computes its library's
        equations.
    against:
        Another such file or folder: the layers of both side by side. It finds the ONNX file that computes the other GRU
        equation (reset before in place of after), gates in another order, and other weights.
    fix:
        Where to write the ONNX file with the equation of `against`.
    """
    if file is None:
        if against is not None or fix is not None:
            raise SettingsError(
                "--against or --fix is given without a file, expected one: congru doctor FILE --against OTHER"
            )
        return _check_installation()
    if against is None:
        if fix is not None:
            raise SettingsError(
                "--fix is given without --against, expected the model that is right: --against model.pt"
            )
        return _check_file(file)
    from congru.convert.comparison import compare, write_fixed

    comparison = compare(file, against)
    print(comparison)
    if fix is not None:
        mended = write_fixed(file, against, fix)
        print(f"wrote {fix}")
        print(mended)
        return 0 if mended.equal else 1
    if comparison.swapped_reset and file.suffix.lower() == ".onnx":
        words = ["congru", "doctor", str(file), "--against", str(against), "--fix", "fixed.onnx"]
        print(f"next: {shlex.join(words)}")
    return 0 if comparison.equal else 1


def _check_file(file: Path) -> int:
    """Print the layers of a file and how far each network is from its library's own equations."""
    from congru.convert.check import self_check
    from congru.convert.reading import read_file
    from congru.convert.suspicion import suspicions
    from congru.runtime.folder import CONFIG, find_model_folder, load

    if (find_model_folder(file) / CONFIG).is_file():
        print(load(file))
        print("all good: its golden cases were replayed")
        return 0
    contents = read_file(file)
    print(f"{contents.source}:")
    for name, network in contents.networks.items():
        for part in network.parts:
            print(f"  {part.title}")
        worst = self_check(name, network)
        print(f"  {name}: {worst:.1e} is the largest difference from the library's own equations")
    for remark in contents.remarks:
        print(f"  note: {remark}")
    doubts = suspicions(file)
    for doubt in doubts:
        print(f"DOUBTFUL: {doubt}")
    return 1 if doubts else 0


def _check_installation() -> int:
    """Versions, backends, threads, and one GRU."""
    print(f"congru {__version__}, Python {platform.python_version()}, {platform.machine()} {sys.platform}")
    print(f"cores {os.cpu_count()}, numpy {np.__version__}")
    for module, (distribution, purpose, extra) in OPTIONAL.items():
        if importlib.util.find_spec(module) is None:
            print(f"  missing  {distribution:<18} {purpose}: pip install 'congru[{extra}]'")
        else:
            print(f"  ok       {distribution:<18} {importlib.metadata.version(distribution)} ({purpose})")
    return _check_unit()


def _check_unit(batch: int = 1, time_steps: int = 256, size: int = 64) -> int:
    """Run one GRU through the backend that `auto` picks and compare it with the reference."""
    from congru import ops
    from congru.kernels import binding
    from congru.reference import gru

    random = np.random.default_rng(0)
    x = random.standard_normal((batch, time_steps, size)).astype(np.float32)
    shapes = ((3 * size, size), (3 * size, size), (3 * size,), (3 * size,))
    weights = tuple((random.standard_normal(shape) / np.sqrt(size)).astype(np.float32) for shape in shapes)
    print(binding.about())
    print(ops.explain("gru", x, None, weights))
    start = time.perf_counter()
    y, _, _ = ops.sequence("gru", x, None, weights)
    elapsed_ms = 1e3 * (time.perf_counter() - start)
    expected, _, _ = gru.forward(x, None, weights)
    difference = float(np.abs(y - expected).max())
    good = difference < 1e-4
    print(f"GRU {batch}x{time_steps}x{size}: {elapsed_ms:.1f} ms, off the equations by {difference:.1e}")
    print(
        "all good" if good else "WRONG: the fast path differs from the equations; please report this output"
    )
    return 0 if good else 1
