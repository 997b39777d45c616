"""The module for macOS, linked on another system: `zig cc` compiles for it, LLVM's ld64.lld links.

Zig holds the list of what macOS' libSystem offers; Python's own symbols are looked up when the module is loaded.
"""

from __future__ import annotations

import importlib
import shutil
import subprocess
from pathlib import Path

NAMES = ("ld64.lld", *(f"ld64.lld-{version}" for version in range(30, 13, -1)))


def linker() -> str | None:
    """The linker of this machine, Debian's with a version in its name too."""
    return next((path for name in NAMES if (path := shutil.which(name))), None)


def link_settings(processor: str, folder: Path) -> dict[str, str]:
    """What CMake must be told beside the compiler: nothing can be linked to try it, and how the module is linked.

    Only AVX2 beside the baseline: macOS ran on next to no processor with AVX-512.
    """
    command = [*_link(processor), "-undefined", "dynamic_lookup", "-S", "-x"]
    return {
        "CMAKE_TRY_COMPILE_TARGET_TYPE": "STATIC_LIBRARY",
        "CMAKE_C_CREATE_SHARED_MODULE": " ".join(
            [*command, "-o", "<TARGET>", "<OBJECTS>", f"{folder}/core/libcongru_core.a"]
        ),
        "CONGRU_ISAS": "avx2",
    }


def unknown_symbols(processor: str, folder: Path) -> list[str]:
    """Names that the linked module needs and neither libSystem nor Python's interface (Py..., _Py...) has."""
    objects = sorted(str(path) for path in (folder / "core/CMakeFiles/_core.dir").glob("*.o"))
    command = [*_link(processor), "-undefined", "error", "--error-limit=0", "-o", "/dev/null"]
    said = subprocess.run(
        [*command, *objects, f"{folder}/core/libcongru_core.a"], capture_output=True, text=True
    ).stderr
    names = {
        line.split("undefined symbol: ")[1] for line in said.splitlines() if "undefined symbol: " in line
    }
    if not names:
        raise SystemExit(f"the linker named no symbol of Python: {said[:400]}")
    return sorted(name for name in names if not name.lstrip("_").startswith("Py"))


def _link(processor: str) -> list[str]:
    libraries = Path(importlib.import_module("ziglang").__file__ or "").parent / "lib/libc/darwin"
    version = ["-platform_version", "macos", "11.0", "11.0"]
    return [linker() or NAMES[0], "-arch", processor, *version, "-bundle", f"-L{libraries}", "-lSystem"]
