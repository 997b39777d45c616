"""A long table as a forecasting problem: split in time, scaled on the train part, divided into windows.

Each series is split by time: train | validation (`val_size`) | test (`test_size`). A window belongs to a
part if all of its targets do; its look-back may reach into the part before, as it does in use. A series too
short for a validation part gives all its rows to training, and is counted in the summary.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from congru.data.long_table import LongTable
from congru.data.table import read_table
from congru.errors import DataError, SettingsError
from congru.tasks.forecast import defaults
from congru.tasks.forecast.baselines import LONGEST_LINEAR
from congru.tasks.forecast.metrics import naive_error, score
from congru.tasks.forecast.mixture import choose_simple
from congru.tasks.forecast.panel import Panel, Units, fit_units
from congru.tasks.forecast.quantiles import bounded
from congru.tasks.forecast.settings import Settings
from congru.tasks.forecast.simple import Rows, croston_forecast, simple_forecasts
from congru.tasks.forecast.window import Window

Array = NDArray[np.float64]

MOST_VALIDATION = 20_000  # windows; more are thinned evenly
MOST_TRAINING = 16_384  # windows an epoch by default


@dataclass(frozen=True)
class CovariateScale:
    """Mean and standard deviation of each covariate of one role over the train parts, [K]."""

    mean: Array
    scale: Array

    def apply(self, values: Array) -> Array:
        """Covariates [..., K] in standard deviations."""
        return np.asarray((values - self.mean) / self.scale)

    @classmethod
    def fit(cls, rows: Array) -> CovariateScale:
        """The scale of rows [R, K]."""
        deviation = rows.std(0) if len(rows) else np.zeros(rows.shape[1])
        mean = rows.mean(0) if len(rows) else np.zeros(rows.shape[1])
        return cls(mean, np.where(deviation > 0, deviation, 1.0))


@dataclass(frozen=True)
class Scales:
    """The scales of the covariates by role."""

    known: CovariateScale
    past: CovariateScale
    static: CovariateScale


@dataclass(frozen=True)
class ForecastData:
    """Everything training needs, in NumPy."""

    table: LongTable
    window: Window
    season: int
    scales: Scales
    units: Units
    naive_errors: Array
    """[N] MASE's denominator of each series, over its train part."""
    panel: Panel
    train_end: NDArray[np.int64]
    """[N] number of steps of the train part."""
    test_start: NDArray[np.int64]
    """[N] number of steps of train and validation part."""
    validation: Rows
    baselines: dict[str, dict[str, float]]
    """Name -> its metrics on the validation windows."""
    minimum: float | None = None
    """No forecast lies below it."""
    simple: Array | None = None
    """[L + 2, h] the linear map that the simple forecasts make together, see lines.py."""

    def train_rows(self, stride: int, offset: int) -> Rows:
        """Training windows, every `stride` steps from `offset`: (series, cutoff)."""
        starts = np.full(len(self.train_end), self._first_cutoff)
        return _windows(starts + offset, self.train_end, self.window.horizon, stride)

    @property
    def _first_cutoff(self) -> int:
        """The first cutoff of a training window: at least a quarter of its look-back is real."""
        shortest = int(self.train_end.max()) - self.window.horizon
        return max(1, min(self.window.input_size // 4, shortest))


def prepare(data: Any, settings: Settings) -> ForecastData:
    """Read, check, split and scale the table `data` (a path, a table object, or one that has been read).

    Raises :class:`DataError` for rows that cannot be used and data shorter than the horizon.
    """
    table = (
        data
        if isinstance(data, LongTable)
        else read_table(
            data,
            columns=settings.columns,
            freq=settings.freq,
            bad_rows=settings.bad_rows,
            date_format=settings.date_format,
        )
    )
    _warn_constant(table)
    train_end, test_start = split(table, settings)
    train = [s.y[:end] for s, end in zip(table.series, train_end)]
    seen = [s.observed[:end] for s, end in zip(table.series, train_end)]
    window, season = choose_window(table, train, settings)
    units = fit_units(train, window, seen)
    scales = fit_scales(table, train_end)
    panel = make_panel(table, window, units, scales, reach=season)
    validation = _thin(_windows(train_end, test_start, window.horizon, 1), MOST_VALIDATION)
    errors = np.array([naive_error(y, season, there) for y, there in zip(train, seen)])
    prepared = ForecastData(
        table=table,
        window=window,
        season=season,
        scales=scales,
        units=units,
        naive_errors=errors,
        panel=panel,
        train_end=train_end,
        test_start=test_start,
        validation=validation,
        baselines={},
        minimum=find_minimum(train, seen, settings),
    )
    prepared.baselines.update(validation_baselines(prepared))
    if not settings.linear or not len(validation[0]):
        return prepared
    simple = choose_simple(
        panel,
        list(dict.fromkeys((1, season, *window.lags))),
        min(LONGEST_LINEAR, window.input_size),
        learned=prepared.train_rows(1, 0),
        train_end=train_end,
        validation=validation,
        squared=settings.metric == "mse",
    )
    return replace(prepared, simple=simple)


def _warn_constant(table: LongTable) -> None:
    count = table.report.counts.get("constant series", 0)
    if count:
        first = table.report.first["constant series"]
        warnings.warn(f"constant series: {count}, first: {first}; its forecast is that value", stacklevel=4)


def find_minimum(
    train: Sequence[Array], observed: Sequence[NDArray[np.bool_]], settings: Settings
) -> float | None:
    """What no forecast lies below: what the settings say, else 0 where no value of the train parts is negative."""
    if settings.minimum == "auto":
        return 0.0 if all((y[there] >= 0).all() for y, there in zip(train, observed)) else None
    return None if settings.minimum == "none" else float(settings.minimum)


def split(table: LongTable, settings: Settings) -> Rows:
    """Ends of the train part and of the validation part of each series, in steps.

    A series too short to spare a part gives all its rows to training, and is named in the report.
    """
    horizon, lengths = settings.horizon, np.array([len(s) for s in table.series])
    longest = int(lengths.max())
    if longest < 2:
        raise DataError("table has one row, expected at least 2: add rows")
    short = (lengths - settings.test_size <= horizon) & (settings.test_size > 0)
    if not short.all():
        _report_short(table, short, "test")
    test_start = np.where(short & ~short.all(), lengths, np.maximum(lengths - settings.test_size, 0))
    wanted = settings.val_size
    if wanted is None:
        wanted = max(horizon, longest // 10)
    if 0 < wanted < horizon:
        raise SettingsError(
            f"val_size is {wanted}, expected at least the horizon {horizon}, or 0 for none: raise it"
        )
    needed = settings.test_size + wanted + horizon + 1
    if longest < needed:
        most = max(0, (longest - settings.test_size - 1) // 2)
        parts = f"({wanted} for validation, {settings.test_size} for the test)"
        if most == 0:
            raise DataError(
                f"the longest series has {longest} rows, expected at least {needed} with horizon {horizon} {parts}: add rows"
                " or keep fewer for these"
            )
        raise DataError(
            f"horizon is {horizon}, expected at most {most} with {longest} rows in the longest series {parts}: lower it or"
            " add rows"
        )
    if wanted == 0 and settings.levels:
        raise SettingsError(
            "val_size is 0, expected a validation part to calibrate levels on: raise it or drop --levels"
        )
    size = np.where((test_start - wanted > horizon) & ~short, wanted, 0)
    _report_short(table, (size == 0) & ~short & (wanted > 0), "validation")
    return test_start - size, test_start


def _report_short(table: LongTable, short: NDArray[np.bool_], part: str) -> None:
    if short.any():
        first = table.series[int(np.argmax(short))]
        table.report.add(
            f"series too short for a {part} part, used whole for training",
            int(short.sum()),
            f"series {first.name!r} of {len(first)} rows",
        )


def choose_window(table: LongTable, train: Sequence[Array], settings: Settings) -> tuple[Window, int]:
    """The window's sizes and the season: what the settings say, else the rules of defaults.py."""
    longest = max(len(y) for y in train)
    season = settings.season or defaults.find_season(table.frequency, train)
    long_season = defaults.find_long_season(table.frequency, train, season)
    size = settings.input_size or defaults.choose_input_size(
        settings.horizon, table.frequency, season, longest, long_season
    )
    segment = settings.segment or defaults.choose_segment(size, season)
    if segment > size:
        raise SettingsError(f"segment is {segment}, expected at most the input size {size}: lower it")
    lags = tuple(settings.lags) if settings.lags else defaults.choose_lags(season, longest, long_season)
    window = Window(
        horizon=settings.horizon,
        input_size=-(-size // segment) * segment,
        segment=segment,
        lags=lags,
        levels=tuple(settings.levels),
        num_known=len(table.known),
        cycles=defaults.choose_cycles(table.frequency, longest) if settings.calendar else (),
        num_past=len(table.past),
        num_static=len(table.static),
    )
    return window, season


def fit_scales(table: LongTable, train_end: NDArray[np.int64]) -> Scales:
    """Scale the covariates by all train parts together."""
    known = np.concatenate([s.known[:end] for s, end in zip(table.series, train_end)])
    past = np.concatenate([s.past[:end] for s, end in zip(table.series, train_end)])
    static = np.stack([s.static for s in table.series])
    return Scales(*(CovariateScale.fit(rows) for rows in (known, past, static)))


def make_panel(table: LongTable, window: Window, units: Units, scales: Scales, reach: int = 0) -> Panel:
    """The windows over all rows of a table."""
    return Panel(
        window,
        units,
        [s.y for s in table.series],
        [scales.known.apply(s.known) for s in table.series],
        [table.frequency.phase(s.ds[0]) for s in table.series],
        [s.observed for s in table.series],
        reach,
        [scales.past.apply(s.past) for s in table.series],
        [scales.static.apply(s.static) for s in table.series],
    )


def _windows(first: NDArray[np.int64], end: NDArray[np.int64], horizon: int, stride: int) -> Rows:
    """All windows with first <= cutoff and cutoff + horizon <= end, series by series."""
    cutoffs = [np.arange(start, stop - horizon + 1, stride) for start, stop in zip(first, end)]
    series = np.repeat(np.arange(len(cutoffs)), [len(c) for c in cutoffs])
    return series, np.concatenate(cutoffs)


def _thin(rows: Rows, most: int) -> Rows:
    step = -(-len(rows[0]) // most) if len(rows[0]) else 1
    return rows[0][::step], rows[1][::step]


def validation_baselines(data: ForecastData) -> dict[str, dict[str, float]]:
    """The simple forecasts of the validation windows, each with all metrics."""
    rows = data.validation
    if not len(rows[0]):
        return {}
    look_back = min(LONGEST_LINEAR, data.window.input_size, max(1, int(data.train_end.max()) // 4))
    series, cutoff = data.train_rows(1, 0)
    seen = series[cutoff >= look_back], cutoff[cutoff >= look_back]
    values = [s.y for s in data.table.series]
    forecasts = {
        **simple_forecasts(data.panel, data.season, rows, seen=seen, look_back=look_back),
        **croston_forecast(values, data.train_end, rows, data.window.horizon),
    }
    return {name: data_score(data, forecast[..., None], *rows) for name, forecast in forecasts.items()}


def data_score(
    data: ForecastData,
    forecast: Array,
    series: NDArray[np.int64],
    cutoff: NDArray[np.int64],
    levels: Sequence[int] = (),
) -> dict[str, float]:
    """Metrics of forecasts [B, h, Q] for windows."""
    observed, actual = data.panel.observed(series, cutoff), data.panel.actual(series, cutoff)
    spread = np.where(data.units.flat, np.nan, data.units.scale)[series]
    bound = bounded(forecast, data.minimum)
    return score(actual, bound, observed, data.naive_errors[series], spread, levels)
