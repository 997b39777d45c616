"""What a forecaster keeps of each series: its units, its last values, where it stands in time.

`scaler.json` holds mean and scale of every series, `series.safetensors` the rest; neither grows with the
history. Legend: N series, M steps kept, K known, P past-only and S static covariates.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, astuple, dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load as parse_tensors
from safetensors.numpy import save as format_tensors

from congru.data.columns import ROLES, Columns
from congru.data.frequency import DAY, Frequency
from congru.data.long_table import Series
from congru.data.table import write_ids, write_times
from congru.data.times import COUNTED, TimeFormat
from congru.errors import ModelFolderError
from congru.runtime.scaler import Scaler
from congru.tasks.forecast.data import CovariateScale, ForecastData, Scales
from congru.tasks.forecast.metrics import naive_error
from congru.tasks.forecast.mixture import mix
from congru.tasks.forecast.panel import Panel, Units, fit_units
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
    past: list[str]
    static: list[str]
    scales: Scales
    units: Units
    naive_errors: Array
    origin: NDArray[np.int64]
    """[N] first timestamp, microseconds since 1970 or counted."""
    length: NDArray[np.int64]
    """[N] steps seen since the origin."""
    fit_end: NDArray[np.int64]
    """[N] steps that the network learned from."""
    train_end: NDArray[np.int64]
    """[N] steps that training used, validation included."""
    history: Array
    """[N, M] the last values."""
    observed: NDArray[np.bool_]
    """[N, M] False where a value was missing and is the one before it."""
    known_history: Array
    """[N, M, K] the last known covariates, as the user gave them."""
    past_history: Array
    """[N, M, P]"""
    static_values: Array
    """[N, S]"""
    format: TimeFormat = field(default_factory=TimeFormat)
    """How times are written."""
    types: dict[str, str] = field(default_factory=dict)
    """"unique_id" and "ds" -> the type of the column."""
    categories: dict[str, list[str]] = field(default_factory=dict)
    minimum: float | None = None
    """No forecast lies below it."""
    errors: NDArray[np.float32] | None = None
    """[h, P] how far validation values lay from their forecasts, see quantiles.py; None in an earlier version's folder."""
    settings: dict[str, Any] = field(default_factory=dict)
    """What training was asked for, to train the same again on other rows."""
    simple: Array | None = None
    """[L + 2, h] the linear map that the simple forecasts make together, see lines.py."""
    share: Array | None = None
    """[h] the share of the network in that mixture."""
    intervals: dict[str, NDArray[Any]] = field(default_factory=dict)
    """What the intervals have learned from new values, see adaptive.py."""
    state: dict[str, NDArray[np.float32]] = field(default_factory=dict)
    """Of a streaming network that has been updated: its state and, as "out", its last output."""

    @classmethod
    def of(cls, data: ForecastData, settings: Mapping[str, Any] | None = None) -> SeriesStore:
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
            past=table.past,
            static=table.static,
            scales=data.scales,
            units=data.units,
            naive_errors=data.naive_errors,
            origin=np.array([as_number(s.ds[0]) for s in table.series], np.int64),
            length=np.array([len(s) for s in table.series], np.int64),
            fit_end=data.train_end.astype(np.int64),
            train_end=data.test_start.astype(np.int64),
            history=np.stack([_last(s.y, kept) for s in table.series]),
            observed=np.stack([_last(s.observed, kept, first=False) for s in table.series]),
            known_history=np.stack([_last(s.known, kept) for s in table.series]),
            past_history=np.stack([_last(s.past, kept) for s in table.series]),
            static_values=np.stack([s.static for s in table.series]),
            format=table.format,
            types=dict(table.types),
            categories={name: list(values) for name, values in table.categories.items()},
            minimum=data.minimum,
            settings=dict(settings or {}),
            simple=data.simple,
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
        return Panel(
            self.window,
            self.units,
            list(self.history),
            list(self.scales.known.apply(known)),
            phase,
            past=list(self.scales.past.apply(self.past_history)),
            static=list(self.scales.static.apply(self.static_values)),
        )

    def held_known(self) -> Array:
        """Known covariates [N, h, K] for the next steps as they were last, where their real ones are not at hand."""
        return np.repeat(self.known_history[:, -1:], self.window.horizon, 1)

    def last_windows(self, most: int) -> tuple[Panel, NDArray[np.int64], NDArray[np.int64]]:
        """The windows that end with the last rows of the first `most` series, and (series, cutoff) of each.

        Known covariates ahead are taken as zeros.
        """
        count = min(most, len(self.names))
        panel = self.panel(np.zeros((len(self.names), self.window.horizon, len(self.known))))
        return panel, np.arange(count), np.full(count, self.history.shape[1])

    def with_simple(
        self, forecast: Array, panel: Panel, series: NDArray[np.int64], cutoff: NDArray[np.int64]
    ) -> Array:
        """The network's forecasts [B, h, Q], in units relative to the last value, with the simple ones mixed in."""
        if self.simple is None or self.share is None or (self.share == 1).all():
            return forecast
        return mix(forecast, panel.simple_in_units(self.simple, series, cutoff), self.share)

    def last_step(self, number: int) -> Panel:
        """The one window, with its cutoff at M, that a streaming network reads as the last step."""
        rows = self.history[number], self.known_history[number], self.past_history[number]
        return self.series_panel(number, *rows, replace(self.window, input_size=1))

    def series_panel(
        self, number: int, values: Array, known: Array, past: Array, window: Window | None = None
    ) -> Panel:
        """The windows of one series over its kept values [T] and what follows them; `known` may go on further."""
        units = self.units.of(number)
        known, past = self.scales.known.apply(known), self.scales.past.apply(past)
        static, phase = self.scales.static.apply(self.static_values[number]), [self.phase(number)]
        return Panel(window or self.window, units, [values], [known], phase, past=[past], static=[static])

    def phase(self, number: int) -> int:
        """The position of the first kept value of a series in the calendar."""
        seen = int(self.length[number]) - self.history.shape[1]
        return int(self.frequency.phase(self.start(number)) + seen)

    def push(self, number: int, y: float, observed: bool, known: Array, past: Array) -> None:
        """One more step of a series; the oldest kept one goes."""
        kept = (
            (self.history, y),
            (self.observed, observed),
            (self.known_history, known),
            (self.past_history, past),
        )
        for table, value in kept:
            row = table[number]
            row[:-1] = row[1:]
            row[-1] = value
        self.length[number] += 1

    def add(self, added: Sequence[Series]) -> NDArray[np.int64]:
        """Take in series that training has not seen, each in units of its own rows; returns their numbers.

        The cost is that of one copy of the store, however many series come.
        """
        first, kept = len(self.names), self.history.shape[1]
        parts = [self.units, *(fit_units([s.y], self.window, [s.observed]) for s in added)]
        self.units = Units(*(np.concatenate(column) for column in zip(*map(astuple, parts))))
        errors = [naive_error(s.y, self.season, s.observed) for s in added]
        none = np.zeros(len(added), np.int64)
        rows: dict[str, Any] = {
            "naive_errors": errors,
            "origin": np.array([as_number(s.ds[0]) for s in added], np.int64),
            "length": np.array([len(s) for s in added], np.int64),
            "fit_end": none,
            "train_end": none,
            "history": np.stack([_last(s.y, kept) for s in added]),
            "observed": np.stack([_last(s.observed, kept, first=False) for s in added]),
            "known_history": np.stack([_last(s.known, kept) for s in added]),
            "past_history": np.stack([_last(s.past, kept) for s in added]),
            "static_values": np.stack([s.static for s in added]),
        }
        for name, new in rows.items():
            setattr(self, name, np.concatenate([getattr(self, name), new]))
        self.names.extend(s.name for s in added)
        return np.arange(first, len(self.names))

    def id_column(self, names: Sequence[Any]) -> Any:
        """The names of series as a column of the type that the table had."""
        return write_ids(list(names), self.kind, self.types)

    def time_column(self, times: NDArray[Any]) -> Any:
        """Times as a column of the type that the table had."""
        return write_times(times, self.format, self.kind, self.types)

    def show(self, stamp: Any) -> str:
        """A time as the table writes it."""
        return self.format.show(stamp)

    def config(self) -> dict[str, Any]:
        """The plain values, for the model's task_config."""
        return {
            "window": self.window.to_json(),
            "frequency": asdict(self.frequency),
            "season": self.season,
            "columns": self.columns.to_json(),
            "single": self.single,
            "kind": self.kind,
            "known": self.known,
            "past": self.past,
            "static": self.static,
            "format": self.format.to_json(),
            "types": self.types,
            "categories": self.categories,
            "minimum": self.minimum,
            "settings": self.settings,
            **({} if self.share is None else {"share": self.share.tolist()}),
            "series": [name if isinstance(name, (str, int, float)) else str(name) for name in self.names],
        }

    def files(self) -> dict[str, bytes]:
        """The side files of the model folder."""
        scaler = Scaler({str(n): (m, s) for n, m, s in zip(self.names, self.units.mean, self.units.scale)})
        tensors: dict[str, NDArray[Any]] = {
            "unit": self.units.unit,
            "level": self.units.level,
            **{f"{role}_mean": getattr(self.scales, role).mean for role in ROLES},
            **{f"{role}_scale": getattr(self.scales, role).scale for role in ROLES},
            "naive_errors": self.naive_errors,
            "origin": self.origin,
            "length": self.length,
            "fit_end": self.fit_end,
            "train_end": self.train_end,
            "history": self.history,
            "observed": self.observed,
            "known_history": self.known_history,
            "past_history": self.past_history,
            "static": self.static_values,
            **({} if self.errors is None else {"errors": self.errors}),
            **({} if self.simple is None else {"simple": self.simple}),
            **{f"state.{name}": value for name, value in self.state.items()},
            **{f"intervals.{name}": value for name, value in self.intervals.items()},
        }
        content = format_tensors({name: np.ascontiguousarray(value) for name, value in tensors.items()})
        return {"scaler.json": scaler.to_json(), FILE: content}

    @classmethod
    def read(cls, config: Mapping[str, Any], files: Mapping[str, bytes], folder: str) -> SeriesStore:
        """What :meth:`config` and :meth:`files` gave; raises :class:`ModelFolderError` for anything else."""
        try:
            tensors = {**_EMPTY, **parse_tensors(files[FILE])}
            state, intervals = _under("state.", tensors), _under("intervals.", tensors)
            get = tensors.__getitem__
            scaler = Scaler.from_json(files["scaler.json"], f"{folder}/scaler.json")
            mean, scale = (
                np.array(column) for column in zip(*(scaler.series[str(n)] for n in config["series"]))
            )
            count, kept = get("history").shape
            known = [str(name) for name in config["known"]]
            columns = Columns.from_json({"known": known, **config["columns"]})
            return cls(
                names=list(config["series"]),
                window=Window.from_json(config.get("window", config.get("geometry"))),
                frequency=Frequency(**config["frequency"]),
                season=int(config["season"]),
                columns=columns,
                single=bool(config["single"]),
                kind=str(config["kind"]),
                known=known,
                past=list(config.get("past", [])),
                static=list(config.get("static", [])),
                scales=Scales(*(CovariateScale(get(f"{role}_mean"), get(f"{role}_scale")) for role in ROLES)),
                units=Units(mean, scale, get("unit"), get("level")),
                naive_errors=get("naive_errors"),
                origin=get("origin"),
                length=get("length").copy(),
                fit_end=tensors.get("fit_end", get("train_end")).copy(),
                train_end=get("train_end").copy(),
                history=get("history").copy(),
                observed=tensors.get("observed", np.ones((count, kept), bool)).copy(),
                known_history=get("known_history").copy(),
                past_history=tensors.get("past_history", np.zeros((count, kept, 0))).copy(),
                static_values=tensors.get("static", np.zeros((count, 0))).copy(),
                format=TimeFormat(**config["format"])
                if "format" in config
                else _format_of(config, get("origin")),
                types=dict(config.get("types", {})),
                categories=dict(config.get("categories", {})),
                minimum=config.get("minimum"),
                settings=dict(config.get("settings", {})),
                errors=tensors.get("errors"),
                simple=_simple_of(tensors),
                share=np.array(config["share"]) if "share" in config else None,
                intervals=intervals,
                state=state,
            )
        except (KeyError, TypeError, SafetensorError) as error:
            raise ModelFolderError(
                f"{folder} is no whole forecaster ({type(error).__name__} {error}), expected what training"
                " wrote: copy the folder again or train anew"
            ) from None


