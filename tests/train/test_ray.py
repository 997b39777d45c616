"""Training under Ray Train's own trainer; skipped where Ray is not installed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from test_processes import SETTINGS, SPLIT_TOLERANCE, assert_close, numbers
from toy import run

pytest.importorskip("ray.train.torch", reason="Ray is not installed: pip install 'ray[train]'")

PROGRAM = """
import sys

import ray
from ray.train import RunConfig, ScalingConfig
from ray.train.torch import TorchTrainer

out, store, tests = sys.argv[1:]


def work(settings):
    sys.path.insert(0, tests)
    from toy import run

    run(**settings)


if __name__ == "__main__":
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False)
    settings = {"learning_rate": 0.02, "steps": 60, "evaluations": 6, "dropout": 0.0, "quiet": True, "out": out}
    where = RunConfig(storage_path=store)
    TorchTrainer(work, train_loop_config=settings, scaling_config=ScalingConfig(num_workers=2), run_config=where).fit()
"""


def test_two_workers_of_ray_train_give_the_numbers_of_one_process(tmp_path: Path) -> None:
    run(**{**SETTINGS, "dropout": 0.0}, quiet=True, out=tmp_path / "one")
    program = tmp_path / "program.py"
    program.write_text(PROGRAM)
    out = tmp_path / "ray"
    ended = subprocess.run(
        [sys.executable, program, out, tmp_path / "store", Path(__file__).parent],
        env={**os.environ, "RAY_USAGE_STATS_ENABLED": "0", "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert ended.returncode == 0, ended.stderr[-2000:]
    assert json.loads((out / "env.json").read_text())["processes"] == 2
    assert len(numbers(out)) > 0
    assert_close(out, numbers(tmp_path / "one"), SPLIT_TOLERANCE)
