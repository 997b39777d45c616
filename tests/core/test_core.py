"""The C tests of the core, built as the wheel is: arithmetic, options, steppers, threads, forks, no allocation in a step."""

from __future__ import annotations

from pathlib import Path

from core_build import build, run_programs


def test_c_programs(tmp_path: Path) -> None:
    run_programs(build(tmp_path), every=25)
