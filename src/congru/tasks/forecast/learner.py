"""The training problem of a forecaster: windows in, the error of the forecast, validation metrics.

    error = |target - median|                  (or its square), in units of each series
    loss  = mean over windows and horizon of   weight * (error + sum over levels of pinball(lo) + pinball(hi))

Where the network streams, every step of a window beyond its first quarter answers and is counted. The
interval losses do not move the median: levels are learned around the point forecast.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from congru.report.charts import line_chart
from congru.runtime.answer import Answer
from congru.tasks.forecast import defaults
from congru.tasks.forecast.data import MOST_TRAINING, ForecastData, data_score, prepare
from congru.tasks.forecast.mixture import Evidence, evidence_of, fit_share, groups_of, mix
from congru.tasks.forecast.network import network_config
from congru.tasks.forecast.panel import Panel, Units
from congru.tasks.forecast.quantiles import bounded, calibrate, error_quantiles, fit_calibration
from congru.tasks.forecast.settings import SIZES, Settings
from congru.tasks.forecast.simple import Rows
from congru.tasks.forecast.store import NUM_ANSWERS, SeriesStore
from congru.tasks.forecast.window import Window, decode_mean
from congru.tasks.forecast.wording import name_step, say_times
from congru.tasks.members import side_by_side
from congru.train.base import Probe, Sample, TaskLearner
from congru.train.networks import Networks

Batch = tuple[Any, Any, Any, Any]  # x, bases, targets, weights

_PROBE_WINDOWS = 8


class _Mixed(NamedTuple):
    """What an evaluation's network forecasts become with the simple ones mixed in."""

    parts: Sequence[NDArray[np.float64]]
    """What was mixed."""
    forecast: NDArray[np.float64]
    """[B, h, Q]"""
    share: NDArray[np.float64] | None
    """[h] of the network; None without simple forecasts."""


def make_learner(table: Any, /, *, settings: Settings) -> ForecastLearner:
    """Read a long table: a CSV path, pandas, polars or pyarrow."""
    source = str(table) if isinstance(table, (str, Path)) else "table"
    return ForecastLearner(prepare(table, settings), settings, source)


