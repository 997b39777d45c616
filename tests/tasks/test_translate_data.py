"""Pairs of sentences: aligned files, tables, translation memories; every line that is no pair is named and moves no other."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import pytest

from congru.errors import DataError, SettingsError
from congru.tasks.translate.data import findings, prepare, split_pairs
from congru.tasks.translate.pairs import Pairs, read_pairs
from congru.tasks.translate.settings import PairSettings, Settings
from congru.train.resolve import resolve
from shared_files import CASES, DATA, needs

FOLDER = CASES / "translate"


def read(*files: Path, **settings: Any) -> Pairs:
    return read_pairs(files, PairSettings(**settings))


def test_two_files_are_read_line_by_line_whatever_their_line_ends(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes("eins\u0085weiter\r\nzwei\r\n".encode())
    (tmp_path / "b.gz").write_bytes(gzip.compress("\ufeffone\ntwo".encode()))
    pairs = read(tmp_path / "a", tmp_path / "b.gz")
    assert list(zip(pairs.source, pairs.target)) == [("eins\u0085weiter", "one"), ("zwei", "two")]


def test_an_empty_line_on_one_side_is_named_and_moves_nothing(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("eins\n\ndrei\n")
    (tmp_path / "b").write_text("one\ntwo\nthree\n")
    with pytest.raises(DataError, match=r"a and b line 2 has an empty source.*--bad-rows skip"):
        read(tmp_path / "a", tmp_path / "b")
    pairs = read(tmp_path / "a", tmp_path / "b", bad_rows="skip")
    assert (pairs.target, pairs.locations) == (["one", "three"], ["line 1", "line 3"])
    assert pairs.bad == ["line 2 has an empty source, expected a sentence on both sides"]


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b"", "pairs.tsv is empty, expected a pair of sentences a line"),
        (b"\n\n", "pairs.tsv is empty, expected a pair of sentences a line"),
        (b"one sentence\n", "pairs.tsv line 1 has 1 columns .cut at tabs., expected at least 2"),
        (b"a\tb\nc\td\te\n", "pairs.tsv line 2 has 3 columns, expected 2 as the other lines"),
        (b"a\tb\n\nc\td\n", "pairs.tsv line 2 is empty, expected 2 as the other lines"),
        (b"a\tb\n\td\n", "pairs.tsv line 2 has an empty source"),
        (b"\t\n", "pairs.tsv line 1 has an empty source"),
        (b"a\xff\x00\tb\n", "pairs.tsv is not text .byte 1., expected UTF-8"),
    ],
)
def test_a_table_that_is_none_is_one_line(tmp_path: Path, content: bytes, complaint: str) -> None:
    (tmp_path / "pairs.tsv").write_bytes(content)
    with pytest.raises(DataError, match=complaint) as caught:
        read(tmp_path / "pairs.tsv")
    assert "\n" not in str(caught.value)


def test_a_third_column_that_every_line_has_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "pairs.tsv").write_text("a\tb\tby me\nc\td\tby you\n")
    assert read(tmp_path / "pairs.tsv").target == ["b", "d"]
    assert read(tmp_path / "pairs.tsv", source_column=3, target_column=1).source == ["by me", "by you"]


def test_a_missing_file_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"nothing cannot be read .*expected a file of sentences"):
        read(tmp_path / "nothing", tmp_path / "nothing")


TMX = """<?xml version="1.0"?><!DOCTYPE tmx SYSTEM "tmx14.dtd"><tmx version="1.4"><header srclang="en"/><body>
<tu><tuv xml:lang="en"><seg>press <bpt i="1">&lt;b&gt;</bpt>here<ept i="1">&lt;/b&gt;</ept></seg></tuv>
<tuv xml:lang="de-DE"><seg>hier drücken</seg></tuv></tu>
<tu><tuv xml:lang="en"><seg>alone</seg></tuv></tu></body></tmx>"""


def test_a_memory_is_read_without_its_markup_and_a_missing_language_is_named(tmp_path: Path) -> None:
    (tmp_path / "m.tmx").write_text(TMX)
    with pytest.raises(DataError, match=r"m.tmx unit 2 has no segment in 'de-DE'"):
        read(tmp_path / "m.tmx")
    pairs = read(tmp_path / "m.tmx", bad_rows="skip")
    assert (pairs.source, pairs.target) == (["press here"], ["hier drücken"])
    with pytest.raises(DataError, match=r"m.tmx: source_language is 'fr', expected one of en, de-DE"):
        read(tmp_path / "m.tmx", source_language="fr")


def test_a_memory_that_declares_an_entity_or_is_broken_is_refused(tmp_path: Path) -> None:
    (tmp_path / "m.tmx").write_text('<!DOCTYPE tmx [\n<!ENTITY x SYSTEM "/etc/passwd">]><tmx>&x;</tmx>')
    with pytest.raises(DataError, match=r"m.tmx line 2 declares an entity, expected none"):
        read(tmp_path / "m.tmx")
    (tmp_path / "m.tmx").write_text("<tmx>\n<body></tmx>")
    with pytest.raises(DataError, match=r"m.tmx line 2, column 9 is no XML \(mismatched tag\)"):
        read(tmp_path / "m.tmx")


def test_validation_takes_whole_source_sentences_with_all_their_translations() -> None:
    pairs = Pairs("p")
    for k in range(20):
        pairs.add(f"line {k}", f"s{k}", f"t{k}")
        pairs.add(f"line {k}b", f"s{k}", f"u{k}")
    train, held = split_pairs(pairs, 0.25, 3)
    assert len(held) == 3
    assert not set(train.source) & set(held.source)
    assert held.references == [[f"t{s[1:]}", f"u{s[1:]}"] for s in held.source]
    assert len(train) == 34
    assert split_pairs(pairs, 0.25, 3)[1].source == held.source
    one = Pairs("p")
    one.add("line 1", "a", "b")
    with pytest.raises(DataError, match="p holds 1 different source sentence, expected at least 2"):
        split_pairs(one, 0.5, 3)


def test_validation_pairs_that_stand_in_training_are_counted(tmp_path: Path) -> None:
    (tmp_path / "train.tsv").write_text("a\tb\nc\td\n")
    (tmp_path / "valid.tsv").write_text("a\tb\nx\ty\n")
    data = prepare((tmp_path / "train.tsv",), PairSettings(valid=(tmp_path / "valid.tsv",)))
    assert data.notes == {"validation pairs that also stand in training": 1}
    with pytest.raises(SettingsError, match="valid names 3 files, expected one of pairs or two aligned ones"):
        resolve(Settings, {"valid": ["a", "b", "c"]}, source="keyword")


@needs(FOLDER)
def test_real_files_that_are_not_aligned_give_both_counts_and_no_training() -> None:
    with pytest.raises(DataError, match=r"misaligned.en has 60 lines and misaligned.fr has 59") as caught:
        read(FOLDER / "misaligned.en", FOLDER / "misaligned.fr")
    assert "lacks a line near 3" in str(caught.value)


@needs(FOLDER)
def test_real_line_ends_and_encodings() -> None:
    assert len(read(FOLDER / "crlf_nel.en", FOLDER / "crlf_nel.fr")) == 10
    pairs = read(FOLDER / "latin1.fr", FOLDER / "latin1.fr")
    assert len(pairs) == 36
    assert pairs.remarks[0].startswith("latin1.fr read as Latin-1: byte 0x")


@needs(FOLDER)
def test_a_real_table_names_each_of_its_nine_odd_lines() -> None:
    pairs = read(FOLDER / "stray_tabs.tsv", bad_rows="skip")
    named = [line.split(" ")[1] for line in pairs.bad]
    assert named == ["6", "10", "14", "21", "28", "34"]
    notes = findings(pairs)
    assert notes["left out"].startswith("6 lines: line 6 has 1 columns")
    assert notes["translation equal to its source"] == "1 (line 42)"
    assert notes["a quotation mark that never closes"] == "1 (line 51)"
    assert notes["pairs that stand there already"] == "1 (line 56)"
    assert len(pairs) == 54
    assert len(read(FOLDER / "french_spaces.tsv")) == 150


@needs(FOLDER)
@pytest.mark.parametrize("name", ["three_languages.tmx", "tmx_utf16.tmx"])
def test_real_memories_of_three_languages_ask_which_two(name: str) -> None:
    with pytest.raises(DataError, match=r"holds the languages en-US, de-CH, it, expected two"):
        read(FOLDER / name)
    pairs = read(FOLDER / name, source_language="de", target_language="it")
    assert (pairs.source[0], pairs.target[0], len(pairs)) == ("Hallo", "Ciao", 3)
    assert pairs.remarks == [f"{name}: de-CH to it"]


PO = {
    "persian_zwnj.po": (80, "80 entries, 80 translated, 0 not, 0 fuzzy, 0 obsolete"),
    "hebrew_bidi_marks.po": (347, "348 entries, 347 translated, 1 not, 0 fuzzy, 0 obsolete"),
    "hindi.po": (49, "79 entries, 49 translated, 30 not, 0 fuzzy, 0 obsolete"),
    "latin9.po": (5, "5 entries, 5 translated, 0 not, 0 fuzzy, 0 obsolete"),
    "vertical_tab.po": (1, "1 entries, 1 translated, 0 not, 0 fuzzy, 0 obsolete"),
    "bom_unescaped_newline.po": (1, "1 entries, 1 translated, 0 not, 0 fuzzy, 0 obsolete"),
    "obsolete_previous.po": (1, "1 entries, 1 translated, 0 not, 0 fuzzy, 1 obsolete"),
    "weird_occurrences.po": (43, "47 entries, 43 translated, 4 not, 0 fuzzy, 0 obsolete"),
    "plurals.po": (2, "2 entries, 2 translated, 0 not, 0 fuzzy, 0 obsolete"),
    "escaped.po": (1, "1 entries, 1 translated, 0 not, 0 fuzzy, 0 obsolete"),
}


@needs(FOLDER)
@pytest.mark.parametrize("name", PO)
def test_real_catalogues_give_what_is_translated_and_count_the_rest(name: str) -> None:
    count, remark = PO[name]
    pairs = read(FOLDER / name)
    assert (len(pairs), pairs.remarks) == (count, [f"{name}: {remark}"])


@needs(FOLDER)
def test_what_real_catalogues_say() -> None:
    assert read(FOLDER / "plurals.po").target[0] == "bars"
    assert read(FOLDER / "escaped.po").source == ['escaped "foo"']
    assert "\v" in read(FOLDER / "vertical_tab.po").target[0]
    with pytest.raises(DataError, match=r"syntax_error.po line 5 has msgstr without msgid before it"):
        read(FOLDER / "syntax_error.po")
    with pytest.raises(DataError, match=r"fuzzy_header.po holds no pair of sentences"):
        read(FOLDER / "fuzzy_header.po")


XLIFF = {
    "xliff12.xlf": (
        2,
        "of 5 units left out: 1 without a target, 1 with an empty target, 1 marked needs-translation",
    ),
    "xliff12_two_files.xlf": (2, "of 4 units left out: 1 without a target, 1 with an empty target"),
    "xliff20.xlf": (3, ""),
    "xliff20_segments.xlf": (2, ""),
    "xliff_latin1.xlf": (2, ""),
    "xliff_doctype.xlf": (1, ""),
}


@needs(FOLDER)
@pytest.mark.parametrize("name", XLIFF)
def test_real_xliff_gives_its_translated_units(name: str) -> None:
    count, remark = XLIFF[name]
    pairs = read(FOLDER / name)
    assert (len(pairs), pairs.remarks) == (count, [f"{name}: {remark}"] if remark else [])


@needs(FOLDER)
def test_real_xliff_that_holds_nothing_or_is_broken_is_one_line() -> None:
    assert read(FOLDER / "xliff_latin1.xlf").target == ["bär", "föö"]
    for name, complaint in (
        ("xliff_broken.xlf", r"xliff_broken.xlf line 8, column \d+ is no XML .mismatched tag."),
        ("empty.xlf", r"empty.xlf line 1, column 1 is no XML .no element found."),
        ("xliff_needs_translation.xlf", r"holds no pair of sentences"),
    ):
        with pytest.raises(DataError, match=complaint):
            read(FOLDER / name)


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (
            'msgid "a"\nnonsense\n',
            r"m.po line 2 is 'nonsense', expected a comment, msgid, msgstr or a string",
        ),
        ('msgid "charset=ascii"\nmsgstr "ä"\n', r"m.po names the charset ascii, which its bytes are not in"),
        ('"a"\n', r"m.po line 1 is"),
    ],
)
def test_a_catalogue_that_is_none_is_one_line(tmp_path: Path, content: str, complaint: str) -> None:
    (tmp_path / "m.po").write_text(content)
    with pytest.raises(DataError, match=complaint):
        read(tmp_path / "m.po")


def test_fuzzy_entries_are_not_learnt(tmp_path: Path) -> None:
    (tmp_path / "m.po").write_text('#, fuzzy\nmsgid "a"\nmsgstr "x"\n\nmsgid "b"\nmsgstr ""\n"y\\n"\n"z"\n')
    pairs = read(tmp_path / "m.po")
    assert list(zip(pairs.source, pairs.target)) == [("b", "y\nz")]
    assert pairs.remarks == ["m.po: 2 entries, 1 translated, 0 not, 1 fuzzy, 0 obsolete"]


@needs(DATA / "translate" / "django_ui")
def test_placeholders_and_scripts_survive_the_way_through_byte_pairs() -> None:
    from congru.tasks.translate.tokens import make_vocabulary

    for language in ("fa", "th", "zh_Hans", "ar"):
        pairs = read(DATA / "translate" / "django_ui" / f"en-{language}.tsv.gz")
        vocabulary = make_vocabulary(pairs.target, "bpe", 600, 1, False)
        for text in pairs.target[:40]:
            assert vocabulary.decode(vocabulary.encode(text)) == vocabulary.clean(text)
