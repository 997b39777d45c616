"""Metrics, baselines, rules, units, windows and intervals of the forecast task, against numbers computed by hand or elsewhere."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from congru.data.frequency import Frequency, parse_frequency
from congru.tasks.forecast import defaults
from congru.tasks.forecast.baselines import Linear, is_seasonal, last_value, naive2, seasonal_naive
from congru.tasks.forecast.learner import forecast_errors, row_weights
from congru.tasks.forecast.metrics import naive_error, owa, pinball, score, smape
from congru.tasks.forecast.panel import Panel, fit_units
from congru.tasks.forecast.quantiles import calibrate, fit_calibration
from congru.tasks.forecast.window import Window, decode

Array = NDArray[np.float64]

ROUNDING = 1e-12


def test_metrics_by_hand() -> None:
    y, forecast = np.array([[2.0, 4.0]]), np.array([[[1.0, 0.0, 3.0], [8.0, 5.0, 9.0]]])
    figures = score(y, forecast, np.array([[True, True]]), np.array([2.0]), np.array([4.0]), (80,))
    assert figures["mae"] == pytest.approx((1 / 4 + 4 / 4) / 2)
    assert figures["mse"] == pytest.approx((1 / 16 + 16 / 16) / 2)
    assert figures["smape"] == pytest.approx((200 * 1 / 3 + 200 * 4 / 12) / 2)
    assert figures["mase"] == pytest.approx((1 / 2 + 4 / 2) / 2)
    assert figures["coverage_80"] == 50.0
    low = (0.1 * 2 + 0.9 * 1) / 2  # y - lo = 2 and -1
    high = (0.1 * 1 + 0.1 * 5) / 2  # hi - y = 1 and 5
    assert figures["pinball_80"] == pytest.approx((low + high) / 2 / 4)


def test_unobserved_values_and_series_without_seasonal_error_do_not_count() -> None:
    y, forecast = np.array([[1.0, 50.0], [3.0, 3.0]]), np.zeros((2, 2, 1))
    observed = np.array([[True, False], [True, True]])
    figures = score(y, forecast, observed, np.array([0.5, math.nan]), np.ones(2))
    assert figures["mae"] == pytest.approx((1 + 3 + 3) / 3)
    assert figures["mase"] == pytest.approx(1 / 0.5)
    assert math.isnan(naive_error([3.0, 3.0, 3.0], 1))
    assert math.isnan(naive_error([1.0, 2.0], 2))


def test_pinball_is_half_the_absolute_error_at_the_median() -> None:
    y, forecast = np.array([1.0, -2.0, 5.0]), np.array([0.0, 1.0, 5.0])
    np.testing.assert_allclose(2 * pinball(y, forecast, 0.5), np.abs(y - forecast))
    assert smape([0.0], [0.0]).tolist() == [0.0]
    assert owa(2.0, 3.0, 4.0, 3.0) == 0.75


def test_last_value_and_seasonal_naive() -> None:
    history = np.array([[1.0, 2.0, 3.0, 4.0]])
    assert last_value(history, 2).tolist() == [[4.0, 4.0]]
    assert seasonal_naive(history, 5, 3).tolist() == [[2.0, 3.0, 4.0, 2.0, 3.0]]


def test_linear_finds_an_exact_linear_rule() -> None:
    rng = np.random.default_rng(0)
    past = np.cumsum(rng.standard_normal((500, 4)), axis=1)
    future = np.stack([2 * past[:, 3] - past[:, 2], past[:, 0] + 1.0], 1)
    linear = Linear(4, 2).fit(lambda rows: (past[rows], future[rows]), 500)
    np.testing.assert_allclose(linear.predict(past), future, atol=0.02)


def test_naive2_adjusts_for_the_season_and_follows_the_last_level() -> None:
    pattern, level = np.array([0.5, 1.0, 1.5, 1.0]), 100.0
    y = level * np.tile(pattern, 10)[:-1]  # ends one step before a season does
    assert is_seasonal(y, 4)
    np.testing.assert_allclose(naive2(y, 5, 4), level * np.array([1.0, 0.5, 1.0, 1.5, 1.0]), rtol=1e-9)
    noise = np.random.default_rng(3).standard_normal(60) + 10
    assert not is_seasonal(noise, 4)
    assert naive2(noise, 2, 4).tolist() == [noise[-1], noise[-1]]
    assert not is_seasonal(np.ones(40), 4)
    assert not is_seasonal(y[:11], 4)  # under three seasons


def test_rules_for_what_is_not_said() -> None:
    hour, counted = parse_frequency("1h"), Frequency("step", 1)
    assert defaults.find_season(hour, []) == 24
    assert defaults.find_season(parse_frequency("1y"), []) == 1
    noise = np.random.default_rng(0).standard_normal(200)
    assert defaults.find_season(counted, [noise]) == 1
    assert defaults.find_season(counted, [np.ones(50)]) == 1
    assert defaults.find_season(counted, [np.sin(np.arange(300) * 2 * np.pi / 12) + 0.1 * noise[0]]) == 12
    assert defaults.choose_lags(24, 71) == (1,)
    assert defaults.choose_lags(24, 72) == (1, 24)
    assert defaults.choose_input_size(48, hour, 24, 900) == 336
    assert defaults.choose_input_size(48, hour, 24, 100) == 50
    assert defaults.choose_segment(128, 24) == 1
    assert defaults.choose_segment(129, 24) == 11
    assert defaults.choose_segment(192, 24) == 24
    assert defaults.choose_cycles(hour, 335) == (24,)
    assert defaults.choose_cycles(hour, 336) == (24, 168)
    assert defaults.choose_noise(9_999) > 0
    assert defaults.choose_noise(10_000) == 0


def test_the_long_season_is_where_the_series_are_like_themselves_again() -> None:
    hour, counted = parse_frequency("1h"), Frequency("step", 1)
    assert defaults.find_long_season(hour, [], 24) == 168
    assert defaults.find_long_season(parse_frequency("2h"), [], 12) == 84
    assert defaults.find_long_season(parse_frequency("1d"), [], 7) is None, "a year of days is too long"
    assert defaults.find_long_season(parse_frequency("15min"), [], 96) is None
    rng = np.random.default_rng(2)
    day = rng.standard_normal(24)
    week = np.concatenate([day * (1.0 if number < 5 else 0.3) for number in range(7)])
    weeks = [np.tile(week, 6) + 0.1 * rng.standard_normal(1008) for _ in range(3)]
    days = [np.tile(day, 42) + 0.1 * rng.standard_normal(1008) for _ in range(3)]
    assert defaults.find_long_season(counted, weeks, 24) == 168
    assert defaults.find_long_season(counted, days, 24) is None
    assert defaults.find_long_season(counted, [*weeks, *days], 24) == 168, "some of the series are enough"
    assert defaults.find_long_season(counted, [y[:140] for y in weeks], 24) is None, "too short to tell"
    assert defaults.find_long_season(counted, [np.ones(1008)], 24) is None
    assert defaults.find_long_season(counted, weeks, 1) is None
    assert defaults.choose_lags(24, 504, 168) == (1, 24, 168)
    assert defaults.choose_lags(24, 503, 168) == (1, 24)
    assert defaults.choose_input_size(48, counted, 24, 900, 168) == 336
    assert defaults.choose_input_size(48, counted, 24, 900) == 144


def make_panel(
    window: Window, lengths: tuple[int, ...] = (40, 25), reach: int = 0
) -> tuple[Panel, list[Array]]:
    rng = np.random.default_rng(1)
    values = [np.cumsum(rng.standard_normal(length)) + 5 for length in lengths]
    known = [rng.standard_normal((length, window.num_known)) for length in lengths]
    units = fit_units(values, window)
    return Panel(window, units, values, known, [3] * len(values), reach=reach), values


def test_units_are_the_seasonal_difference_where_seasonal_lags_are_used() -> None:
    y = np.array([1.0, 5.0, 2.0, 7.0, 4.0, 8.0])
    plain, seasonal = Window(2, 4, 1), Window(2, 4, 1, lags=(1, 2))
    units = fit_units([y, np.full(6, 3.0)], plain)
    assert units.mean[0] == pytest.approx(y.mean())
    assert units.unit.tolist() == units.scale.tolist() == [pytest.approx(y.std()), pytest.approx(3e-9)]
    assert units.flat.tolist() == [False, True]
    assert fit_units([y], seasonal).unit[0] == pytest.approx((1 + 2 + 2 + 1) / 4)
    weights = row_weights(fit_units([y], seasonal), "mae")
    assert weights[0] == pytest.approx(1.5 / y.std())
    assert row_weights(fit_units([y], seasonal), "mse")[0] == pytest.approx((1.5 / y.std()) ** 2)
    assert row_weights(fit_units([y, 10 * y + 500], seasonal), "owa").mean() == pytest.approx(1.0)
    assert row_weights(units, "mase").tolist() == [1.0, 1.0]


def test_inputs_of_segments() -> None:
    window = Window(horizon=3, input_size=8, segment=4, lags=(1, 5), num_known=1, cycles=(6,))
    panel, values = make_panel(window)
    x = panel.inputs(np.array([1]), np.array([20]))[0]
    assert x.shape == (2, window.num_features)
    y, scale, unit = values[1], panel.units.scale[1], panel.units.unit[1]
    for step, begin in enumerate((12, 16)):
        past = y[begin : begin + 4]
        np.testing.assert_allclose(x[step, :4], (past - y[19]) / scale, rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(
            x[step, 4:8], (past - y[begin - 5 : begin - 1]) / unit, rtol=1e-5, atol=1e-6
        )
        angle = 2 * np.pi * (3 + begin + 3) / 6  # the series begins at place 3, the segment ends at begin + 3
        np.testing.assert_allclose(x[step, 8:10], [np.sin(angle), np.cos(angle)], atol=1e-6)
        known = panel._known[panel._start[1] + begin :][:, 0]
        np.testing.assert_allclose(x[step, 10:14], known[:4], rtol=1e-6)
        np.testing.assert_allclose(x[step, 14:18], known[3:7], rtol=1e-6)


def test_inputs_step_by_step_do_not_look_ahead() -> None:
    window = Window(horizon=3, input_size=6, segment=1, lags=(1, 4), cycles=(7,))
    panel, values = make_panel(window)
    x = panel.inputs(np.array([0]), np.array([30]))[0]
    y, scale, unit = values[0], panel.units.scale[0], panel.units.unit[0]
    steps = np.arange(24, 30)
    expected = [(y[steps] - panel.units.mean[0]) / scale, (y[steps] - y[steps - 1]) / scale]
    expected += [(y[steps] - y[steps - 4]) / unit]
    expected += [np.sin(2 * np.pi * (3 + steps) / 7), np.cos(2 * np.pi * (3 + steps) / 7)]
    np.testing.assert_allclose(x, np.stack(expected, -1), rtol=1e-5, atol=1e-6)
    later = panel.inputs(np.array([0]), np.array([32]))[0]
    np.testing.assert_array_equal(
        later[:4], x[2:]
    )  # a step says the same whenever it is read: it can be streamed


def test_bases_targets_and_back() -> None:
    window = Window(horizon=3, input_size=4, segment=4, lags=(1, 2))
    panel, values = make_panel(window, reach=9)
    series, cut = np.array([0, 1]), np.array([12, 3])
    bases = panel.bases(series, cut)
    y, unit = values[0], panel.units.unit[0]
    np.testing.assert_allclose(bases[0, :, 0], 0)
    np.testing.assert_allclose(bases[0, :, 1], (y[[10, 11, 10]] - y[11]) / unit)
    actual = panel.actual(series, cut)
    relative = panel.relative(actual, series, cut)
    np.testing.assert_allclose(relative[0], (y[12:15] - y[11]) / unit)
    np.testing.assert_allclose(panel.absolute(relative[..., None], series, cut)[..., 0], actual)
    assert panel.lagged(9, series, cut)[0].tolist() == y[3:6].tolist()
    assert panel.observed(np.array([1]), np.array([23])).tolist() == [[True, True, False]]  # behind the end
    assert panel.history(4, series, cut)[1].tolist() == [values[1][0], *values[1][:3]]  # first value repeated


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000), st.sampled_from([(1,), (1, 3)]), st.sampled_from([(), (80,), (50, 80, 95)]))
def test_quantiles_never_cross_and_torch_agrees(
    seed: int, lags: tuple[int, ...], levels: tuple[int, ...]
) -> None:
    window = Window(horizon=4, input_size=6, segment=1, lags=lags, levels=levels)
    rng = np.random.default_rng(seed)
    out = 3 * rng.standard_normal((5, window.num_outputs)).astype(np.float32)
    bases, targets = rng.standard_normal((5, 4, len(lags))), rng.standard_normal((5, 4))
    forecast = decode(out, bases, window)
    order = [2 * k + 1 for k in reversed(range(len(levels)))] + [0] + [2 * k + 2 for k in range(len(levels))]
    assert (np.diff(forecast[..., order], axis=-1) >= 0).all()
    errors = forecast_errors(
        torch.from_numpy(out), torch.from_numpy(bases), torch.from_numpy(targets), window
    )
    expected = np.abs(targets - forecast[..., 0])
    for number, level in enumerate(levels):
        expected = expected + pinball(targets, forecast[..., 1 + 2 * number], (100 - level) / 200)
        expected = expected + pinball(targets, forecast[..., 2 + 2 * number], (100 + level) / 200)
    np.testing.assert_allclose(errors.numpy(), expected, rtol=1e-4, atol=1e-4)


def test_intervals_do_not_move_the_median() -> None:
    window = Window(horizon=2, input_size=2, segment=1, levels=(80,))
    out = torch.zeros(1, window.num_outputs, requires_grad=True)
    plain = torch.zeros(1, 2, requires_grad=True)
    bases, targets = torch.zeros(1, 2, 1), torch.ones(1, 2)
    forecast_errors(out, bases, targets, window).sum().backward()
    forecast_errors(plain, bases, targets, replace(window, levels=())).sum().backward()
    assert out.grad is not None
    assert plain.grad is not None
    assert out.grad.view(2, -1)[:, 0].tolist() == plain.grad[0].tolist()


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10_000))
def test_calibrated_intervals_hold_their_share_on_the_data_they_were_fitted_to(seed: int) -> None:
    rng = np.random.default_rng(seed)
    y = rng.standard_normal((40, 5)) * 3
    forecast = np.stack([0.2 * y, 0.2 * y - 0.5, 0.2 * y + 0.7, 0.2 * y - 0.6, 0.2 * y + 0.8], -1)
    observed = rng.random(y.shape) < 0.8
    factors = fit_calibration(y, forecast, observed, (60, 90))
    fitted = calibrate(forecast, factors)
    for number, level in enumerate((60, 90)):
        # The value that sets the factor lies on the end of its interval, by rounding on either side of it.
        low, high = fitted[..., 1 + 2 * number] - ROUNDING, fitted[..., 2 + 2 * number] + ROUNDING
        share = ((low <= y) & (y <= high))[observed].mean()
        assert level / 100 <= share + 1e-9 <= level / 100 + 0.03
    assert (fitted[..., 3] <= fitted[..., 1]).all()
    assert (fitted[..., 4] >= fitted[..., 2]).all()


def test_outer_intervals_stay_outside() -> None:
    forecast = np.array([[[0.0, -1.0, 1.0, -2.0, 2.0]]])
    fitted = calibrate(forecast, [5.0, 1.0])  # the inner level is widened beyond the outer one
    assert fitted[0, 0].tolist() == [0.0, -5.0, 5.0, -5.0, 5.0]
