"""`congru doctor`: versions, backends, threads and the speed of one GRU here, in a few lines."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import platform
import sys
import time

import numpy as np
from cyclopts import App

from congru.version import __version__

app = App(name="doctor", help="Say what is installed, which backends run, and how fast.")

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
}


@app.default
def doctor() -> int:
    """Print the state of this installation; exit status 1 if something installed does not work."""
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
