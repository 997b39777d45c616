"""C compilers: the system's, or zig's from the package ziglang; and what they made, read from its ELF sections."""

from __future__ import annotations

import importlib.util
import shutil
import struct
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from congru.errors import ExportError

STRICT = ("-std=c99", "-pedantic", "-Wall", "-Wextra", "-Werror")
_ALLOCATED, _NO_BITS = 2, 8


def find_compiler() -> list[str]:
    """The command of a C compiler. Raises :class:`ExportError` where there is none."""
    for name in ("cc", "gcc", "clang"):
        if shutil.which(name):
            return [name]
    if importlib.util.find_spec("ziglang") is not None:
        return zig()
    raise ExportError(
        "no C compiler is here, expected cc, gcc, clang or the package ziglang to try what is written: pip install ziglang"
    )


def zig(*target: str) -> list[str]:
    """The command of zig's compiler, for another machine where a target is named."""
    return [sys.executable, "-m", "ziglang", "cc", *target]


def compile_c(compiler: Sequence[str], flags: Sequence[str], sources: Sequence[Path], out: Path) -> None:
    """Compile, and raise :class:`ExportError` with the compiler's first complaint."""
    command = [*compiler, *flags, *map(str, sources), "-o", str(out)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        lines = [line for line in done.stderr.splitlines() if "error" in line] or done.stderr.splitlines()
        raise ExportError(
            f"{compiler[0]} refuses {sources[0].name}: {' '.join(lines[:1])}: please report this model"
        )


def flash_bytes(path: Path) -> int | None:
    """Bytes of code and constants in an ELF object file; None for another format."""
    data = path.read_bytes()
    if data[:4] != b"\x7fELF":
        return None
    wide, order = data[4] == 2, "<" if data[5] == 1 else ">"
    start = struct.unpack_from(f"{order}{'Q' if wide else 'I'}", data, 40 if wide else 32)[0]
    size, count = struct.unpack_from(f"{order}HH", data, 58 if wide else 46)
    total = 0
    for at in range(start, start + size * count, size):
        if wide:
            kind, flags, _, _, length = struct.unpack_from(f"{order}IQQQQ", data, at + 4)
        else:
            kind, flags, _, _, length = struct.unpack_from(f"{order}IIIII", data, at + 4)
        total += length if flags & _ALLOCATED and kind != _NO_BITS else 0
    return total
