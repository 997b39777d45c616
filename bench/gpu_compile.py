"""Do the Triton kernels compile for a card, and does what they hold fit? No card is needed, and nothing is timed.

Every kernel in the sizes that the backend allows, for one target: shared memory of a block, registers of a thread, and bytes
of registers that the assembler had to put into memory (spills). What `congru.kernels.triton.shared_bytes` allows must be at
least what the compiler took.

    python -m bench.gpu_compile [--capability 90]
"""

from __future__ import annotations

import argparse
import importlib
import re
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import torch

from bench.record import write_result
from congru.kernels import triton as backend

INTEGERS = {"B": "i32", "T": "i32", "first_reverse": "i32", "reverse": "i32"}
POINTERS = {"rows": "*i64", "lengths": "*i64", "reset": "*u8"}
WIDE = {"db", "dg", "dg_c", "db_c", "dh_reset", "dc_reset", "z_kept", "r_h"}  # float32 in every call
SHORT = {"float32": "*fp32", "bfloat16": "*bf16", "float16": "*fp16"}
# What a plain call has not.
OPTIONAL = {
    "g",
    "g_c",
    "b_c",
    "h_reset",
    "c_reset",
    "lengths",
    "rows",
    "zoneout",
    "zoneout_c",
    "h_mask",
    "dgates",
}
SIZES = ((64, "float32"), (128, "float32"), (64, "bfloat16"), (128, "bfloat16"), (128, "float16"))


# The kernels of each file of `congru.kernels.triton`.
FILES = {
    "gru": ("gru_forward", "gru_backward"),
    "lstm": ("lstm_forward", "lstm_backward"),
    "mingru": ("mingru_forward", "mingru_backward"),
    "one_step": ("gru_step", "lstm_step"),
}
NAMES = [name for names in FILES.values() for name in names]


def kernels() -> dict[str, Any]:
    """Every kernel by name."""
    return {
        name: getattr(importlib.import_module(f"congru.kernels.triton.{file}"), name)
        for file, names in FILES.items()
        for name in names
    }


def constants(kernel: Any, H: int, norm: int = 0, before: bool = False, heads: int = 1) -> dict[str, Any]:
    """The compile-time arguments of a kernel for `heads` heads of H units."""
    values: dict[str, Any] = {"D": 1, "H": H * heads, "HEADS": heads, "BEFORE": before, "NORM": norm}
    values |= {"PRECISION": "ieee", "ROWS": 16, "STEPS": 64, "DEPTH": 32, "I": H}
    values["UNITS"] = 32 if "STEPS" in kernel.arg_names or "DEPTH" in kernel.arg_names else max(16, H)
    values["PHASE"] = int(before)
    return {name: value for name, value in values.items() if name in kernel.arg_names}


def source(kernel: Any, dtype: str, values: dict[str, Any], absent: set[str]) -> Any:
    """The kernel with the types of its arguments, as the compiler takes it; those in `absent` are None."""
    from triton.compiler import ASTSource

    types: dict[str, str] = {}
    fixed: dict[tuple[int], Any] = {}
    for place, name in enumerate(kernel.arg_names):
        if name in values or name in absent:
            types[name], fixed[(place,)] = "constexpr", values.get(name)
        else:
            types[name] = (
                INTEGERS.get(name) or POINTERS.get(name) or SHORT["float32" if name in WIDE else dtype]
            )
    return ASTSource(fn=kernel, signature=types, constexprs=fixed)


def front_end(kernel: Any, dtype: str, values: dict[str, Any], absent: set[str], capability: int = 90) -> str:
    """The kernel as Triton's front end makes it: types and shapes are checked there, which the interpreter does not."""
    from triton._C.libtriton import ir
    from triton.backends.compiler import GPUTarget
    from triton.compiler.compiler import make_backend

    target = GPUTarget("cuda", capability, 32)
    compiler = make_backend(target)
    options, context = compiler.parse_options({"enable_fp_fusion": True}), ir.context()
    ir.load_dialects(context)
    compiler.load_dialects(context)
    functions = compiler.get_codegen_implementation(options)
    what = source(kernel, dtype, values, absent)
    return str(what.make_ir(target, options, functions, compiler.get_module_map(), context))


def compiled(
    kernel: Any, dtype: str, values: dict[str, Any], absent: set[str], num_warps: int, capability: int
) -> dict[str, int]:
    """What the compiled kernel holds: shared_bytes, registers, spill_bytes."""
    import triton
    from triton.backends.compiler import GPUTarget

    what = source(kernel, dtype, values, absent)
    target = GPUTarget("cuda", capability, 32)
    binary = triton.compile(what, target=target, options={"num_warps": num_warps, "enable_fp_fusion": True})
    assembler = Path(triton.__file__).parent / "backends/nvidia/bin/ptxas"
    ptx = binary.asm["ptx"]
    arch = re.search(r"\.target (sm_\w+)", ptx)
    assert arch is not None
    with tempfile.NamedTemporaryFile("w", suffix=".ptx") as file:
        file.write(ptx)
        file.flush()
        command = [str(assembler), "-v", "-arch", arch.group(1), file.name, "-o", "/dev/null"]
        report = subprocess.run(command, capture_output=True, text=True, check=True).stderr
    spills, registers = (
        re.search(r"(\d+) bytes spill stores", report),
        re.search(r"Used (\d+) registers", report),
    )
    assert spills is not None
    assert registers is not None
    return {
        "shared_bytes": int(binary.metadata.shared),
        "registers": int(registers.group(1)),
        "spill_bytes": int(spills.group(1)),
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--capability", type=int, default=90, help="of the card: 90 is an H100 or H200")
    capability = parser.parse_args().capability
    from congru.kernels.triton.launch import num_warps

    figures: dict[str, Any] = {}
    for name, kernel in kernels().items():
        cell = name.split("_")[0]
        sequence = cell in ("gru", "lstm") and not name.endswith("_step")
        for H, dtype in SIZES:
            size = getattr(torch, dtype).itemsize
            allowed = backend.shared_bytes(cell, H, size, name.endswith("backward")) if sequence else 0
            if allowed > backend.SHARED_BYTES:
                continue
            warps = num_warps(H, getattr(torch, dtype)) if sequence else 4
            absent = OPTIONAL | {"reset", "z_kept", "r_h"}
            if cell == "mingru":
                absent = {"h_reset", "reset", "lengths"}
            row = compiled(kernel, dtype, constants(kernel, H), absent, warps, capability)
            if sequence and row["shared_bytes"] > allowed:
                raise SystemExit(f"{name} {H} {dtype}: {row} is more shared memory than {allowed} bytes")
            figures[f"{name}, {H} units, {dtype}"] = row | {"warps": warps}
            print(f"{name:16} {H:4} {dtype:9} {row}", flush=True)
    command = f"python -m bench.gpu_compile --capability {capability}"
    write_result("gpu_compile", command, figures, packages=("triton",))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
