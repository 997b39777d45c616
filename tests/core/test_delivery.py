"""What is delivered: a package of less than a megabyte, an extension that shows one name to the linker."""

from __future__ import annotations

import io
import shutil
import subprocess
import zipfile
from pathlib import Path

import pytest

import congru
from congru.kernels import binding

needs_core = pytest.mark.skipif(binding._CORE is None, reason=f"no C core: {binding._REASON}")
MEGABYTE = 1_000_000


@needs_core
def test_a_wheel_is_below_a_megabyte() -> None:
    """Everything a wheel holds, compressed as pip compresses it."""
    package = Path(congru.__file__).parent
    files = [path for path in package.rglob("*") if path.suffix not in (".pyc", ".so") and path.is_file()]
    core = Path(binding.extension().__file__ or "")
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as wheel:
        wheel.write(core, core.name)
        for path in files:
            wheel.write(path, path.relative_to(package))
    assert len(files) > 100
    assert len(content.getvalue()) < MEGABYTE


@needs_core
@pytest.mark.skipif(shutil.which("nm") is None, reason="nm is not installed: it comes with a C compiler")
def test_the_extension_shows_one_name() -> None:
    command = ["nm", "--dynamic", "--defined-only", binding.extension().__file__ or ""]
    shown = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split("\n")
    assert [line.split()[-1] for line in shown if line] == ["PyInit__core"]
