"""Comparisons: equal budget, equal size, interleaved seeds, and a table that can be continued."""

from __future__ import annotations

import html
import json
import re
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from toy import ToyLearner, ToySettings

from congru.errors import RunFolderError, SettingsError
from congru.gates.reading import Reading
from congru.train import compare as compare_module
from congru.train.compare import Comparison, Row, compare, hidden_for_parameters
from congru.train.comparison import Seen, verdict_lines, write_page
from congru.train.interrupt import TrainingInterrupted
from congru.train.resolve import resolve
from congru.train.settings import TrainSettings
from gates_cases import random_trace

CELLS = ("gru", "lstm", "rnn")


def make_learner(data: Any, /, *, settings: ToySettings) -> ToyLearner:
    assert data == "waves"
    return ToyLearner(settings)


def settings(out: Path, **changes: Any) -> ToySettings:
    return ToySettings(
        steps=8, evaluations=2, threads=1, learning_rate=0.02, hidden_size=12, out=out, **changes
    )


@pytest.mark.parametrize("target", [1, 33, 169, 400, 1000, 5000])
def test_the_width_is_the_closest_of_all(target: int) -> None:
    counts = {h: sum(p.numel() for p in nn.LSTM(1, h).parameters()) for h in range(1, 60)}
    best = min(counts, key=lambda h: (abs(counts[h] - target), h))
    assert hidden_for_parameters(lambda width: nn.LSTM(1, width), target) == best


def test_modules_are_built_without_memory_or_random_numbers() -> None:
    devices: set[str] = set()

    def build(width: int) -> nn.Module:
        module = nn.Linear(1000, width)
        devices.add(module.weight.device.type)
        return module

    before = torch.get_rng_state()
    assert hidden_for_parameters(build, 10_010_000) == 10_000
    assert devices == {"meta"}
    assert torch.equal(torch.get_rng_state(), before)


def test_cells_are_compared_at_equal_parameters_with_interleaved_seeds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    order: list[tuple[str, int]] = []
    fit = compare_module.fit

    def watched(learner: Any, own: Any, **keywords: Any) -> Any:
        order.append((own.cell, own.seed))
        return fit(learner, own, **keywords)

    monkeypatch.setattr(compare_module, "fit", watched)
    printed: list[str] = []
    out = tmp_path / "compared"
    result = compare(make_learner, ["waves"], settings(out), CELLS, (0, 1), say=printed.append)
    assert order == [("gru", 0), ("lstm", 0), ("rnn", 0), ("lstm", 1), ("rnn", 1), ("gru", 1)]
    assert [row.cell for row in result.rows] == list(CELLS)
    assert result.rows[0].hidden_size == 12
    counts = [row.num_parameters for row in result.rows]
    assert max(counts) / min(counts) < 1.1
    assert len({row.hidden_size for row in result.rows}) == 3
    for row in result.rows:
        assert row.steps == 8
        assert row.mean == pytest.approx(sum(row.values) / 2)
        assert row.spread == pytest.approx(abs(row.values[0] - row.values[1]) / 2**0.5)
        assert row.seconds > 0
    assert printed[0] == f"gru seed 0: mse {result.rows[0].values[0]:.4f}, 8 steps"
    assert json.loads((out / "compare.json").read_text())["rows"][2]["values"] == result.rows[2].values
    lines = result.table().splitlines()
    assert lines[0].split() == ["cell", "mse", "spread", "parameters", "hidden", "steps", "time"]
    best = min(result.rows, key=lambda row: row.mean)
    assert lines[1].startswith(best.cell)
    assert lines[-1].split() == ["zero", f"{result.baselines['zero']:.4f}"]


def test_equal_width_and_one_seed(tmp_path: Path) -> None:
    result = compare(make_learner, ["waves"], settings(tmp_path), ("gru", "rnn"), (3,), match="hidden")
    assert [row.hidden_size for row in result.rows] == [12, 12]
    assert [row.spread for row in result.rows] == [None, None]


