"""The line beside the network: what it is fitted on, how it is bounded, how far it is mixed in, that the folder keeps it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import polars
import pytest
from numpy.typing import NDArray

from congru.tasks.forecast import Forecaster
from congru.tasks.forecast.baselines import Linear
from congru.tasks.forecast.learner import make_learner
from congru.tasks.forecast.linear import RIDGES, STRETCHES, apart, fit_line, fit_share, mix, stretch_of
from congru.tasks.forecast.settings import Settings

L, H, ROWS = 8, 3, 400


def windows_of(y: NDArray[np.float64]) -> tuple[Any, NDArray[np.int64], NDArray[np.int64]]:
    cutoff = np.arange(L, len(y) - H + 1)

    def windows(rows: NDArray[np.int64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        at = cutoff[rows][:, None]
        return y[at + np.arange(-L, 0)], y[at + np.arange(H)]

    return windows, cutoff, np.full(len(cutoff), len(y))


def test_windows_apart_from_a_stretch_ask_for_nothing_that_its_windows_ask_for() -> None:
    _, cutoff, end = windows_of(np.arange(float(ROWS)))
    for stretch in range(STRETCHES):
        asked = set((cutoff[stretch_of(cutoff, end) == stretch][:, None] + np.arange(H)).ravel().tolist())
        outside = cutoff[apart(cutoff, end, stretch, H)]
        assert len(outside) > len(cutoff) / 2
        assert asked.isdisjoint((outside[:, None] + np.arange(H)).ravel().tolist())


def test_the_ridge_follows_the_data() -> None:
    t = np.arange(ROWS)
    waves = np.sin(2 * np.pi * t / 12) + 0.3 * np.cos(2 * np.pi * t / 7)
    assert fit_line(*windows_of(waves), L, H).ridge == RIDGES[0]
    noise = np.random.default_rng(1).standard_normal(60)
    assert fit_line(*windows_of(noise), L, H).ridge > RIDGES[0]


def test_the_squared_error_of_sums_is_that_of_the_windows() -> None:
    y = np.random.default_rng(2).standard_normal(ROWS).cumsum()
    windows, cutoff, _ = windows_of(y)
    linear, rows = Linear(L, H), np.arange(len(cutoff))
    linear.fit(windows, len(rows))
    past, future = windows(rows)
    expected = ((linear.predict(past) - future) ** 2).sum()
    assert linear.sums(windows, rows).squared_error(linear.weights) == pytest.approx(expected, rel=1e-9)


def test_every_band_of_the_horizon_has_the_share_with_the_smallest_error() -> None:
    rng = np.random.default_rng(3)
    network, line = rng.standard_normal((2, 200, 16))
    best = np.repeat([1.0, 0.7, 0.2, 0.0], 4)
    actual = best * network + (1 - best) * line
    share = fit_share(actual, network, line, np.ones_like(actual))
    np.testing.assert_allclose(share, best, atol=1e-12)
    mixed = mix(np.stack([network, network - 1, network + 2], -1), line, share)
    np.testing.assert_allclose(mixed[..., 0], actual, atol=1e-12)
    np.testing.assert_allclose(mixed[..., 2] - mixed[..., 1], 3.0)
    uncounted = np.where(np.arange(200)[:, None] < 100, 0.0, np.ones_like(actual))
    spoiled = np.where(uncounted > 0, actual, 1e6)
    np.testing.assert_allclose(fit_share(spoiled, network, line, uncounted, squared=True), best, atol=1e-12)


def lines_and_waves() -> polars.DataFrame:
    """A series that a line knows to the last digit, and a network of a few steps does not."""
    t = np.arange(240)
    return polars.DataFrame({"ds": t, "y": np.sin(2 * np.pi * t / 12) + np.cos(2 * np.pi * t / 31)})


@pytest.mark.parametrize("segment", [1, 4])
def test_what_training_reports_is_what_the_folder_gives(segment: int, tmp_path: Path) -> None:
    settings = {"horizon": 4, "input_size": 32, "segment": segment, "season": 12, "hidden_size": 4}
    settings |= {"levels": [80], "lags": [1], "test_size": 40, "val_size": 40, "quiet": True}
    model = Forecaster.train(lines_and_waves(), **settings, steps=2, out=tmp_path / "run")
    assert model.store.share is not None
    assert (model.store.share < 0.5).all(), "two steps of a network are worse than the line"
    panel, _ = model.panel_of()
    series, cutoff = np.zeros(37, np.int64), 160 + np.arange(37)
    error = np.abs(model.windows(panel, series, cutoff)[..., 0] - panel.actual(series, cutoff)).mean()
    assert model.result is not None
    assert model.result.best == pytest.approx(error / model.store.naive_errors[0], rel=1e-4)
    again = Forecaster.load(model.save(tmp_path / "again"))
    np.testing.assert_array_equal(again.values(), model.values())
    without = Forecaster.train(lines_and_waves(), **settings, steps=2, linear=False, out=tmp_path / "bare")
    assert without.store.share is None
    assert without.result is not None
    assert without.result.best is not None
    assert without.result.best > 2 * model.result.best


def test_few_windows_no_validation_or_no_wish_leave_it_out() -> None:
    table = lines_and_waves()
    assert make_learner(table, settings=Settings(horizon=4, input_size=32)).data.line is not None
    assert make_learner(table, settings=Settings(horizon=4, input_size=32, linear=False)).data.line is None
    assert make_learner(table, settings=Settings(horizon=4, input_size=32, val_size=0)).data.line is None
    assert make_learner(table[:40], settings=Settings(horizon=4, input_size=32)).data.line is None


def test_one_evaluation_fits_one_share(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []

    def counted(*arguments: Any, **options: Any) -> Any:
        calls.append(1)
        return fit_share(*arguments, **options)

    monkeypatch.setattr("congru.tasks.forecast.learner.fit_share", counted)
    settings = Settings(horizon=4, input_size=32, levels=[80], hidden_size=4)
    learner = make_learner(lines_and_waves(), settings=settings)
    for factor in (1.0, 2.0):  # two evaluations
        parts = [np.full((len(learner.validation_rows()), 4, 3), factor)]
        first = learner.metrics(parts)
        assert learner.metrics(parts) == first
        learner.task_config(parts)
        learner.files(parts)
    assert len(calls) == 2
