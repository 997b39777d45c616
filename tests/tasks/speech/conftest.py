"""One small recogniser of tones for the tests of this folder, trained in a few seconds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import congru
from congru.tasks.speech.recognizer import Recognizer
from speech_cases import write_corpus

TEXTS = ["A", "B", "A B", "B A", "AB", "A A", "B B A", "BA", "AB A", "B AB"]
SMALL: dict[str, Any] = {
    "hidden_size": 24,
    "num_layers": 1,
    "conv_size": 24,
    "kernel": 5,
    "look_ahead": 2,
    "stack": 4,
    "batch_size": 8,
    "steps": 220,
    "evaluations": 1,
    "learning_rate": 0.01,
    "dropout": 0.0,
    "threads": 1,
    "quiet": True,
}


@pytest.fixture(scope="session")
def recordings(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Fifty recordings of tones."""
    return write_corpus(tmp_path_factory.mktemp("tones"), [TEXTS[k // 5 % len(TEXTS)] for k in range(50)])


@pytest.fixture(scope="session")
def run_folder(recordings: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A streaming model of them."""
    out = tmp_path_factory.mktemp("speech") / "run"
    result = congru.tasks.speech.train(recordings, **SMALL, out=out)
    assert result.best is not None
    assert result.best < 0.1 < min(result.baselines.values())
    return out


@pytest.fixture(scope="session")
def recognizer(run_folder: Path) -> Recognizer:
    """The model, loaded."""
    return Recognizer.load(run_folder)
