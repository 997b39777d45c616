"""A recogniser that learns from another one: what the teacher hears, what the loss adds up, what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import congru
from congru.errors import CongruError
from congru.tasks.speech.learner import SpeechLearner, make_learner
from congru.tasks.speech.recognizer import Recognizer
from congru.tasks.speech.settings import Settings
from tasks.speech.conftest import SMALL


@pytest.fixture(scope="module")
def both_ways(recordings: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model of the same recordings that reads both ways, with another look-ahead."""
    out = tmp_path_factory.mktemp("teacher") / "run"
    congru.tasks.speech.train(recordings, **{**SMALL, "look_ahead": 1}, bidirectional=True, out=out)
    return out


def learner_of(recordings: Path, **changes: Any) -> SpeechLearner:
    return make_learner(str(recordings), settings=Settings(**{**SMALL, **changes}))


def test_a_teacher_hears_a_reading_as_it_is_without_masks(recordings: Path, run_folder: Path) -> None:
    learner = learner_of(recordings, teacher=run_folder)
    assert learner.teacher is not None
    unmasked = learner_of(recordings, time_masks=0, frequency_masks=0)
    rows = learner.rows(3)[:8]
    batch = learner.batch(rows)
    # This teacher normalises as the learner does, so its steps are those of a reading without masks.
    np.testing.assert_allclose(batch["taught"], unmasked.batch(rows)["x"], rtol=0, atol=1e-5)
    assert not np.array_equal(batch["taught"], batch["x"])
    plain = learner_of(recordings).batch(rows)
    for name in plain:
        np.testing.assert_array_equal(batch[name], plain[name], err_msg=name)


@pytest.mark.parametrize("consistency", [0.0, 0.5])
def test_the_loss_adds_how_far_it_is_from_the_teacher(
    recordings: Path, both_ways: Path, consistency: float
) -> None:
    learner = learner_of(recordings, teacher=both_ways, teacher_weight=0.7, consistency=consistency)
    plain = learner_of(recordings, consistency=consistency)
    networks = learner.module.eval()
    batch = learner.tensors(learner.batch(learner.rows(2)[:6]), networks)
    expected, characters, _ = plain.loss(networks, batch, None)
    recognizer, count = Recognizer.load(both_ways), learner.num_readings
    log_p = learner.readings(networks, batch).detach().double().numpy()
    differ = 0.0
    for k, own in enumerate(log_p):
        steps = int(batch["lengths"][k]) - 2
        x = batch["taught"][k % 6, :steps].numpy()
        log_q = recognizer.log_probabilities(x)  # without torch
        differ += float((np.exp(log_q) * (log_q - own[:steps])).sum())
    assert differ > 1
    assert count == (2 if consistency else 1)
    total, also, _ = learner.loss(networks, batch, None)
    assert total.item() == pytest.approx(expected.item() + 0.7 * differ, rel=1e-4)
    assert also == characters


def test_a_teacher_does_not_learn_and_its_pupil_ends_as_one_recogniser(
    recordings: Path, both_ways: Path, tmp_path: Path
) -> None:
    learner = learner_of(recordings, teacher=both_ways)
    networks = learner.module
    batch = learner.tensors(learner.batch(learner.rows(0)[:4]), networks)
    learner.loss(networks, batch, None)[0].backward()
    assert learner.teacher is not None
    own = learner.teacher._network.state_dict()
    assert set(networks.state_dict()).isdisjoint({f"teacher.{name}" for name in own})
    assert all(not value.requires_grad and value.grad is None for value in own.values())
    assert all(value.grad is not None for value in networks.parameters())
    out = tmp_path / "run"
    result = congru.tasks.speech.train(recordings, **{**SMALL, "teacher": both_ways}, out=out)
    assert result.best is not None
    assert result.best < 0.1
    recognizer = Recognizer.load(out)
    assert recognizer.streams
    assert not Recognizer.load(both_ways).streams
    assert str(both_ways) in (out / "model" / "README.md").read_text()


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"stack": 2}, ["stack", "4", "2"]),
        ({"features": "mfcc"}, ["features", "'fbank'", "'mfcc'"]),
        ({"alphabet": "ABX"}, ["alphabet", "' AB'", "' ABX'"]),
    ],
)
def test_a_teacher_of_other_steps_or_characters_is_one_line(
    recordings: Path, run_folder: Path, changes: dict[str, Any], words: list[str]
) -> None:
    with pytest.raises(CongruError) as caught:
        learner_of(recordings, teacher=run_folder, **changes)
    line = str(caught.value)
    assert "\n" not in line
    for word in ["teacher", str(run_folder), "expected", *words]:
        assert word in line
    learner_of(recordings, teacher=run_folder)  # what the line asks for


def test_a_teacher_that_is_none_is_one_line(recordings: Path, tmp_path: Path) -> None:
    with pytest.raises(CongruError) as caught:
        learner_of(recordings, teacher=tmp_path)
    assert str(tmp_path) in str(caught.value)
    assert "\n" not in str(caught.value)
