"""The Triton kernels without a card: in the interpreter against the reference, and through Triton's front end for a card.

The interpreter checks what they compute, the front end types and shapes, which the interpreter does not. Nothing here is timed,
and nothing has run on a card.
"""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from bench import gpu_compile
from congru import ops
from congru.errors import BackendError
from congru.kernels import triton

needs_triton = pytest.mark.skipif(
    importlib.util.find_spec("triton") is None, reason="triton is not installed"
)
CASES = Path(__file__).parent / "interpreted" / "triton_cases.py"
WEIGHTS = torch.ones(6, 3), torch.ones(6, 2), None, None
FORMS = [(0, False), (0, True), (1, False), (1, True), (2, False)]  # NORM, BEFORE


@needs_triton
@pytest.mark.parametrize("part", ["test_every_form", "not test_every_form"])
def test_in_the_interpreter(part):
    """In a process of its own: what the interpreter is told when triton is imported holds for all of its kernels."""
    command = [sys.executable, "-m", "pytest", "-q", "-rs", "-p", "no:cacheprovider", str(CASES), "-k", part]
    environment = os.environ | {"TRITON_INTERPRET": "1"}
    done = subprocess.run(
        command, env=environment, capture_output=True, text=True, cwd=Path(__file__).parents[2]
    )
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]
    assert "[100%]" in done.stdout
    assert "not in the interpreter" not in done.stdout


@needs_triton
@pytest.mark.parametrize("name", gpu_compile.NAMES)
def test_the_front_end_takes_every_kernel_with_every_option(name):
    kernel = gpu_compile.kernels()[name]
    forms = [(norm, before) for norm, before in FORMS if "BEFORE" in kernel.arg_names or not before]
    for norm, before in forms if "NORM" in kernel.arg_names else FORMS[:2]:
        if "lstm" in name and norm == 2:
            continue
        absent = set() if norm else {"g", "g_c", "b_c"}
        values = gpu_compile.constants(kernel, 16, norm, before, heads=2)
        assert "tt.func" in gpu_compile.front_end(kernel, "bfloat16", values, absent)
        bare = gpu_compile.OPTIONAL - ({"g", "g_c", "b_c"} if norm else set()) | {"reset"}
        assert "tt.func" in gpu_compile.front_end(kernel, "float32", values, bare)


@pytest.mark.parametrize(
    ("x", "weights", "reason"),
    [
        (torch.ones(1, 4, 3), WEIGHTS, "it computes on CUDA, not on cpu; use backend='auto'"),
        (
            torch.ones(1, 4, 3, device="meta"),
            tuple(w if w is None else w.to("meta") for w in WEIGHTS),
            "not on meta",
        ),
    ],
)
@needs_triton
def test_asked_for_by_name_it_says_what_it_needs(x, weights, reason):
    with pytest.raises(BackendError, match=reason):
        ops.sequence("gru", x, None, weights, backend="triton")


def test_without_triton_it_names_the_extra(monkeypatch):
    monkeypatch.setattr(triton, "_installed", lambda: False)
    monkeypatch.setenv("TRITON_INTERPRET", "1")
    with pytest.raises(BackendError, match=r"triton is not installed, run pip install 'congru\[triton\]'"):
        ops.sequence("gru", torch.ones(1, 4, 3), None, WEIGHTS, backend="triton")


@pytest.mark.parametrize("cell", ["gru", "lstm"])
@pytest.mark.parametrize(("units", "size", "gradient"), [(64, 4, True), (128, 2, True), (128, 2, False)])
def test_the_sizes_that_fit_an_h100(cell, units, size, gradient):
    assert triton.shared_bytes(cell, units, size, gradient) <= triton.SHARED_BYTES
    assert triton.shared_bytes(cell, 2 * units, size, gradient) > triton.SHARED_BYTES


def test_its_folder_does_not_hide_triton():
    """`import triton` in a file of this folder is the library."""
    spec = importlib.util.find_spec("triton")
    assert spec is None or "congru" not in str(spec.origin)
