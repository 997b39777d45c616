"""Builds the C tests of the core (tests/core/) with the machine's compiler and runs them, plain or under a sanitizer."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tolerances import LIMITS, record

ROOT = Path(__file__).resolve().parent.parent
PROGRAMS = ("activations", "forward", "backward", "step", "mixed", "int8", "bits", "dense", "threads")


def run(*command: str | Path, **environment: str) -> str:
    """The output of a command; fails with all it said."""
    done = subprocess.run(
        list(map(str, command)),
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=900,
    )
    assert done.returncode == 0, (
        f"{' '.join(map(str, command))} ended with {done.returncode}:\n{done.stdout}{done.stderr}"
    )
    return done.stdout


def built_core() -> Path | None:
    """The core that the installation built, where it is newer than all it is made of."""
    files = [ROOT / "CMakeLists.txt", *(ROOT / "core").iterdir()]
    newest = max(file.stat().st_mtime for file in files)
    cores = [core for core in ROOT.glob("build/*/core/libcongru_core.a") if core.stat().st_mtime > newest]
    return max(cores, key=lambda core: core.stat().st_mtime, default=None)


def build(folder: Path, **options: str) -> Path:
    """Configure the repository with the C tests and `options`, build, and return the folder of the programs.

    Without options the tests link the core that is installed, if it was built here.
    """
    core = None if options else built_core()
    if core is not None:
        options["CONGRU_CORE"] = str(core)
    search_path = os.pathsep.join((str(Path(sys.executable).parent), os.environ["PATH"]))
    cmake = shutil.which("cmake", path=search_path)
    if cmake is None:
        pytest.skip("cmake is not installed: pip install cmake")
    settings = [
        f"-D{name}={value}"
        for name, value in {"CONGRU_TESTS": "ON", "CONGRU_WERROR": "ON", **options}.items()
    ]
    run(cmake, "-S", ROOT, "-B", folder, *settings)
    run(cmake, "--build", folder, "--parallel", "2")
    return folder / "tests" / "core"


def run_programs(folder: Path, every: int = 1, **environment: str) -> None:
    """Run every C test in `folder`; the errors they print must be within the table of tolerances.

    `every`: all combinations of options, or every so many.
    """
    for program in PROGRAMS:
        counts = [os.environ.get("CONGRU_SEEDS", "1"), str(every)]
        arguments = counts if program in ("forward", "backward") else []
        for line in run(folder / f"test_{program}", *arguments, **environment).splitlines():
            row, error, where = line.split("\t")
            record(row, float(error))
            assert float(error) <= LIMITS[row], f"{error} exceeds {LIMITS[row]:.3g} ({row}) at {where}"
