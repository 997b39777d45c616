"""What a forecaster keeps of each series: its units, its last values, where it stands in time.

`scaler.json` holds mean and scale of every series, `series.safetensors` the rest; neither grows with the
history. Legend: N series, M steps kept, K known covariates.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import astuple, dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load as parse_tensors
from safetensors.numpy import save as format_tensors

from congru.data.frequency import Frequency
from congru.data.table import Columns
from congru.errors import ModelFolderError
from congru.runtime.scaler import Scaler
from congru.tasks.forecast.data import ForecastData, KnownScale
from congru.tasks.forecast.panel import Panel, Units
from congru.tasks.forecast.window import Array, Window

FILE = "series.safetensors"
NUM_ANSWERS = 4  # series whose forecasts are replayed when a model is loaded


@dataclass
class SeriesStore:
    """N series as a forecaster knows them."""

    names: list[Any]
    window: Window
    frequency: Frequency
    season: int
    columns: Columns
    single: bool
    kind: str
    known: list[str]
    known_scale: KnownScale
    units: Units
    naive_errors: Array
    origin: NDArray[np.int64]
    """[N] first timestamp, microseconds since 1970 or counted."""
    length: NDArray[np.int64]
    """[N] steps seen since the origin."""
    train_end: NDArray[np.int64]
    """[N] steps that training used, validation included."""
    history: Array
    """[N, M] the last values."""
    known_history: Array
    """[N, M, K] the last known covariates, as the user gave them."""
    state: dict[str, NDArray[np.float32]] = field(default_factory=dict)
    """Of a streaming network that has been updated: its state and, as "out", its last output."""

    @classmethod
    def of(cls, data: ForecastData) -> SeriesStore:
        """The store after the last row of the training table."""
        table, kept = data.table, max(data.window.memory, data.season)
        return cls(
            names=[s.name for s in table.series],
            window=data.window,
            frequency=data.table.frequency,
            season=data.season,
            columns=table.columns,
            single=table.single,
            kind=table.kind,
            known=table.known,
            known_scale=data.known_scale,
            units=data.units,
            naive_errors=data.naive_errors,
            origin=np.array([as_number(s.ds[0]) for s in table.series], np.int64),
            length=np.array([len(s) for s in table.series], np.int64),
            train_end=data.test_start.astype(np.int64),
            history=np.stack([_last(s.y, kept) for s in table.series]),
            known_history=np.stack([_last(s.known, kept) for s in table.series]),
        )

    @property
    def counted(self) -> bool:
        """Whether times are whole numbers."""
        return self.frequency.unit == "step"

    def times(self, number: int, steps: NDArray[np.int64]) -> NDArray[Any]:
        """The timestamps of steps counted from the origin of series `number`."""
        return self.frequency.at(self.start(number), steps)

    def start(self, number: int) -> Any:
        """The first timestamp of series `number`."""
        origin = self.origin[number]
        return int(origin) if self.counted else origin.astype("datetime64[us]")

    def panel(self, future: Array | None = None) -> Panel:
        """The kept values as windows with their cutoff at M; `future` [N, h, K] known covariates after them."""
        known = self.known_history
        if future is not None:
            known = np.concatenate([known, future], 1)
        phase = [self.phase(number) for number in range(len(self.names))]
        scaled = list(self.known_scale.apply(known))
        return Panel(self.window, self.units, list(self.history), scaled, phase)

    def last_windows(self, most: int) -> tuple[Panel, NDArray[np.int64], NDArray[np.int64]]:
        """The windows that end with the last rows of the first `most` series, and (series, cutoff) of each.

        Known covariates ahead are taken as zeros.
        """
        count = min(most, len(self.names))
        panel = self.panel(np.zeros((len(self.names), self.window.horizon, len(self.known))))
        return panel, np.arange(count), np.full(count, self.history.shape[1])

    def last_step(self, number: int) -> Panel:
        """The one window, with its cutoff at M, that a streaming network reads as the last step."""
        window = replace(self.window, input_size=1)
        units = Units(*(column[number : number + 1] for column in astuple(self.units)))
        known = self.known_scale.apply(self.known_history[number])
        return Panel(window, units, [self.history[number]], [known], [self.phase(number)])

    def phase(self, number: int) -> int:
        """The position of the first kept value of a series in the calendar."""
        seen = int(self.length[number]) - self.history.shape[1]
        return int(self.frequency.phase(self.start(number)) + seen)

    def push(self, number: int, y: float, known: Array) -> None:
        """One more step of a series; the oldest kept one goes."""
        self.history[number] = np.r_[self.history[number, 1:], y]
        self.known_history[number] = np.concatenate([self.known_history[number, 1:], known[None]])
        self.length[number] += 1

    def config(self) -> dict[str, Any]:
        """The plain values, for the model's task_config."""
        return {
            "window": self.window.to_json(),
            "frequency": {k: getattr(self.frequency, k) for k in ("unit", "count", "month_end")},
            "season": self.season,
            "columns": {k: getattr(self.columns, k) for k in ("unique_id", "ds", "y")},
            "single": self.single,
            "kind": self.kind,
            "known": self.known,
            "series": [name if isinstance(name, (str, int)) else str(name) for name in self.names],
        }

    def files(self) -> dict[str, bytes]:
        """The side files of the model folder."""
        scaler = Scaler({str(n): (m, s) for n, m, s in zip(self.names, self.units.mean, self.units.scale)})
        tensors: dict[str, NDArray[Any]] = {
            "unit": self.units.unit,
            "level": self.units.level,
            "known_mean": self.known_scale.mean,
            "known_scale": self.known_scale.scale,
            "naive_errors": self.naive_errors,
            "origin": self.origin,
            "length": self.length,
            "train_end": self.train_end,
            "history": self.history,
            "known_history": self.known_history,
            **{f"state.{name}": value for name, value in self.state.items()},
        }
        content = format_tensors({name: np.ascontiguousarray(value) for name, value in tensors.items()})
        return {"scaler.json": scaler.to_json(), FILE: content}

    @classmethod
    def read(cls, config: Mapping[str, Any], files: Mapping[str, bytes], folder: str) -> SeriesStore:
        """What :meth:`config` and :meth:`files` gave; raises :class:`ModelFolderError` for anything else."""
        try:
            tensors = parse_tensors(files[FILE])
            state = {n.removeprefix("state."): v for n, v in tensors.items() if n.startswith("state.")}
            get = tensors.__getitem__
            scaler = Scaler.from_json(files["scaler.json"], f"{folder}/scaler.json")
            mean, scale = (
                np.array(column) for column in zip(*(scaler.series[str(n)] for n in config["series"]))
            )
            return cls(
                names=list(config["series"]),
                window=Window.from_json(config.get("window", config.get("geometry"))),
                frequency=Frequency(**config["frequency"]),
                season=int(config["season"]),
                columns=Columns(**config["columns"]),
                single=bool(config["single"]),
                kind=str(config["kind"]),
                known=list(config["known"]),
                known_scale=KnownScale(get("known_mean"), get("known_scale")),
                units=Units(mean, scale, get("unit"), get("level")),
                naive_errors=get("naive_errors"),
                origin=get("origin"),
                length=get("length").copy(),
                train_end=get("train_end"),
                history=get("history").copy(),
                known_history=get("known_history").copy(),
                state=state,
            )
        except (KeyError, TypeError, SafetensorError) as error:
            raise ModelFolderError(
                f"{folder} is no whole forecaster ({type(error).__name__} {error}), expected what training"
                " wrote: copy the folder again or train anew"
            ) from None


def as_number(stamp: Any) -> int:
    """A timestamp as microseconds since 1970, a counted one as it is."""
    return int(stamp.astype(np.int64)) if isinstance(stamp, np.datetime64) else int(stamp)


def _last(values: Array, count: int) -> Array:
    """The last `count` rows, the first one repeated before them where there are fewer."""
    missing = count - len(values)
    return (
        np.concatenate([np.repeat(values[:1], missing, 0), values]) if missing > 0 else values[-count:].copy()
    )
