"""The simple forecasts beside the network: what lines are fitted on, how far each is mixed in, that the folder keeps them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import polars
import pytest
from numpy.typing import NDArray

from congru.tasks.forecast import Forecaster
from congru.tasks.forecast.baselines import Linear
from congru.tasks.forecast.data import data_score, prepare
from congru.tasks.forecast.learner import make_learner
from congru.tasks.forecast.lines import RIDGES, STRETCHES, TrendLine, apart, fit_line, lag_map, stretch_of
from congru.tasks.forecast.mixture import Evidence, best_shares, fit_share, groups_of, mix, trust
from congru.tasks.forecast.settings import Settings
from shared_files import CASES, needs

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
    t, asked = np.arange(ROWS), np.arange(3)
    waves = np.sin(2 * np.pi * t / 12) + 0.3 * np.cos(2 * np.pi * t / 7)
    assert fit_line(Linear(L, H), *windows_of(waves), asked).ridge == RIDGES[0]
    noise = np.random.default_rng(1).standard_normal(60)
    assert fit_line(Linear(L, H), *windows_of(noise), asked).ridge > RIDGES[0]


@pytest.mark.parametrize("kind", [Linear, TrendLine])
def test_a_fitted_line_is_its_map_and_forecasts_left_out_rows_without_them(kind: type[Linear]) -> None:
    y = np.random.default_rng(5).standard_normal(ROWS)
    windows, cutoff, end = windows_of(y)
    linear, asked = kind(L, H), np.arange(0, len(cutoff), 7)
    line = fit_line(linear, windows, cutoff, end, asked)
    past, _ = windows(asked)
    last = past[:, -1:]
    by_map = last + (past - last) @ line.weights[:-2] + last * line.weights[-2] + line.weights[-1]
    sums = linear.sums(windows, np.arange(len(cutoff)))
    directly = linear.features(past) @ sums.solve(line.ridge) + linear.origin(past)
    np.testing.assert_allclose(by_map, directly, atol=1e-12)
    for stretch in range(STRETCHES):
        own = stretch_of(cutoff[asked], end[asked]) == stretch
        outside = linear.sums(windows, np.flatnonzero(apart(cutoff, end, stretch, H)))
        without = linear.features(past) @ outside.solve(line.ridge) + linear.origin(past)
        np.testing.assert_allclose(line.held[own], without[own], atol=1e-12)
    assert not np.allclose(line.held, directly)


@pytest.mark.parametrize("lag", [1, 3, 8])
def test_a_lag_is_a_map_of_the_look_back(lag: int) -> None:
    data = prepare(lines_and_waves(), Settings(horizon=H, input_size=L, segment=1, lags=[1, lag]))
    rows = np.zeros(50, np.int64), np.arange(20, 70)
    by_map = data.panel.simple(lag_map(lag, L, H), *rows)
    lagged = data.panel.deviations(data.panel.lagged(lag, *rows), rows[0])
    np.testing.assert_allclose(by_map, lagged, atol=1e-12)


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
    share = best_shares(Evidence(actual, np.ones_like(actual), None), network, line)
    np.testing.assert_allclose(share, best, atol=1e-12)
    mixed = mix(np.stack([network, network - 1, network + 2], -1), line, share)
    np.testing.assert_allclose(mixed[..., 0], actual, atol=1e-12)
    np.testing.assert_allclose(mixed[..., 2] - mixed[..., 1], 3.0)
    uncounted = np.where(np.arange(200)[:, None] < 100, 0.0, np.ones_like(actual))
    spoiled = np.where(uncounted > 0, actual, 1e6)
    spoiled_evidence = Evidence(spoiled, uncounted, None, squared=True)
    np.testing.assert_allclose(best_shares(spoiled_evidence, network, line), best, atol=1e-12)


def test_a_share_stays_as_far_as_its_gain_stands_out() -> None:
    groups = np.repeat(np.arange(8), 5)
    gains = np.repeat([1.0, 3.0] * 4, 5)
    t_squared = 2.0**2 / (gains.reshape(8, 5).mean(1).var(ddof=1) / 8)
    assert trust(gains, groups, 9.0) == pytest.approx(1 - (7 / 5) / t_squared)
    assert trust(-gains, groups, 9.0) == trust(0 * gains, groups, 9.0) == 0.0
    assert trust(gains, None, 8.0) == 0.5
    assert trust(gains, None, 2.0) == 1.0
    rng = np.random.default_rng(4)  # where there is nothing to gain, t^2 is (G - 1) / (G - 3) on average
    t = [(x := rng.standard_normal(8)).mean() / x.std(ddof=1) * 8**0.5 for _ in range(20_000)]
    assert np.mean(np.square(t)) == pytest.approx(7 / 5, rel=0.05)


def test_windows_are_grouped_by_stretches_of_a_horizon_or_by_series() -> None:
    series, cutoff = np.repeat(np.arange(5), 40), np.tile(np.arange(40), 5)
    groups = groups_of(series, cutoff, 10)
    assert groups is not None
    np.testing.assert_array_equal(groups, cutoff // 10)
    np.testing.assert_array_equal(groups_of(series, cutoff, 20), series)
    assert groups_of(series[:80], cutoff[:80], 20) is None


def test_of_a_walk_at_random_the_forecast_is_the_last_value() -> None:
    """Eight walks: no line and no network has anything to gain, and what validation shows by chance is not believed."""
    rng, kept = np.random.default_rng(6), []
    for _ in range(5):
        walks = rng.standard_normal((8, 600)).cumsum(1)
        table = polars.DataFrame(
            {
                "unique_id": np.repeat(np.arange(8), 600),
                "ds": np.tile(np.arange(600), 8),
                "y": walks.ravel(),
            }
        )
        settings = Settings(horizon=20, input_size=40, season=1, val_size=180)
        learner = make_learner(table, settings=settings)
        assert learner.data.simple is not None
        rows = learner.validation_rows()
        actual = learner.data.panel.actual(rows[:, 0], rows[:, 1])
        last = learner.data.panel.lagged(1, rows[:, 0], rows[:, 1])
        guess = last + 0.2 * rng.standard_normal((1, 20)).cumsum(1)  # says the same of every day
        _, share = learner._mix(guess[..., None])
        assert share is not None
        moved = np.delete(learner.data.simple, 39, axis=0)  # without the last value itself
        kept.append((np.abs(moved).max(), share.max()))
        learned = actual + rng.standard_normal(actual.shape)  # one that knows nearly all of it
        _, share = learner._mix(learned[..., None])
        assert share is not None
        assert share.min() > 0.5
    assert np.mean(kept, 0).max() < 0.25


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
    assert prepare(table, Settings(horizon=4, input_size=32)).simple is not None
    assert prepare(table, Settings(horizon=4, input_size=32, linear=False)).simple is None
    assert prepare(table, Settings(horizon=4, input_size=32, val_size=0)).simple is None


def test_short_walks_stay_near_their_last_value() -> None:
    rng, moved = np.random.default_rng(2), []
    for _ in range(20):
        table = polars.DataFrame({"ds": np.arange(100), "y": rng.standard_normal(100).cumsum()})
        walk = prepare(table, Settings(horizon=6, season=1)).simple
        assert walk is not None
        moved.append(np.abs(np.delete(walk, len(walk) - 3, axis=0)).max())
    assert np.mean(moved) < 0.2


def simple_error(y: NDArray[np.float64], horizon: int, **settings: Any) -> float:
    """The validation MASE of the simple forecasts' mixture."""
    own = prepare(polars.DataFrame({"ds": np.arange(len(y)), "y": y}), Settings(horizon=horizon, **settings))
    assert own.simple is not None
    series, cutoff = own.validation
    forecast = own.panel.simple(own.simple, series, cutoff) * own.units.scale[0] + own.units.mean[0]
    return data_score(own, forecast[..., None], series, cutoff)["mase"]


