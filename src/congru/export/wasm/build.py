"""`python -m congru.export.wasm.build`: congru.wasm from the functions of `congru/export/c/kernels`, by zig's compiler.

Needs `pip install ziglang`; the result lies in the package, and a test holds that it has every function.
"""

from __future__ import annotations

import hashlib
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from congru.export.c.compiler import zig
from congru.export.c.writer import KERNELS, kernel_text, needed

WASM = Path(__file__).parent / "congru.wasm"
FLAGS = [
    "--target=wasm32-freestanding",
    "-mcpu=generic+simd128+bulk_memory",
    "-std=c99",
    "-O3",
    "-ffp-contract=off",
    "-nostdlib",
]
LINKED = ["-Wl,--no-entry", "-Wl,--export=__heap_base", "-Wl,--strip-all", "-Wl,-z,stack-size=65536"]


def all_kernels() -> list[str]:
    """The files of functions, each behind those it calls."""
    order: list[str] = []

    def take(name: str) -> None:
        for other in needed(name):
            take(other)
        if name not in order:
            order.append(name)

    for path in sorted(KERNELS.glob("*.h")):
        take(path.stem)
    return order


def exported() -> list[str]:
    """The functions that return nothing or a float: those that a step calls."""
    texts = "".join(map(kernel_text, all_kernels()))
    return re.findall(r"^static (?:void|float) (\w+)\(", texts, re.MULTILINE)


def sources() -> str:
    """The C of all functions, as it is compiled."""
    return "#include <stdint.h>\n" + "\n".join(map(kernel_text, all_kernels()))


def section() -> bytes:
    """A custom section of WebAssembly with the sha256 of the sources: which functions a file was made of."""
    name, digest = b"sources", hashlib.sha256(sources().encode()).digest()
    return bytes([0, 1 + len(name) + len(digest), len(name)]) + name + digest


def main() -> int:
    """Compile, and say the size."""
    text, names = sources(), exported()
    for name in names:
        text = re.sub(rf"^static ((?:void|float) {name}\()", r"\1", text, flags=re.MULTILINE)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "congru.c"
        path.write_text(text)
        exports = [f"-Wl,--export={name}" for name in names]
        subprocess.run([*zig(), *FLAGS, *LINKED, *exports, str(path), "-o", str(WASM)], check=True)
    WASM.write_bytes(WASM.read_bytes() + section())
    print(f"{WASM}: {WASM.stat().st_size:,} bytes, {len(names)} functions")
    return 0


if __name__ == "__main__":
    sys.exit(main())
