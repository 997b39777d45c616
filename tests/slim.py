"""A slim environment for tests: congru and what it requires, without torch or any extra, in a folder for PYTHONPATH.

`python -S` with that path sees nothing else of this installation: as after `pip install congru`.
"""

from __future__ import annotations

import importlib.metadata
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import congru
from congru.kernels import binding

ROOT = Path(__file__).resolve().parent.parent


def extras() -> dict[str, list[str]]:
    """The extras of the package and what each brings."""
    by_name: dict[str, list[str]] = _project()["optional-dependencies"]
    return by_name


def _project() -> dict[str, Any]:
    tomllib = pytest.importorskip("tomllib", reason="Python 3.10 has no tomllib")
    content: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    return content


def make_slim(folder: Path, core: bool) -> Path:
    """The folder with links to the required packages, and congru with or without its C core."""
    waiting, seen = list(_project()["dependencies"]), set()
    while waiting:
        name = re.split(r"[^\w.-]", waiting.pop())[0]
        if name in seen:
            continue
        seen.add(name)
        for installed in _top_level(importlib.metadata.distribution(name)):
            link = folder / installed.name
            if not link.exists():
                link.symlink_to(installed)
        required = importlib.metadata.requires(name) or []
        waiting += [line for line in required if "extra ==" not in line and _applies(line)]
    package = folder / "congru"
    shutil.copytree(
        Path(congru.__file__).parent, package, ignore=shutil.ignore_patterns("__pycache__", "_core*")
    )
    if core:
        built = Path(binding.extension().__file__ or "")
        shutil.copy(built, package / "kernels" / built.name)
    return folder


def run_slim(slim: Path, *words: str, folder: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Run `python ...` in the environment; no compiler is on its path."""
    environment = {"PYTHONPATH": str(slim), "PATH": "/nowhere", "HOME": str(slim), "OMP_NUM_THREADS": "1"}
    environment |= {
        name: os.environ[name] for name in ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE") if name in os.environ
    }
    command = [sys.executable, "-S", *words]
    return subprocess.run(command, env=environment, cwd=folder, capture_output=True, text=True, timeout=120)


def _top_level(distribution: importlib.metadata.Distribution) -> list[Path]:
    """The files and folders of a distribution beside each other in site-packages."""
    names = {
        file.parts[0]
        for file in distribution.files or []
        if not file.parts[0].startswith((".", "__pycache__"))
    }
    return [Path(str(distribution.locate_file(name))).resolve() for name in sorted(names)]


def _applies(requirement: str) -> bool:
    from packaging.requirements import Requirement

    marker = Requirement(requirement).marker
    return marker is None or marker.evaluate({"extra": ""})
