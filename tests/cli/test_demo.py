"""The demo's own parts: its data, the sentence about the scored days, the picture of the forecast beside what came."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pandas as pd

from congru.cli import weather


def test_the_sentence_names_the_winner_whoever_it_is() -> None:
    model, simple = weather.Score("GRU", 2.5, 0.01, 4000, 32, 15.0), weather.Score("last value", 3.0)
    assert weather.conclusion_of([model, simple]).startswith(
        "On the scored days GRU is best (2.500 °C), 17 % better than last value"
    )
    worse = weather.conclusion_of([weather.Score("GRU", 3.6, 0.01, 4000, 32, 15.0), simple])
    assert worse.startswith("On the scored days last value, a simple forecast, is best (3.000 °C)")
    assert worse.endswith("Use the simple one.")


def test_the_forecast_is_drawn_beside_what_came() -> None:
    values = np.stack([np.arange(7.0), np.arange(7.0) - 2, np.arange(7.0) + 2], axis=1)[None]
    forecaster = SimpleNamespace(
        name="GRU", store=SimpleNamespace(history=np.arange(40.0)[None]), values=lambda: values
    )
    svg = weather.forecast_picture(forecaster, pd.DataFrame({"y": np.arange(31.0)}))
    for words in ("forecast of the GRU", "what came", "past", "°C", "days from 30 November 2015"):
        assert words in svg
    assert "prefers-color-scheme:dark" in svg


def test_the_data_comes_with_a_package() -> None:
    past, month = weather.load_weather()
    assert (len(past), len(month)) == (1430, 31)
