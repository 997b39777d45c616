"""Is one result computed everywhere, and does every step take as long? Hashes over 10,000 steps, and the slowest steps.

`core` runs tests/core/test_bits.c on the core: every instruction set of this processor; the baseline by another compiler; NEON
under qemu; WebAssembly in Node. The hashes of a profile are one: with fused multiply-add (AVX-512, AVX2, NEON), without (the
baseline of x86, WebAssembly), in integers (all of them). `exported` is the C of `congru export --to c` for a GRU of 64 units,
which needs no multiply-add, in float32 and int8, by gcc, by zig for several processors under qemu, and as WebAssembly, beside a
session on the baseline of x86.
`latency` are nanoseconds of single steps of a stream (bench/c/step_latency.c): the median, and the one in a thousand, by the
clock on the wall and by the thread's own, each the best of several runs, and of every step the shortest of all runs, which no
interrupt is in; beside a control of the same length that touches no memory, whose slow ones are the machine's. Bar: at most
three times the median. Needs `pip install ziglang` and `apt-get install qemu-user`.

    python -m bench.bits [--steps 10000]
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from bench.export import GRU_64, save
from bench.record import ROOT, write_result
from congru.export.c.compiler import compile_c, find_compiler, zig
from congru.export.exporter import export_model
from congru.export.wasm.build import FLAGS
from congru.kernels import binding
from congru.runtime.folder import load

BARS = {"p99.9 over median": 3.0}
CORE, HERE = ROOT / "core", ROOT / "bench" / "c"
EXACT = ("-O2", "-std=gnu11", "-ffp-contract=off", "-fno-math-errno", "-fno-trapping-math")
GROUPS = {
    "first": (
        "tile",
        "unpacked",
        "pack",
        "scan",
        "forward",
        "gradients",
        "gru",
        "lstm",
        "rnn",
        "rows",
        "table",
    ),
    "second": ("backward", "norm", "norm_backward", "step", "dense"),
}
THREADS = {True: [CORE / "pool.c"], False: [HERE / "one_thread.c"]}
QEMU = {
    "x86-64, zig": ((), ("-target", "x86_64-linux-musl", "-mcpu=x86_64")),
    "NEON, qemu": (("qemu-aarch64",), ("-target", "aarch64-linux-musl")),
}
EXPORTED = {
    **QEMU,
    "x86-64 with AVX2, zig": ((), ("-target", "x86_64-linux-musl", "-mcpu=x86_64_v3")),
    "ARM 32, qemu": (("qemu-arm",), ("-target", "arm-linux-musleabihf", "-mcpu=cortex_a7")),
    "RISC-V 64, qemu": (("qemu-riscv64",), ("-target", "riscv64-linux-musl")),
}
DRIVER = """
#include <stdio.h>
#include <string.h>
#include "{name}.h"
static unsigned long long seed = 88172645463325252ULL;
int main(void) {{
  static {name}_main_state state;
  static float x[64], y[64];
  unsigned long long hash = 14695981039346656037ULL;
  long t;
  int k;
  {name}_main_reset(&state);
  for (t = 0; t < {steps}; t++) {{
    for (k = 0; k < 64; k++) {{
      seed ^= seed << 13, seed ^= seed >> 7, seed ^= seed << 17;
      x[k] = (float)((int)(seed % 4001) - 2000) * (t % 50 ? 1.0f / 2048 : 1.0f / 64);
    }}
    {name}_main_step(&state, x, y);
    for (k = 0; k < 64; k++) {{
      unsigned bits;
      memcpy(&bits, y + k, 4);
      hash = (hash ^ bits) * 1099511628211ULL;
    }}
  }}
  printf("%016llx\\n", hash);
  return 0;
}}
"""


def core_program(
    build: Path, compiler: Sequence[str], flags: Sequence[str], program: Path, threads: bool = True
) -> Path:
    """A C program linked with the core's baseline, by another compiler or for another processor."""
    made, target = [], [*EXACT, *flags, f"-I{CORE}"]
    for real, more in (("f32", []), ("f64", ["-DCONGRU_F64"])):
        for group, names in GROUPS.items():
            source = build / f"{group}_{real}.c"
            source.write_text("".join(f'#include "{CORE / name}.c"\n' for name in names))
            made.append(source.with_suffix(".o"))
            compile_c(
                compiler, [*target, *more, f"-DCONGRU_SUFFIX=baseline_{real}", "-c"], [source], made[-1]
            )
    rest = [CORE / f"{name}.c" for name in ("congru", "packed", "int8", "int8_plain")]
    out = build / program.stem
    compile_c(
        compiler,
        [*target, "-DCONGRU_HAS_baseline"],
        [*made, *rest, *THREADS[threads], program, Path("-lm")],
        out,
    )
    return out


def run(*command: str | Path, **environment: str) -> str:
    done = subprocess.run(
        [*map(str, command)], capture_output=True, text=True, env={**os.environ, **environment}, check=True
    )
    return done.stdout


def installed_program(build: Path, program: Path) -> Path:
    """A C program linked with the core that is installed here."""
    library = max(ROOT.glob("build/*/core/libcongru_core.a"), key=lambda path: path.stat().st_mtime)
    out = build / f"installed_{program.stem}"
    compile_c(find_compiler(), ["-O2", f"-I{CORE}"], [program, library, Path("-lm"), Path("-lpthread")], out)
    return out


