"""Reading text: one file, a folder, what is passed over, and every way it can be unusable."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from congru.data.text import read_text
from congru.errors import DataError


def test_a_file_is_read_exactly(tmp_path: Path) -> None:
    path = tmp_path / "poem"
    content = "Grüße,\r\n\tzwei Zeilen\n".encode()
    path.write_bytes(content)
    corpus = read_text(path)
    assert corpus.text == "Grüße,\r\n\tzwei Zeilen\n"
    assert corpus.source == str(path)
    assert [file.sha256 for file in corpus.files] == [hashlib.sha256(content).hexdigest()]
    assert corpus.files[0].num_bytes == len(content)
    assert corpus.skipped == ()


def test_a_byte_order_mark_is_no_character(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes(b"\xef\xbb\xbfabc")
    assert read_text(path).text == "abc"


def test_a_folder_is_read_in_order_and_says_what_it_passed_over(tmp_path: Path) -> None:
    (tmp_path / "b").mkdir()
    (tmp_path / ".git").mkdir()
    (tmp_path / "b" / "z.md").write_text("three")
    (tmp_path / "c.TXT").write_text("four\n")
    (tmp_path / "a.txt").write_text("one")
    (tmp_path / "a2.txt").write_text("two\n")
    (tmp_path / ".git" / "x.txt").write_text("never")
    (tmp_path / ".hidden.txt").write_text("never")
    (tmp_path / "empty.txt").write_text("")
    (tmp_path / "picture.png").write_bytes(b"\x89PNG\xff")
    (tmp_path / "README").write_text("never")
    corpus = read_text(tmp_path)
    assert corpus.text == "one\ntwo\nthree\nfour\n"
    assert [Path(file.path).name for file in corpus.files] == ["a.txt", "a2.txt", "z.md", "c.TXT"]
    assert {Path(path).name: reason for path, reason in corpus.skipped} == {
        ".hidden.txt": "hidden",
        "README": "no suffix",
        "empty.txt": "empty",
        "picture.png": "suffix .png",
    }


def message(path: Path) -> str:
    with pytest.raises(DataError) as caught:
        read_text(path)
    text = str(caught.value)
    assert "\n" not in text
    return text


def test_empty_file(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes(b"")
    assert message(path) == f"{path} is empty, expected text: choose another file"


def test_only_a_byte_order_mark_is_empty_too(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes(b"\xef\xbb\xbf")
    assert "is empty" in message(path)


def test_nothing_there(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    assert message(path) == (
        f"{path} cannot be read (no such file or directory), expected a text file or a folder: check the path"
    )


def test_folder_of_nothing(tmp_path: Path) -> None:
    assert message(tmp_path) == (
        f"{tmp_path} holds no file, expected at least one text file that is not empty"
        " (.txt, .md, .py, ...): choose another folder, or name a file"
    )
    (tmp_path / "a.png").write_bytes(b"x")
    (tmp_path / "b.txt").write_bytes(b"")
    assert "holds 2 other files" in message(tmp_path)


def test_bytes_that_are_not_utf8_are_named(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes(b"caf\xe9 noir")
    assert message(path) == (
        f"{path} line 1, byte 3: b'\\xe9' is not UTF-8, expected UTF-8 text: convert it, for example with"
        f" iconv -f latin1 -t utf-8 {path} > {path.with_name('a-utf8.txt')}"
    )
    path.write_bytes(b"it\x92s")
    assert "iconv -f cp1252" in message(path)
    path.write_bytes(b"%PDF-1.4\n%\xe2\xe3")
    assert "it is a PDF file, expected UTF-8 text: take its text out" in message(path)
    path.write_bytes("hé".encode("utf-16"))
    assert "byte 0" in message(path)
    assert "iconv -f utf-16" in message(path)


def test_a_folder_with_one_bad_file_names_it(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("good")
    (tmp_path / "b.txt").write_bytes(b"\xff")
    assert message(tmp_path).startswith(f"{tmp_path / 'b.txt'} line 1, byte 0")


def test_a_folder_never_reads_its_own_results(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("mine")
    for name, file, content in (
        ("run", "config.yaml", "seed: 0  # default\n"),
        ("model", "config.json", '{"format": "congru-model"}'),
    ):
        (tmp_path / name).mkdir()
        (tmp_path / name / file).write_text(content)
        (tmp_path / name / "log.txt").write_text("theirs")
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "config.yaml").write_text("seed: 1\n")
    corpus = read_text(tmp_path)
    assert corpus.text == "mine\nseed: 1\n"
    results = [(str(tmp_path / name), "a folder of results") for name in ("model", "run")]
    assert list(corpus.skipped) == results


def test_a_text_set_is_read_by_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "text" / "tinyshakespeare").mkdir(parents=True)
    (tmp_path / "text" / "tinyshakespeare" / "input.txt").write_text("First Citizen:")
    monkeypatch.setenv("CONGRU_DATA", str(tmp_path))
    corpus = read_text("tinyshakespeare")
    assert corpus.text == "First Citizen:"
    assert corpus.files[0].path == "tinyshakespeare/input.txt"
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tinyshakespeare").write_text("a file of that name wins")
    assert read_text("tinyshakespeare").text == "a file of that name wins"
