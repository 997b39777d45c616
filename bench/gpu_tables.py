"""The tables of docs/gpu.md, made from results/parallel.json, results/gpu_compile.json and tests/tolerances.py."""

from __future__ import annotations

from collections.abc import Callable

from bench.tables import markdown, result
from tests.tolerances import LIMITS


def parallel() -> str:
    """Iterations of one window by kind of damping, and what the function came to on 10,000 steps."""
    rows = []
    for name, row in result("parallel")["figures"].items():
        counts = [row[f"iterations, {kind}"] for kind in ("whole", "none", "damped")]
        shown = ["400, not there" if count >= 400 else str(count) for count in counts]
        proof = f"{row['residual']:.1g}", f"{row['distance from the layer']:.1g}"
        rows.append([name, *shown, str(row["sequential steps of 10,000"]), *proof])
    heads = [
        "network",
        "whole diagonal",
        "none",
        "damped (ours)",
        "steps that ran one by one",
        "residual",
        "from the layer",
    ]
    return markdown(heads, rows)


def gpu_compile() -> str:
    """Shared memory, registers and spills of the kernels of a whole sequence."""
    rows = []
    for name, row in result("gpu_compile")["figures"].items():
        kernel, units, dtype = name.split(", ")
        if kernel.startswith(("gru_", "lstm_")) and not kernel.endswith("step"):
            sizes = f"{row['shared_bytes'] / 1024:.0f}", str(row["registers"]), str(row["spill_bytes"])
            weights = "stay" if row["resident"] else "read every step"
            shares = str(row["programs"]), weights, str(row["warps"])
            rows.append([kernel.replace("_", " "), units.split()[0], dtype, *shares, *sizes])
    heads = ["kernel", "units", "dtype", "programs", "weights", "warps"]
    return markdown([*heads, "shared KB", "registers", "spilled bytes"], rows)


def limits() -> str:
    """The limits of layers through the default door and of the Triton kernels, by dtype."""
    rows = []
    for dtype in ("float32", "bfloat16", "float16"):
        for norm in ("", ", layer norm"):
            for what in ("results", "gradients"):
                names = (f"device, {what}, {dtype}{norm}", _kernel_row(what, dtype, norm))
                cells = [f"{LIMITS[name]:.1e}" if name in LIMITS else "not compared" for name in names]
                if set(cells) != {"not compared"}:
                    rows.append([f"{dtype}{norm}", what, *cells])
    return markdown(["", "", "layers", "Triton kernels"], rows)


def _kernel_row(what: str, dtype: str, norm: str) -> str:
    kind = "triton layer norm" if norm else "triton"
    return f"{kind}{' gradients' if what == 'gradients' else ''}, {dtype}"


BLOCKS: dict[str, Callable[[], str]] = {"parallel": parallel, "gpu_compile": gpu_compile, "limits": limits}
