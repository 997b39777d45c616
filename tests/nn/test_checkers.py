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

right = congru.nn.GRU(8, 16, num_layers=2, batch_first=True)
y, h = right(torch.zeros(1, 2, 8), lengths=torch.tensor([2, 1]))
right.explain(torch.zeros(1, 2, 8))
congru.nn.convert(torch.nn.Sequential(), back=True)
congru.nn.GRU("8", 16)  # wrong
congru.nn.GRU(8, 16, batch_frist=True)  # wrong
congru.nn.LSTM(8, 16, 1, True, False, "0.5")  # wrong
congru.nn.RNN(8, 16, nonlinearity=3)  # wrong
congru.nn.MinGRU(8, hiden_size=16)  # wrong
congru.nn.GRUCell(8)  # wrong
congru.nn.convert(torch.nn.Sequential(), bakc=True)  # wrong
congru.nn.chrono_init(right, "1000")  # wrong
congru.nosuch  # wrong
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


@pytest.mark.skipif(shutil.which("pyright") is None, reason="no pyright: pip install pyright")
def test_pyright_finds_every_planted_mistake_and_nothing_else(tmp_path):
    (tmp_path / "pyrightconfig.json").write_text(
        f'{{"extraPaths": ["{SOURCE}"], "reportUnusedExpression": "none"}}'
    )
    assert checked(["pyright", "--pythonpath", sys.executable], tmp_path) == WRONG
