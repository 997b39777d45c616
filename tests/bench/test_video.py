"""The measurement of clips: settings that exist, a run with its baselines, spreads over runs, people left out one by one."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from bench import runs, video
from bench.video import (
    COMMON,
    PEOPLE,
    SETTINGS,
    SOURCES,
    foreseen,
    mean_and_spread,
    measure,
    recognised,
    variants,
)
from congru.data.registry import VARIABLE
from congru.tasks.video import use
from congru.tasks.video.settings import Settings
from video_cases import tracks, write_digits


@pytest.mark.parametrize("name", SETTINGS)
def test_every_measurement_has_settings_and_a_source(name: str) -> None:
    chosen = variants(name, [3, 4])
    assert name in SOURCES
    if name in ("weizmann", "figures"):
        assert [run.leave_out for run in chosen] == [(person,) for person in PEOPLE]
    else:
        assert [run.seed for run in chosen] == [3, 4]


def test_a_run_is_scored_on_the_test_part_beside_its_baselines(tmp_path: Path) -> None:
    x, y = tracks(12)
    path = tmp_path / "circles.npz"
    np.savez(path, X_train=x, y_train=y, X_test=x[:6], y_test=y[:6])
    run = measure(str(path), Settings(**{**COMMON, "steps": 4, "evaluations": 1, "streaming": True}))
    assert set(run["baselines"]) == {"frame average", "whole path", "most frequent class"}
    assert run["baselines"]["whole path"] == 100.0  # the test clips are training clips here
    assert {"accuracy", "accuracy_at_60", "early_accuracy", "frames_saved", "cpu_seconds"} < set(run)
    assert run["steps"] == 4


def test_order_starts_from_the_networks_of_digit_which_are_trained_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = str(write_digits(tmp_path))
    monkeypatch.setattr(use, "_MADE", 8)
    small = {"height": 16, "width": 16, "channels": (2, 3), "encoder_size": 4, "hidden_size": 4, "steps": 1}
    for name in ("digit", "order"):
        changes = {**small, "made_clips": 16, "batch_size": 8, "workers": 0, "seeds": 2}
        monkeypatch.setitem(SETTINGS, name, {**SETTINGS[name], **changes})
    measured = [
        measure(source, settings, tmp_path / "runs" / f"order-{settings.seed}")
        for settings in variants("order", [3, 3])
    ]
    (told_apart,) = tmp_path.glob("runs/digit-*")
    assert [run["start"] for run in measured] == [measured[0]["start"]] * 2
    assert measured[0]["start"]["steps"] == 1
    assert measured[0]["cpu_seconds"] > measured[0]["start"]["cpu_seconds"] > 0
    config = (tmp_path / "runs" / "order-3" / "order-3" / "config.yaml").read_text()
    assert f"{told_apart}/digit-3" in config


def test_shares_and_spreads_are_those_of_their_definitions() -> None:
    scores = {
        "model": {"mse_1_ahead": 0.01, "mse_2_ahead": 0.03},
        "copy the last frame": {"mse_1_ahead": 0.04, "mse_2_ahead": 0.06},
    }
    run = foreseen(scores)
    assert (run["share_of_copy_1_ahead"], run["share_of_copy_2_ahead"]) == (0.25, 0.5)
    assert run["baselines"]["copy the last frame, mse_2_ahead"] == 0.06
    right = {"accuracy": 0.5, "macro_f1": 0.4, "nats": 1.0}
    assert recognised({"model": right, "frame average": right})["baselines"] == {"frame average": 50.0}
    assert mean_and_spread([{"a": 1.0}, {"a": 3.0}], "a") == {"mean": 2.0, "deviation": 1.4142}


def test_without_the_data_it_says_what_to_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    with pytest.raises(
        SystemExit, match=r"CONGRU_DATA is not set, expected the folder that holds video/: set it"
    ):
        video.source_of("libras")
    monkeypatch.setenv(VARIABLE, "data")
    assert video.source_of("libras") == "data/video/libras/libras.npz"


def test_what_was_measured_at_this_commit_is_not_repeated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    measured = []

    def measure() -> dict[str, float]:
        measured.append(1)
        return {"accuracy": float(len(measured))}

    path = tmp_path / "video-3" / "run.json"
    monkeypatch.setattr(runs, "commit", lambda: "a")
    assert [runs.kept(path, measure), runs.kept(path, measure)] == [{"accuracy": 1.0}] * 2
    monkeypatch.setattr(runs, "commit", lambda: "b")
    assert runs.kept(path, measure) == {"accuracy": 2.0}
    assert runs.kept(None, measure) == {"accuracy": 3.0}
