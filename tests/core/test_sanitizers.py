"""The C tests of the core under the address, undefined-behaviour and thread sanitizers: `make sanitize`.

Their two builds of the core take longer than all other C tests, so `make test` leaves them out: run them after every change of
core/.
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from core_build import build, run_programs

# What the instruction sets share is in the baseline; AVX-512 has masked loads and stores of its own.
BUILDS = [("address,undefined", "avx512"), ("thread", "")]
# Without leaks: the pool's workers sleep until the process ends. With die_after_fork, a child could not start threads.
ENVIRONMENT = {"TSAN_OPTIONS": "die_after_fork=0", "UBSAN_OPTIONS": "print_stacktrace=1"}


@pytest.mark.parametrize(("sanitizer", "isas"), BUILDS, ids=["address-undefined", "thread"])
def test_c_programs(sanitizer: str, isas: str, tmp_path: Path) -> None:
    if "CONGRU_SANITIZE" not in os.environ:
        pytest.skip("two instrumented builds of the core take minutes: make sanitize")
    source, program = tmp_path / "empty.c", tmp_path / "empty"
    source.write_text("int main(void) { return 0; }\n")
    command = [os.environ.get("CC", "cc"), f"-fsanitize={sanitizer}", str(source), "-o", str(program)]
    works = subprocess.run(command, capture_output=True).returncode == 0
    if not works or subprocess.run([program], capture_output=True).returncode:
        pytest.skip(f"{command[0]} cannot build or run programs with -fsanitize={sanitizer}")
    folder = build(tmp_path / "build", CONGRU_SANITIZE=sanitizer, CONGRU_ISAS=isas)
    run_programs(folder, every=59, **ENVIRONMENT)
