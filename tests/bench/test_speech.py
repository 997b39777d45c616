"""The measurement of speech: slots of orders, spreads, settings that exist; rows of its table."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import bench.speech
from bench.orders import slots_of
from bench.speech import (
    COMMON,
    SETTINGS,
    SPEAKERS,
    baselines_of,
    each_left_out,
    mean_and_spread,
    orders_together,
    spreads_of,
)
from bench.speech_tables import row_of_all, rows_of
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
    assert spreads_of(runs) == {"greedy": {"wer": {"mean": 2.0, "deviation": 1.4142}}}
    assert mean_and_spread([{"wer": 2.0}], "wer")["deviation"] == 0.0


def test_a_run_with_speakers_left_out_is_their_mean(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    right = dict(zip(SPEAKERS, (90.0, 100.0, 80.0, 90.0, 90.0, 90.0), strict=True))

    def digits(seed: int, folder: Path, left_out: str | None) -> dict[str, Any]:
        assert left_out is not None
        return {"accuracy": right[left_out], "accuracy_without_list": 50.0, "cpu_seconds": 2.0}

    monkeypatch.setattr(bench.speech, "digits", digits)
    run = each_left_out(0, tmp_path)
    assert (run["accuracy"], run["accuracy_without_list"], run["cpu_seconds"]) == (90.0, 50.0, 12.0)
    assert spreads_of([run])["left out"]["lucas"]["accuracy"] == {"mean": 80.0, "deviation": 0.0}


def test_accuracies_stand_beside_accuracies() -> None:
    assert baselines_of("speakers") == {"the same digit always": 10.0}
    assert baselines_of("both") == baselines_of("an4")
    assert baselines_of("yesno") == {"nothing": 100.0}


def test_a_row_says_what_its_baselines_are() -> None:
    rate = {"mean": 9.0, "deviation": 0.0}
    rows = rows_of("digits", {"accuracy": rate}, [{"cpu_seconds": 3.0}], {"the same": 10.0})
    assert rows == [["digits", "one word of ten", "", "", "**9.0**", "1", "the same 10.0 % right", "3 s"]]
    errors = {"greedy": {"wer": rate, "cer": rate, "exact": rate}}
    rows = rows_of("orders", {**errors, "trigram": errors["greedy"]}, [{}], {"nothing": 100.0})
    assert [row[6:] for row in rows] == [["WER: nothing 100.0", "not recorded"], ["as above", "not recorded"]]


def test_all_networks_together_have_a_row() -> None:
    rates = {"wer": 9.0, "cer": 4.0, "exact": 40.0, "slots": 91.0}
    row = row_of_all({"members": {"barista-0": {}, "barista_both-0": {}}, "all": rates})
    assert row[:5] == [
        "coffee orders, these 2 networks together",
        "trigram",
        "**9.0**",
        "**4.0**",
        "**91.0** (slots)",
    ]


def test_networks_are_trained_before_they_hear_together(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match="has no finished barista-0: run barista with it first"):
        orders_together([0], tmp_path)
