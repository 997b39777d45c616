"""The measurement of music: tunes of one number stand in one part, and every model compared has the parameters of the first."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bench import music
from congru.tasks.music.sources import read_source


def test_transcriptions_of_a_number_go_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for collection in music.TUNES:
        folder = tmp_path / "music" / collection
        folder.mkdir(parents=True)
        for name in ("a.abc", "b.abc"):
            text = "\n".join(f"X: {number}\nT:{name}\nK:C\nCDEF|\n" for number in range(1, 41))
            (folder / name).write_text("\n" + text)
    monkeypatch.setenv("CONGRU_DATA", str(tmp_path))
    music.write_tunes(tmp_path / "parts")
    parts = read_source(str(tmp_path / "parts")).parts
    assert {name: len(pieces) for name, pieces in parts.items()} == {"train": 128, "valid": 16, "test": 16}
    numbers = {name: {piece.name.split()[1] for piece in pieces} for name, pieces in parts.items()}
    assert not numbers["train"] & (numbers["valid"] | numbers["test"])


def test_a_measurement_holds_test_validation_and_baselines(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = np.random.default_rng(0)
    rolls = {
        f"{part}_{k}": (rng.random((12, 88)) < 0.03) for part in ("train", "valid", "test") for k in range(3)
    }
    np.savez(tmp_path / "a.npz", **{name: roll.astype(np.uint8) for name, roll in rolls.items()})
    monkeypatch.setattr(music, "COMPOSED", 2)
    monkeypatch.setattr(music, "COMPOSED_FRAMES", 6)
    small: dict[str, Any] = {
        "epochs": None,
        "steps": 4,
        "hidden_size": 8,
        "notes_size": 8,
        "batch_size": 2,
        "evaluations": 1,
    }
    monkeypatch.setitem(music.SETTINGS, "cells", small)
    chosen = music.settings_of("cells", str(tmp_path / "a.npz"), 3)
    measured = {title: music.measure(str(tmp_path / "a.npz"), settings) for title, settings in chosen.items()}
    sizes = [one["parameters"] for one in measured.values()]
    assert max(sizes) < 1.02 * min(sizes)
    for one in measured.values():
        assert 0 < one["test"] < 100
        assert set(one["baselines"]) == {"keys that follow themselves", "keys by frequency"}
    assert chosen["lstm"].seed == 3
    originality = music.measure_originality(str(tmp_path / "a.npz"), chosen["gru"])
    assert set(originality) == {"validation pieces", "temperature 1", "temperature 0.8"}
    assert originality["temperature 1"]["chords"] > 0
    assert music.published("variants")["RNN-NADE"] == 5.56
    assert music.published("tunes") == {}
