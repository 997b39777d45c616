"""Several recognisers together: exact scores of whole texts, the vote, what it refuses, and the commands."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import congru
from congru.cli.main import main
from congru.errors import SettingsError
from congru.runtime.decoding.ctc import CTCPrefixBeam, text_log_p
from congru.tasks.speech import Ensemble, Recognizer, evaluate
from congru.tasks.speech.audio import Audio
from congru.tasks.speech.decoding import Decoding
from congru.tasks.speech.texts import Alphabet
from congru.tasks.speech.words import text_of
from speech_cases import RATE_HZ, tones

from .conftest import SMALL


@pytest.fixture(scope="module")
def other_folder(recordings: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model of the same recordings that reads both ways and stacks more frames."""
    out = tmp_path_factory.mktemp("both") / "run"
    settings = {**SMALL, "bidirectional": True, "stack": 5, "seed": 1}
    congru.tasks.speech.train(recordings, **settings, out=out)
    return out


def log_p_of(rows: list[list[float]]) -> np.ndarray:
    return np.log(np.array(rows))


def test_scores_of_texts_are_those_of_a_beam_that_holds_all() -> None:
    rng = np.random.default_rng(0)
    frames = rng.normal(size=(7, 4))
    frames -= np.log(np.exp(frames).sum(1, keepdims=True))
    every = CTCPrefixBeam(beam_size=100_000).feed(frames).n_best(100_000)
    scores = text_log_p(frames, [one.tokens for one in every])
    np.testing.assert_allclose(scores, [one.log_p for one in every], rtol=0, atol=1e-12)
    assert np.exp(scores).sum() == pytest.approx(1.0, abs=1e-12)
    assert text_log_p(frames, []).shape == (0,)
    assert text_log_p(frames[:2], [[1, 1]])[0] == -np.inf
    last = text_log_p(np.roll(frames, 1, axis=1), [[3, 2], []], blank=1)
    np.testing.assert_allclose(last, text_log_p(frames, [[2, 1], []]), rtol=0, atol=1e-12)


def fake(recognizer: Recognizer, labels: str) -> Recognizer:
    """The recogniser with other characters."""
    return replace(recognizer, alphabet=Alphabet(["<blank>", *labels]))


def test_the_text_that_all_find_most_probable(recognizer: Recognizer) -> None:
    """One hears A or B at the first step, the other at the second: the mean of their steps would hear both."""
    one = fake(recognizer, " AB")
    first = log_p_of([[0.02, 0.01, 0.56, 0.41], [0.97, 0.01, 0.01, 0.01]])
    second = log_p_of([[0.97, 0.01, 0.01, 0.01], [0.02, 0.01, 0.21, 0.76]])
    ensemble = Ensemble([one, one])
    heard = ensemble.words_of_log_p([first, second], Decoding(8))
    texts = [[2], [3]]
    mean = (text_log_p(first, texts) + text_log_p(second, texts)) / 2
    assert mean[1] > mean[0]
    assert text_of(heard) == "B"
    assert text_of(one.words_of_log_p(first)) == "A"
    # in time with what the first model heard
    assert (heard[0].start, heard[0].end) == (0.0, one.front_end.step_seconds)
    # a word that is worth more, or a list without it, turns the vote
    assert text_of(ensemble.words_of_log_p([first, second], Decoding(8, ["A"]))) == "A"
    assert ensemble.words_of_log_p([first[:0], second], Decoding(8)) == []


def test_one_model_alone_decodes_as_by_itself(recognizer: Recognizer) -> None:
    frames = recognizer.front_end.frames(Audio(tones("A B", seed=910), RATE_HZ))
    for decoding in (Decoding(), Decoding(4, ["A", "B"], word_bonus=0.5)):
        alone = Ensemble([recognizer]).words_of_frames(frames, decoding)
        assert alone == recognizer.words_of_frames(frames, decoding)


def test_models_of_both_kinds_hear_files_together(
    run_folder: Path, other_folder: Path, recordings: Path
) -> None:
    ensemble = Ensemble.load([run_folder, other_folder])
    texts = ["A B A", "AB B", "B", "A AB"]
    heard = [
        ensemble.text(Audio(tones(text, seed=900 + k), RATE_HZ), Decoding(8)) for k, text in enumerate(texts)
    ]
    assert sum(a == b for a, b in zip(heard, texts)) >= 3
    assert ensemble.transcribe(Audio(np.zeros(RATE_HZ, np.float32), RATE_HZ), Decoding(8)) == []
    scores = evaluate(
        run_folder, str(recordings), others=(other_folder,), part="all", words="train", quiet=True
    )
    together = scores["2 models, beam 16, words"]
    assert together["wer"] <= scores["model, best path"]["wer"] < 0.1


def test_faults(recognizer: Recognizer) -> None:
    with pytest.raises(SettingsError, match="with names a model of the characters ' ABC', expected ' AB'"):
        Ensemble([fake(recognizer, " AB"), fake(recognizer, " ABC")])
    slower = replace(recognizer, front_end=replace(recognizer.front_end, rate_hz=16_000))
    with pytest.raises(
        SettingsError, match="with names a model of the features 'fbank, 40 numbers a frame, 16000 Hz'"
    ):
        Ensemble([recognizer, slower])
    with pytest.raises(SettingsError, match="beam is 0, expected at least 1 with several models"):
        Ensemble([recognizer, recognizer]).text(Audio(tones("A", seed=1), RATE_HZ), Decoding())


def test_commands(
    run_folder: Path, other_folder: Path, recordings: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def call(*words: str) -> int:
        with pytest.raises(SystemExit) as stop:
            main(list(words))
        return int(stop.value.code or 0)

    file, other = str(recordings / "10.wav"), ["--with", str(other_folder)]
    assert call("run", str(run_folder), file, "--json", *other, *other) == 0
    assert json.loads(capsys.readouterr().out)["text"] == "A B"
    assert call("eval", str(run_folder), str(recordings), "--part", "validation", *other) == 0
    assert "2 models, beam 16" in capsys.readouterr().out
    assert call("run", str(run_folder), "--stream", *other) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert "expected files: several models need whole recordings" in printed.err
    assert printed.err.count("\n") == 1
    assert call("run", str(run_folder), file, *other, "--beam", "0") == 2
    assert "beam is 0, expected at least 1 with several models" in capsys.readouterr().err
