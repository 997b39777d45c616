"""Transcripts of every form; each fault named by its line; counted with --bad skip; splits by speaker."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from congru.errors import DataError, SettingsError
from congru.tasks.speech.data import prepare, steps_needed
from congru.tasks.speech.marked_times import read_ctm, read_srt, read_stm, read_textgrid
from congru.tasks.speech.settings import Settings
from congru.tasks.speech.texts import choose_case, normal, strange
from congru.tasks.speech.transcripts import decode, read_rows
from congru.tasks.speech.utterances import Reading, read_utterances
from shared_files import CASES, needs
from speech_cases import tones, write_corpus, write_wav

SPEECH = CASES / "speech"
READING = Reading("fbank", 8000, "keep", None, "skip")
TIERS = {
    "word_48k.TextGrid": [("word", 6), ("phrase", 3)],
    "word_newlines.TextGrid": [('"word"', 6), ("phrase", 3), ("", 4)],
    "same_tier_names.TextGrid": [("Mary", 3)] * 3,
    "negative_zero.TextGrid": [("phone", 16), ("word", 6), ("pitch", 4)],
    "empty.TextGrid": [("words", 0), ("maxF0", 0)],
}


@needs(SPEECH)
@pytest.mark.parametrize("name", sorted(TIERS))
def test_no_tier_of_a_textgrid_is_lost(name: str) -> None:
    tiers = read_textgrid(decode(SPEECH / name), name)
    assert [(tier.name, len(tier.segments)) for tier in tiers] == TIERS[name]
    assert all(np.signbit(one.start) == 0 for tier in tiers for one in tier.segments)


@needs(SPEECH)
def test_nist_files_and_subtitles() -> None:
    words, faults = read_ctm(decode(SPEECH / "many_faults.ctm"), "many_faults.ctm")
    assert (len(words), len(words) + len(faults)) == (33, 43)
    assert all("many_faults.ctm line " in fault for fault in faults)
    for name, count, silent in (("overlap.stm", 6, 0), ("arabic.stm", 45, 12)):
        segments = [segment for *_, segment in read_stm(decode(SPEECH / name), name)]
        assert (len(segments), sum(not one.text for one in segments)) == (count, silent)
    subtitles = read_srt(decode(SPEECH / "zero_based.srt"), "zero_based.srt")
    assert (len(subtitles), subtitles[-1].end) == (5, 10.0)
    (only,) = read_srt(decode(SPEECH / "unicode.srt"), "unicode.srt")
    assert (only.end, only.text) == (5.0, "ÁÉíöÙ")


@needs(SPEECH)
def test_each_bad_row_is_named_by_its_line() -> None:
    notes: dict[str, Any] = {}
    kept = read_utterances(SPEECH / "transcripts_bad.tsv", READING, notes)
    assert [one.text for one in kept] == ["THE CHILD ALMOST HURT THE SMALL DOG"]
    (told,) = notes.values()
    assert told.startswith("4: ")
    for line, what in (
        (3, "missing.wav cannot be read"),
        (4, "has no text"),
        (5, "text holds '— %'"),
        (6, "has the same audio as transcripts_bad.tsv line 2"),
    ):
        assert f"line {line} " in told
        assert what in told
    with pytest.raises(DataError) as caught:
        read_utterances(SPEECH / "transcripts_bad.tsv", Reading("fbank", 8000, "keep", None, "stop"), {})
    assert "\n" not in str(caught.value)
    assert all(f"line {line} " in str(caught.value) for line in (3, 4, 5, 6))
    assert "--bad skip" in str(caught.value)


@needs(SPEECH)
def test_rates_may_differ_within_a_set() -> None:
    kept = read_utterances(SPEECH / "transcripts.tsv", READING, {})
    assert len(kept) == 4
    assert len(kept[3].frames) == pytest.approx(152, abs=2)  # 1.54 s at 22,050 Hz


@needs(SPEECH)
@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("silence.wav", "is silent: all samples are equal"),
        ("nan_inf_float.wav", "sample 100 is nan"),
        ("ulaw.wav", "is too short"),
        ("empty_header.wav", "no audio in it"),
        ("cut.flac", "is cut or damaged"),
    ],
)
def test_audio_that_teaches_nothing_is_told(name: str, line: str, tmp_path: Path) -> None:
    table = tmp_path / "t.tsv"
    table.write_text(f"path\ttext\n{SPEECH / name}\tA\n")
    with pytest.raises(DataError, match="no usable utterance") as caught:
        read_utterances(table, READING, {})
    assert line in str(caught.value)


def test_librispeech_folders(tmp_path: Path) -> None:
    for part, speaker in (("train-clean", "19"), ("dev-clean", "84")):
        folder = tmp_path / part / speaker / "121"
        write_wav(folder / f"{speaker}-121-0000.wav", tones("A"))
        (folder / f"{speaker}-121.trans.txt").write_text(f"{speaker}-121-0000 A B\n")
    rows = read_rows(tmp_path)
    assert [(r.part, r.speaker, r.text) for r in rows] == [
        ("validation", "84", "A B"),
        ("train", "19", "A B"),
    ]
    assert all(row.path.is_file() for row in rows)


def test_texts_and_times_beside_the_audio(tmp_path: Path) -> None:
    write_wav(tmp_path / "ann/one/a.wav", tones("A"))
    (tmp_path / "ann/one/a.txt").write_text("Hello,\nworld")
    write_wav(tmp_path / "b.wav", tones("A B A"))
    (tmp_path / "b.srt").write_text(
        "1\n00:00:00,100 --> 00:00:00,400\nA\n\n2\n00:00:00,400 --> 00:00:01,000\nB A\n"
    )
    rows = read_rows(tmp_path)
    assert [(r.text, r.speaker, r.start) for r in rows] == [
        ("Hello, world", "one", None),
        ("A", "", 0.1),
        ("B A", "", 0.4),
    ]
    utterances = read_utterances(tmp_path, READING, {})
    assert [one.text for one in utterances] == ["Hello world", "A", "B A"]
    assert len(utterances[1].frames) == pytest.approx(28, abs=1)


def test_stm_segments_are_utterances(tmp_path: Path) -> None:
    write_wav(tmp_path / "talk.wav", tones("A B A"))
    (tmp_path / "talk.stm").write_text(
        ";; c\ntalk 1 gap 0.0 0.1\ntalk 1 ann 0.1 0.5 <o,f0> A (%HESITATION) B\n"
    )
    rows = read_rows(tmp_path / "talk.stm")
    assert [(r.text, r.speaker, r.start, r.end) for r in rows] == [("A B", "ann", 0.1, 0.5)]


@pytest.mark.parametrize(
    ("content", "line"),
    [
        (b"", "is empty"),
        (b"word\tlabel\tx\n", "bad.tsv line 1 "),
        (b"path\tlabel\nx.wav\tA\n", "expected path and text among them"),
        (b"path\ttext\nx.wav\t\xff\n", "line 2 is not UTF-8"),
        (b"path\ttext\n\tA\n", "bad.tsv line 2 has no path"),
        (b"path\ttext\tstart\nx.wav\tA\tsoon\n", "line 2: start is 'soon', expected seconds"),
    ],
)
def test_a_bad_table_is_one_line(content: bytes, line: str, tmp_path: Path) -> None:
    (tmp_path / "bad.tsv").write_bytes(content)
    with pytest.raises(DataError) as caught:
        read_utterances(tmp_path / "bad.tsv", READING, {})
    assert line in str(caught.value)
    assert "\n" not in str(caught.value)


def test_times_outside_the_audio_are_told(tmp_path: Path) -> None:
    write_wav(tmp_path / "a.wav", tones("A"))
    (tmp_path / "t.tsv").write_text("path\ttext\tstart\tend\na.wav\tA\t50\t60\n")
    with pytest.raises(DataError, match="has no audio from 50 to 60 s"):
        read_utterances(tmp_path / "t.tsv", READING, {})


def test_whole_speakers_are_kept_for_validation(tmp_path: Path) -> None:
    write_corpus(tmp_path, ["A", "B", "A B", "B A"] * 5)
    corpus = prepare(str(tmp_path), Settings(validation=0.4))
    known, held = ({one.speaker for one in part} for part in (corpus.train, corpus.validation))
    assert (len(known), len(held), known & held) == (3, 2, set())
    assert corpus.split == "40% of the speakers for validation, by their sha256"
    assert corpus.reading.rate_hz == 8000


def test_a_text_without_enough_steps_or_with_a_new_character_is_told(tmp_path: Path) -> None:
    write_corpus(tmp_path, ["A", "B", "A B", "B A"])
    table = tmp_path / "transcripts.tsv"
    lines = table.read_text().replace("\ts", "\tt").split("\n")
    table.write_text("\n".join([lines[0] + "\tsplit", lines[1] + "\ttrain", lines[2] + "\ttrain", *[
        line + "\tvalid" for line in lines[3:5]]]))  # fmt: skip
    assert len(prepare(str(tmp_path), Settings()).validation) == 2
    table.write_text(table.read_text().replace("B A\t", "B C\t"))
    with pytest.raises(DataError, match="line 5 text holds 'C', which no training text does"):
        prepare(str(tmp_path), Settings())
    kept = prepare(str(tmp_path), Settings(bad="skip"))
    assert len(kept.validation) == 1
    assert kept.notes["left out"].startswith("1: ")
    table.write_text(table.read_text().replace("B C\t", f"{'AB' * 40}\t"))
    with pytest.raises(DataError, match="steps for a text that needs 80"):
        prepare(str(tmp_path), Settings())
    assert steps_needed("AAB") == 4


def test_features_of_a_file(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    arrays = {"feat": rng.standard_normal((60, 13)), "off": [0, 20, 40, 60], "text": ["A", "B", "A B"],
              "id": ["x-ann-1", "x-bob-1", "x-eve-1"]}  # fmt: skip
    np.savez(tmp_path / "f.npz", **arrays)
    settings = Settings(speaker=r"-(\w+)-", validation=0.3)
    corpus = prepare(str(tmp_path / "f.npz"), settings)
    assert (corpus.reading.kind, corpus.size, len(corpus.train), len(corpus.validation)) == (
        "given",
        13,
        2,
        1,
    )
    with pytest.raises(
        SettingsError, match=r"features is 'fbank', which has 40 numbers a frame, expected the 13"
    ):
        prepare(str(tmp_path / "f.npz"), Settings(features="fbank"))
    with pytest.raises(SettingsError, match="expected a regular expression"):
        prepare(str(tmp_path / "f.npz"), Settings(speaker="("))
    with pytest.raises(DataError, match="has no speaker by --speaker"):
        prepare(str(tmp_path / "f.npz"), Settings(speaker="(z)"))
    arrays["feat"][5, 3] = np.nan
    np.savez(tmp_path / "f.npz", **arrays)
    with pytest.raises(DataError, match="x-ann-1 frame 5 is not finite"):
        prepare(str(tmp_path / "f.npz"), settings)
    for change, line in (
        ({"off": [0, 20, 40]}, r"expected \[N, F\], \[n \+ 1\]"),
        ({"feat": None}, "expected feat, off"),
    ):
        other = {name: value for name, value in {**arrays, **change}.items() if value is not None}
        np.savez(tmp_path / "g.npz", **other)
        with pytest.raises(DataError, match=line):
            prepare(str(tmp_path / "g.npz"), settings)
    (tmp_path / "h.npz").write_bytes(b"no zip")
    with pytest.raises(DataError, match="cannot be read"):
        prepare(str(tmp_path / "h.npz"), settings)


def test_normal_texts() -> None:
    assert normal("It’s  (so) LATE!", "upper") == "IT'S SO LATE"
    assert strange("naïve café — 42%") == "—%"
    assert choose_case(["ABC", "D 1"]) == "keep"
    assert choose_case(["Abc"]) == "lower"
