"""The space of a sweep: what it may hold, and one line for whatever it may not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from congru.errors import SettingsError
from congru.sweep.pictures import height
from congru.sweep.space import Dimension, make_space, read_space, to_yaml
from congru.tasks.registry import TASKS
from congru.train.settings import ModelSettings

WRONG = [
    (
        {"lerning_rate": [0.1]},
        "lerning_rate is [0.1], expected a known setting: did you mean learning_rate?",
        {"learning_rate": [0.1]},
    ),
    (
        {"seed": [1, 2]},
        "seed is [1, 2], expected a setting that may differ between trials: leave it out",
        {},
    ),
    ({"epochs": [1, 2]}, "epochs is [1, 2], expected a setting that may differ between trials", {}),
    (
        {"dropout": {"low": 0.0, "high": 1.0}},
        "dropout is 1.0, expected less than 1",
        {"dropout": {"low": 0.0, "high": 0.9}},
    ),
    (
        {"cell": ["gru", "gur"]},
        "cell is 'gur', expected 'gru', 'lstm', 'rnn' or 'mingru': did you mean gru?",
        {"cell": ["gru", "rnn"]},
    ),
    (
        {"cell": {"low": 1, "high": 2}},
        "cell is {'low': 1, 'high': 2}, expected a list, it is no number",
        {"cell": ["gru"]},
    ),
    (
        {"hidden_size": 32},
        "hidden_size is 32, expected a list of choices, or a mapping with low and high",
        {"hidden_size": [32]},
    ),
    (
        {"hidden_size": {"low": 64, "high": 32}},
        "hidden_size.low is 64, expected less than high, 32",
        {"hidden_size": {"low": 32, "high": 64}},
    ),
    (
        {"hidden_size": {"low": 8.5, "high": 32}},
        "hidden_size.low is 8.5, expected a whole number",
        {"hidden_size": {"low": 8, "high": 32}},
    ),
    (
        {"learning_rate": {"low": "fast", "high": 1}},
        "learning_rate.low is 'fast', expected a number",
        {"learning_rate": {"low": "1e-3", "high": 1}},
    ),
    (
        {"weight_decay": {"low": 0, "high": 1, "log": True}},
        "weight_decay.log is True, expected true or false, where low is 0",
        {"weight_decay": {"low": 0.1, "high": 1, "log": True}},
    ),
    (
        {"hidden_size": {"low": 8, "high": 32, "step": 40}},
        "hidden_size.step is 40, expected more than 0 and at most 24",
        {"hidden_size": {"low": 8, "high": 32, "step": 8}},
    ),
    ({"hidden_size": [8, 8]}, "hidden_size is [8, 8], expected different choices", {"hidden_size": [8, 9]}),
]


@pytest.mark.parametrize(("raw", "complaint", "mended"), WRONG)
def test_a_wrong_space_is_one_line_and_its_fix_works(
    raw: dict[str, Any], complaint: str, mended: dict[str, Any]
) -> None:
    with pytest.raises(SettingsError) as caught:
        make_space(ModelSettings(), raw, "space.yaml")
    assert str(caught.value).startswith(f"space.yaml: {complaint}")
    assert "\n" not in str(caught.value)
    assert len(make_space(ModelSettings(), mended)) == len(mended)


def test_a_file_that_is_no_space_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"no such file or directory.*leave it out"):
        read_space(tmp_path / "none.yaml")
    for text, complaint in (("- 1", "holds no settings"), ("", "holds no settings"), ("a: [", "not YAML")):
        (tmp_path / "space.yaml").write_text(text)
        with pytest.raises(SettingsError, match=complaint):
            read_space(tmp_path / "space.yaml")


@pytest.mark.parametrize("task", sorted(TASKS))
def test_every_task_has_a_default_space_that_its_file_repeats(task: str, tmp_path: Path) -> None:
    settings = TASKS[task].settings()
    raw = settings.default_space()
    space = make_space(settings, raw)
    assert {"learning_rate", "hidden_size"} <= {dimension.name for dimension in space}
    (tmp_path / "space.yaml").write_text(to_yaml(raw))
    assert make_space(settings, read_space(tmp_path / "space.yaml")) == space


@pytest.mark.parametrize("log", [False, True])
def test_a_value_lies_between_the_ends_of_its_axis(log: bool) -> None:
    dimension = Dimension("rate", low=1e-6, high=1.0, log=log)
    heights = [height(dimension, value) for value in (1e-6, 1e-5, 0.3, 1.0)]
    assert heights == sorted(heights)
    assert (heights[0], heights[-1]) == (0.0, 1.0)
    assert dimension.label(0.3) == 0.3
    with pytest.raises(ValueError, match=r"2\.0"):
        dimension.label(2.0)


def test_lists_are_choices_too() -> None:
    (channels,) = make_space(TASKS["video"].settings(), {"channels": [[8, 16], [16, 32, 32]]})
    assert channels.value(channels.label([16, 32, 32])) == [16, 32, 32]
