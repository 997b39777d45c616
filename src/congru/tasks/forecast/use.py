"""What a user does with a forecaster, without torch: forecasts as CSV, new rows, a picture, scores, gates."""

from __future__ import annotations

import csv
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, TextIO

import numpy as np
from cyclopts import Parameter
from numpy.typing import NDArray

from congru.errors import DataError, SettingsError
from congru.runtime.model import Model
from congru.tasks.forecast.forecaster import Forecaster
from congru.tasks.forecast.outputs import reply as reply
from congru.tasks.forecast.scoring import Scores, evaluation_of, parts_table, table_of
from congru.tasks.forecast.streaming import Moment, errors_of, stream
from congru.tasks.parts import Part


def run(
    model: Path,
    /,
    *,
    update: Path | None = None,
    future: Path | None = None,
    stream_rows: Annotated[Path | None, Parameter(name="--stream")] = None,
    anomalies: float | None = None,
    horizon: int | None = None,
    levels: Annotated[tuple[float, ...], Parameter(negative=())] = (),
    intervals: Literal["adaptive", "static"] | None = None,
    bad_rows: Literal["error", "skip"] | None = None,
    out: Path | None = None,
    plot: Path | None = None,
    save: Path | None = None,
    weight_dtype: Literal["float32", "bfloat16"] = "float32",
) -> int:
    """Print the forecast of every series as CSV.

    Parameters
    ----------
    model:
        A model folder.
    update:
        A file of new rows to go on from first; rows that are known already are left out.
    future:
        A file with the columns known ahead for the next steps, where the model was trained with some.
    stream_rows:
        A file of new rows to take in one by one: prints each beside what was forecast for it.
    anomalies:
        With --stream, mark values outside the interval that held this share of the validation errors: 0.99.
    horizon:
        Forecast fewer steps than the model was trained for.
    levels:
        Other intervals than the model was trained with, in per cent.
    intervals:
        static: as validation left them; adaptive: as new rows taught them; default: as in training.
    bad_rows:
        What to do with a row that cannot be used; default: as in training.
    out:
        Write the CSV here instead of printing it.
    plot:
        Also draw the forecast, as .svg or .png.
    save:
        Also write a model folder that goes on from the last row.
    weight_dtype:
        bfloat16 halves the bytes that a recurrent step reads; its matrices are rounded to 8 bits.
    """
    forecaster = Forecaster.load(model, weight_dtype)
    if intervals is not None:
        forecaster = forecaster.static() if intervals == "static" else forecaster.adaptive()
    if anomalies is not None and stream_rows is None:
        raise SettingsError(f"anomalies is {anomalies}, expected --stream FILE beside it: name the new rows")
    if update is not None:
        forecaster.update(update, bad_rows=bad_rows)
        _tell(forecaster, update)
    if stream_rows is not None:
        _stream(forecaster, stream_rows, future, anomalies)
    else:
        names, times, values = forecaster.predict_arrays(future, horizon=horizon, levels=levels or None)
        columns = _text_columns(forecaster, names, times)
        numbers = values.reshape(-1, values.shape[-1]).T
        shown = levels or forecaster.window.levels
        columns.update({name: _numbers(part) for name, part in zip(forecaster.columns_of(shown), numbers)})
        if out is None:
            write_csv(columns, sys.stdout)
        else:
            with out.open("w", newline="", encoding="utf-8") as file:
                write_csv(columns, file)
    if plot is not None:
        forecaster.plot(plot, future=future)
    if save is not None:
        forecaster.save(save)
    return 0


def evaluate(
    model: Path,
    data: str,
    /,
    *,
    part: Part = "auto",
    by: Literal["all", "series", "step"] = "all",
    out: Path | None = None,
    quiet: bool = False,
    bad_rows: Literal["error", "skip"] | None = None,
    weight_dtype: Literal["float32", "bfloat16"] = "float32",
) -> Scores:
    """Score forecasts from every moment behind the training rows: the model beside its baselines.

    The newest rows are enough: the history that the model holds stands before them. The linear map is fitted on the
    rows before the first scored one.

    Parameters
    ----------
    model:
        A model folder.
    data:
        A file with the columns of training.
    part:
        auto: the test part where there is one, else the validation part; all: everything, for data that training has not read.
        The test part is every row newer than training's, and series that training has not seen.
    by:
        Also show the model's scores per series or per step ahead.
    out:
        Write every score to this CSV file: model and baselines, overall, per series and per step ahead.
    quiet:
        Print nothing.
    bad_rows:
        What to do with a row that cannot be used; default: as in training.
    weight_dtype:
        bfloat16 halves the bytes that a recurrent step reads; its matrices are rounded to 8 bits.
    """
    forecaster = Forecaster.load(model, weight_dtype)
    evaluation = evaluation_of(forecaster, forecaster.read_rows(data, bad_rows), part)
    scores = evaluation.overall()
    parts = {"series": evaluation.by_series, "step": evaluation.by_step}
    if not quiet:
        _tell(forecaster, data)
        print(f"{data}, {evaluation.part}: {evaluation.words()}")
        print(table_of(scores))
        if by != "all":
            print(parts_table(parts[by](), {"series": "series", "step": "step ahead"}[by]))
        print(evaluation.verdict())
    if out is not None:
        listed = {"all": {"": scores}, **{name: part() for name, part in parts.items()}}
        with out.open("w", newline="", encoding="utf-8") as file:
            write_csv(_long_scores(listed), file)
    return scores


