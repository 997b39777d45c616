"""The budget chooses the size: by times that are told, and in one short run."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import pytest

from congru.tasks.forecast.settings import SIZES as FORECAST_SIZES
from congru.tasks.forecast.settings import Settings as ForecastSettings
from congru.tasks.registry import TASKS
from congru.tasks.text.learner import TextLearner
from congru.tasks.text.settings import SIZES as TEXT_SIZES
from congru.tasks.text.settings import Settings as TextSettings
from congru.train.resolve import resolve
from congru.train.sizing import Size, choose, is_open

WIDE, MIDDLE, SMALL = SIZES = (
    Size({"hidden_size": 512}, 1000),
    Size({"hidden_size": 256}, 1500),
    Size({"hidden_size": 64}, 5000),
)


@pytest.mark.parametrize(("step_seconds", "taken"), [(0.2, WIDE), (0.269, WIDE), (0.3, MIDDLE), (0.4, SMALL)])
def test_the_largest_size_that_has_its_updates_is_taken(step_seconds: float, taken: Size) -> None:
    asked: list[Size] = []

    def seconds(size: Size) -> float:
        asked.append(size)
        return step_seconds * size.settings["hidden_size"] / 512

    choice = choose(SIZES, seconds, 300.0)  # 270 of them for training
    assert choice.size is taken
    assert asked == list(SIZES[: SIZES.index(taken) + 1]), "no smaller one is timed"


def test_the_reason_names_every_size_that_was_too_large() -> None:
    reason = choose(SIZES, lambda size: 10.0, 60.0).reason
    assert reason == (
        "hidden size 64: 10 s a step, about 5 updates in 1 min (hidden size 512 would make 5 of the 1,000 it wants;"
        " hidden size 256 would make 5 of the 1,500 it wants)"
    )


@pytest.mark.parametrize(
    ("keywords", "is_chosen"),
    [
        ({"minutes": 5}, True),
        ({}, True),  # ten minutes are the default of text
        ({"minutes": 5, "learning_rate": 1e-3, "num_layers": 2}, True),
        ({"minutes": 5, "hidden_size": 512}, False),
        ({"minutes": 5, "batch_size": 8}, False),
        ({"minutes": 5, "chunk": 32}, False),
        ({"steps": 5}, False),
        ({"epochs": 1}, False),
    ],
)
def test_a_word_of_the_user_about_the_size_or_another_budget_stands(
    keywords: dict[str, Any], is_chosen: bool
) -> None:
    settings, origin = resolve(TextSettings, keywords)
    assert is_open(settings, origin, TEXT_SIZES) is is_chosen
    assert not is_open(settings, origin, ())
    assert not is_open(settings, {}, TEXT_SIZES), "settings whose origin nobody told stay"


@pytest.mark.parametrize(
    ("sizes", "settings"), [(TEXT_SIZES, TextSettings), (FORECAST_SIZES, ForecastSettings)]
)
def test_the_first_size_is_the_default_and_every_next_is_smaller(sizes: Any, settings: Any) -> None:
    defaults = settings()
    assert all(getattr(defaults, name) == value for name, value in sizes[0].settings.items())
    for larger, smaller in itertools.pairwise(sizes):
        assert larger.settings.keys() == smaller.settings.keys()
        assert larger.updates <= smaller.updates
        assert all(larger.settings[name] >= smaller.settings[name] for name in larger.settings)


def test_a_run_trains_in_the_size_that_was_chosen_and_says_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    text = tmp_path / "text.txt"
    text.write_text("the quick brown fox jumps over the lazy dog. " * 120)
    small = Size({"hidden_size": 8, "batch_size": 2, "chunk": 16}, 1)
    monkeypatch.setattr(
        TextLearner, "sizes", (Size({"hidden_size": 16, "batch_size": 4, "chunk": 16}, 10**9), small)
    )
    out = tmp_path / "run"
    result = TASKS["text"].train(str(text), settings={"minutes": 0.002, "out": out, "evaluations": 1})
    config, log = (out / "config.yaml").read_text(), (out / "log.txt").read_text()
    assert "hidden_size: 8  # budget" in config
    assert "batch_size: 2  # budget" in config
    assert "the budget chose hidden size 8, batch size 2, chunk 16: " in log
    assert "hidden size 16, batch size 4, chunk 16 would make " in log
    assert "the budget chose hidden size 8" in capsys.readouterr().out
    assert result.num_parameters == 8 * 28 + 3 * 8 * (8 + 8 + 2) + 28 * 9
    settings, origin = resolve(TextSettings, {"config": out / "config.yaml", "out": tmp_path / "again"})
    assert not is_open(settings, origin, TextLearner.sizes), "its settings given again are taken as they are"
    settings, origin = resolve(TextSettings, {"resume": True, "out": out})
    assert settings.hidden_size == 8
    assert not is_open(settings, origin, TextLearner.sizes)
