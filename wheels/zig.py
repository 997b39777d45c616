"""The C compiler in the PyPI package ziglang, as commands for CMake: for this machine, or for another."""

from __future__ import annotations

import importlib
import shlex
from pathlib import Path


def zig_program() -> Path:
    """The compiler itself."""
    return Path(importlib.import_module("ziglang").__file__ or "").parent / "zig"


def zig_commands(folder: Path, target: str | None = None) -> dict[str, str]:
    """Settings of CMake: commands made in ``folder``, and what they cannot do. ``target`` is another machine, in Zig's words."""
    zig = zig_program()
    aim = f" -target {target}" if target else ""
    scripts = {"CMAKE_C_COMPILER": f"cc{aim}", "CMAKE_AR": "ar", "CMAKE_RANLIB": "ranlib"}
    for variable, words in scripts.items():
        script = folder / variable.lower()
        script.write_text(f'#!/bin/sh\nexec {shlex.quote(str(zig))} {words} "$@"\n')
        script.chmod(0o755)
    commands = {variable: str(folder / variable.lower()) for variable in scripts}
    # Newer versions of CMake ask the linker for a list of what it read, which Zig cannot write.
    return {**commands, "CMAKE_LINK_DEPENDS_USE_LINKER": "OFF"}
