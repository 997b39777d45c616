"""Frames that come next: patches, windows, a loss over own predictions, the strip, errors beside the copy's, the commands."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import congru
from congru.errors import DataError, ModelFolderError, SettingsError
from congru.runtime.answer import ANSWER
from congru.runtime.folder import save_again
from congru.runtime.tensors import format_arrays, parse_tensors
from congru.tasks.video import strip
from congru.tasks.video.frame_learner import FrameLearner
from congru.tasks.video.learner import make_learner
from congru.tasks.video.predictor import Predictor, from_patches, to_patches
from congru.tasks.video.settings import Settings
from congru.tasks.video.use import evaluate, inspect_inputs, run
from video_cases import square, write_paths, write_video

FRAMES: dict[str, Any] = {
    "predict": "frames",
    "height": 16,
    "width": 24,
    "observed": 4,
    "ahead": 3,
    "state_channels": 8,
    "decoders": 0,
}
SMALL: dict[str, Any] = {
    **FRAMES,
    "steps": 120,
    "evaluations": 2,
    "batch_size": 8,
    "learning_rate": 0.02,
    "threads": 1,
    "quiet": True,
}


@pytest.fixture(scope="module")
def films(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("films") / "clips"  # without class folders
    rng = np.random.default_rng(0)
    for number in range(16):
        frames = square(9, bool(number % 2), int(rng.integers(0, 12)), int(rng.integers(0, 10)))
        write_video(folder / f"{number}.mp4", frames)
    return str(folder)


@pytest.fixture(scope="module")
def trained(films: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("trained") / "run"
    congru.tasks.video.train(films, **SMALL, out=out)
    return out


def test_patches_are_squares_of_the_picture_and_come_back() -> None:
    pictures = np.random.default_rng(0).normal(size=(2, 3, 4, 6))
    patches = to_patches(pictures, 2)
    assert patches.shape == (2, 12, 2, 3)
    np.testing.assert_array_equal(patches[0, :4, 1, 2], pictures[0, 0, 2:4, 4:6].ravel())
    np.testing.assert_array_equal(from_patches(patches, 2), pictures)


def test_what_is_seen_is_seen_and_the_rest_goes_on_from_itself(films: str) -> None:
    learner = make_learner(films, settings=Settings(**FRAMES, batch_size=4))
    assert isinstance(learner, FrameLearner)
    rows = learner.rows(0)[:4]
    x = torch.from_numpy(np.asarray(learner.batch(rows)))
    assert x.shape == (4, 7, 16, 4, 6)
    logits = learner.predict(learner.module, x)
    assert logits.shape == (4, 6, 384)
    later = x.clone()
    later[:, 4:] = 0.5  # frames that are not seen change nothing
    torch.testing.assert_close(learner.predict(learner.module, later), logits)
    earlier = x.clone()
    earlier[:, 3] = 0.5
    assert (learner.predict(learner.module, earlier) - logits)[:, 3:].abs().max() > 0.01
    with torch.no_grad():
        total, count, _ = learner.loss(learner.module, x, None)
    p, truth = torch.sigmoid(logits.detach()).double(), x[:, 1:].flatten(2).double()
    expected = -(truth * p.log() + (1 - truth) * (1 - p).log()).mean((1, 2)).sum()
    assert count == 4
    assert float(total) == pytest.approx(float(expected), rel=1e-4)
    np.testing.assert_array_equal(learner.rows(3), learner.rows(3))


def test_moving_squares_are_foreseen_better_than_by_copying(films: str, trained: Path) -> None:
    scores = evaluate(trained, films, part="all", quiet=True)
    model, copied = scores["model"], scores["copy the last frame"]
    assert model["mse_1_ahead"] < 0.7 * copied["mse_1_ahead"]
    assert model["mse_3_ahead"] < copied["mse_3_ahead"]
    assert copied["mse_1_ahead"] < copied["mse_3_ahead"]
    assert list((trained / "samples").glob("*strip.png"))


def test_the_runtime_predicts_what_torch_predicted(trained: Path, tmp_path: Path) -> None:
    model = congru.load(trained)
    stored = parse_tensors(model.files[ANSWER])
    frames = Predictor.load(trained).predict(stored["input.frames"][:, :4])
    np.testing.assert_allclose(frames, stored["output.frames"], atol=1e-4)
    changed = format_arrays({**stored, "output.frames": stored["output.frames"] * 1.01})
    save_again(model, tmp_path / "other", {**model.files, ANSWER: changed})
    with pytest.raises(ModelFolderError, match=r"the answer 'frames' is off by"):
        run(tmp_path / "other")


def test_a_strip_shows_truth_above_prediction(trained: Path) -> None:
    predictor = Predictor.load(trained)
    clip = np.repeat(square(7, True)[:, None], 1, 1)
    pixels = strip.pixels(predictor, [clip, clip])
    assert pixels.shape == (4 * (16 * 3 + 2), 7 * (24 * 3 + 2), 3)
    np.testing.assert_array_equal(pixels[: 16 * 3 : 3, : 24 * 3 : 3, 0], clip[0, 0])
    below = pixels[50 : 50 + 48 : 3, 4 * 74 : 4 * 74 + 72 : 3, 0] / 255
    np.testing.assert_allclose(below, predictor.predict(clip[None, :4])[0, 0, 0], atol=1 / 255)
    assert strip.encode(predictor, [clip]).startswith(b"\x89PNG")


def test_clips_are_continued_from_the_command(
    trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    clip = write_video(tmp_path / "a.mp4", square(8, True))
    assert run(trained, clip, strip=tmp_path / "strip.png") == 0
    printed = capsys.readouterr().out
    assert "4 frames seen" in printed
    assert "copy the last frame" in printed
    assert (tmp_path / "strip.png").read_bytes().startswith(b"\x89PNG")
    run(trained, json_lines=True)
    answer = json.loads(capsys.readouterr().out)
    assert len(answer["mse"]["model"]) == 3


def test_what_cannot_be_continued_has_its_line(trained: Path, films: str, tmp_path: Path) -> None:
    short = write_video(tmp_path / "short.mp4", square(5, True))
    with pytest.raises(
        DataError, match=r"short.mp4 has 5 frames of shape \(1, 16, 24\), expected at least 7 of"
    ):
        run(trained, short)
    with pytest.raises(
        SettingsError, match=r"stream is asked of a model that predicts frames, expected --strip"
    ):
        run(trained, stream=True)
    with pytest.raises(
        SettingsError, match=r"predicts frames with a convolutional GRU, expected a model of classes"
    ):
        inspect_inputs(congru.load(trained))
    with pytest.raises(
        DataError, match=r"has a clip of 9 frames, expected at least 25 \(observed 20 \+ ahead 5\)"
    ):
        make_learner(films, settings=Settings(predict="frames", observed=20, decoders=0))
    with pytest.raises(
        DataError, match=r"paths.npz holds tracks, expected pictures where predict is 'frames'"
    ):
        make_learner(*write_paths(tmp_path), settings=Settings(predict="frames"))
    with pytest.raises(
        ValueError, match=r"patch is 5, expected a divisor of height 36 and width 48: change it"
    ):
        Settings(predict="frames", patch=5)
    with pytest.raises(ValueError, match="figure is True with predict = 'frames', expected whole pictures"):
        Settings(predict="frames", figure=True)
    with pytest.raises(
        ValueError, match=r"num_layers is 2 and cell is 'lstm', expected 1 and 'gru' for frames"
    ):
        Settings(predict="frames", num_layers=2, cell="lstm")
    paths = write_paths(tmp_path)
    congru.tasks.video.train(*paths, steps=2, evaluations=1, quiet=True, threads=1, out=tmp_path / "classes")
    with pytest.raises(SettingsError, match=r"strip is .*, expected a model trained with --predict frames"):
        run(tmp_path / "classes", strip=tmp_path / "strip.png")
