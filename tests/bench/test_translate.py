"""The measurement of translators: parts share no sentence, slices go on where they ended, the record holds what it claims."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

import bench.translate as bench

TINY: dict[str, Any] = {
    "hidden_size": 8,
    "embedding_size": 8,
    "vocab_size": 300,
    "batch_size": 8,
    "evaluations": 1,
    "bleu_tokenize": "none",
    "threads": 1,
    "quiet": True,
    "precision": "float32",
}


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "translate" / "multi30k" / "tok"
    folder.mkdir(parents=True)
    nouns = {"hund": "dog", "mann": "man", "ball": "ball", "baum": "tree"}
    pairs = [(f"ein {a} und ein {b}", f"a {nouns[a]} and a {nouns[b]}") for a in nouns for b in nouns]
    for part in ("train", "val", "test_2016_flickr"):
        for side, sentences in zip(("de", "en"), zip(*pairs)):
            content = gzip.compress(("\n".join(sentences) + "\n").encode())
            (folder / f"{part}.lc.norm.tok.{side}.gz").write_bytes(content)
    monkeypatch.setenv("CONGRU_DATA", str(tmp_path))
    monkeypatch.setattr(bench, "ALPHAS", (0.6,))
    monkeypatch.setattr(bench, "STREAMED", 2)
    monkeypatch.setattr(bench, "speed", lambda *_: {"greedy_single": 1.0})
    return tmp_path


def call(monkeypatch: pytest.MonkeyPatch, name: str, folder: Path, *more: str) -> None:
    words = [
        "bench.translate",
        name,
        "--runs",
        str(folder / "runs"),
        "--folder",
        str(folder / "results"),
        *more,
    ]
    monkeypatch.setattr("sys.argv", words)
    bench.main()


def test_a_run_ends_in_a_record_with_baselines_and_bleu_by_length(
    data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(bench.SETTINGS, "multi30k", {**TINY, "steps": 6})
    call(monkeypatch, "multi30k", data)
    record = json.loads((data / "results" / "translate_multi30k.json").read_text())
    assert set(record["baselines"]) >= {
        "word for word (measured)",
        "source as it is (measured)",
        "GRU and attention",
    }
    figures = record["figures"]
    assert sum(row["sentences"] for row in figures["by_length"]) == figures["test_sentences"] == 16
    assert figures["signatures"][0].startswith("BLEU nrefs:1|case:mixed|eff:no|tok:none")
    assert figures["slices"] == 1
    assert figures["streamed"]["sentences"] == 2
    assert 0 < figures["streamed"]["share_read"] <= 1
    assert figures["steps"] == 6


def test_a_slice_that_ends_early_is_gone_on_with(
    data: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(bench.SETTINGS, "multi30k", {**TINY, "steps": 20_000})
    call(monkeypatch, "multi30k", data, "--slice", "1.5")
    assert "not over yet, call again" in capsys.readouterr().out
    status = json.loads((data / "runs" / "multi30k" / "status.json").read_text())
    assert status["state"] == "interrupted"
    call(monkeypatch, "multi30k", data, "--slice", "1.5")
    assert json.loads((data / "runs" / "multi30k" / "status.json").read_text())["step"] > status["step"]
    assert bench.spent(data / "runs" / "multi30k")["slices"] == 2


def test_cells_are_measured_run_by_run(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(bench.SETTINGS, "cells", {**TINY, "steps": 2})
    call(monkeypatch, "cells", data)
    figures = json.loads((data / "results" / "translate_cells.json").read_text())["figures"]
    for cell in ("gru", "lstm", "rnn"):
        assert len(figures[cell]["runs"]) == 2
        assert abs(figures[cell]["parameters"] / figures["gru"]["parameters"] - 1) < 0.1


def test_parts_of_a_table_share_no_source_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(bench.TEST, "tatoeba", 5)
    lines = [f"s{k}\tt{k}{version}\n" for k in range(2000) for version in "ab"]
    (tmp_path / "fra.txt.gz").write_bytes(gzip.compress("".join(lines).encode()))
    parts = bench.tatoeba(tmp_path / "fra.txt.gz", tmp_path / "parts")
    sources = {
        part: {line.split("\t")[0] for line in files[0].read_text().splitlines()}
        for part, files in parts.items()
    }
    assert [len(sources[part]) for part in ("test", "valid", "train")] == [5, 1000, 995]
    assert not sources["test"] & sources["train"]
    assert not sources["valid"] & sources["train"]
    texts, references = bench.held_sentences(parts["test"], bench.Settings())
    assert len(texts) == 5
    assert all(len(one) == 2 for one in references)
