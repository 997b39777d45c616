"""The metrics of forecasts against utilsforecast's losses, on the same random panel."""

from __future__ import annotations

import numpy as np
import pytest

from congru.tasks.forecast.metrics import naive_error, score

losses = pytest.importorskip("utilsforecast.losses", reason="no utilsforecast: pip install utilsforecast")
pd = pytest.importorskip("pandas")
SERIES, PAST, HORIZON, SEASON, LEVEL = 6, 40, 5, 4, 80


def test_every_metric_is_that_of_utilsforecast() -> None:
    rng = np.random.default_rng(3)
    past = rng.normal(10, 3, (SERIES, PAST))
    y = rng.normal(10, 3, (SERIES, HORIZON))
    forecast = rng.normal(10, 3, (SERIES, HORIZON))
    low, high = forecast - rng.uniform(0, 4, forecast.shape), forecast + rng.uniform(0, 4, forecast.shape)
    names = np.repeat(np.arange(SERIES), HORIZON)
    steps = np.tile(np.arange(PAST, PAST + HORIZON), SERIES)
    table = pd.DataFrame({"unique_id": names, "ds": steps, "y": y.ravel(), "GRU": forecast.ravel()})
    table[f"GRU-lo-{LEVEL}"], table[f"GRU-hi-{LEVEL}"] = low.ravel(), high.ravel()
    train = pd.DataFrame(
        {
            "unique_id": np.repeat(np.arange(SERIES), PAST),
            "ds": np.tile(np.arange(PAST), SERIES),
            "y": past.ravel(),
        }
    )

    def theirs(name: str, **arguments: object) -> float:
        return float(getattr(losses, name)(table, **arguments)["GRU"].mean())

    own = score(
        y,
        np.stack([forecast, low, high], axis=-1),
        np.ones(y.shape, bool),
        np.array([naive_error(row, SEASON) for row in past]),
        np.ones(SERIES),
        (LEVEL,),
    )
    models = {"models": ["GRU"]}
    share = (100 - LEVEL) / 200
    pinballs = [
        theirs("quantile_loss", models={"GRU": f"GRU-{side}-{LEVEL}"}, q=quantile)
        for side, quantile in (("lo", share), ("hi", 1 - share))
    ]
    expected = {
        "abs_error": theirs("mae", **models),
        "mae": theirs("mae", **models),  # in standard deviations, which are 1 here
        "mse": theirs("mse", **models),
        "rmse": theirs("mse", **models) ** 0.5,  # pooled: theirs is the mean of each series' own
        "bias": theirs("bias", **models),
        "smape": 200 * theirs("smape", **models),  # theirs has no factor: from 0 to 1
        "mase": theirs("mase", **models, seasonality=SEASON, train_df=train),
        f"coverage_{LEVEL}": 100 * theirs("coverage", **models, level=LEVEL),
        f"pinball_{LEVEL}": sum(pinballs) / 2,
    }
    assert set(own) == set(expected)
    for name, value in expected.items():
        assert own[name] == pytest.approx(value, rel=1e-12), name
