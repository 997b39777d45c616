"""A trained recogniser: files, streams in any pieces, times, outputs, scores, and the commands, without torch."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import congru
from congru.cli.main import main
from congru.errors import DataError, MissingPackageError, SettingsError
from congru.tasks.speech import sources
from congru.tasks.speech.audio import Audio, read_audio
from congru.tasks.speech.decoding import Decoding
from congru.tasks.speech.outputs import subtitles, written
from congru.tasks.speech.recognizer import Recognizer
from congru.tasks.speech.use import evaluate, inspect_extra, inspect_inputs
from congru.tasks.speech.words import Word, text_of
from shared_files import CASES, needs
from speech_cases import RATE_HZ, tones, write_wav

from .conftest import SMALL

SPEECH = CASES / "speech"


def call(*words: str) -> int:
    with pytest.raises(SystemExit) as stop:
        main(list(words))
    return int(stop.value.code or 0)


def test_it_writes_down_what_it_has_not_heard(recognizer: Recognizer) -> None:
    texts = ["A B A", "AB B", "B", "A AB"]
    heard = [recognizer.text(Audio(tones(text, seed=900 + k), RATE_HZ)) for k, text in enumerate(texts)]
    assert sum(a == b for a, b in zip(heard, texts)) >= 3


def test_words_have_the_times_of_their_tones(recognizer: Recognizer) -> None:
    words = recognizer.transcribe(Audio(tones("A B", seed=901), RATE_HZ))
    assert text_of(words) == "A B"
    # a tone of 0.2 s begins at 0.1 s; the second after a pause, at 0.1 + 0.2 + 0.05 + 0.2 + 0.05
    assert 0.0 <= words[0].start <= words[0].end <= 0.45
    assert 0.45 <= words[1].start <= words[1].end <= 0.95
    assert all(0 < word.confidence <= 1 for word in words)


@pytest.mark.parametrize(
    "decoding", [Decoding(), Decoding(3, ["A", "B", "AB", "BA"])], ids=["greedy", "beam"]
)
def test_a_stream_in_any_pieces_gives_the_words_of_the_file(
    recognizer: Recognizer, decoding: Decoding
) -> None:
    rng, samples = np.random.default_rng(0), tones("A B AB", seed=902)
    expected = text_of(recognizer.transcribe(Audio(samples, RATE_HZ), decoding))
    told = []
    for _ in range(3):
        listener, words, early = recognizer.listen(RATE_HZ, decoding), [], 0
        cuts = [0, *sorted(rng.choice(len(samples), 12, replace=False).tolist()), len(samples)]
        for begin, end in zip(cuts, cuts[1:]):  # noqa: RUF007
            words += listener.feed(samples[begin:end])
            early = len(words)
        words += listener.finish()
        assert text_of(words) == expected
        assert early >= 1 or decoding.beam, "no word settled before the end"
        told.append(words)
    assert told[0] == told[1] == told[2]


def test_a_long_pause_ends_an_utterance(recognizer: Recognizer) -> None:
    pause = np.zeros(2 * RATE_HZ, np.float32) + 0.003 * np.random.default_rng(1).standard_normal(2 * RATE_HZ)
    listener = recognizer.listen(RATE_HZ)
    words = listener.feed(np.concatenate([tones("A", seed=903), pause.astype(np.float32)]))
    assert text_of(words) == "A"
    words = listener.feed(tones("B", seed=904)) + listener.finish()
    assert text_of(words) == "B"
    assert words[0].start > 2.0


def test_silence_has_no_words(recognizer: Recognizer, tmp_path: Path) -> None:
    write_wav(tmp_path / "s.wav", np.zeros(RATE_HZ, np.float32))
    assert recognizer.transcribe(tmp_path / "s.wav") == []
    assert recognizer.transcribe(Audio(np.ones(9, np.float32), RATE_HZ)) == []


@needs(SPEECH)
def test_rate_depth_and_channels_change_no_transcript(recognizer: Recognizer) -> None:
    texts = {recognizer.text(SPEECH / f"word_{kind}.wav") for kind in ("16k_stereo", "16k_32bit", "48k")}
    assert len(texts) == 1


def test_run_prints_and_writes(
    run_folder: Path, recordings: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = str(recordings / "10.wav")
    for suffix, part in ((".txt", "A B\n"), (".srt", "-->"), (".json", '"confidence"'), (".ctm", "10 1 0.")):
        out = tmp_path / f"out{suffix}"
        assert call("run", str(run_folder), file, "--out", str(out)) == 0
        assert part in out.read_text()
        assert capsys.readouterr().out == f"{file}\tA B\n"
    assert call("run", str(run_folder), file, "--json", "--words", "train", "--lm", "train") == 0
    assert json.loads(capsys.readouterr().out)["text"] == "A B"
    assert call("run", str(run_folder), file, "--times") == 0
    assert "  A\n" in capsys.readouterr().out


def test_run_stops_at_a_bad_file_or_counts_it(
    run_folder: Path, recordings: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bad = tmp_path / "bad.wav"
    bad.write_text("this is text")
    words = ["run", str(run_folder), str(bad), str(recordings / "10.wav")]
    assert call(*words) == 2
    printed = capsys.readouterr()
    assert (printed.out, printed.err.count("\n")) == ("", 1)
    assert call(*words, "--bad", "skip") == 0
    printed = capsys.readouterr()
    assert printed.out == f"{recordings / '10.wav'}\tA B\n"
    assert "skipped 1 files" in printed.err


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["--out", "x.doc"], "expected an ending of .txt, .srt, .json, .ctm"),
        (["--beam", "-1"], "beam is -1, expected at least 0"),
        (["--lm-weight", "-1", "--lm", "train"], "lm_weight is -1.0, expected at least 0"),
        (["--lm", "gone.arpa"], "gone.arpa cannot be read"),
        (["no-such.wav"], "no-such.wav cannot be read"),
    ],
)
def test_wrong_flags_are_one_line(
    words: list[str], line: str, run_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call("run", str(run_folder), *words) == 2
    err = capsys.readouterr().err
    assert line in err
    assert err.count("\n") == 1


def test_the_stream_command_prints_words_as_they_settle(run_folder: Path, recordings: Path) -> None:
    start = "import sys; sys.modules['torch'] = None; from congru.cli.main import main"
    code = f"{start}; main(['run', {str(run_folder)!r}, '--stream'])"
    with (recordings / "10.wav").open("rb") as file:
        done = subprocess.run(
            [sys.executable, "-c", code], stdin=file, capture_output=True, text=True, timeout=60
        )
    assert (done.returncode, done.stdout.strip()) == (0, "A B"), done.stderr


def test_a_microphone_that_is_not_there_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(module: str, extra: str, package: str | None = None) -> None:
        raise MissingPackageError(f"{module} is not installed: pip install 'congru[{extra}]'")

    monkeypatch.setattr(sources, "require", absent)
    with pytest.raises(
        MissingPackageError, match=r"sounddevice is not installed: pip install 'congru\[microphone\]'"
    ):
        sources.from_microphone(16000)

    class NoDevice:
        class PortAudioError(Exception):
            pass

        def InputStream(self, **_: object) -> None:
            raise self.PortAudioError("no default input")

    monkeypatch.setattr(sources, "require", lambda *_: NoDevice())
    with pytest.raises(DataError, match="no microphone can be opened"):
        sources.from_microphone(16000)


def test_scores_stand_beside_their_baselines(
    run_folder: Path, recordings: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    scores = evaluate(run_folder, str(recordings), part="validation", lm="train", words="train", errors=3)
    assert scores["model, best path"]["wer"] < 0.1
    assert "model, beam 16, words, language model" in scores
    assert scores["nothing"]["wer"] == 1.0
    assert "beats" in capsys.readouterr().out
    with pytest.raises(DataError, match="has no test part"):
        evaluate(run_folder, str(recordings), part="test")


def test_a_model_that_reads_both_ways_has_no_stream(recordings: Path, tmp_path: Path) -> None:
    congru.tasks.speech.train(recordings, **{**SMALL, "steps": 3}, bidirectional=True, out=tmp_path / "both")
    both = Recognizer.load(tmp_path / "both")
    assert both.transcribe(recordings / "0.wav") is not None
    with pytest.raises(SettingsError, match="expected one trained without --bidirectional"):
        both.listen(RATE_HZ)


def test_a_model_of_features_refuses_audio(tmp_path: Path, recordings: Path) -> None:
    rng = np.random.default_rng(0)
    np.savez(tmp_path / "f.npz", feat=rng.standard_normal((400, 5)), off=np.arange(0, 401, 20), text=["A B"] * 20,
             speaker=[f"s{k % 4}" for k in range(20)])  # fmt: skip
    congru.tasks.speech.train(tmp_path / "f.npz", **{**SMALL, "steps": 2}, out=tmp_path / "run")
    recognizer = Recognizer.load(tmp_path / "run")
    with pytest.raises(DataError, match="reads features of 5 numbers"):
        recognizer.transcribe(recordings / "0.wav")
    with pytest.raises(DataError, match=r"frames have shape \(3, 4\), expected \[n, 5\]"):
        recognizer.words_of_frames(np.zeros((3, 4), np.float32))
    np.save(tmp_path / "x.npy", rng.standard_normal((30, 5)))
    assert call("run", str(tmp_path / "run"), str(tmp_path / "x.npy")) == 0


def test_its_axis_has_times_and_characters(run_folder: Path, recordings: Path) -> None:
    model = congru.load(run_folder)
    x, labels = inspect_inputs(model, str(recordings / "10.wav"))
    assert x.shape[:2] == (1, len(labels))
    assert labels[0].startswith("0.00s")
    assert "A" in "".join(labels)
    assert "B" in "".join(labels)
    ((title, _, picture),) = inspect_extra(model, str(recordings / "10.wav"))
    assert title == "What was heard"
    assert picture.count("<line") == 2
    assert ">A</text>" in picture
    with pytest.raises(DataError, match=r"gone\.npy cannot be read"):
        inspect_inputs(model, "gone.npy")


def test_subtitles_break_at_pauses_and_length() -> None:
    words = [Word("a", 0.0, 0.4, 1.0), Word("b", 0.5, 0.9, 1.0), Word("c", 3.0, 3.5, 1.0)]
    assert [text_of(line) for line in subtitles(words)] == ["a b", "c"]
    assert "2\n00:00:03,000 --> 00:00:03,500\nc\n" in written([("x", words)], ".srt")
    with pytest.raises(SettingsError, match=r"one \.srt file for 2 recordings"):
        written([("x", words), ("y", words)], ".srt")


def test_a_stream_of_another_rate_is_resampled(recognizer: Recognizer, recordings: Path) -> None:
    audio = read_audio(recordings / "10.wav")
    import soxr

    faster = soxr.resample(audio.samples, audio.rate_hz, 16000).astype(np.float32)
    listener = recognizer.listen(16000)
    assert text_of(listener.feed(faster) + listener.finish()) == "A B"


def test_an_empty_stream_is_one_line() -> None:
    with pytest.raises(DataError, match="standard input is empty"):
        sources.from_stream(io.BytesIO(b""), None)