# Covariates that a folder of an earlier version does not have.
_EMPTY = {f"{role}_{part}": np.zeros(0) for role in ("past", "static") for part in ("mean", "scale")}


def _under(prefix: str, tensors: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}


def _simple_of(tensors: Mapping[str, NDArray[Any]]) -> Array | None:
    """The linear map; a folder of an earlier version has [L + 1, h], relative to the last value."""
    if "line" in tensors:
        return np.insert(tensors["line"], len(tensors["line"]) - 1, 0.0, axis=0)
    return tensors.get("simple")


def _format_of(config: Mapping[str, Any], origin: NDArray[np.int64]) -> TimeFormat:
    """How a folder of an earlier version writes times: days as dates."""
    frequency = Frequency(**config["frequency"])
    if frequency.unit == "step":
        return TimeFormat(COUNTED)
    days = frequency.by_calendar and not (origin % DAY).any()
    return TimeFormat("%Y-%m-%d") if days else TimeFormat()


def as_number(stamp: Any) -> int:
    """A timestamp as microseconds since 1970, a counted one as it is."""
    return int(stamp.astype(np.int64)) if isinstance(stamp, np.datetime64) else int(stamp)


def _last(values: NDArray[Any], count: int, first: bool = True) -> NDArray[Any]:
    """The last `count` rows; where there are fewer, before them the first one repeated, or zeros."""
    missing = count - len(values)
    if missing <= 0:
        return values[-count:].copy()
    before = (
        np.repeat(values[:1], missing, 0) if first else np.zeros((missing, *values.shape[1:]), values.dtype)
    )
    return np.concatenate([before, values])
