"""Classifiers of clips: what is changed at random, what is learnt, streams that equal whole clips, early decisions, commands."""

from __future__ import annotations

import io
import json
import shutil
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import congru
from changed_folders import change_config
from congru.cli.main import main
from congru.errors import DataError, ModelFolderError, SettingsError
from congru.runtime.folder import find_model_folder
from congru.tasks.video import early
from congru.tasks.video.baselines import Neighbours
from congru.tasks.video.changes import Changes
from congru.tasks.video.classifier import Classifier
from congru.tasks.video.features import Preparation
from congru.tasks.video.learner import VideoLearner, make_learner, temperature_of
from congru.tasks.video.settings import Settings
from congru.tasks.video.start import take_over
from congru.tasks.video.use import evaluate, inspect_extra, inspect_inputs, run
from video_cases import square, tracks, write_classes, write_pictures, write_video

SMALL: dict[str, Any] = {
    "hidden_size": 8,
    "batch_size": 8,
    "steps": 60,
    "evaluations": 2,
    "learning_rate": 0.02,
    "threads": 1,
    "quiet": True,
}
PICTURES: dict[str, Any] = {"height": 16, "width": 24, "channels": (4, 6), "encoder_size": 8, "decoders": 0}


@pytest.fixture(scope="module")
def circles(tmp_path_factory: pytest.TempPathFactory) -> str:
    x, y = tracks(24)
    test_x, test_y = tracks(20, seed=1)
    path = tmp_path_factory.mktemp("circles") / "circles.npz"
    np.savez(path, X_train=x, y_train=y, X_test=test_x, y_test=test_y)
    return str(path)


