"""`python -m wheels` (`make wheels`): a wheel of pure Python, and one with the C core for each kind of machine, into dist/.

Everything is compiled here by `zig cc` (PyPI's ziglang), which holds their C libraries. The module keeps
to Python's stable interface, so one wheel serves every CPython from 3.11 on; older ones compile the source. Windows has one wheel
for 3.11 and one for every CPython from 3.12 on. The modules for macOS are linked by LLVM's ld64.lld (Debian: lld) and left out
where that is missing.

    python -m wheels                              all
    python -m wheels manylinux_x86_64             some
"""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
import tempfile
from dataclasses import dataclass
from pathlib import Path

from wheels.macos import NAMES, link_settings, linker, unknown_symbols
from wheels.pack import with_core
from wheels.windows import PYTHONS, python_settings, unknown_imports
from wheels.zig import zig_commands, zig_program

ROOT = Path(__file__).resolve().parent.parent
DIST = ROOT / "dist"


@dataclass(frozen=True)
class Target:
    """A kind of machine: Zig's name of it, CMake's, and the tag of its wheels."""

    zig: str
    processor: str
    tag: str

    @property
    def is_macos(self) -> bool:
        """Whether ld64.lld must link it."""
        return "macos" in self.zig

    @property
    def pythons(self) -> dict[str, str]:
        """The tags of its wheels for a Python, each with the library that the module imports from (Windows alone needs one)."""
        return PYTHONS if "windows" in self.zig else {"cp311-abi3": ""}


TARGETS = {
    "manylinux_x86_64": Target(
        "x86_64-linux-gnu.2.17", "x86_64", "manylinux_2_17_x86_64.manylinux2014_x86_64"
    ),
    "manylinux_aarch64": Target(
        "aarch64-linux-gnu.2.17", "aarch64", "manylinux_2_17_aarch64.manylinux2014_aarch64"
    ),
    "musllinux_x86_64": Target("x86_64-linux-musl", "x86_64", "musllinux_1_2_x86_64"),
    "musllinux_aarch64": Target("aarch64-linux-musl", "aarch64", "musllinux_1_2_aarch64"),
    "macos_x86_64": Target("x86_64-macos.11.0", "x86_64", "macosx_11_0_x86_64"),
    "macos_arm64": Target("aarch64-macos.11.0", "arm64", "macosx_11_0_arm64"),
    "windows_x86_64": Target("x86_64-windows-gnu", "x86_64", "win_amd64"),
}


def main(names: list[str]) -> int:
    """Build the wheels of these targets (none: all), and the one of pure Python."""
    unknown = [name for name in names if name not in TARGETS]
    if unknown:
        print(f"target is {unknown[0]!r}, expected one of {', '.join(TARGETS)}", file=sys.stderr)
        return 2
    DIST.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        pure = build_pure(Path(folder))
        made = [DIST / pure.name]
        made[0].write_bytes(pure.read_bytes())
        for name in names or TARGETS:
            if TARGETS[name].is_macos and linker() is None:
                print(f"{name}: left out, {NAMES[0]} is not installed (Debian: apt install lld)", flush=True)
                continue
            for python, library in TARGETS[name].pythons.items():
                core = build_core(TARGETS[name], Path(folder) / name, library)
                made.append(with_core(pure, core, f"{python}-{TARGETS[name].tag}", DIST))
                print(f"{made[-1].relative_to(ROOT)}  {made[-1].stat().st_size:,} bytes", flush=True)
    return 0


def build_pure(folder: Path) -> Path:
    """The wheel without the core."""
    command = [
        sys.executable,
        "-m",
        "pip",
        "wheel",
        "--quiet",
        "--no-deps",
        "--wheel-dir",
        str(folder),
        str(ROOT),
    ]
    run(command, CONGRU_CORE="off")
    (wheel,) = folder.glob("congru-*.whl")
    return wheel


def build_core(target: Target, folder: Path, library: str = "") -> Path:
    """The extension module for a target, compiled in ``folder``, where another Python's `library` only links it anew."""
    folder.mkdir(exist_ok=True)
    settings = {
        **zig_commands(folder, target.zig),
        "CMAKE_BUILD_TYPE": "Release",
        "CMAKE_SYSTEM_NAME": "Linux",
        "CMAKE_SYSTEM_PROCESSOR": target.processor,
        "CMAKE_MODULE_LINKER_FLAGS": "-s",  # without debug information, which Zig adds
        "CONGRU_ABI3": "ON",
        "CONGRU_PYTHON_INCLUDE": sysconfig.get_path("include"),
        **(link_settings(target.processor, folder) if target.is_macos else {}),
        **(python_settings(folder, zig_program(), library) if library else {}),
    }
    compile_core(folder, settings, "--target", "_core")
    (module,) = folder.rglob("_core.pyd" if library else "_core.abi3.so")
    if library and (unknown := unknown_imports(module, library)):
        sys.exit(f"{module}: Windows and Python have no {', '.join(unknown)}")
    if target.is_macos and (unknown := unknown_symbols(target.processor, folder)):
        sys.exit(f"{module}: macOS and Python have no {', '.join(unknown)}")
    return module


def compile_core(folder: Path, settings: dict[str, str], *what: str) -> None:
    """Configure CMake with these settings in ``folder``, and build; ``what`` are words for the build."""
    words = [f"-D{name}={value}" for name, value in settings.items()]
    run(["cmake", "-S", str(ROOT), "-B", str(folder), *words])
    run(["cmake", "--build", str(folder), "--parallel", "2", *what])


def run(command: list[str], **environment: str) -> None:
    """Run a command; show what it said where it fails."""
    done = subprocess.run(command, env={**os.environ, **environment}, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{' '.join(command)}\n{done.stdout[-4000:]}{done.stderr[-4000:]}")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