def _long_scores(listed: Mapping[str, Mapping[str, Scores]]) -> dict[str, list[str]]:
    """Every score as one row: what it is of, who made the forecast, the metric, its value."""
    rows = [
        (by, part, name, metric, f"{value:.7g}")
        for by, parts in listed.items()
        for part, scores in parts.items()
        for name, metrics in scores.items()
        for metric, value in metrics.items()
    ]
    return dict(zip(("by", "part", "forecast", "metric", "value"), map(list, zip(*rows))))


def _tell(forecaster: Forecaster, path: Any) -> None:
    """Print the findings about rows that were read on the error stream."""
    for line in forecaster.report.findings():
        print(f"{Path(path).name}: {line}", file=sys.stderr)


def _text_columns(forecaster: Forecaster, names: Sequence[Any], times: NDArray[Any]) -> dict[str, list[str]]:
    """Series and time as they stood in the training table."""
    store, columns = forecaster.store, dict[str, list[str]]()
    if not store.single:
        columns[store.columns.unique_id] = [str(name) for name in names]
    columns[store.columns.ds] = store.format.texts(times)
    return columns


def _numbers(values: NDArray[np.float64]) -> list[str]:
    return [f"{value:.7g}" for value in values.tolist()]


def write_csv(columns: Mapping[str, Sequence[str]], file: TextIO) -> None:
    """Write columns of equal length as CSV."""
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(zip(*columns.values()))


def _stream(forecaster: Forecaster, rows: Path, future: Path | None, anomalies: float | None) -> None:
    mark = f" {'anomaly':>8}" if anomalies is not None else ""
    print(f"{'series':<12} {'time':<20} {'actual':>12} {'forecast':>12} {'last value':>12}{mark}")
    moments: list[Moment] = []
    for moment in stream(forecaster, rows, future=future, anomalies=anomalies):
        moments.append(moment)
        name, when = str(moment.series)[:12], forecaster.store.show(moment.ds)
        odd = f" {'*' if moment.anomaly else '':>8}" if anomalies is not None else ""
        print(
            f"{name:<12} {when:<20} {moment.y:>12.6g} {moment.forecast[0]:>12.6g} {moment.last_value:>12.6g}{odd}".rstrip()
        )
    _tell(forecaster, rows)
    if not moments:
        print("no new row")
        return
    seconds = float(np.median([moment.update_seconds for moment in moments]))
    for number, level in enumerate(forecaster.window.levels):
        inside = [m.forecast[1 + 2 * number] <= m.y <= m.forecast[2 + 2 * number] for m in moments]
        print(f"the {level} % interval held {100 * np.mean(inside):.0f} % of the rows")
    errors = ", ".join(f"{name} {error:.4g}" for name, error in errors_of(moments).items())
    print(f"mean absolute error one step ahead: {errors}; {1e3 * seconds:.2f} ms a row")
    if anomalies is not None:
        count = sum(moment.anomaly for moment in moments)
        print(f"{count} of {len(moments)} rows lie outside the interval of {100 * anomalies:g} %")


def inspect_inputs(model: Model, source: str = "") -> tuple[NDArray[np.float32], list[str]]:
    """The last window of a series as x [1, n, F] for ``model.run``, and the time each step ends with.

    `source`: a series by name, a CSV file of new rows to go on from (then its first series), or nothing for
    the first. Columns known ahead are taken for the next steps as they were last.
    """
    forecaster = Forecaster.of(model)
    number = series_of(forecaster, source)
    store, window = forecaster.store, forecaster.window
    cutoff = np.array([store.history.shape[1]])
    x = store.panel(store.held_known()).inputs(np.array([number]), cutoff)
    ends = store.length[number] - 1 - window.segment * np.arange(window.num_steps - 1, -1, -1)
    return x, store.format.texts(store.times(number, ends))


def series_of(forecaster: Forecaster, source: str = "") -> int:
    """The number of the series meant, by name, or that of the new rows in a CSV file, which are taken in; the first for "".

    Raises:
        DataError: no such series.
    """
    store, number = forecaster.store, 0
    if source and os.path.exists(source):
        table = forecaster.read_rows(source)
        forecaster.take_table(table)
        number = int(forecaster.numbers(table)[0])
    elif source:
        names = [str(name) for name in store.names]
        if source not in names:
            raise DataError(
                f"source is {source!r}, expected a CSV file or one of {len(names)} series"
                f" ({', '.join(names[:3])}, ...): check the name"
            )
        number = names.index(source)
    return number
