"""The one table of tolerances, and how each row was measured.

A limit is the worst relative error over 20 seeds, times 4. The error of an array is max|actual - expected| /
max(1, max|expected|). To measure again (prints the worst error of each row):

    CONGRU_SEEDS=20 CONGRU_ERRORS=/tmp/errors.txt pytest tests
    python tests/tolerances.py /tmp/errors.txt

A test compares with `assert_close("row", actual, expected)` with the seeds of `seeds()`.
"""

from __future__ import annotations

import os
import sys
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np

LIMITS = {
    "reference, torch, float64": 1.4e-14,
    "reference, torch gradients, float64": 6.4e-14,
    "reference, central differences": 5.2e-9,
    "reference, same computation in another order": 3.6e-15,
    "minGRU, scan": 1.7e-14,
    "golden": 1e-5,  # the bar for float32 libraries; measured 3.2e-7
    "layer properties, float64": 2.2e-15,
    "torch.nn gradients, float32": 4.8e-7,
    "torch.nn, float32": 1e-6,  # the bar; measured 3.0e-7
    "minGRU, scan, float32": 3.4e-6,
    "composite, bfloat16": 1.6e-1,
    "composite, float16": 2e-2,
    "composite, float32": 3.1e-6,
    "composite gradients, float64": 9.8e-14,
    "composite, float64": 5.5e-14,
    "native, second derivatives": 1e-8,  # the bar
    "bptt, bfloat16 products": 2.6e-2,
    "options, torch, float64": 1.6e-13,
    "options, torch gradients, float64": 2.2e-12,
    "options, central differences": 1.2e-6,
    "options, backend, float64": 1.6e-13,
    "options, backend gradients, float64": 2.2e-12,
    "core activation, float32, ulp": 2.0,  # the bar; measured 1.999 over every float
    "core activation, float64, ulp": 3.0,  # no bar; measured 2.04
    "core forward, float32": 3.6e-6,
    "core forward, float64": 1.1e-14,
    "core layer norm, float32": 3.5e-6,
    "core layer norm, float64": 6.3e-15,
    "core nested norm, float32": 2.2e-5,  # of what norms made: c' of the LSTM, U_n (r * h) of reset before
    "core nested norm, float64": 5.8e-14,
    "core gradients, float32": 2.2e-6,
    "core gradients, float64": 1.9e-8,  # of the central differences
    "core layer norm gradients, float32": 1.1e-4,  # of three units; reset after alone reaches 2.7e-5
    "core layer norm gradients, float64": 1.5e-6,  # of the central differences: the norm of a small state bends
    "core nested norm gradients, float32": 9.5e-5,
    "core nested norm gradients, float64": 3.3e-6,  # of the central differences
    "core mixed step, float32": 2.1e-6,
    "core mixed step, bfloat16": 3.91e-3,  # the bar: half a unit in the last place is 2**-8 at the most
    "core dense, float32": 1.3e-6,
    "core dense, float64": 0.0,  # products of float values are exact, and both sums have one order
    "core softmax, float32": 2.9e-7,
    "core softmax, float64": 8.6e-16,
    "core row norm, float32": 5.7e-7,
    "core row norm, float64": 1.6e-15,
    "parallel in time, float64": 1.8e-12,
    "parallel in time, float32": 7.1e-5,
    "parallel in time gradients, float32": 9.2e-4,
    "device, results, float32": 2.1e-6,
    "device, gradients, float32": 5.5e-6,
    "device, results, float32, layer norm": 6.5e-5,
    "device, gradients, float32, layer norm": 3.4e-4,
    "device, results, bfloat16": 4.1e-2,
    "device, gradients, bfloat16": 8.4e-2,
    "device, results, float16": 6.9e-3,
    "device, gradients, float16": 1.1e-2,
    "device, results, bfloat16, layer norm": 3.6e-1,
    "device, results, float16, layer norm": 1e-1,
    "triton, float32": 6.9e-6,
    "triton gradients, float32": 9.5e-6,
    "triton layer norm, float32": 5.8e-6,
    "triton layer norm gradients, float32": 9.4e-5,
    "triton second derivatives, float32": 1.1e-6,
    "triton, bfloat16": 1.7e-1,
    "triton gradients, bfloat16": 2e-1,
    "triton, float16": 1.8e-2,
    "triton gradients, float16": 1.8e-2,
    "triton layer norm, bfloat16": 6.4e-2,
    "triton layer norm gradients, bfloat16": 3.4e-1,
    "triton layer norm, float16": 8.4e-3,
    "triton layer norm gradients, float16": 1.5e-2,
    "runtime cell": 4e-6,
    "runtime cell, saturated": 2e-3,
    "runtime layer": 5e-7,
    "runtime network, torch": 5e-6,
}


def seeds() -> range:
    """The seeds of a test: 0, or 0 .. CONGRU_SEEDS - 1 while measuring."""
    return range(int(os.environ.get("CONGRU_SEEDS", "1")))


def relative_error(actual: Any, expected: Any) -> float:
    """Return max|actual - expected| / max(1, max|expected|); 0 for empty arrays, NaN if either holds NaN."""
    actual, expected = np.asarray(actual, np.float64), np.asarray(expected, np.float64)
    assert actual.shape == expected.shape, f"shape {actual.shape}, expected {expected.shape}"
    if expected.size == 0:
        return 0.0
    return float(np.abs(actual - expected).max() / max(1.0, np.abs(expected).max()))


def record(row: str, error: float) -> None:
    """Note an error in the file that CONGRU_ERRORS names."""
    if "CONGRU_ERRORS" in os.environ:
        with Path(os.environ["CONGRU_ERRORS"]).open("a") as file:
            file.write(f"{row}\t{error}\n")


def assert_close(row: str, actual: Any, expected: Any, what: str = "") -> None:
    """Fail unless the relative error is within the row's limit; NaN fails."""
    error = relative_error(actual, expected)
    record(row, error)
    assert error <= LIMITS[row], f"{what or 'error'}: {error:.3g} exceeds {LIMITS[row]:.3g} ({row})"


def main(path: str) -> None:
    """Print worst error and limit per row of the file that CONGRU_ERRORS named."""
    worst: dict[str, float] = defaultdict(float)
    for line in Path(path).read_text().splitlines():
        row, error = line.split("\t")
        worst[row] = max(worst[row], float(error))
    for row, error in sorted(worst.items()):
        print(f"{row:<50} worst {error:8.2g}   times 4 {4 * error:8.2g}   in the table {LIMITS[row]:8.2g}")


if __name__ == "__main__":
    main(sys.argv[1])
