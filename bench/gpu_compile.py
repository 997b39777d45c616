"""Do the Triton kernels compile for a card, and does what they hold fit? No card is needed, and nothing is timed.

Every kernel in the sizes that the backend allows, for one target: shared memory of a block, registers of a thread, and bytes
of registers that the assembler had to put into memory (spills). What `congru.kernels.triton.shared_bytes` allows must be at
least what the compiler took.

    python -m bench.gpu_compile [--capability 90]
"""

from __future__ import annotations

import argparse
import concurrent.futures
import contextlib
import importlib
import io
import multiprocessing
import os
import re
from typing import Any

import torch

from bench.record import write_result
from congru.kernels.triton.plan import SHARED_BYTES, Plan
from congru.kernels.triton.programs import Shared

INTEGERS = dict.fromkeys(("B", "T", "first_block", "first_reverse", "reverse"), "i32")
POINTERS = {"rows": "*i64", "lengths": "*i64", "reset": "*u8", "counter": "*i32"}
# float32 in every call
WIDE = {"db", "dg", "dg_c", "db_c", "dh_reset", "dc_reset", "z_kept", "r_h", "sums"}
SHORT = {"float32": "*fp32", "bfloat16": "*bf16", "float16": "*fp16"}
# What a plain call has not; of an LSTM's tensors a GRU has none.
NORMS = {"g", "g_c", "b_c"}
OPTIONAL = {*NORMS, "h_reset", "c_reset", "lengths", "rows", "zoneout", "zoneout_c", "h_mask", "dgates"}
LSTM_ONLY = {
    "c0",
    "g_c",
    "b_c",
    "c_reset",
    "zoneout_c",
    "c_last",
    "c_states",
    "dc_last",
    "dc0",
    "dg_c",
    "db_c",
    "dc_reset",
}
SIZES = (64, 128, 256, 512, 1024)
DTYPES = ("float32", "bfloat16", "float16")

# The kernels of each file of `congru.kernels.triton`.
FILES = {
    "gru": ("gru_forward", "gru_backward"),
    "lstm": ("lstm_forward", "lstm_backward"),
    "mingru": ("mingru_forward", "mingru_backward"),
    "one_step": ("gru_step", "lstm_step"),
}
NAMES = [name for names in FILES.values() for name in names]
SEQUENCES = (*FILES["gru"], *FILES["lstm"])


def kernels() -> dict[str, Any]:
    """Every kernel by name."""
    return {
        name: getattr(importlib.import_module(f"congru.kernels.triton.{file}"), name)
        for file, names in FILES.items()
        for name in names
    }


def constants(
    name: str, dtype: str, H: int, norm: int = 0, before: bool = False, heads: int = 1
) -> tuple[dict[str, Any], Plan]:
    """The compile-time arguments of a kernel for `heads` heads of H units, and how many programs run them."""
    from congru.kernels.triton.launch import Settings, form_of

    if name in SEQUENCES:
        settings = Settings(
            cell=name.split("_")[0],
            reverse=(False,),
            reset_before=before,
            layer_norm=(False, True, "dreamer")[norm],
            num_heads=heads,
            return_gates=False,
            products=getattr(torch, dtype),
            dtype=getattr(torch, dtype),
            gradient=True,
            device="cpu",  # sizes of an H100, whatever card is here
        )
        form, layout = form_of(settings, 1, H * heads, name.endswith("backward"))
        return {"form": form._replace(PRECISION="ieee")}, layout
    values: dict[str, Any] = {
        "H": H * heads,
        "PRECISION": "ieee",
        "ROWS": 16,
        "STEPS": 64,
        "DEPTH": 32,
        "I": H,
    }
    values |= {"UNITS": 32, "PHASE": int(before)}
    kernel = kernels()[name]
    values = {key: value for key, value in values.items() if key in kernel.arg_names}
    return values, Plan(1, 32, 32, False, False, 4)


def source(kernel: Any, dtype: str, values: dict[str, Any], absent: set[str]) -> Any:
    """The kernel with the types of its arguments, as the compiler takes it; those in `absent` are None."""
    from triton.compiler import ASTSource

    from congru.kernels.triton import programs

    types: dict[str, Any] = {}
    fixed: dict[tuple[int, ...], Any] = {}

    def type_of(name: str, path: tuple[int, ...]) -> str:
        if name in values or name in absent:
            fixed[path] = values.get(name)
            return "constexpr"
        return INTEGERS.get(name) or POINTERS.get(name) or SHORT["float32" if name in WIDE else dtype]

    for index, name in enumerate(kernel.arg_names):
        group = getattr(programs, kernel.fn.__annotations__[name], None)
        if group is None:
            types[name] = type_of(name, (index,))
        else:
            types[name] = group(*(type_of(part, (index, k)) for k, part in enumerate(group._fields)))
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
    options = {"num_warps": num_warps, "enable_fp_fusion": True}
    triton.knobs.compilation.always_compile = triton.knobs.nvidia.dump_ptxas_log = True
    with contextlib.redirect_stdout(io.StringIO()) as log:
        binary = triton.compile(what, target=target, options=options)
    report = log.getvalue()
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


def absent_of(name: str, layout: Plan) -> set[str]:
    """The arguments that a plain call of a kernel has not."""
    if name.startswith("mingru"):
        return {"h_reset", "reset", "lengths"}
    absent = OPTIONAL | {"reset", "z_kept", "r_h"}
    if not name.startswith("lstm"):
        absent |= LSTM_ONLY
    if not layout.exchanged:
        absent |= set(Shared._fields)
    elif layout.split == 1:
        absent |= {"sums", "counter"}
    return absent


def row_of(name: str, H: int, dtype: str, capability: int) -> dict[str, Any]:
    """The figures of one kernel in one size."""
    values, layout = constants(name, dtype, H)
    absent = absent_of(name, layout)
    row: dict[str, Any] = dict(compiled(kernels()[name], dtype, values, absent, layout.num_warps, capability))
    if row["shared_bytes"] > SHARED_BYTES:
        raise SystemExit(f"{name} {H} {dtype}: {row} is more shared memory than {SHARED_BYTES} bytes")
    row["warps"] = layout.num_warps
    if name in SEQUENCES:
        row |= {"programs": layout.split, "resident": layout.resident}
    print(f"{name:16} {H:4} {dtype:9} {row}", flush=True)
    return row


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--capability", type=int, default=90, help="of the card: 90 is an H100 or H200")
    capability = parser.parse_args().capability
    sizes = [
        (name, H, dtype)
        for name in NAMES
        for H in (SIZES if name in SEQUENCES else (64,))
        for dtype in DTYPES
    ]
    spawn = multiprocessing.get_context("spawn")
    with concurrent.futures.ProcessPoolExecutor(os.cpu_count(), mp_context=spawn) as pool:
        rows = [pool.submit(row_of, *size, capability) for size in sizes]
        figures = {f"{name}, {H} units, {dtype}": row.result() for (name, H, dtype), row in zip(sizes, rows)}
    command = f"python -m bench.gpu_compile --capability {capability}"
    write_result("gpu_compile", command, figures, packages=("triton",))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