@pytest.fixture(scope="module")
def squares(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(write_classes(tmp_path_factory.mktemp("squares") / "clips", 12))


@pytest.fixture(scope="module")
def online(circles: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("online") / "run"
    congru.tasks.video.train(circles, **SMALL, streaming=True, pool="last", out=out)
    return out


@pytest.fixture(scope="module")
def films(squares: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("films") / "run"
    congru.tasks.video.train(squares, **SMALL, **PICTURES, streaming=True, out=out)
    return out


def test_with_the_largest_value_of_every_row_a_place_to_the_side_does_not_count(
    squares: str, tmp_path: Path
) -> None:
    changes = {**SMALL, "steps": 2, "columns": "max", "differences": False}
    congru.tasks.video.train(squares, **changes, **PICTURES, streaming=True, out=tmp_path / "run")
    classifier = Classifier.load(tmp_path / "run")
    assert [placed[0].type for placed in classifier.network.graph.placed][4:6] == ["row_max", "linear"]
    clip = np.zeros((3, 1, 16, 24), np.uint8)
    clip[:, :, 4:8, 4:8] = 255
    aside, below = np.roll(clip, 8, axis=3), np.roll(clip, 4, axis=2)
    answers = classifier.probabilities([clip, aside, below])
    np.testing.assert_allclose(answers[0], answers[1], atol=1e-6)
    assert not np.allclose(answers[0], answers[2], atol=1e-6)


def test_a_model_cuts_figures_out_as_in_training(squares: str, tmp_path: Path) -> None:
    congru.tasks.video.train(squares, **{**SMALL, "steps": 1}, **PICTURES, figure=True, out=tmp_path / "run")
    path = next(Path(squares, "left").iterdir())
    classifier = Classifier.load(tmp_path / "run")
    clip = classifier.read(path)
    assert clip[:, :, :, 8:16].mean() > 180  # a square of the picture's height in its middle
    older = {key: value for key, value in classifier.config.items() if key != "figure"}
    whole = Classifier.around(classifier.network, classifier.classes, older).read(path)
    assert whole.mean() < 60


def changes(**amounts: float) -> Changes:
    none: dict[str, Any] = {"shift": 0, "zoom": 0, "turn": 0, "stretch": 0, "warp": 0, "flip": False}
    return Changes(**{**none, "coordinates": 2, "deviation": (1.0, 1.0), **amounts})


def test_no_change_is_no_change() -> None:
    rng = np.random.default_rng(0)
    track, clip = rng.normal(size=(7, 2)).astype(np.float32), square(5, True)[:, None]
    np.testing.assert_allclose(changes()(track, rng), track, atol=1e-6)
    np.testing.assert_array_equal(changes()(clip, rng), clip)


def test_changes_of_a_track_are_those_of_the_formulas() -> None:
    rng = np.random.default_rng(3)
    track = rng.normal(size=(30, 4)).astype(np.float32)
    moved = Changes(0.5, 0, 0, 0, 0, False, 2, (2.0, 3.0, 2.0, 3.0))(track, rng) - track
    np.testing.assert_allclose(moved, np.broadcast_to(moved[0], moved.shape), atol=1e-5)
    np.testing.assert_allclose(moved[0, :2], moved[0, 2:], atol=1e-5)  # both landmarks alike
    assert 0 < abs(moved[0, 0]) <= 1.0
    turned = changes(turn=90)(track, rng)
    centre = track.reshape(-1, 2).mean(0)
    before, after = (np.linalg.norm(one.reshape(30, 2, 2) - centre, axis=-1) for one in (track, turned))
    np.testing.assert_allclose(before, after, atol=1e-4)  # a turn keeps distances
    assert np.abs(turned - track).max() > 0.1
    faster = [len(changes(stretch=0.5)(track, rng)) for _ in range(50)]
    assert 20 <= min(faster) < 25
    assert 36 < max(faster) <= 45
    parts = [changes(crop=8)(track, rng) for _ in range(40)]
    assert {len(part) for part in parts} == {8}
    assert len({float(part[0, 0]) for part in parts}) > 10
    np.testing.assert_allclose(changes(crop=40)(track, rng), track, atol=1e-6)
    warped = changes(warp=0.5)(track, rng)
    assert warped.shape == track.shape
    np.testing.assert_allclose(warped[[0, -1]], track[[0, -1]], atol=1e-5)  # the ends stay


def test_changes_of_pictures_move_what_is_shown_and_keep_its_brightness() -> None:
    rng, clip = np.random.default_rng(0), np.zeros((3, 1, 20, 20), np.uint8)
    clip[:, :, 8:12, 8:12] = 200
    corners = set()
    for _ in range(20):
        moved = changes(shift=0.2)(clip, rng)
        assert moved.sum() == clip.sum()
        np.testing.assert_array_equal(moved[0], moved[2])
        corners.add(tuple(np.argwhere(moved[0, 0])[0].tolist()))
    assert len(corners) > 5
    mirrored = {changes(flip=True)(square(3, True)[:, None], rng)[0, 0, 5, 0] for _ in range(10)}
    assert mirrored == {0, 230}
    bigger = max((changes(zoom=0.3)(clip, rng) for _ in range(20)), key=np.count_nonzero)
    assert np.count_nonzero(bigger) > 1.3 * np.count_nonzero(clip)


def test_features_are_normal_and_differences_go_on_from_the_frame_before() -> None:
    rng = np.random.default_rng(0)
    clips = [rng.integers(0, 255, (4, 2, 3, 3)).astype(np.uint8) for _ in range(3)]
    preparation = Preparation.fit(clips, differences=True)
    x = np.concatenate([preparation(clip)[:, :2] for clip in clips])
    np.testing.assert_allclose(x.mean((0, 2, 3)), 0, atol=1e-5)
    np.testing.assert_allclose(x.std((0, 2, 3)), 1, atol=1e-5)
    whole = preparation(clips[0])
    assert whole.shape == (4, *preparation.shape((2, 3, 3)))
    np.testing.assert_array_equal(whole[0, 2:], 0)
    step = np.array(preparation.step, np.float32)[:, None, None]
    np.testing.assert_allclose(whole[2, 2:], (whole[2, :2] - whole[1, :2]) / step, atol=1e-5)
    moves = np.concatenate([preparation(clip)[1:, 2:] for clip in clips])
    np.testing.assert_allclose(np.square(moves).mean((0, 2, 3)), 1, atol=1e-4)
    assert preparation(clips[0]).shape[1] == 2 * Preparation.fit(clips, differences=False)(clips[0]).shape[1]
    np.testing.assert_array_equal(preparation(clips[0][2:], clips[0][1:2]), whole[2:])


def test_the_threshold_is_the_lowest_that_loses_nothing() -> None:
    right = np.array([[0.6, 0.4], [0.9, 0.1], [0.95, 0.05]])
    hasty = np.array([[0.3, 0.7], [0.55, 0.45], [0.99, 0.01]])
    labels = np.array([0, 0])
    rule = early.fit_rule([right, hasty], labels)
    assert 0.7 < rule.threshold < 0.75
    result = early.score([right, hasty], labels, rule)
    assert result == (1.0, 1.0, pytest.approx((1 / 3 + 0) / 2))
    assert early.score([right, hasty], labels, early.Rule(0.5)) == (0.5, 1.0, pytest.approx(2 / 3))
    assert early.fit_rule([right, hasty], labels, loss=0.5).threshold == pytest.approx(0.5, abs=0.01)
    nine = early.fit_rule([right] * 9, np.zeros(9, np.int64))
    assert nine.threshold == pytest.approx(0.9)  # nine clips promise no more


def test_no_frame_decides_before_the_earliest() -> None:
    hasty = np.array([[0.05, 0.95], [0.1, 0.9], [0.98, 0.02], [0.97, 0.03]])
    labels = np.zeros(2, np.int64)
    assert early.decide(hasty, early.Rule(0.9)) == (1, 0)
    assert early.decide(hasty, early.Rule(0.9, first=2)) == (0, 2)
    assert early.decide(hasty[:2], early.Rule(0.9, first=3)) is None
    undecided = early.score([hasty[:2]], labels[:1], early.Rule(0.9, first=3))
    assert undecided == (0.0, 0.0, 0.0)  # a clip without a decision counts with its end
    assert early.fit_rule([hasty, hasty], labels).threshold > 0.95
    waiting = early.fit_rule([hasty, hasty], labels, earliest=0.6)
    assert waiting.first == 2
    assert waiting.threshold == pytest.approx(2 / 3)
    assert early.score([hasty, hasty], labels, waiting) == (1.0, 1.0, pytest.approx(1 / 4))
    ninety = [np.full((90, 2), 0.5)]
    assert early.fit_rule(ninety, labels[:1], earliest=0.7).first == 63  # 0.7 * 90 is a little less in binary


def changed(model: Path, folder: Path, **values: Any) -> Path:
    """A copy of a run's model with other values in its task_config, as if it had been saved so."""
    shutil.copytree(find_model_folder(model), folder)
    change_config(folder, lambda config: config["task_config"].update(values))
    return folder


def test_what_is_never_sure_has_no_early_decision(
    films: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = changed(films, tmp_path / "late", first_decision=8)
    video = write_video(tmp_path / "a.mp4", square(8, True))
    run(model, video)
    assert (
        "no early decision within 8 frames: from frame 9 on, at a probability of" in capsys.readouterr().out
    )
    run(model, video, json_lines=True)
    assert json.loads(capsys.readouterr().out)["early"] is None
    run(model, video, stream=True)
    assert "decided" not in capsys.readouterr().out
    with pytest.raises(
        ModelFolderError, match=r"task_config has first_decision = -5, expected a whole number"
    ):
        Classifier.load(changed(films, tmp_path / "before", first_decision=-5))


def test_early_decisions_are_those_of_a_stream() -> None:
    for name, value in (("earliest", 0.3), ("early_loss", 0.02)):
        with pytest.raises(ValueError, match=rf"{name} is {value} without streaming, expected 0"):
            Settings(**{name: value})
        assert getattr(Settings(**{name: value}, streaming=True), name) == value


def test_a_stream_keeps_the_earliest_of_its_training(films: Path) -> None:
    classifier = Classifier.load(films)
    clip = square(8, True)[:, None]
    config = {**classifier.config, "threshold": 0.0, "first_decision": 5}
    waiting = Classifier.around(classifier.network, classifier.classes, config)
    assert [moment.decided for moment in waiting.stream(iter(clip))] == [False] * 5 + [True] * 3
    older = {name: value for name, value in classifier.config.items() if name != "first_decision"}
    assert Classifier.around(classifier.network, classifier.classes, older).rule.first == 0


def test_neighbours_answer_with_the_label_of_the_nearest() -> None:
    clips = [np.full((3, 2), value, np.float32) for value in (0.0, 1.0, 5.0)]
    near = Neighbours.fit(clips, np.array([0, 1, 2]), 3)
    again = Neighbours.from_bytes(near.to_bytes(), 3)
    for scores in (near.scores([clips[1] + 0.2]), again.scores([clips[1] + 0.2])):
        assert set(scores) == {"frame average", "whole path", "most frequent class"}
        assert scores["frame average"].argmax() == scores["whole path"].argmax() == 1


def test_order_is_learnt_where_the_frame_average_fails(circles: str, online: Path) -> None:
    scores = evaluate(online, circles, quiet=True)
    assert scores["model"]["accuracy"] >= 0.9
    assert scores["frame average"]["accuracy"] <= 0.7
    assert scores["model, early decisions"]["frames_saved"] > 0.1
    assert {"model after 60 % of the frames", "whole path", "most frequent class"} < set(scores)


def test_pictures_are_learnt_from_videos(
    squares: str, films: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    scores = evaluate(films, squares, part="all")
    assert scores["model"]["accuracy"] >= 0.9
    printed = capsys.readouterr().out
    assert "clips, all: 24 clips" in printed
    assert "label, read as" in printed


def test_frames_one_by_one_give_the_probabilities_of_the_whole_clip(films: Path, online: Path) -> None:
    for folder, clip in ((films, square(8, True)[:, None]), (online, tracks(1)[0][0])):
        classifier = Classifier.load(folder)
        whole = classifier.soften(classifier.step_logits([clip])[0])
        moments = list(classifier.stream(iter(clip)))
        np.testing.assert_allclose([moment.probabilities for moment in moments], whole, atol=1e-5)
        steps = np.array([moment.probabilities for moment in moments])
        # A clip may end undecided: which do is not the same on every processor.
        sure = steps.max(1) >= classifier.rule.threshold
        assert [moment.decided for moment in moments] == np.logical_or.accumulate(sure).tolist()
        decided = early.decide(steps, classifier.rule)
        assert decided == ((steps[sure.argmax()].argmax(), sure.argmax()) if sure.any() else None)
        rows = classifier.step_logits([clip, clip[:3]])
        np.testing.assert_allclose(rows[1], rows[0][:3], atol=1e-5)


def test_clips_are_answered_from_files_folders_and_the_standard_input(
    films: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    video = write_video(tmp_path / "-a.mp4", square(8, True))
    folder = write_pictures(tmp_path / "pictures", square(6, True))
    assert run(films, video, folder, json_lines=True) == 0
    answers = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [answer["frames"] for answer in answers] == [8, 6]
    assert answers[0]["class"] == "right"
    assert all(one["early"] is None or 1 <= one["early"]["frame"] <= one["frames"] for one in answers)
    run(films, video, stream=True, json_lines=True)
    frames = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [frame["frame"] for frame in frames] == list(range(1, 9))
    assert frames[-1]["probability"] == pytest.approx(max(answers[0]["probabilities"].values()), abs=1e-4)

    class Piped:
        buffer = io.BytesIO(video.read_bytes())

    monkeypatch.setattr(sys, "stdin", Piped())
    monkeypatch.chdir(tmp_path)
    for words in (["-a.mp4"], ["-", "--stream"]):
        with pytest.raises(SystemExit) as stop:
            main(["run", str(films), *words])
        assert stop.value.code == 0
        if words == ["-a.mp4"]:
            assert capsys.readouterr().out.startswith("-a.mp4: right")
    printed = capsys.readouterr().out.splitlines()
    assert printed[0] == "standard input"
    assert len(printed) == 9
    assert printed[-1].split()[:2] == ["8", "right"]


def test_wrong_clips_and_models_have_their_line(
    films: Path, online: Path, tmp_path: Path, circles: str
) -> None:
    with pytest.raises(DataError, match=r"none.mp4 does not exist, expected a video: check the path"):
        run(films, tmp_path / "none.mp4")
    np.save(tmp_path / "three.npy", np.zeros((4, 3)))
    with pytest.raises(
        DataError, match=r"three.npy has frames of shape \(3,\), 4 of them, expected \(2,\) as in training"
    ):
        run(online, tmp_path / "three.npy")
    with pytest.raises(
        DataError, match=r"clip is '-', a video from the standard input, expected a file of 2 numbers"
    ):
        run(online, Path("-"), stream=True)
    congru.tasks.video.train(circles, **{**SMALL, "steps": 4}, out=tmp_path / "both")
    with pytest.raises(
        SettingsError, match=r"stream is asked of a model that reads both ways, expected one trained with"
    ):
        run(tmp_path / "both", stream=True)
    np.savez(tmp_path / "other.npz", X=np.zeros((2, 4, 2)), y=np.array(["new", "0"]))
    with pytest.raises(DataError, match=r"has the label 'new', expected one of 0, 1: it was never learnt"):
        evaluate(online, str(tmp_path / "other.npz"), part="all")
    with pytest.raises(DataError, match=r"has no test part, expected one of .*: pass --part"):
        evaluate(online, str(tmp_path / "other.npz"), part="test")
    model = congru.load(films)
    del model.files["labels.json"]
    with pytest.raises(ModelFolderError, match=r"has no labels.json, expected one: copy the folder again"):
        Classifier.of(model)
    with pytest.raises(
        SettingsError, match=r"coordinates is 3, expected a divisor of the 2 numbers of a frame"
    ):
        make_learner(circles, settings=Settings(coordinates=3))
    with pytest.raises(
        ValueError, match=r"height is 6 and width is 48, expected at least 8 for 3 convolutions"
    ):
        Settings(height=6)


def test_rows_are_drawn_once_and_batches_follow_from_them(circles: str) -> None:
    learner: VideoLearner = make_learner(circles, settings=Settings(batch_size=8, stretch=0.3))
    rows = learner.rows(1)
    assert rows.shape == (40, 2)
    np.testing.assert_array_equal(rows, learner.rows(1))
    assert not np.array_equal(rows, learner.rows(2))
    one, two = learner.batch(rows[:8]), learner.batch(rows[:8])
    np.testing.assert_array_equal(one["x"], two["x"])
    assert one["x"].shape == (8, one["lengths"].max(), 4)
    np.testing.assert_array_equal(one["labels"], learner.data.train.labels[rows[:8, 0]])


def test_the_streaming_loss_is_that_of_the_docstring(circles: str) -> None:
    import torch

    learner: VideoLearner = make_learner(
        circles, settings=Settings(batch_size=4, streaming=True, early_weight=0.25, dropout=0.0, stretch=0.3)
    )
    batch = learner.tensors(learner.batch(learner.rows(0)[:4]), learner.module)
    total, count, _ = learner.loss(learner.module, batch, None)
    nats = -torch.log_softmax(learner.outputs(learner.module, batch)[0], -1).detach()
    expected = 0.0
    for row, (length, label) in enumerate(zip(batch["lengths"].tolist(), batch["labels"].tolist())):
        own = nats[row, :length, label]
        expected += 0.25 * float(own.mean()) + 0.75 * float(own[-1])
    assert count == 4
    assert float(total.detach()) == pytest.approx(expected, rel=1e-5)


def test_the_temperature_promises_no_more_than_the_network() -> None:
    sure = np.array([[9.0, 0.0]], np.float32)
    assert temperature_of([sure, sure], np.array([0, 0])) == 1.0
    assert temperature_of([np.repeat(sure, 4, 0), sure], np.array([1, 0])) > 5


def test_cells_are_compared_and_gates_inspected(
    squares: str, films: Path, online: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [
        "compare",
        "video",
        squares,
        "--cells",
        "gru,rnn",
        "--steps",
        "4",
        "--evaluations",
        "1",
        "--threads",
        "1",
    ]
    small = [
        "--height",
        "16",
        "--width",
        "24",
        "--channels",
        "4",
        "--hidden-size",
        "6",
        "--out",
        str(tmp_path / "c"),
    ]
    with pytest.raises(SystemExit) as stop:
        main([*words, *small])
    assert stop.value.code == 0
    printed = capsys.readouterr().out
    assert "frame average" in printed
    assert "rnn" in printed
    clip = write_video(tmp_path / "a.mp4", square(7, False))
    x, labels = inspect_inputs(congru.load(films), str(clip))
    assert x.shape == (1, 7, 2, 16, 24)
    assert labels == ["1", "2", "3", "4", "5", "6", "7"]
    assert congru.inspect(congru.load(films), x, tokens=labels).check() <= 1e-5
    ((title, sentence, picture),) = inspect_extra(congru.load(films), str(clip))
    assert title == "The clip"
    assert "probability of the last answer" in sentence
    assert picture.count("<image ") == 7
    assert picture.count("<polyline ") == 1
    assert "left" in picture
    ((_, _, paths),) = inspect_extra(congru.load(online))
    assert paths.count("<circle ") == 8


def test_a_classifier_starts_from_another_one(online: Path, circles: str) -> None:
    settings = Settings(**{**SMALL, "streaming": True, "pool": "last", "start_from": online, "seed": 5})
    learner = make_learner(circles, settings=settings)
    assert isinstance(learner, VideoLearner)
    stored = congru.load(online).weights
    started = learner.module.state_dict()
    assert set(started) == set(stored)
    for name, value in stored.items():
        np.testing.assert_array_equal(started[name].numpy(), value)
    learner.data.classes.reverse()  # the same shape, other classes: the output starts anew, the rest is taken over
    rest = take_over(learner.module, online, learner.data.classes)
    assert rest == ["main.head.weight", "main.head.bias"]
    wide = settings.model_copy(update={"hidden_size": 9})
    with pytest.raises(SettingsError, match=r"start_from is .*: give them as they were"):
        take_over(
            make_learner(circles, settings=wide.model_copy(update={"start_from": None})).module, online, []
        )
    other = Path(__file__).parents[1] / "folders" / "text-format-1"
    with pytest.raises(SettingsError, match="a model of the task 'text', expected one of congru train video"):
        take_over(learner.module, other, [])
    with pytest.raises(
        SettingsError, match=r"seeds is 2, expected at most 1, .* start_from .*: give --seeds 1$"
    ):
        _ = make_learner(circles, settings=settings.model_copy(update={"seeds": 2})).module


@pytest.mark.parametrize(
    "changes", [{"streaming": True, "pool": "last"}, {"pool": "attention"}], ids=["online", "whole"]
)
def test_several_seeds_are_one_network_that_answers_with_the_mean_of_their_logits(
    circles: str, changes: dict[str, Any], tmp_path: Path
) -> None:
    import torch

    settings = Settings(**{**SMALL, **changes, "seeds": 3, "dropout": 0.0})
    learner = make_learner(circles, settings=settings)
    assert isinstance(learner, VideoLearner)
    batch = learner.tensors(learner.batch(learner.rows(0)[:4]), learner.module)
    total, count, _ = learner.loss(learner.module, batch, None)
    each = [learner.nats(logits, batch).item() for logits in learner.outputs(learner.module, batch)]
    assert count == 12
    assert len(set(each)) == 3
    assert total.item() == pytest.approx(sum(each), rel=1e-6)

    _, network = learner.saved(learner.module.eval())["main"]
    with torch.no_grad():
        together, _ = network(batch["x"], lengths=batch["lengths"])
        alone = learner.outputs(learner.module, batch)
    torch.testing.assert_close(together, alone.mean(0), rtol=1e-5, atol=1e-5)

    out = tmp_path / "run"
    congru.tasks.video.train(circles, **{**SMALL, **changes, "seeds": 3}, out=out)
    assert list(congru.load(out).networks) == ["main"]
    assert evaluate(out, circles, quiet=True)["model"]["accuracy"] > 0.8

    again = make_learner(circles, settings=settings.model_copy(update={"start_from": out, "seed": 5}))
    assert isinstance(again, VideoLearner)
    stored, _ = congru.load(out).run(batch["x"].numpy(), lengths=batch["lengths"].numpy())
    with torch.no_grad():
        started = again.outputs(again.module.eval(), batch)
    np.testing.assert_allclose(started.mean(0).numpy(), stored, rtol=1e-4, atol=1e-5)
    one = make_learner(circles, settings=settings.model_copy(update={"start_from": out, "seeds": 1}))
    assert isinstance(one, VideoLearner)
    with torch.no_grad():
        first = one.outputs(one.module.eval(), batch)
    torch.testing.assert_close(first[0], started[0])
    assert (started[1:] - first).abs().max() > 0.01  # the members are not alike
    again.data.classes.reverse()  # other classes: every output starts anew, the rest is taken over
    rest = take_over(again.module, out, again.data.classes)
    assert rest == [f"{name}.head.{part}" for name in again.module for part in ("weight", "bias")]


def test_several_seeds_learn_classes_from_first_weights_of_their_own() -> None:
    with pytest.raises(ValueError, match=r"seeds is 2 with predict = 'frames', expected 1"):
        Settings(seeds=2, predict="frames")
