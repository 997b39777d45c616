"""The training problem of a forecaster: windows in, the error of the forecast, validation metrics, the
model folder.

    error = |target - median|                  (or its square), in units of each series
    loss  = mean over windows and horizon of   weight * (error + sum over levels of pinball(lo) + pinball(hi))

Where the network streams, every step of a window beyond its first quarter answers and is counted. The
interval losses do not move the median: levels are learned around the point forecast.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from congru.nn.network import Network
from congru.runtime.card import write_card
from congru.runtime.folder import save_model
from congru.runtime.golden import make_golden
from congru.tasks.forecast import defaults
from congru.tasks.forecast.data import MOST_TRAINING, ForecastData, Rows, data_score, prepare
from congru.tasks.forecast.geometry import Geometry, decode
from congru.tasks.forecast.network import network_config
from congru.tasks.forecast.panel import Units
from congru.tasks.forecast.quantiles import fit_calibration
from congru.tasks.forecast.settings import ForecastSettings
from congru.tasks.forecast.store import SeriesStore

Batch = tuple[Tensor, Tensor, Tensor, Tensor]  # x, bases, targets, weights

_CHUNK = 1024  # windows per pass in evaluation
_PROBE_WINDOWS = 8
_USES = (
    "Forecasting the series it was trained on, and going on with new rows of them as they come, without"
    " retraining."
)
_LIMITS = (
    "It knows only the past of each series and the known inputs: an event without precedent is not foreseen."
    " Intervals are calibrated on the validation part and hold as long as the future resembles it."
)
_RUN = ("congru run MODEL", "congru run MODEL --update NEW.csv", "congru eval MODEL DATA.csv")


def make_learner(data: Any, settings: ForecastSettings) -> ForecastLearner:
    """Read the long table `data` and build the network, its first weights drawn from ``settings.seed``."""
    return ForecastLearner(
        prepare(data, settings), settings, str(data) if isinstance(data, (str, Path)) else "table"
    )


class ForecastLearner:
    """See :class:`congru.train.learner.Learner`; also resizable, for comparisons."""

    task = "forecast"
    minimize = True

    def __init__(self, data: ForecastData, settings: ForecastSettings, source: str = "table") -> None:
        self.data, self.settings, self.source = data, settings, source
        self.metric: str = settings.metric
        self.baselines = {name: figures[self.metric] for name, figures in data.baselines.items()}
        self.stride = settings.stride or default_stride(data)
        few = defaults.choose_noise(int(data.train_end.sum()))
        self.noise = few if settings.noise is None else settings.noise
        fewest = len(data.train_rows(self.stride, self.stride - 1)[0])
        self.steps_per_epoch = max(1, fewest // settings.batch_size)
        self._weights = row_weights(data.units, settings.loss)
        self._looked_at = data.validation if len(data.validation[0]) else last_train_rows(data)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(settings.seed)
            self.module: nn.Module = self.build_module(settings.cell, settings.hidden_size)

    def build_module(self, cell: str, hidden_size: int) -> nn.Module:
        """The network with another cell and width."""
        return Network(self._network(cell, hidden_size))

    def _network(self, cell: str, hidden_size: int) -> dict[str, Any]:
        settings = self.settings
        return network_config(self.data.geometry, cell, hidden_size, settings.num_layers, settings.dropout)

    def batches(self, epoch: int, rank: int, world_size: int, start: int = 0) -> Iterator[Batch]:
        """Windows in random order, every `stride` steps from a random first one; this process's rows of
        each batch.
        """
        rng = np.random.default_rng((self.settings.seed, epoch))
        series, cut = self.data.train_rows(self.stride, int(rng.integers(self.stride)))
        size = self.settings.batch_size
        order = np.resize(rng.permutation(len(series)), max(size, len(series)))
        share = size // world_size
        for step in range(start, self.steps_per_epoch):
            rows = order[step * size : (step + 1) * size][rank * share : (rank + 1) * share]
            yield self.batch(series[rows], cut[rows])

    def batch(self, series: NDArray[np.int64], cut: NDArray[np.int64]) -> Batch:
        """Inputs [B, n, F], bases [B, (n,) h, R], targets and weights [B, (n,) h] of windows."""
        panel, geometry = self.data.panel, self.data.geometry
        x = panel.inputs(series, cut)
        if geometry.streaming:
            series = np.repeat(series[:, None], geometry.num_steps, 1)
            cut = cut[:, None] + np.arange(1 - geometry.num_steps, 1)
        began = cut >= 1
        if geometry.streaming:
            began[:, : geometry.num_steps // 4] = False
        targets = panel.relative(panel.actual(series, cut), series, cut)
        weights = panel.observed(series, cut) * began[..., None] * self._weights[series][..., None]
        arrays = (x, panel.bases(series, cut), targets, weights)
        return cast("Batch", tuple(torch.from_numpy(np.asarray(a, np.float32)) for a in arrays))

    def loss(self, module: nn.Module, batch: Batch, carry: Any) -> tuple[Tensor, None]:
        """The mean weighted error of the forecasts."""
        x, bases, targets, weights = batch
        if self.noise:
            x = x + self.noise * torch.randn_like(x)
        out, _ = module(x)
        errors = forecast_errors(out, bases, targets, self.data.geometry, squared=self.settings.loss == "mse")
        return (errors * weights).sum() / (weights > 0).sum().clamp(min=1), None

    def evaluate(self, module: nn.Module) -> dict[str, float]:
        """All metrics over the validation windows."""
        series, cut = self._looked_at
        forecast = self.data.panel.absolute(self._forecast(module, self._looked_at), series, cut)
        return data_score(self.data, forecast, series, cut, self.data.geometry.levels)

    def probe(self) -> Tensor:
        """The first windows looked at, [B, n, F]."""
        series, cut = (part[:_PROBE_WINDOWS] for part in self._looked_at)
        return torch.from_numpy(self.data.panel.inputs(series, cut))

    def _forecast(self, module: nn.Module, rows: Rows) -> NDArray[np.float64]:
        """Forecasts [B, h, Q] of windows, in units relative to the last value."""
        device, geometry = next(module.parameters()).device, self.data.geometry
        parts = []
        for begin in range(0, len(rows[0]), _CHUNK):
            series, cut = rows[0][begin : begin + _CHUNK], rows[1][begin : begin + _CHUNK]
            with torch.no_grad():
                out, _ = module(torch.from_numpy(self.data.panel.inputs(series, cut)).to(device))
            last = out[:, -1] if geometry.streaming else out
            parts.append(decode(last.cpu().numpy(), self.data.panel.bases(series, cut), geometry))
        return np.concatenate(parts)

    def sample(self, module: nn.Module) -> str:
        """The forecast of the first series for the last window looked at, beside what came."""
        series, cut = self._looked_at[0][:1], self._looked_at[1][:1]
        forecast = self.data.panel.absolute(self._forecast(module, (series, cut)), series, cut)[0, :, 0]
        actual = self.data.panel.actual(series, cut)[0]
        name = self.data.table.series[int(series[0])].name
        lines = [f"series {name!r}", f"{'step':>6} {'came':>12} {'forecast':>12}"]
        rows = zip(range(1, 25), actual, forecast)
        return "\n".join([*lines, *(f"{k:>6} {came:>12.6g} {said:>12.6g}" for k, came, said in rows)])

    def save_model(self, module: nn.Module, folder: Path, card: dict[str, Any]) -> None:
        """Write the model folder; its golden cases are what this torch module answers."""
        settings, data = self.settings, self.data
        network = self._network(settings.cell, settings.hidden_size)
        factors: list[float] = []
        if data.geometry.levels:
            series, cut = data.validation
            forecast = data.panel.absolute(self._forecast(module, data.validation), series, cut)
            actual, observed = data.panel.actual(series, cut), data.panel.observed(series, cut)
            factors = fit_calibration(actual, forecast, observed, data.geometry.levels)
        store = SeriesStore.of(data)
        config = {
            "task": self.task,
            "cell": settings.cell,
            "networks": {"main": network},
            "task_config": {**store.config(), "calibration": factors},
        }
        save_model(
            folder,
            config=config,
            weights={
                "main": {name: part.detach().cpu().numpy() for name, part in module.state_dict().items()}
            },
            golden={"main": make_golden(network, _runner(module))},
            files=store.files(),
            card=write_card(config, card, uses=_USES, limits=_LIMITS, run=_RUN),
        )

    def describe(self) -> dict[str, object]:
        """What was read, how it is split, and what was chosen."""
        data, geometry = self.data, self.data.geometry
        trained, looked = int(data.train_end.sum()), int((data.test_start - data.train_end).sum())
        tested = int(sum(len(s) for s in data.table.series) - data.test_start.sum())
        found = data.table.report.lines()
        summary: dict[str, object] = {
            "source": self.source,
            "table": found[0],
            "split": "by time, each series: train, validation, test",
            "train": f"{trained} steps",
            "validation": f"{looked} steps, {len(data.validation[0])} windows"
            if looked
            else "none: the last windows of the train part are looked at, which training has seen",
            "test": f"{tested} steps",
            "season": data.season,
            "window": f"{geometry.input_size} steps in segments of {geometry.segment}",
            "lags": list(geometry.lags),
            "noise": self.noise,
            "known inputs": ", ".join(data.table.known) or "none",
        }
        if len(found) > 1:
            summary["found"] = found[1:]
        return summary


def default_stride(data: ForecastData) -> int:
    """Training windows so far apart that an epoch has at most 16384; a quarter of the look-back where it
    streams.
    """
    if data.geometry.streaming:
        return max(1, data.geometry.input_size // 4)
    return max(1, -(-len(data.train_rows(1, 0)[0]) // MOST_TRAINING))


def last_train_rows(data: ForecastData) -> Rows:
    """The last window of each train part."""
    cut = data.train_end - data.geometry.horizon
    return np.flatnonzero(cut > 0), cut[cut > 0]


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
    out: Tensor, bases: Tensor, targets: Tensor, geometry: Geometry, *, squared: bool = False
) -> Tensor:
    """Error and pinball losses [..., h] of the network's numbers [..., O]; the formulas of geometry.py."""
    values = out.reshape(*out.shape[:-1], geometry.horizon, -1)
    mixed = bases[..., 0]
    if geometry.num_mixed:
        mixed = (values[..., -geometry.num_mixed :].softmax(-1) * bases).sum(-1)
    error = targets - values[..., 0] - mixed
    total: Tensor = error.square() if squared else error.abs()
    widths = F.softplus(values[..., 1 : 1 + geometry.num_widths])
    beyond = error.detach()
    for side, sign in ((0, -1.0), (1, 1.0)):
        distances = widths[..., side::2].cumsum(-1)
        for number, level in enumerate(geometry.levels):
            quantile = 0.5 + sign * level / 200
            rest = beyond - sign * distances[..., number]
            total = total + torch.maximum(quantile * rest, (quantile - 1) * rest)
    return total


def _runner(module: nn.Module) -> Any:
    """The module as a function of NumPy arrays, for the golden cases."""
    device = next(module.parameters()).device

    def run(x: NDArray[Any], state: Any, lengths: Any) -> tuple[NDArray[Any], dict[str, NDArray[Any]]]:
        given = None if state is None else {k: torch.from_numpy(v).to(device) for k, v in state.items()}
        limits = None if lengths is None else torch.from_numpy(lengths).to(device)
        with torch.no_grad():
            out, after = module(torch.from_numpy(x).to(device), given, lengths=limits)
        return out.cpu().numpy(), {name: part.cpu().numpy() for name, part in after.items()}

    return run
