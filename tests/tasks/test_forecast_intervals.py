"""Intervals that keep learning: how soon they hold again, what they may know when, that they cost and keep the same for ever."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from congru.tasks.forecast import Forecaster, evaluation_of, stream
from congru.tasks.forecast.adaptive import RATE, AdaptiveIntervals, replay
from congru.tasks.forecast.use import run
from congru.tasks.forecast.window import Window
from forecast_cases import SEGMENTS, STEPWISE, noise, train, two_series

NORMAL_80 = 1.2816  # standard deviations on either side that hold 80 of 100 normal values


def window_of(horizon: int, levels: tuple[int, ...] = (80,)) -> Window:
    return Window(horizon=horizon, input_size=4, segment=1, levels=levels)


def flat_forecasts(count: int, horizon: int, half_width: float = NORMAL_80) -> NDArray[np.float64]:
    """Forecasts [B, h, 3] of 0 with the same interval at every step."""
    return np.broadcast_to([0.0, -half_width, half_width], (count, horizon, 3)).copy()


def held(y: NDArray[np.float64], forecast: NDArray[np.float64], step: int) -> NDArray[np.bool_]:
    """Whether the interval of each moment [B] held the value so many steps after it."""
    at = np.arange(len(forecast)) + step - 1
    return np.asarray((forecast[:, step - 1, 1] <= y[at]) & (y[at] <= forecast[:, step - 1, 2]))


@pytest.mark.parametrize(("horizon", "steps_to_learn"), [(1, 40), (5, 90)])
def test_after_a_change_of_the_noise_intervals_hold_again(horizon: int, steps_to_learn: int) -> None:
    before, after = 300, 1200
    y = np.r_[noise(0, before), 3 * noise(1, after)]
    cutoff = np.arange(len(y) - horizon + 1)
    static = flat_forecasts(len(cutoff), horizon)
    learned = replay(window_of(horizon), y, cutoff, static)
    for step in (1, horizon):
        kept, fixed = held(y, learned, step), held(y, static, step)
        assert kept[:before].mean() == pytest.approx(0.8, abs=0.04)
        assert fixed[before:].mean() < 0.4
        assert kept[before + steps_to_learn :].mean() == pytest.approx(0.8, abs=0.02)


def test_a_shift_of_the_level_is_learned_too() -> None:
    y = np.r_[noise(0, 200), 4 + noise(1, 800)]
    learned = replay(window_of(1), y, np.arange(1000), flat_forecasts(1000, 1))
    assert held(y, learned, 1)[240:].mean() == pytest.approx(0.8, abs=0.02)


def test_whatever_comes_the_share_of_misses_comes_to_what_was_promised() -> None:
    """|misses - 20 %| <= (range of log f + rate) / (rate T), here for a series that grows without end and then stops."""
    steps = 4000
    y = np.r_[np.exp(np.linspace(0, 5, steps // 2)) * noise(0, steps // 2), 0.01 * noise(1, steps // 2)]
    learned = replay(window_of(1), y, np.arange(steps), flat_forecasts(steps, 1))
    factors = np.log(learned[:, 0, 2] / NORMAL_80)
    bound = (np.ptp(factors) + RATE) / (RATE * steps)
    assert bound < 0.05
    assert abs((~held(y, learned, 1)).mean() - 0.2) <= bound


def test_a_value_teaches_a_step_when_it_is_there_and_not_before() -> None:
    horizon, count = 4, 12
    y = np.full(count + horizon, 50.0)  # every interval misses
    learned = replay(window_of(horizon), y, np.arange(count), flat_forecasts(count, horizon))
    for step in range(1, horizon + 1):
        wider = learned[:, step - 1, 2] > NORMAL_80 + 1e-9
        assert int(np.argmax(wider)) == step  # the forecast made at 0 is judged when `step` values have come
    changed = y.copy()
    changed[7:] = 0.0
    other = replay(window_of(horizon), changed, np.arange(count), flat_forecasts(count, horizon))
    np.testing.assert_array_equal(other[:8], learned[:8])
    assert not np.array_equal(other[8], learned[8])


def test_missing_values_teach_nothing_and_every_forecast_is_judged_once() -> None:
    intervals, forecast = AdaptiveIntervals(window_of(3)), flat_forecasts(1, 3)[0]
    assert not intervals.expects(0, 0)
    intervals.issue(0, 0, forecast)
    assert intervals.expects(0, 0)
    intervals.observe(0, 0, np.nan)
    np.testing.assert_array_equal(intervals.factors(0), 1.0)
    intervals.observe(0, 1, 9.0)  # two steps after the forecast
    np.testing.assert_allclose(np.log(intervals.factors(0))[:, 0], [0.0, 0.8 * RATE / 2**0.5, 0.0])
    kept = intervals.factors(0)
    intervals.observe(0, 4, 9.0)  # its slot is empty by now
    np.testing.assert_array_equal(intervals.factors(0), kept)


def test_twelve_steps_are_tracked_and_outer_intervals_stay_outside() -> None:
    window = window_of(100, (50, 80))
    intervals = AdaptiveIntervals(window)
    assert len(intervals.steps) == 12
    assert intervals.steps[[0, -1]].tolist() == [1, 100]
    forecast = np.broadcast_to([0.0, -1.0, 1.0, -1.1, 1.1], (100, 5))
    for time in range(150):
        intervals.issue(0, time, forecast)
        intervals.observe(0, time, 1.05)  # beyond the inner interval, within the outer one
    wide = intervals.widen(forecast[None], [0])[0]
    assert (np.diff(wide[:, [3, 1, 0, 2, 4]], axis=1) >= 0).all()
    assert (
        np.ptp(np.diff(np.log(intervals.factors(0)[:9, 0]), n=2)) < 1e-9
    )  # linear between tracked steps 1 and 10
    np.testing.assert_array_equal(intervals.widen(forecast[None], [1])[0], forecast)  # another series


@pytest.fixture(scope="module", params=["stepwise", "segments"])
def trained(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Forecaster:
    sizes = STEPWISE if request.param == "stepwise" else SEGMENTS
    return train(two_series(), tmp_path_factory.mktemp(request.param), levels=[80, 95], **sizes)


def wild_rows(length: int = 40) -> Any:
    """What follows two_series(), with five times the noise."""
    table = two_series(90 + length)
    new = table[table.ds >= table.ds.iloc[90]].reset_index(drop=True)
    spread = np.where(new.unique_id == "north", 1.0, 50.0)
    new["y"] += 0.5 * spread * noise(7, len(new))
    return new


def twin(forecaster: Forecaster) -> Forecaster:
    return Forecaster.load(forecaster.model.folder)


def widths(forecaster: Forecaster) -> NDArray[np.float64]:
    values = forecaster.values()
    return np.asarray(values[..., 2] - values[..., 1])


def learned_of(forecaster: Forecaster) -> dict[str, NDArray[Any]]:
    forecaster.keep_state(forecaster.store)
    return forecaster.store.intervals


def test_any_cutting_and_a_restore_teach_the_same(trained: Forecaster, tmp_path: Path) -> None:
    new = wild_rows()
    whole, parts = twin(trained).update(new), twin(trained)
    days = sorted(new.ds.unique())
    for number, day in enumerate(days):
        parts.update(new[new.ds == day])
        if number in (3, 20):
            parts = Forecaster.load(parts.save(tmp_path / f"after {number}"))
    for name, value in learned_of(whole).items():
        np.testing.assert_allclose(learned_of(parts)[name], value, rtol=1e-5, err_msg=name)
    assert (widths(whole) > 1.3 * widths(twin(trained).static().update(new))).all()
    # A restore is exact: the one that was saved and the one that went on say the same, bit for bit.
    again = Forecaster.load(parts.save(tmp_path / "again"))
    more = wild_rows(50)
    more = more[more.ds > days[-1]]
    for one in (parts, again):
        one.update(more)
    for name, value in learned_of(parts).items():
        np.testing.assert_array_equal(learned_of(again)[name], value)
    np.testing.assert_array_equal(again.values(), parts.values())


def test_static_intervals_stay_as_validation_left_them(trained: Forecaster, tmp_path: Path) -> None:
    fixed = twin(trained).update(wild_rows(5)).static().update(wild_rows())
    assert not fixed.learns_intervals
    assert learned_of(fixed) == {}
    series, cutoff = np.arange(2), np.full(2, fixed.store.history.shape[1])
    if not fixed.window.streaming:  # windows() knows calibration alone
        np.testing.assert_allclose(fixed.windows(fixed.store.panel(), series, cutoff), fixed.values())
    saved = Forecaster.load(fixed.save(tmp_path / "fixed"))
    assert not saved.learns_intervals
    assert not saved.copy().learns_intervals
    chosen = train(two_series(), tmp_path, levels=[80], intervals="static", **SEGMENTS)
    chosen = Forecaster.load(chosen.save(tmp_path / "model"))
    assert not chosen.learns_intervals
    assert chosen.adaptive().update(wild_rows()).copy().learns_intervals


def test_the_stream_says_what_the_intervals_held(
    trained: Forecaster, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    wild_rows().to_csv(tmp_path / "new.csv", index=False)
    shares = {}
    for kind in ("adaptive", "static", None):
        run(trained.model.folder, stream_rows=tmp_path / "new.csv", intervals=kind)
        shares[kind] = int(
            re.findall(r"^the 80 % interval held (\d+) % of the rows$", capsys.readouterr().out, re.M)[0]
        )
    assert shares[None] == shares["adaptive"] > shares["static"]


def test_what_is_learned_does_not_grow(trained: Forecaster) -> None:
    sizes, new = [], wild_rows(60)
    forecaster = twin(trained)
    for day in sorted(new.ds.unique()):
        forecaster.update(new[new.ds == day])
        sizes.append(sum(value.nbytes for value in learned_of(forecaster).values()))
    assert len(set(sizes)) == 1


def test_a_stream_an_evaluation_and_a_prediction_know_the_same(trained: Forecaster) -> None:
    new = wild_rows()
    forecaster = twin(trained)
    evaluation = evaluation_of(forecaster, new)
    first = evaluation.cutoff[0]
    paths = {(moment.series, moment.ds): moment.path for moment in stream(forecaster, new)}
    days = new.ds[new.unique_id == "north"].to_numpy("datetime64[us]")
    for name, row in (("north", 0), ("south", 1)):
        own = evaluation.forecasts["GRU"][evaluation.series == row]
        cutoff = evaluation.cutoff[evaluation.series == row] - first
        streamed = np.stack([paths[name, days[c - 1]] for c in cutoff[1:]])
        # A network that streams carries its state farther back than a window reads: nearly the same forecasts.
        loose = 0.2 if forecaster.window.streaming else 1e-5
        np.testing.assert_allclose(own[1:], streamed, rtol=loose, atol=loose * abs(own).mean())
    scores = evaluation.overall()["GRU"]
    assert scores["static_coverage_80"] < scores["coverage_80"]
    assert scores["static_coverage_95"] < scores["coverage_95"]
    assert "static_coverage_80" not in evaluation.overall()["last value"]


def test_steps_without_a_row_are_judged_by_nothing(
    trained: Forecaster, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[float] = []

    def noted(intervals: AdaptiveIntervals, number: int, time: int, y: float) -> None:
        seen.append(y)

    monkeypatch.setattr(AdaptiveIntervals, "observe", noted)
    new = wild_rows(8)
    north = new[new.unique_id == "north"]
    forecaster = twin(trained)
    forecaster.update(north.drop(north.index[2:5]))
    np.testing.assert_array_equal(seen, [*north.y[:2], *[np.nan] * 3, *north.y[5:]])


def test_intervals_of_other_levels_go_along(trained: Forecaster) -> None:
    forecaster = twin(trained)
    before = forecaster.with_levels(forecaster.values(), [70.0])
    assert forecaster.update(wild_rows()).learns_intervals
    after = forecaster.with_levels(forecaster.values(), [70.0])
    wider = (after[..., 2] - after[..., 1]) / (before[..., 2] - before[..., 1])
    assert forecaster._intervals is not None
    expected = np.stack([forecaster._intervals.factors(number)[:, 0] for number in range(2)])
    np.testing.assert_allclose(wider, expected, rtol=1e-6)
    assert (wider > 1.3).all()
