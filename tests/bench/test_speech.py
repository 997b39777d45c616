"""The measurement of speech: slots of orders, spreads, settings that exist, the stream of a model."""

from __future__ import annotations

from typing import Any

import pytest

from bench.speech import COMMON, SETTINGS, mean_and_spread, slots_of, spreads_of
from congru.tasks.speech.settings import Settings

VALUES = [("drink", "coffee"), ("drink", "iced coffee"), ("roast", "medium roast"), ("size", "medium"), ("milk", "milk"),
          ("milk", "a lot of skim milk")]  # fmt: skip


@pytest.mark.parametrize("name", SETTINGS)
def test_every_measurement_has_settings(name: str) -> None:
    assert Settings(**{**COMMON, **SETTINGS[name]}).quiet


@pytest.mark.parametrize(
    ("text", "slots"),
    [
        ("A MEDIUM ROAST ICED COFFEE", {"drink": "iced coffee", "roast": "medium roast"}),
        (
            "A MEDIUM COFFEE WITH A LOT OF SKIM MILK",
            {"size": "medium", "drink": "coffee", "milk": "a lot of skim milk"},
        ),
        ("", {}),
        ("A COFFEEPOT", {}),
    ],
)
def test_slots_are_the_longest_values_of_a_text(text: str, slots: dict[str, str]) -> None:
    assert slots_of(text, VALUES) == slots


def test_spreads_are_over_the_runs() -> None:
    runs: list[dict[str, Any]] = [{"steps": 1, "greedy": {"wer": w, "lm_weight": 1.0}} for w in (1.0, 3.0)]
    assert spreads_of(runs) == {"greedy": {"wer": {"mean": 2.0, "deviation": 1.414}}}
    assert mean_and_spread([2.0])["deviation"] == 0.0