def core_hashes(build: Path, steps: int) -> dict[str, dict[str, dict[str, str]]]:
    """Profile -> cell -> where -> hash."""
    program, hashes = ROOT / "tests" / "core" / "test_bits.c", dict[str, dict[str, dict[str, str]]]()

    def add(where: str, text: str) -> None:
        for line in text.splitlines():
            cell, profile, value = line.split("\t")
            hashes.setdefault(profile, {}).setdefault(cell, {})[where] = value

    here = installed_program(build, program)
    for isa in binding.extension().isas():
        add(isa, run(here, str(steps), CONGRU_ISA=isa))
    for name, (emulator, flags) in QEMU.items():
        if not emulator or shutil.which(emulator[0]):
            folder = build / name.replace(" ", "_")
            folder.mkdir()
            add(name, run(*emulator, core_program(folder, zig(), [*flags, "-static"], program), str(steps)))
    if shutil.which("node"):
        folder = build / "wasm"
        folder.mkdir()
        wasm = core_program(folder, zig(), ["-target", "wasm32-wasi", "-msimd128"], program, threads=False)
        add("WebAssembly, Node", run("node", "--no-warnings", HERE / "run_wasi.mjs", wasm, str(steps)))
    return hashes


def session_hash(folder: Path, steps: int) -> str:
    """What DRIVER prints, of a session of the model on the baseline instruction set."""
    core, mask = binding.extension(), 2**64 - 1
    before = core.isa()
    core.set_isa("baseline")
    session, seed, value = load(folder).session(), 88172645463325252, 14695981039346656037
    for t in range(steps):
        x = []
        for _ in range(64):
            seed ^= seed << 13 & mask
            seed ^= seed >> 7
            seed ^= seed << 17 & mask
            x.append((seed % 4001 - 2000) * (1 / 2048 if t % 50 else 1 / 64))
        for bits in session.step(np.float32(x)).view(np.uint32).tolist():
            value = (value ^ bits) * 1099511628211 & mask
    core.set_isa(before)
    return f"{value:016x}"


def exported_hashes(build: Path, steps: int) -> dict[str, dict[str, str]]:
    """Model -> where -> hash of the C export."""
    float_folder, hashes = save(build / "gru", "text", {"main": GRU_64}), dict[str, dict[str, str]]()
    export_model(float_folder, "int8", build / "gru8")
    for kind, model in (("float32", float_folder), ("int8", build / "gru8")):
        out = build / f"{model.name}_c"
        export_model(model, "c", out)
        driver = out / "driver.c"
        driver.write_text(DRIVER.format(name=model.name, steps=steps))
        sources, program = [out / f"{model.name}.c", driver], out / "program"
        compile_c(find_compiler(), ["-std=c99", "-O3", "-march=native"], sources, program)
        hashes[kind] = {"gcc for this processor": run(program).strip()}
        if "baseline" in binding.extension().isas():
            hashes[kind]["session, baseline"] = session_hash(model, steps)
        for name, (emulator, flags) in EXPORTED.items():
            if not emulator or shutil.which(emulator[0]):
                compile_c(zig(*flags), ["-std=c99", "-O2", "-static", "-ffp-contract=off"], sources, program)
                hashes[kind][name] = run(*emulator, program).strip()
        if shutil.which("node"):
            wasm = [flag for flag in FLAGS if flag.startswith(("-mcpu", "-ffp", "-O", "-std"))]
            compile_c(zig("-target", "wasm32-wasi"), wasm, sources, program)
            hashes[kind]["WebAssembly, Node"] = run(
                "node", "--no-warnings", HERE / "run_wasi.mjs", program
            ).strip()
    return hashes


def latency(build: Path, steps: int, runs: int = 7) -> dict[str, Any]:
    """Nanoseconds of single steps, by the clock on the wall, by the thread's own, and of every step the shortest of all runs."""
    program, figures = installed_program(build, HERE / "step_latency.c"), dict[str, Any]()
    for size in (64, 256):
        part: dict[str, dict[str, Any]] = {}
        for line in run(program, str(steps), str(size), str(runs)).splitlines():
            name, clock, *numbers = line.split("\t")
            median, p99, p999, most = (int(number) for number in numbers)
            part.setdefault(name, {})[clock] = {
                "median_ns": median,
                "p99_ns": p99,
                "p99.9_ns": p999,
                "most_ns": most,
                "p99.9 over median": round(p999 / median, 2),
            }
        figures[f"H {size}"] = part
    return figures


def main() -> None:
    """Measure, print and write results/bits.json."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--steps", type=int, default=10_000)
    steps = parser.parse_args().steps
    with tempfile.TemporaryDirectory() as folder:
        build = Path(folder)
        figures: dict[str, Any] = {"steps": steps, "bars": BARS, "core": core_hashes(build, steps)}
        figures["exported"] = exported_hashes(build, steps)
        figures["latency"] = latency(build, 20_000)
    alike = {
        f"{profile}, {cell}": len(set(by.values())) == 1
        for profile, cells in figures["core"].items()
        for cell, by in cells.items()
    }
    alike |= {f"exported, {kind}": len(set(by.values())) == 1 for kind, by in figures["exported"].items()}
    figures["one hash"] = alike
    for name, same in alike.items():
        print(f"{name}: {'one hash' if same else 'DIFFERENT'}")
    print(figures["latency"])
    target = write_result(
        "bits", f"python -m bench.bits --steps {steps}", figures, repetitions=7, packages=("ziglang",)
    )
    print(target.relative_to(ROOT))


if __name__ == "__main__":
    main()
