"""`congru bench memory` as a user meets it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from congru.cli.main import main

WORDS = [
    "bench",
    "memory",
    "--lags",
    "8",
    "12",
    "--steps",
    "2",
    "--hidden-size",
    "4",
    "--learning-rates",
    "0.01",
]


def run(*words: str) -> int:
    with pytest.raises(SystemExit) as stop:
        main(words)
    assert isinstance(stop.value.code, int)
    return stop.value.code


def test_it_prints_a_table_and_writes_every_figure(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "memory.json"
    assert run(*WORDS, "--cells", "gru,rnn", "--seeds", "0", "1", "--out", str(out)) == 0
    printed = capsys.readouterr()
    for word in ("gru", "rnn", "remembers nothing", "lag 8", "lag 12", "0.16667"):
        assert word in printed.out
    assert "rate 0.01" in printed.err
    held = json.loads(out.read_text())
    assert [(r["cell"], r["lag"], r["seed"]) for r in held["runs"]] == [
        (cell, lag, seed) for cell in ("gru", "rnn") for lag in (8, 12) for seed in (0, 1)
    ]
    assert held["settings"]["steps"] == 2


def test_json_is_all_that_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(*WORDS, "--task", "copy", "--init", "chrono", "--cells", "gru", "--json") == 0
    held = json.loads(capsys.readouterr().out)
    assert held["settings"]["init"] == "chrono"
    assert len(held["runs"]) == 2


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["--task", "addin"], "task is 'addin', expected 'adding' or 'copy': did you mean adding?"),
        (["--lags", "0"], "lags holds 0, expected 1 or more: change --lags"),
        (["--cells", "gru", "grru"], "cells holds 'grru', expected gru, lstm, rnn, mingru: change --cells"),
        (["--init", "chrono"], "cells holds 'rnn', expected gated cells for init 'chrono'"),
        (["--steps", "2", "--minutes", "1"], "expected one budget: give only one of them"),
        (
            ["--out", "no/such/folder.json"],
            "out is 'no/such/folder.json', expected a file in a folder that exists",
        ),
    ],
)
def test_wrong_input_is_one_line(words: list[str], line: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("bench", "memory", *words) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert line in printed.err
    assert printed.err.count("\n") == 1