def test_an_interrupted_comparison_is_continued(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = compare(make_learner, ["waves"], settings(tmp_path / "whole"), ("gru", "rnn"), (0,))
    out = tmp_path / "parts"
    fit = compare_module.fit

    def stop_before_rnn(learner: Any, own: Any, **keywords: Any) -> Any:
        if own.cell == "rnn":
            raise TrainingInterrupted("congru train ...")
        return fit(learner, own, **keywords)

    monkeypatch.setattr(compare_module, "fit", stop_before_rnn)
    printed: list[str] = []
    with pytest.raises(TrainingInterrupted) as caught:
        compare(make_learner, ["waves"], settings(out), ("gru", "rnn"), (0,), say=printed.append)
    line = f"congru compare toy waves --out {out} --resume --cells gru rnn --seeds 0 --match parameters"
    assert str(caught.value) == line
    assert printed[-1] == f"interrupted, saved; to continue:\n  {line}"
    monkeypatch.undo()
    with pytest.raises(RunFolderError, match="holds files already"):
        compare(make_learner, ["waves"], settings(out), ("gru", "rnn"), (0,))
    resumed, _ = resolve(ToySettings, {"out": out, "resume": True})
    parts = compare(make_learner, ["waves"], resumed, ("gru", "rnn"), (0,))
    assert [row.values for row in parts.rows] == [row.values for row in whole.rows]


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"cells": ()}, "cells is [], expected one or more different ones: change --cells"),
        ({"seeds": (1, 1)}, "seeds is [1, 1], expected one or more different ones: change --seeds"),
        ({"match": "time"}, "match is 'time', expected 'parameters' or 'hidden': change --match"),
        (
            {"settings": TrainSettings()},
            "settings are TrainSettings, expected a field cell: compare another task",
        ),
    ],
)
def test_what_cannot_be_compared_is_one_line(
    changes: dict[str, Any], expected: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    keywords = {"settings": ToySettings(), "cells": CELLS, "seeds": (0,), **changes}
    with pytest.raises(SettingsError) as caught:
        compare(make_learner, ["waves"], **keywords)
    assert str(caught.value) == expected


def compared(
    means: dict[str, tuple[float, float]], steps: dict[str, float], folder: Path = Path("f")
) -> Comparison:
    rows = [
        Row(cell, 8, 100, mean, spread, [mean, mean], 2.0, steps[cell], [str(folder / f"{cell}-seed0")] * 2)
        for cell, (mean, spread) in means.items()
    ]
    return Comparison("toy", "mse", True, "parameters", [0, 1], rows, {"zero": 1.0, "last value": 0.6})


def test_the_verdict_of_a_comparison_counts_the_spread_and_the_steps() -> None:
    same = {"gru": 100.0, "lstm": 105.0}
    draw = verdict_lines(compared({"gru": (0.5, 0.02), "lstm": (0.52, 0.01)}, same))
    assert draw[0].startswith(
        "Best is the GRU: mse 0.5000 ± 0.0200, at equal parameters, 2 seeds, on the validation"
    )
    assert draw[0].endswith(
        "The LSTM follows at 0.5200; that is within the spread of the seeds: call it a draw."
    )
    assert "the GRU beats last value by 17 %" in draw[1]
    assert len(draw) == 2
    won = verdict_lines(compared({"gru": (0.5, 0.01), "lstm": (0.4, 0.01)}, {"gru": 100.0, "lstm": 60.0}))
    assert won[0].startswith("Best is the LSTM")
    assert "more than twice the spread" in won[0]
    assert won[2].startswith("Equal time gave unequal steps (LSTM 60, GRU 100)")


def test_the_page_of_a_comparison(tmp_path: Path) -> None:
    result = compare(
        make_learner, ["waves"], settings(tmp_path / "c"), ("gru", "rnn"), (0, 1), origin={"steps": "flag"}
    )
    seen = {
        cell: Seen(random_trace(cell, T=6), Reading(None, list("abcdef"), step="day", target=1))
        for cell in ("gru", "rnn")
    }
    page = write_page(result, tmp_path / "c", seen).read_text(encoding="utf-8")
    titles = re.findall("<h2>(.*?)</h2>", page)
    assert titles == [
        "Verdict", "Curves", "Who remembers how far", "The same input, their gates", "What to type next",
    ]  # fmt: skip
    assert page.count('<img class="strip" alt="') == 2
    assert "GRU: keep" in page
    assert "plain RNN: state" in page
    assert page.count("<svg") == 2
    assert "days back" in page
    written = (tmp_path / "c" / "gru-seed0" / "config.yaml").read_text()
    assert "steps: 8  # flag" in written
    assert "cell: gru  # compare" in written
    assert write_page(result, tmp_path / "c", {}).read_text(encoding="utf-8").count("<h2>") == 3


@pytest.mark.parametrize("room", [130, 46])
@pytest.mark.parametrize(
    "labels",
    [
        [f"Fri {day} Oct" for day in range(1, 33)],
        [str(number) for number in range(1, 17)],
        list("the quick brown fox jumps over the lazy dog " * 3),
        ["C4 E4 G4 C5 and more of it"] * 200,
        ["one"],
    ],
)
def test_labels_under_the_gates_do_not_overlap(labels: list[str], room: int) -> None:
    """In characters of the width they are drawn for: none begins before the one before it has ended, none is cut off."""
    from congru.train.comparison import _ticks

    ticks = re.findall(r"left:([\d.]+)%\">([^<]+)<", _ticks(labels, room))
    assert ticks
    ends = 0.0
    for left, text in ticks:
        begins = float(left) / 100 * room
        assert begins >= ends - 0.1
        ends = begins + len(html.unescape(text))
    assert ends <= room + 0.1
