"""mypy and pyright catch mistakes in calls of the layers: a file with planted ones is given to each that is installed."""

from __future__ import annotations

import importlib.util
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import congru

MISTAKES = """import torch

import congru
import congru.nn
import congru.tasks.forecast
import congru.tasks.text

right = congru.nn.GRU(8, 16, num_layers=2, batch_first=True)
y, h = right(torch.zeros(1, 2, 8), lengths=torch.tensor([2, 1]))
right.explain(torch.zeros(1, 2, 8))
congru.nn.convert(torch.nn.Sequential(), back=True)
congru.Forecaster(horizon=3, levels=[80], min=0.0).fit([])
congru.tasks.text.train("shakespeare.txt", minutes=5, out="romeo", json=True)
congru.nn.GRU("8", 16)  # wrong
congru.nn.GRU(8, 16, batch_frist=True)  # wrong
congru.nn.LSTM(8, 16, 1, True, False, "0.5")  # wrong
congru.nn.RNN(8, 16, nonlinearity=3)  # wrong
congru.nn.MinGRU(8, hiden_size=16)  # wrong
congru.nn.GRUCell(8)  # wrong
congru.nn.convert(torch.nn.Sequential(), bakc=True)  # wrong
congru.nn.chrono_init(right, "1000")  # wrong
congru.nosuch  # wrong
congru.Forecaster(horizn=3)  # wrong
congru.Forecaster.train("weather.csv", horizon="a week")  # wrong
congru.tasks.forecast.train("weather.csv", horizn=3)  # wrong
congru.tasks.text.train("shakespeare.txt", minuts=5)  # wrong
congru.nn.Gru  # wrong
"""


def checked(command: list[str], folder: Path) -> set[int]:
    """The lines with an error of the file of mistakes."""
    file = folder / "mistakes.py"
    file.write_text(MISTAKES)
    done = subprocess.run([*command, str(file)], capture_output=True, text=True, cwd=folder)
    lines = re.findall(r"mistakes\.py:(\d+)[:\d]*:? ?-? error", done.stdout)
    assert lines, done.stdout + done.stderr
    return {int(line) for line in lines}


WRONG = {number for number, line in enumerate(MISTAKES.splitlines(), 1) if line.endswith("# wrong")}
SOURCE = Path(congru.__file__).parent.parent


@pytest.mark.skipif(importlib.util.find_spec("mypy") is None, reason="no mypy: pip install 'congru[dev]'")
def test_mypy_finds_every_planted_mistake_and_nothing_else(tmp_path):
    cache = Path(__file__).parents[2] / ".mypy_cache"
    settings = tmp_path / "mypy.ini"
    settings.write_text(f"[mypy]\nmypy_path = {SOURCE}\n[mypy-torch.*]\nfollow_imports = skip\n")
    command = [
        sys.executable,
        "-m",
        "mypy",
        "--config-file",
        str(settings),
        "--cache-dir",
        str(cache / "mistakes"),
    ]
    assert checked(command, tmp_path) == WRONG


INSTALLED = Path(sys.prefix, "pyright", "node_modules", ".bin", "pyright")  # by .ci/pyright.sh
PYRIGHT = INSTALLED if INSTALLED.exists() else shutil.which("pyright") or shutil.which("basedpyright")


@pytest.mark.skipif(PYRIGHT is None, reason="no pyright: `make suite` installs it where npm is")
def test_pyright_finds_every_planted_mistake_and_nothing_else(tmp_path):
    (tmp_path / "pyrightconfig.json").write_text(
        f'{{"extraPaths": ["{SOURCE}"], "reportUnusedExpression": "none", "typeCheckingMode": "standard"}}'
    )
    assert checked([str(PYRIGHT), "--pythonpath", sys.executable], tmp_path) == WRONG
