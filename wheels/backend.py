"""What pip calls to build congru: scikit-build-core, with a C compiler for those who have none.

The core is compiled by the compiler of the machine; where there is none, by `zig cc` of the PyPI package ziglang, which pip
then fetches for the build alone. CONGRU_CORE=off, a build on Windows, and rare processors without a compiler give an
installation of pure Python, which runs saved models on NumPy and trains on PyTorch's own operations. A source tree that does
not compile gives such an installation too, with the compiler's message above; only an editable one fails.
"""

from __future__ import annotations

import contextlib
import os
import platform
import shlex
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from scikit_build_core import build as base
from scikit_build_core.build import build_sdist, get_requires_for_build_sdist

from wheels.zig import zig_commands

__all__ = [
    "build_editable",
    "build_sdist",
    "build_wheel",
    "get_requires_for_build_editable",
    "get_requires_for_build_sdist",
    "get_requires_for_build_wheel",
]

ZIG = "ziglang>=0.13,<1"
# Processors for which the package ziglang holds a compiler, on Linux and macOS.
ZIG_MACHINES = ("x86_64", "aarch64", "arm64", "armv7l", "i686", "ppc64le", "s390x", "riscv64")
Settings = dict[str, Any]


def compiler_here() -> str | None:
    """The C compiler of this machine: what CC names, else the first of cc, gcc and clang."""
    wanted = shlex.split(os.environ.get("CC", ""))
    names = wanted[:1] or ["cc", "gcc", "clang"]
    return next((name for name in names if shutil.which(name)), None)


def way_to_compile() -> str:
    """``here``: this machine's compiler; ``zig``: the one of ziglang; ``off``: not at all."""
    if os.environ.get("CONGRU_CORE", "").lower() in ("off", "0", "no"):
        return "off"
    if sys.platform == "win32":  # a wheel brings the core: Microsoft's compiler has no vector types
        return "off"
    if compiler_here() is not None:
        return "here"
    return "zig" if platform.machine() in ZIG_MACHINES else "off"


def get_requires_for_build_wheel(config_settings: Settings | None = None) -> list[str]:
    """What pip installs for the build: CMake where it is missing, and ziglang where a compiler is."""
    way = way_to_compile()
    if way == "off":
        return []
    needed = list(base.get_requires_for_build_wheel(config_settings))
    return [*needed, ZIG] if way == "zig" else needed


def get_requires_for_build_editable(config_settings: Settings | None = None) -> list[str]:
    """The same for an editable installation."""
    return get_requires_for_build_wheel(config_settings)


def build_wheel(
    wheel_directory: str, config_settings: Settings | None = None, metadata_directory: str | None = None
) -> str:
    """A wheel with the core, or of pure Python; returns its name."""
    with compiler(config_settings) as settings:
        return str(base.build_wheel(wheel_directory, settings, metadata_directory))


def build_editable(
    wheel_directory: str, config_settings: Settings | None = None, metadata_directory: str | None = None
) -> str:
    """The same for a source tree in use."""
    with compiler(config_settings) as settings:
        return str(base.build_editable(wheel_directory, settings, metadata_directory))


@contextlib.contextmanager
def compiler(config_settings: Settings | None) -> Iterator[Settings]:
    """Within the block there is a compiler; gives the settings of the build, which name it where CMake would not find it."""
    settings, way = dict(config_settings or {}), way_to_compile()
    if way == "off":
        print("congru: without the C core (see docs/install.md)", file=sys.stderr)
        yield {**settings, "wheel.cmake": "false"}
    elif way == "here":
        yield settings
    else:
        with tempfile.TemporaryDirectory() as folder:
            commands = zig_commands(Path(folder))
            yield {**settings, **{f"cmake.define.{name}": value for name, value in commands.items()}}
