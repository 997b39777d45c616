"""Orders that nobody said: where words begin, what a splice is made of, what a batch of them holds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import congru
from congru.errors import CongruError, SettingsError
from congru.tasks.speech.learner import SpeechLearner, make_learner
from congru.tasks.speech.recognizer import Recognizer
from congru.tasks.speech.settings import Settings
from congru.tasks.speech.splicing import Splicer, beginnings
from congru.tasks.speech.utterances import Utterance
from speech_cases import write_corpus
from tasks.speech.conftest import SMALL

PLAIN: dict[str, Any] = {"speed": 0.0, "warp": 0.0, "time_masks": 0, "frequency_masks": 0}


def learner_of(recordings: Path, **changes: Any) -> SpeechLearner:
    return make_learner(str(recordings), settings=Settings(**{**SMALL, **changes}))


@pytest.fixture(scope="module")
def utterances(recordings: Path) -> list[Utterance]:
    return learner_of(recordings).corpus.train


def test_words_begin_in_the_pauses_before_their_tones(
    recognizer: Recognizer, utterances: list[Utterance]
) -> None:
    checked = 0
    for one in utterances:
        begins = beginnings(recognizer, one)
        assert len(begins) == len(one.text.split())
        assert begins[0] == 0
        seconds, place = 0.1, 0
        for letter in one.text:  # a tone or a pause of 0.2 s, then 0.05 s
            if letter == " ":
                place += 1
                checked += 1
                assert seconds - 0.15 <= 0.01 * begins[place] <= seconds + 0.3, one.text
            seconds += 0.25
    assert checked > 10


def test_both_sides_of_a_seam_lie_before_the_same_word(run_folder: Path, utterances: list[Utterance]) -> None:
    splicer = Splicer(run_folder, utterances, 40)
    rng, texts, drawn = np.random.default_rng(0), {one.text for one in utterances}, 0
    for row in range(len(utterances)):
        for _ in range(10):
            splice = splicer.draw(row, rng)
            if splice is None:
                assert len(utterances[row].text.split()) == 1
                continue
            drawn += 1
            assert splice.first == row != splice.second
            first, second = (splicer.begins[k].tolist() for k in (row, splice.second))
            cut, place = first.index(splice.end), second.index(splice.begin)
            before, after = utterances[row].text.split(), utterances[splice.second].text.split()
            assert before[cut] == after[place]
            assert splice.text.split() == before[:cut] + after[place:]
            texts.add(splice.text)
    assert drawn > 100
    assert len(texts) > len({one.text for one in utterances})


def test_a_batch_of_splices_holds_the_frames_and_texts_of_both(recordings: Path, run_folder: Path) -> None:
    learner = learner_of(recordings, splice=1.0, aligner=run_folder, **PLAIN)
    plain = learner_of(recordings, **PLAIN)
    rows = learner.rows(3)[:8]
    batch, delay = learner.batch(rows), learner.settings.look_ahead
    begin, spliced = 0, 0
    for k, (row, seed) in enumerate(rows.tolist()):
        splice = learner.splice(row, seed)
        end = begin + int(batch["target_lengths"][k])
        text = learner.corpus.alphabet.decode(batch["targets"][begin:end])
        begin = end
        if splice is None:
            assert text == learner.corpus.train[row].text
            frames = plain._train[row]
        else:
            spliced += 1
            assert text == splice.text
            frames = np.concatenate(
                [plain._train[row][: splice.end], plain._train[splice.second][splice.begin :]]
            )
        steps = plain.after_norm(frames)
        assert batch["lengths"][k] == len(steps) + delay
        np.testing.assert_array_equal(batch["x"][k, : len(steps)], steps)
    assert spliced > 2


def test_without_a_splice_a_reading_is_what_it_was(recordings: Path, run_folder: Path) -> None:
    learner, plain = learner_of(recordings, splice=0.5, aligner=run_folder), learner_of(recordings)
    rows = plain.rows(3)[:16]
    kinds = {True: 0, False: 0}
    for row, seed in rows.tolist():
        splice = learner.splice(row, seed)
        same = np.array_equal(learner.vary(row, seed, 0, splice), plain.vary(row, seed))
        assert same == (splice is None)
        kinds[same] += 1
    assert min(kinds.values()) > 0


def test_a_teacher_hears_the_splice_too(recordings: Path, run_folder: Path) -> None:
    masks = {"time_masks": 0, "frequency_masks": 0}
    learner = learner_of(recordings, splice=1.0, aligner=run_folder, teacher=run_folder, **masks)
    batch = learner.batch(learner.rows(3)[:8])
    np.testing.assert_allclose(batch["taught"], batch["x"], atol=1e-5)


def test_training_with_splices_writes_what_it_hears(
    recordings: Path, run_folder: Path, tmp_path: Path
) -> None:
    result = congru.tasks.speech.train(
        recordings, **SMALL, splice=0.5, aligner=run_folder, out=tmp_path / "run"
    )
    assert result.best is not None
    assert result.best < 0.1
    assert "50% of the utterances" in (tmp_path / "run" / "data.json").read_text()


def test_splices_without_an_aligner_or_with_one_of_other_frames_are_one_line(
    recordings: Path, run_folder: Path, tmp_path: Path
) -> None:
    with pytest.raises(
        (CongruError, ValueError), match=r"splice is 0\.5 without an aligner, .*--aligner MODEL"
    ):
        learner_of(recordings, splice=0.5)
    with pytest.raises(SettingsError, match="reads frames of 40 numbers, expected 13 as here") as caught:
        learner_of(recordings, splice=0.5, aligner=run_folder, features="mfcc")
    assert "\n" not in str(caught.value)
    write_corpus(tmp_path / "one", ["A", "B", "AB"] * 5)  # single words: nothing to splice
    learner = learner_of(tmp_path / "one", splice=1.0, aligner=run_folder)
    assert all(learner.splice(*row) is None for row in learner.rows(0).tolist())