class ForecastLearner(TaskLearner[Settings]):
    """See :class:`congru.train.base.TaskLearner`; a row is (series, cutoff), [2]."""

    task = "forecast"
    sizes = SIZES
    uses = (
        "Forecasting the series it was trained on, and going on with new rows of them as they come, without"
        " retraining."
    )
    limits = (
        "It knows only the past of each series and the known covariates: an event without precedent is not foreseen."
        " Intervals are calibrated on the validation part and then learn from the values that come."
    )
    commands = ("congru run MODEL", "congru run MODEL --update NEW.csv", "congru eval MODEL DATA.csv")

    def __init__(self, data: ForecastData, settings: Settings, source: str = "table") -> None:
        super().__init__(settings)
        self.data, self.source = data, source
        self.metric: str = settings.metric
        self.baselines = {name: metrics[self.metric] for name, metrics in data.baselines.items()}
        self.stride = settings.stride or default_stride(data)
        few = defaults.choose_noise(int(data.train_end.sum()))
        self.noise = few if settings.noise is None else settings.noise
        self._weights = row_weights(data.units, settings.loss)
        self._validation = data.validation if len(data.validation[0]) else last_train_rows(data)
        self._last_mixed: _Mixed | None = None
        self.validation_words = window_words(data, *self._validation)
        if len(data.table.known) > len(data.table.columns.holidays):
            self.run_flags = ("--future", "FUTURE.csv")

    @cached_property
    def steps_per_epoch(self) -> int:
        """As many as the fewest windows of any epoch fill."""
        fewest = len(self.data.train_rows(self.stride, self.stride - 1)[0])
        return max(1, fewest // self.settings.batch_size)

    def resized(self, settings: Settings) -> ForecastLearner:
        """The same windows with another network, or another number of them in a step."""
        return ForecastLearner(self.data, settings, self.source)

    def networks(self, cell: str, hidden_size: int) -> dict[str, Any]:
        """One network from windows to the numbers of a forecast, or several alike whose forecasts are averaged."""
        settings = self.settings
        layers = (cell, hidden_size, settings.num_layers, settings.dropout)
        return side_by_side(network_config(self.data.window, *layers), settings.seeds)

    def rows(self, epoch: int) -> NDArray[np.int64]:
        """Windows [N, 2] in random order, every `stride` steps from a random first one."""
        rng = self.generator(epoch)
        series, _ = self.data.train_rows(1, 0)
        firsts = min(self.stride, int(np.bincount(series).max()))  # so that the longest series has a window
        windows = np.stack(self.data.train_rows(self.stride, int(rng.integers(firsts))), 1)
        order = rng.permutation(len(windows))
        return np.asarray(windows[np.resize(order, max(self.settings.batch_size, len(windows)))])

    def batch(self, rows: NDArray[np.int64]) -> Batch:
        """Inputs [B, n, F], bases [B, (n,) h, R], targets and weights [B, (n,) h] of windows, float32."""
        panel, window = self.data.panel, self.data.window
        series, cutoff = rows[:, 0], rows[:, 1]
        x = panel.inputs(series, cutoff)
        if window.streaming:
            series = np.repeat(series[:, None], window.num_steps, 1)
            cutoff = cutoff[:, None] + np.arange(1 - window.num_steps, 1)
        began = cutoff >= 1
        if window.streaming:
            began[:, : window.num_steps // 4] = False
        targets = panel.relative(panel.actual(series, cutoff), series, cutoff)
        weights = panel.observed(series, cutoff) * began[..., None] * self._weights[series][..., None]
        bases = np.asarray(panel.bases(series, cutoff), np.float32)
        return x, bases, np.asarray(targets, np.float32), np.asarray(weights, np.float32)

    def loss(self, networks: Networks, batch: Batch, carry: Any) -> tuple[Tensor, Tensor, None]:
        """The summed weighted error of the forecasts, and how many are counted."""
        x, bases, targets, weights = batch
        if self.noise:
            x = x + self.noise * torch.randn_like(x)
        total = x.new_zeros(())
        for network in networks.values():  # each learns by itself: their losses are added
            out, _ = network(x)
            errors = forecast_errors(
                out, bases, targets, self.data.window, squared=self.settings.loss == "mse"
            )
            total = total + (errors * weights).sum()
        return total, (weights > 0).sum(), None

    def validation_rows(self) -> NDArray[np.int64]:
        """The validation windows [N, 2]; without a validation part the last one of each series."""
        return np.stack(self._validation, 1)

    def evaluate(self, networks: Networks, rows: NDArray[np.int64]) -> NDArray[np.float64]:
        """Forecasts [B, h, Q] of windows, in the unit of the series."""
        series, cutoff = rows[:, 0], rows[:, 1]
        panel = self.data.panel
        return panel.absolute(self._relative(networks, panel, series, cutoff), series, cutoff)

    def _relative(
        self, networks: Networks, panel: Panel, series: NDArray[np.int64], cutoff: NDArray[np.int64]
    ) -> NDArray[np.float64]:
        """What the network forecasts [B, h, Q], in units relative to the last value."""
        window = self.data.window
        x, bases = self.tensors(panel.inputs(series, cutoff), networks), panel.bases(series, cutoff)
        outs = [network(x)[0] for network in networks.values()]
        last = [(out[:, -1] if window.streaming else out).cpu().numpy() for out in outs]
        return decode_mean(last, bases, window)

    @cached_property
    def _validation_simple(self) -> NDArray[np.float64]:
        """What the simple forecasts say in the validation windows [B, h], in deviations from the mean."""
        assert self.data.simple is not None
        return self.data.panel.simple(self.data.simple, *self._validation)

    @cached_property
    def _evidence(self) -> Evidence:
        """What came in the validation windows."""
        series, cutoff = self._validation
        groups = groups_of(series, cutoff - self.data.train_end[series], self.data.window.horizon)
        squared = self.metric == "mse"
        return evidence_of(self.data.panel, self._validation, groups, squared=squared)

    def _mixed(self, parts: Sequence[NDArray[np.float64]]) -> _Mixed:
        """The validation forecasts with the simple ones mixed in, worked out once for the parts of an evaluation."""
        if self._last_mixed is None or self._last_mixed.parts is not parts:
            self._last_mixed = _Mixed(parts, *self._mix(np.concatenate(parts)))
        return self._last_mixed

    def _mix(self, forecast: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64] | None]:
        """Validation forecasts [B, h, Q] with simple ones mixed in, and the share of the network [h], None without any."""
        if self.data.simple is None:
            return forecast, None
        panel, units, series = self.data.panel, self.data.units, self._validation[0]
        simple = self._validation_simple
        share = fit_share(self._evidence, panel.deviations(forecast[..., 0], series), simple)
        absolute = simple * units.scale[series][:, None] + units.mean[series][:, None]
        return mix(forecast, absolute, share), share

    def metrics(self, parts: Sequence[NDArray[np.float64]]) -> dict[str, float]:
        """The metrics over the validation windows that one follows while training, of what the saved model forecasts."""
        levels = self.data.window.levels
        metrics = data_score(self.data, self._mixed(parts).forecast, *self._validation, levels)
        return {name: value for name, value in metrics.items() if name not in ("rmse", "bias")}

    def probe(self) -> Probe:
        """The first validation windows, [B, n, F]."""
        series, cutoff = (part[:_PROBE_WINDOWS] for part in self._validation)
        return Probe(torch.from_numpy(self.data.panel.inputs(series, cutoff)))

    def sample(self, networks: Networks) -> Sample:
        """The forecast of the first series in the first validation window, beside the actual values."""
        series, cutoff = (part[:1] for part in self._validation)
        forecast = self.evaluate(networks, np.stack((series, cutoff), 1))[0]
        actual, number = self.data.panel.actual(series, cutoff)[0], int(series[0])
        ahead = self._store.times(number, cutoff[0] + np.arange(len(actual)))
        times = say_times(self._store.format.wall(ahead))
        widest = max(map(len, times))
        name = self.data.table.series[number].name
        lines = [f"series {name!r}", f"{'':>{widest}} {'actual':>12} {'forecast':>12}"]
        for time, y, f in zip(times[:24], actual, forecast[:, 0]):
            lines.append(f"{time:>{widest}} {y:>12.6g} {f:>12.6g}")
        return Sample("\n".join(lines), self._picture(series, cutoff, actual, forecast, times[0]))

    def _picture(
        self, series: NDArray[np.int64], cutoff: NDArray[np.int64], actual: Any, forecast: Any, first: str
    ) -> dict[str, bytes]:
        """What was read before the window, the forecast with its interval, and what came; nothing without matplotlib."""
        if importlib.util.find_spec("matplotlib") is None:
            return {}
        horizon = len(actual)
        past = self.data.panel.history(min(self.data.window.input_size, 4 * horizon), series, cutoff)[0]
        days = list(range(1, horizon + 1))
        drawn = {
            "past": (list(range(1 - len(past), 1)), past.tolist()),
            "forecast": (days, forecast[:, 0].tolist()),
            "what came": (days, actual.tolist()),
        }
        bands = {}
        if forecast.shape[1] > 2:
            bands["forecast"] = (forecast[:, 1].tolist(), forecast[:, 2].tolist())
        _, plural = name_step(str(self._store.frequency), 1)
        name = self.data.table.series[int(series[0])].name
        svg = line_chart(drawn, str(name), x_label=f"{plural}, 1 is {first}", bands=bands)
        return {"forecast.svg": svg.encode()}

    @cached_property
    def _store(self) -> SeriesStore:
        """What a forecaster keeps of the training table."""
        return SeriesStore.of(self.data, self.settings.repeated())

    def task_config(self, parts: Sequence[NDArray[np.float64]]) -> dict[str, Any]:
        """Window, calendar, series, the network's share, and the factors that make intervals hold on the validation part."""
        data, factors = self.data, list[float]()
        mixed = self._mixed(parts)
        if data.window.levels:
            actual, observed = data.panel.actual(*data.validation), data.panel.observed(*data.validation)
            factors = fit_calibration(actual, mixed.forecast, observed, data.window.levels)
        return {**replace(self._store, share=mixed.share).config(), "calibration": factors}

    def files(self, parts: Sequence[NDArray[np.float64]]) -> dict[str, bytes]:
        """Units, last values and usual errors of every series."""
        series, cutoff = self._validation
        actual, observed = self.data.panel.actual(series, cutoff), self.data.panel.observed(series, cutoff)
        unit = np.where(self.data.units.flat, 0.0, self.data.units.unit)[series]
        errors = error_quantiles(actual, self._mixed(parts).forecast[..., 0], observed, unit)
        return replace(self._store, errors=errors).files()

    def answer(self, networks: Networks, task_config: Mapping[str, Any]) -> Answer:
        """The forecasts of the first series after their last rows, calibrated."""
        share = np.array(task_config["share"]) if "share" in task_config else None
        panel, series, cutoff = self._store.last_windows(NUM_ANSWERS)
        network = self._relative(networks, panel, series, cutoff)
        mixed = replace(self._store, share=share).with_simple(network, panel, series, cutoff)
        forecast = calibrate(panel.absolute(mixed, series, cutoff), task_config["calibration"])
        return Answer({}, {"forecast": bounded(forecast, self.data.minimum)})

    def describe(self) -> dict[str, Any]:
        """What was read, how it is split, and what was chosen."""
        data, window = self.data, self.data.window
        num_train, num_validation = (
            int(data.train_end.sum()),
            int((data.test_start - data.train_end).sum()),
        )
        num_test = int(sum(len(s) for s in data.table.series) - data.test_start.sum())
        table, *remarks = data.table.report.lines()
        summary: dict[str, Any] = {
            "source": self.source,
            "table": table,
            "split": "by time, each series: train, validation, test",
            "train": f"{num_train} steps",
            "validation": f"{num_validation} steps, {len(data.validation[0])} windows"
            if num_validation
            else "none: the last windows of the train part are looked at, which training has seen",
            "test": f"{num_test} steps",
            "season": data.season,
            "window": f"{window.input_size} steps in segments of {window.segment}",
            "lags": list(window.lags),
            "noise": self.noise,
            "simple forecasts": "mixed in as far as validation says" if data.simple is not None else "none",
            "known covariates": ", ".join(data.table.known) or "none",
        }
        for role, columns in (("past-only", data.table.past), ("static", data.table.static)):
            if columns:
                summary[f"{role} covariates"] = ", ".join(columns)
        if data.minimum is not None:
            summary["minimum"] = data.minimum
        if remarks:
            summary["remarks"] = remarks
        return summary


def default_stride(data: ForecastData) -> int:
    """Training windows so far apart that an epoch has at most 16384; a quarter of the look-back where it streams."""
    if data.window.streaming:
        return max(1, data.window.input_size // 4)
    return max(1, -(-len(data.train_rows(1, 0)[0]) // MOST_TRAINING))


def window_words(data: ForecastData, series: NDArray[np.int64], cutoff: NDArray[np.int64]) -> str:
    """What the validation part holds, in words."""
    ahead = f"{data.window.horizon} steps ahead"
    if len(series) == 1:
        return f"one window, {ahead}"
    apart = np.diff(cutoff)[np.diff(series) == 0]
    every = int(apart.min()) if len(apart) else 0
    step = f", one every {every} steps" if every > 1 else ", one every step" if every else ""
    count = len(np.unique(series))
    return f"{len(series)} windows{f' of {count} series' if count > 1 else ''}{step}, {ahead}"


def last_train_rows(data: ForecastData) -> Rows:
    """The last window of each train part."""
    cutoff = data.train_end - data.window.horizon
    return np.flatnonzero(cutoff > 0), cutoff[cutoff > 0]


def row_weights(units: Units, loss: str) -> NDArray[np.float64]:
    """What an error of one unit counts, for each series.

    mase: 1 everywhere; mae and mse: standard deviations; owa: half as for mase, half relative to the level
    as for sMAPE, both with mean 1.
    """
    if loss == "mae":
        return np.asarray(units.unit / units.scale)
    if loss == "mse":
        return np.asarray((units.unit / units.scale) ** 2)
    if loss == "owa":
        relative = units.unit / units.level
        return np.asarray(0.5 + 0.5 * relative / relative.mean())
    return np.ones_like(units.unit)


def forecast_errors(
    out: Tensor, bases: Tensor, targets: Tensor, window: Window, *, squared: bool = False
) -> Tensor:
    """Error and pinball losses [..., h] of the network's numbers [..., O]; the formulas of window.py."""
    values = out.reshape(*out.shape[:-1], window.horizon, -1)
    mixed = bases[..., 0]
    if window.num_mixed:
        mixed = (values[..., -window.num_mixed :].softmax(-1) * bases).sum(-1)
    error = targets - values[..., 0] - mixed
    total: Tensor = error.square() if squared else error.abs()
    widths = F.softplus(values[..., 1 : 1 + window.num_widths])
    beyond = error.detach()
    for side, sign in ((0, -1.0), (1, 1.0)):
        distances = widths[..., side::2].cumsum(-1)
        for number, level in enumerate(window.levels):
            quantile = 0.5 + sign * level / 200
            rest = beyond - sign * distances[..., number]
            total = total + torch.maximum(quantile * rest, (quantile - 1) * rest)
    return total
