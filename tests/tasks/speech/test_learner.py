"""The training problem of a recogniser: what a batch holds, what its loss adds up, without any training."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import congru
from congru.tasks.speech.audio import read_audio
from congru.tasks.speech.learner import SpeechLearner, disagreement, make_learner
from congru.tasks.speech.recognizer import Recognizer
from congru.tasks.speech.settings import Settings
from tasks.speech.conftest import SMALL


def learner_of(recordings: Path, **changes: Any) -> SpeechLearner:
    return make_learner(str(recordings), settings=Settings(**{**SMALL, **changes}))


def test_two_readings_have_one_speed_and_masks_of_their_own(recordings: Path) -> None:
    learner = learner_of(recordings, consistency=0.2)
    rows = learner.rows(3)[:8]
    batch, once = learner.batch(rows), learner_of(recordings).batch(rows)
    assert len(once["x"]) == 8
    first, second = np.split(batch["x"], 2)
    np.testing.assert_array_equal(
        first, once["x"]
    )  # the first reading is that of a training without the second
    assert not np.array_equal(first, second)
    shared = (first == second).all(-1)
    masked = (first == 0).all(-1) | (second == 0).all(-1)
    frequency = learner.settings.frequency_masks
    assert frequency == 1
    assert not shared.all()
    assert masked.any()
    for key in ("lengths", "target_lengths", "targets"):
        np.testing.assert_array_equal(*np.split(batch[key], 2), err_msg=key)


def test_readings_that_say_the_same_do_not_disagree() -> None:
    torch.manual_seed(0)
    log_p = torch.log_softmax(torch.randn(2, 5, 4), -1)
    assert disagreement(torch.cat([log_p, log_p]), torch.tensor([5, 3, 5, 3])) == 0


def test_disagreement_is_both_divergences_over_the_steps_that_are_there() -> None:
    torch.manual_seed(0)
    logits = torch.randn(4, 5, 3, requires_grad=True)
    log_p, lengths = torch.log_softmax(logits, -1), [5, 2, 5, 2]
    expected = 0.0
    for row, other in ((0, 2), (1, 3), (2, 0), (3, 1)):
        p, q = (np.exp(log_p[k, : lengths[k]].detach().double().numpy()) for k in (row, other))
        expected += float((q * np.log(q / p)).sum())
    value = disagreement(log_p, torch.tensor(lengths))
    assert value.item() == pytest.approx(expected, rel=1e-5)
    # Of each divergence only the distribution that learns has a gradient: softmax - teacher.
    (gradient,) = torch.autograd.grad(value, logits)
    probabilities = log_p.detach().exp()
    wanted = probabilities - torch.cat(probabilities.chunk(2)[::-1])
    wanted[1, 2:] = wanted[3, 2:] = 0
    torch.testing.assert_close(gradient, wanted)


@pytest.mark.parametrize("seeds", [1, 2, 3])
def test_the_loss_adds_all_readings_and_their_disagreement(recordings: Path, seeds: int) -> None:
    learner = learner_of(recordings, consistency=0.5, seeds=seeds)
    networks = learner.module.eval()
    assert list(networks) == ["main", "main2", "main3"][:seeds]
    count = learner.num_readings
    assert count == max(2, seeds)
    batch = learner.tensors(learner.batch(learner.rows(2)[:6]), networks)
    total, characters, _ = learner.loss(networks, batch, None)
    each = []
    for k in range(count):  # each reading by itself, by its member; padding to the longest is shared
        part = {key: value.chunk(count)[k] for key, value in batch.items()}
        member = list(networks.values())[k % seeds]
        log_p = learner.log_probabilities([member(part["x"], lengths=part["lengths"])[0]])
        each.append(learner.nats(log_p, part).sum())
    differ = disagreement(learner.readings(networks, batch), batch["lengths"] - 2, count)
    assert differ.item() > 0
    torch.testing.assert_close(total, torch.stack(each).sum() + 0.5 * differ)
    assert characters == batch["target_lengths"].sum()


def test_each_reading_learns_from_the_next() -> None:
    torch.manual_seed(0)
    logits = torch.randn(3, 4, 3, requires_grad=True)
    log_p = torch.log_softmax(logits, -1)
    (gradient,) = torch.autograd.grad(disagreement(log_p, torch.tensor([4, 4, 4]), 3), logits)
    p = log_p.detach().exp()
    torch.testing.assert_close(gradient, p - p[[1, 2, 0]])


def test_members_are_one_recogniser_of_files_and_streams(recordings: Path, tmp_path: Path) -> None:
    changes = {"seeds": 2, "consistency": 0.2}
    learner = learner_of(recordings, **changes)
    networks = learner.module.eval()
    _, network = learner.saved(networks)["main"]
    x = torch.from_numpy(learner.batch(learner.rows(0)[:3])["x"])
    with torch.no_grad():
        torch.testing.assert_close(network(x)[0], learner.mean_logits(networks, x), rtol=1e-5, atol=1e-5)
    out = tmp_path / "run"
    result = congru.tasks.speech.train(recordings, **{**SMALL, **changes}, out=out)
    assert result.best is not None
    assert result.best < 0.1
    recognizer = Recognizer.load(out)
    audio = read_audio(recordings / "0.wav")
    listener = recognizer.listen(audio.rate_hz)
    heard = [word.text for word in [*listener.feed(audio.samples), *listener.finish()]]
    assert heard == [word.text for word in recognizer.transcribe(audio)]
