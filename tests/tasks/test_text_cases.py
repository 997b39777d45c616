"""Texts that people really have: what `congru train text` learns from each of the awkward files, or its one line."""

from __future__ import annotations

import json
import math
import re
from pathlib import Path
from typing import Any

import pytest

import congru
from congru.data.text import read_text
from congru.errors import CongruError, DataError
from shared_files import CASES, needs

FOLDER = CASES / "forecast"
pytestmark = needs(FOLDER)

TINY: dict[str, Any] = {
    "steps": 1,
    "evaluations": 1,
    "hidden_size": 8,
    "embedding_size": 8,
    "batch_size": 4,
    "chunk": 16,
    "threads": 1,
    "quiet": True,
}
LEARNT = {  # file -> characters that it has
    "text-bom.txt": 38,
    "text-chinese-many-symbols.txt": 545,
    "text-crlf.txt": 39,
    "text-emoji-combining.txt": 15,
    "text-names-no-space.txt": 23,
    "text-no-newline-no-space.txt": 4,
    "text-nul-bytes.txt": 39,
}


@pytest.mark.parametrize("name", LEARNT)
def test_a_text_is_learnt_beside_a_finite_baseline(name: str, tmp_path: Path) -> None:
    result = congru.tasks.text.train(FOLDER / name, **TINY, out=tmp_path / "run")
    assert len(set(read_text(FOLDER / name).text)) == LEARNT[name]
    values = {**result.baselines, "best": result.best}
    assert "5-gram" in values
    assert all(value is not None and 0 < value < 20 and math.isfinite(value) for value in values.values())
    for path in (tmp_path / "run").glob("*.json"):
        json.loads(path.read_text(), parse_constant=pytest.fail)


@pytest.mark.parametrize("name", ["text-no-newline-no-space.txt", "text-chinese-many-symbols.txt"])
def test_byte_pairs_of_a_text_without_spaces(name: str, tmp_path: Path) -> None:
    congru.tasks.text.train(
        FOLDER / name, **{**TINY, "chunk": 8}, tokens="bpe", vocab_size=300, out=tmp_path / "run"
    )
    text = read_text(FOLDER / name).text[:200]
    tokenizer = congru.load(tmp_path / "run").tokenizer
    assert tokenizer.decode(tokenizer.encode(text)) == text


REFUSED = {
    "text-aaaa.txt": r"holds one distinct character \('a'\), expected at least two",
    "text-latin1.txt": "line 1, byte 5: .*iconv -f latin1 -t utf-8",
    "text-mac-roman-quote-0x92.txt": "byte 162: .*iconv -f cp1252 -t utf-8",
    "text-utf16.txt": "byte 0: .*iconv -f utf-16 -t utf-8",
    "text-pdf-renamed.txt": "it is a PDF file, expected UTF-8 text: .*pdftotext",
    "text-tiny.txt": r"has 21 training characters, expected at least .*: add text, or pass --batch-size (\d+) --chunk (\d+)",
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_refused_is_one_line_with_a_fix_that_works(name: str, tmp_path: Path) -> None:
    path = FOLDER / name
    with pytest.raises(CongruError) as caught:
        congru.tasks.text.train(path, **TINY, out=tmp_path / "run")
    line = str(caught.value)
    assert "\n" not in line
    shown = re.search(REFUSED[name], line)
    assert shown, line
    assert not (tmp_path / "run").exists()
    if "iconv" in line:
        encoding = line.split("iconv -f ")[1].split()[0]
        other = tmp_path / "other.txt"
        other.write_text(path.read_bytes().decode(encoding), encoding="utf-8")
        text = read_text(other).text
        assert text.isprintable() or "\n" in text
        assert "\ufffd" not in text
    if shown.groups():
        sizes = {"batch_size": int(shown[1]), "chunk": int(shown[2])}
        congru.tasks.text.train(path, **{**TINY, **sizes}, out=tmp_path / "run")


def test_a_folder_with_a_bad_text_names_it(tmp_path: Path) -> None:
    (tmp_path / "good.txt").write_text("good")
    (tmp_path / "latin1.txt").write_bytes((FOLDER / "text-latin1.txt").read_bytes())
    with pytest.raises(DataError, match=r"latin1\.txt line 1, byte 5"):
        read_text(tmp_path)
