"""`python -m wheels.core_trial`: the C tests of the core (tests/core/) for other machines, run where they can run here.

They are compiled and linked by `zig cc` as the wheels' modules are: for Windows, run under Wine (Debian: wine64), and for musl
on Linux, linked statically. Every program compares the kernels of each instruction set with plain loops, the bits of the results
with those of every other system, and threads with a caller who is alone; allocations are not counted here. What fails ends the
command with its message.

    python -m wheels.core_trial                    both
    python -m wheels.core_trial windows_x86_64     one
"""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from wheels.__main__ import TARGETS, compile_core
from wheels.windows import CMAKE
from wheels.zig import zig_commands

WINE = ("wine64", "wine", "/usr/lib/wine/wine64")
TRIED = ("windows_x86_64", "musllinux_x86_64")
PROGRAMS = ("activations", "forward", "backward", "step", "int8", "bits", "dense", "threads")
# Combinations of options: every so many.
ARGUMENTS = {"forward": ("1", "25"), "backward": ("1", "25")}


def main(names: list[str]) -> int:
    """Build and run the programs for these targets (none: all)."""
    unknown = [name for name in names if name not in TRIED]
    if unknown:
        print(f"target is {unknown[0]!r}, expected one of {', '.join(TRIED)}", file=sys.stderr)
        return 2
    failed = 0
    for name in names or TRIED:
        runner = way_to_run(name)
        if isinstance(runner, str):
            print(f"{name}: not run, {runner}")
            continue
        with tempfile.TemporaryDirectory() as folder:
            wrong = [
                text
                for program in build(name, Path(folder))
                if (text := trial(runner, program, Path(folder)))
            ]
        print(f"{name}: {len(PROGRAMS) - len(wrong)} of {len(PROGRAMS)} programs pass", flush=True)
        print("".join(wrong), file=sys.stderr, end="")
        failed += len(wrong)
    return 1 if failed else 0


def way_to_run(name: str) -> list[str] | str:
    """The command before a program of this target, or why none runs here."""
    if sys.platform != "linux" or platform.machine() != "x86_64":
        return "the programs are for x86-64 on Linux"
    if name != "windows_x86_64":
        return []
    wine = next((path for each in WINE if (path := shutil.which(each))), None)
    return [wine] if wine else "Wine is not installed (Debian: apt install wine64)"


def build(name: str, folder: Path) -> list[Path]:
    """The compiled programs."""
    target = TARGETS[name]
    settings = {
        **zig_commands(folder, target.zig),
        "CMAKE_BUILD_TYPE": "Release",
        "CMAKE_SYSTEM_NAME": "Linux",
        "CMAKE_SYSTEM_PROCESSOR": target.processor,
        "CONGRU_TESTS": "ON",
        "CONGRU_HOOKS": "OFF",  # Zig's linker knows no --wrap
        **(CMAKE if name == "windows_x86_64" else {"CMAKE_EXE_LINKER_FLAGS": "-static"}),
    }
    compile_core(folder, settings)
    suffix = ".exe" if name == "windows_x86_64" else ""
    return [folder / "tests" / "core" / f"test_{program}{suffix}" for program in PROGRAMS]


def trial(runner: list[str], program: Path, folder: Path) -> str:
    """Run one program: nothing where it passes, else what it said."""
    arguments = ARGUMENTS.get(program.stem.removeprefix("test_"), ())
    environment = {**os.environ, "WINEPREFIX": str(folder / "wine"), "WINEDEBUG": "-all"}
    done = subprocess.run(
        [*runner, str(program), *arguments], env=environment, capture_output=True, text=True
    )
    return f"{program.name} ended with {done.returncode}: {done.stderr}\n" if done.returncode else ""


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