@pytest.mark.parametrize(("rows", "horizon"), [(120, 24), (60, 24), (50, 24), (10, 4), (12, 2)])
def test_a_short_ramp_is_known_to_its_lines(rows: int, horizon: int) -> None:
    """There are fewer windows than a long look-back has values: the lines are shorter."""
    assert simple_error(1.0 + 2.0 * np.arange(rows), horizon) < 0.02


def test_a_short_level_with_noise_is_forecast_near_its_mean() -> None:
    rng = np.random.default_rng(3)
    errors = [simple_error(100 + rng.standard_normal(50), 24, season=1) for _ in range(20)]
    assert np.mean(errors) < 0.85  # about 0.71 by the mean itself, 1.0 by the last value


def test_a_season_longer_than_half_of_the_rows_is_repeated() -> None:
    year = 10 * np.random.default_rng(4).standard_normal(52)
    y = np.tile(year, 3)[:120] + 0.01 * np.random.default_rng(5).standard_normal(120)
    assert simple_error(y, 24, season=52) < 1.5


@needs(CASES / "forecast" / "ramp-counted.csv")
def test_a_short_handed_ramp_is_not_lost_to_its_line(tmp_path: Path) -> None:
    case = CASES / "forecast" / "ramp-counted.csv"
    settings: dict[str, Any] = {"steps": 2, "hidden_size": 4, "quiet": True}
    model = Forecaster.train(case, **settings, out=tmp_path / "run")
    assert model.result is not None
    assert model.result.best is not None
    assert model.result.best < 0.002  # the linear baseline's 0.0019


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
