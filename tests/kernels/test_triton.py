"""The Triton kernels without a card: in the interpreter against the reference, and through Triton's front end for a card.

The interpreter checks what they compute, the front end types and shapes, which the interpreter does not. Nothing here is timed,
and nothing has run on a card.
"""

from __future__ import annotations

import importlib.util
import json
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
from congru.kernels.triton import plan

needs_triton = pytest.mark.skipif(
    importlib.util.find_spec("triton") is None, reason="triton is not installed"
)
CASES = Path(__file__).parent / "interpreted"
RESULT = Path(__file__).parents[2] / "results" / "gpu_compile.json"
WEIGHTS = torch.ones(6, 3), torch.ones(6, 2), None, None
FORMS = [(0, False), (0, True), (1, False), (1, True), (2, False)]  # NORM, BEFORE


@needs_triton
@pytest.mark.parametrize(
    ("file", "part"),
    [
        ("triton_cases.py", "test_every_form"),
        ("triton_cases.py", "not test_every_form"),
        ("wide_cases.py", "test"),
        ("traced_cases.py", "test"),
    ],
)
def test_in_the_interpreter(file, part):
    """In a process of its own: what the interpreter is told when triton is imported holds for all of its kernels."""
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-rs",
        "-p",
        "no:cacheprovider",
        CASES / file,
        "-k",
        part,
    ]
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
    sequence = name in gpu_compile.SEQUENCES
    forms = FORMS if sequence else FORMS[:1] if "mingru" in name else FORMS[:2]
    for norm, before in forms:
        if "lstm" in name and (norm == 2 or before):
            continue
        for H, dtype in (
            ((16, "bfloat16"), (256, "bfloat16"), (256, "float32")) if sequence else ((16, "bfloat16"),)
        ):
            values, layout = gpu_compile.constants(name, dtype, H, norm, before, heads=2 if norm < 2 else 1)
            nothing = gpu_compile.absent_of(name, layout)
            rarely = gpu_compile.NORMS if norm == 0 else set()
            every = nothing - gpu_compile.OPTIONAL - {"reset", "lengths", "h_reset", "z_kept", "r_h"} | rarely
            assert "tt.func" in gpu_compile.front_end(kernel, dtype, values, every)
            if H > 16:
                continue
            bare = nothing - {"z_kept", "r_h"} - (gpu_compile.NORMS if norm else set())
            assert "tt.func" in gpu_compile.front_end(kernel, dtype, values, bare)


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
def test_the_sizes_of_which_a_program_holds_all(cell, units, size, gradient):
    assert plan.plan(cell, units, size, gradient, 1, "cpu").split == 1
    assert plan.plan(cell, 2 * units, size, gradient, 1, "cpu").exchanged


@pytest.mark.parametrize("cell", ["gru", "lstm"])
@pytest.mark.parametrize("size", [2, 4])
@pytest.mark.parametrize("heads", [1, 2, 8, 200])
@pytest.mark.parametrize("units", [129, 256, 512, 1000, 1024])
def test_programs_that_wait_for_each_other_fit_the_card(cell, size, heads, units):
    layout = plan.plan(cell, units, size, True, heads, "cpu")
    assert layout.split == 1 or layout.split * heads <= plan.PROCESSORS
    assert layout.split * layout.units == plan.block_of(units)
    if size == 2 and heads == 1:
        assert layout.resident


@pytest.mark.skipif(not RESULT.exists(), reason="results/ are not here")
def test_what_the_compiler_took_is_within_what_the_plan_allows():
    for name, row in json.loads(RESULT.read_text())["figures"].items():
        kernel, units, dtype = name.split(", ")
        if kernel not in gpu_compile.SEQUENCES:
            continue
        _, layout = gpu_compile.constants(kernel, dtype, int(units.split()[0]))
        assert (row["programs"], row["resident"]) == (layout.split, layout.resident)
        assert row["shared_bytes"] <= plan.SHARED_BYTES


def test_its_folder_does_not_hide_triton():
    """`import triton` in a file of this folder is the library."""
    spec = importlib.util.find_spec("triton")
    assert spec is None or "congru" not in str(spec.origin)
