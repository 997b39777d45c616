"""Runs of words: what is cut out of an utterance says the words of its text, and is trained on in place of the whole."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from congru.errors import ModelFolderError, SettingsError
from congru.tasks.speech import Recognizer
from congru.tasks.speech.audio import Audio
from congru.tasks.speech.cuts import Cut, cut_of, cuts_of, in_words, loudness
from congru.tasks.speech.frames import SIZES
from congru.tasks.speech.learner import SpeechLearner, make_learner
from congru.tasks.speech.settings import Settings
from congru.tasks.speech.utterances import Utterance
from congru.tasks.speech.words import text_of
from speech_cases import RATE_HZ, tones

from .conftest import SMALL


def learner_of(recordings: Path, **changes: Any) -> SpeechLearner:
    return make_learner(str(recordings), settings=Settings(**{**SMALL, **changes}))


def test_runs_keep_what_is_before_and_after_speech() -> None:
    cut, whole = Cut(["A", "B", "C"], [2, 4, 7, 9]), np.arange(12, dtype=np.float32)[:, None]
    by_text = {}
    for seed in range(60):
        run = cut.run(whole, np.random.default_rng(seed))
        assert run is not None
        text, frames = run
        assert by_text.setdefault(text, frames.ravel().tolist()) == frames.ravel().tolist()
    empty = Cut(["A", "B"], [2, 2, 5])
    drawn = [empty.run(whole, np.random.default_rng(seed)) for seed in range(40)]
    assert {None if one is None else one[0] for one in drawn} == {None, "B"}  # A has no frame
    assert by_text == {
        "A": [0, 1, 2, 3, 9, 10, 11],
        "B": [0, 1, 4, 5, 6, 9, 10, 11],
        "C": [0, 1, 7, 8, 9, 10, 11],
        "A B": [0, 1, 2, 3, 4, 5, 6, 9, 10, 11],
        "B C": [0, 1, 4, 5, 6, 7, 8, 9, 10, 11],
        "A B C": list(range(12)),
    }


def test_a_cut_falls_into_the_silence_between_words(recognizer: Recognizer) -> None:
    """Tones of 0.2 s begin 0.1 s from the beginning; between words lie 0.3 s of silence, which the cut must meet."""
    samples = tones("A B A", seed=3)
    frames = recognizer.front_end.frames(Audio(samples, RATE_HZ))
    cut = cut_of(recognizer, Utterance("one", "A B A", frames))
    assert list(cut.words) == ["A", "B", "A"]
    assert len(cut.frames) == 4
    seconds = [at * 0.01 for at in cut.frames]
    assert cut.confidence > 0.9
    for at, (begin, end) in zip(seconds, [(0.0, 0.12), (0.28, 0.62), (0.78, 1.12), (1.28, 1.45)]):
        assert begin <= at <= end


def test_what_is_cut_out_is_heard_as_its_words(recordings: Path, run_folder: Path) -> None:
    learner, recognizer = learner_of(recordings), Recognizer.load(run_folder)
    cuts = cuts_of(run_folder, learner.front_end, learner.corpus.train)
    assert len(cuts) == len(learner.corpus.train)
    wrong = runs = 0
    for seed, (cut, one) in enumerate(zip(cuts, learner.corpus.train)):
        run = cut.run(one.frames, np.random.default_rng(seed))
        assert run is not None
        if run[0] != one.text:
            runs += 1
            wrong += text_of(recognizer.words_of_frames(run[1])) != run[0]
    assert runs >= 10
    assert wrong <= runs // 10


def test_a_share_of_the_readings_are_runs_and_the_others_are_as_without(
    recordings: Path, run_folder: Path
) -> None:
    plain, cutting = learner_of(recordings), learner_of(recordings, cut_by=run_folder, cut_share=0.5)
    rows = np.concatenate([plain.rows(epoch) for epoch in range(4)])
    shorter = 0
    for row, seed in rows.tolist():
        (text, frames), (other, own) = plain.draw(row, seed), cutting.draw(row, seed)
        if other == text:
            np.testing.assert_array_equal(own, frames)
            continue
        shorter += 1
        assert f" {other} " in f" {text} "
        assert len(own) < len(frames)
    several = sum(" " in plain.corpus.train[row].text for row in rows[:, 0])
    assert 0.15 * several < shorter < 0.6 * several
    batch, again = (
        learner.batch(rows[:8]) for learner in (cutting, learner_of(recordings, cut_by=run_folder))
    )
    for key in batch:
        np.testing.assert_array_equal(batch[key], again[key], err_msg=key)
    texts = [cutting.draw(row, seed)[0] for row, seed in rows[:8].tolist()]
    assert batch["target_lengths"].tolist() == [len(text) for text in texts]


def test_both_readings_of_an_utterance_are_the_same_run(recordings: Path, run_folder: Path) -> None:
    learner = learner_of(recordings, cut_by=run_folder, cut_share=1.0, consistency=0.2)
    batch = learner.batch(learner.rows(3)[:8])
    for key in ("lengths", "target_lengths", "targets"):
        np.testing.assert_array_equal(*np.split(batch[key], 2), err_msg=key)


def test_a_model_of_other_recordings_is_refused(recordings: Path, run_folder: Path) -> None:
    with pytest.raises(SettingsError, match=r"^cut_by names a model of the features 'fbank, 40 .*, 8000 Hz'"):
        learner_of(recordings, cut_by=run_folder, features="mfcc")
    learner = learner_of(recordings)
    spoken = [replace(learner.corpus.train[0], text="A CAB")]
    with pytest.raises(
        SettingsError, match=r"^cut_by names a model of the characters ' AB', expected ' ABC' "
    ):
        cuts_of(run_folder, learner.front_end, spoken)


def test_a_model_that_cannot_be_loaded_is_named_by_its_setting(recordings: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelFolderError, match=r"^cut_by: .*nowhere does not exist, expected a model folder"):
        learner_of(recordings, cut_by=tmp_path / "nowhere")


def test_a_text_that_does_not_fit_the_steps_of_the_model_stays_whole(recognizer: Recognizer) -> None:
    frames = recognizer.front_end.frames(Audio(tones("A B", seed=1), RATE_HZ))
    short = Utterance("one", "A B B B B B B", frames[:40])
    cut = cut_of(recognizer, short)
    assert (cut.words, cut.frames, cut.confidence) == (["A B B B B B B"], [0, 40], 0.0)
    run = cut.run(short.frames, np.random.default_rng(0))
    assert run is not None
    assert run[0] == short.text
    np.testing.assert_array_equal(run[1], short.frames)


def test_what_can_be_cut_is_told(recordings: Path, run_folder: Path) -> None:
    told = learner_of(recordings, cut_by=run_folder).describe()["cut"]
    assert re.fullmatch(
        r"\d+ of \d+ utterances, whose characters the model of --cut-by gave \d+% in the mean", told
    )
    assert in_words([Cut(["A"], [0, 5], 0.5), Cut(["A", "B"], [0, 2, 5], 0.9)]).startswith(
        "1 of 2 utterances"
    )
    assert "cut" not in learner_of(recordings).describe()


def test_loudness_is_the_mean_energy_or_the_first_cepstrum_of_three_frames() -> None:
    rng = np.random.default_rng(0)
    energies, cepstra = rng.normal(size=(5, SIZES["fbank"])) + 15, rng.normal(size=(5, SIZES["sphinx"]))

    def smooth(own: np.ndarray) -> list[float]:
        return [float(np.mean([own[max(t - 1, 0)], own[t], own[min(t + 1, 4)]])) for t in range(5)]

    np.testing.assert_allclose(loudness(energies, "fbank"), smooth(energies.mean(1)))
    for kind in ("mfcc", "sphinx"):
        np.testing.assert_allclose(loudness(cepstra, kind), smooth(cepstra[:, 0]))
    assert loudness(cepstra, "given") is None


def test_features_of_an_unknown_kind_are_cut_in_the_middle(recognizer: Recognizer) -> None:
    frames = recognizer.front_end.frames(Audio(tones("A B", seed=1), RATE_HZ))
    known = cut_of(recognizer, Utterance("one", "A B", frames))
    unknown = replace(recognizer, front_end=replace(recognizer.front_end, kind="given"))
    cut = cut_of(unknown, Utterance("one", "A B", frames))
    assert 28 <= cut.frames[1] <= 62
    assert 28 <= known.frames[1] <= 62
    assert cut.frames[1] != known.frames[1]
    assert cut.frames[2] > 78


def test_a_share_without_a_model_that_cuts_is_refused() -> None:
    with pytest.raises(
        ValueError,
        match=r"cut_share is 0\.3 without cut_by, expected both: name a trained model with --cut-by",
    ):
        Settings(cut_share=0.3)
