"""The record of a measurement: what it holds, and that it tells a changed tree from a clean one."""

from __future__ import annotations

import importlib.util
import json
import subprocess
from pathlib import Path
from types import ModuleType

import pytest

RECORD = Path(__file__).parents[2] / "bench" / "record.py"


@pytest.fixture
def record() -> ModuleType:
    spec = importlib.util.spec_from_file_location("congru_bench_record", RECORD)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_a_result_holds_what_is_needed_to_repeat_it(record: ModuleType, tmp_path: Path) -> None:
    path = record.write_result(
        "question",
        "python -m bench.question",
        {"step_ms": 2.0},
        repetitions=3,
        spreads={"step_ms": record.spread([1.0, 4.0, 2.0, 3.0])},
        baselines={"step_ms": 8.0},
        packages=("pytest", "no-such-package"),
        folder=tmp_path / "results",
    )
    held = json.loads(path.read_text())
    assert path == tmp_path / "results" / "question.json"
    assert held["figures"] == {"step_ms": 2.0}
    assert held["spread"] == {"step_ms": {"min": 1.0, "median": 2.5, "max": 4.0}}
    assert held["baselines"] == {"step_ms": 8.0}
    assert held["repetitions"] == 3
    assert 0 < held["cpu_seconds"] < 1e6
    assert held["command"] == "python -m bench.question"
    assert len(held["commit"].removesuffix("-dirty")) == 40
    assert held["machine"]["cores"] >= 1
    assert held["machine"]["cpu"]
    assert held["machine"]["instructions"] in ("avx512", "avx2", "baseline", "none")
    assert held["machine"]["bfloat16"] in ("amx_bf16, avx512_bf16", "amx_bf16", "avx512_bf16", "none")
    assert held["versions"]["numpy"].startswith(("1.", "2."))
    assert "pytest" in held["versions"]
    assert "no-such-package" not in held["versions"]
    assert len(held["date"]) == 10


def test_nan_is_no_result(record: ModuleType, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="Out of range float"):
        record.write_result("question", "make bench", {"loss": float("nan")}, folder=tmp_path)


def test_commit_says_dirty_only_for_changes_outside_results_and_their_pictures(
    record: ModuleType, tmp_path: Path
) -> None:
    def git(*arguments: str) -> None:
        identity = ["-c", "user.name=t", "-c", "user.email=t@example.org"]
        subprocess.run(["git", *identity, *arguments], cwd=tmp_path, check=True, capture_output=True)

    git("init", "-q")
    (tmp_path / "results").mkdir()
    (tmp_path / "docs").mkdir()
    for name in ("code.py", "results/a.json", "docs/a.svg", "docs/a.md"):
        (tmp_path / name).write_text("1\n")
    git("add", ".")
    git("commit", "-q", "-m", "first")
    clean = record.commit(tmp_path)
    assert len(clean) == 40
    (tmp_path / "results" / "a.json").write_text("2\n")
    (tmp_path / "docs" / "a.svg").write_text("2\n")
    assert record.commit(tmp_path) == clean
    (tmp_path / "code.py").write_text("2\n")
    assert record.commit(tmp_path) == clean + "-dirty"


def test_cpu_model_is_read_from_the_system(record: ModuleType, tmp_path: Path) -> None:
    listing = tmp_path / "cpuinfo"
    listing.write_text("processor\t: 0\nmodel name\t: Some CPU @ 2 GHz\n")
    assert record.cpu_model(listing) == "Some CPU @ 2 GHz"
    assert record.cpu_model(tmp_path / "absent") != ""
