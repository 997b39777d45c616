"""What a user does with a forecaster, without torch: forecasts as CSV, new rows, a picture, scores, gates."""

from __future__ import annotations

import csv
import sys
from pathlib import Path
from typing import Annotated, Any, Literal, TextIO

import numpy as np
from cyclopts import Parameter
from numpy.typing import NDArray

from congru.data.table import show_time
from congru.errors import DataError, SettingsError
from congru.runtime.model import Model
from congru.tasks.forecast.forecaster import Forecaster
from congru.tasks.forecast.scoring import Scores, evaluate_forecaster, table_of
from congru.tasks.forecast.streaming import errors_of, stream


def run(
    model: Path,
    /,
    *,
    update: Path | None = None,
    future: Path | None = None,
    stream_rows: Annotated[Path | None, Parameter(name="--stream")] = None,
    bad_rows: Literal["error", "skip"] = "error",
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
        A CSV file of new rows to go on from first.
    future:
        A CSV file with the known covariates of the steps ahead, where the model was trained with some.
    stream_rows:
        A CSV file of new rows to take in one by one: prints each beside what was forecast for it.
    bad_rows:
        What to do with a row that cannot be used.
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
    if update is not None:
        forecaster.update(update, bad_rows=bad_rows)
    if stream_rows is not None:
        _stream(forecaster, stream_rows)
    else:
        columns = forecaster.predict_columns(future)
        if out is None:
            write_csv(columns, sys.stdout)
        else:
            with out.open("w", newline="", encoding="utf-8") as file:
                write_csv(columns, file)
    if plot is not None:
        forecaster.plot(plot)
    if save is not None:
        forecaster.save(save)
    return 0


def evaluate(
    model: Path,
    data: str,
    /,
    *,
    quiet: bool = False,
    weight_dtype: Literal["float32", "bfloat16"] = "float32",
) -> Scores:
    """Score forecasts from every moment behind the training rows: the model beside its baselines.

    The table must hold the training rows' series and newer rows than training used (those of
    ``--test-size``, or later ones). The linear map is fitted on the rows before the first scored one.

    Parameters
    ----------
    model:
        A model folder.
    data:
        A CSV file with the columns of training.
    quiet:
        Print nothing.
    weight_dtype:
        bfloat16 halves the bytes that a recurrent step reads; its matrices are rounded to 8 bits.
    """
    forecaster = Forecaster.load(model, weight_dtype)
    scores = evaluate_forecaster(forecaster, data)
    if not quiet:
        print(table_of(scores))
    return scores


def write_csv(columns: dict[str, Any], file: TextIO) -> None:
    """Write columns of equal length as CSV; numbers with seven digits."""
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(columns)
    for row in zip(*columns.values()):
        writer.writerow([_cell(value) for value in row])


def _cell(value: Any) -> str:
    if isinstance(value, np.datetime64):
        return show_time(value)
    return f"{value:.7g}" if isinstance(value, float) else str(value)


def _stream(forecaster: Forecaster, rows: Path) -> None:
    print(f"{'series':<12} {'time':<20} {'actual':>12} {'forecast':>12} {'last value':>12}")
    moments = []
    for moment in stream(forecaster, rows):
        moments.append(moment)
        name, when = str(moment.series)[:12], show_time(moment.ds)
        print(
            f"{name:<12} {when:<20} {moment.y:>12.6g} {moment.forecast[0]:>12.6g} {moment.last_value:>12.6g}"
        )
    seconds = float(np.median([moment.update_seconds for moment in moments]))
    errors = ", ".join(f"{name} {error:.4g}" for name, error in errors_of(moments).items())
    print(f"mean absolute error one step ahead: {errors}; {1e3 * seconds:.2f} ms a row")


def inspect_inputs(model: Model, source: str = "") -> tuple[NDArray[np.float32], list[str]]:
    """The last window of a series as x [1, n, F] for ``model.run``, and the time each step ends with.

    `source`: a series by name, a CSV file of new rows to go on from (then its first series), or nothing for
    the first.
    """
    forecaster = Forecaster.of(model)
    number = series_of(forecaster, source)
    store, window = forecaster.store, forecaster.window
    cutoff = np.array([store.history.shape[1]])
    x = store.panel().inputs(np.array([number]), cutoff)
    ends = store.length[number] - 1 - window.segment * np.arange(window.num_steps - 1, -1, -1)
    return x, [show_time(time) for time in store.times(number, ends)]


def series_of(forecaster: Forecaster, source: str = "") -> int:
    """The number of the series meant, by name, or that of the new rows in a CSV file, which are taken in; the first for "".

    Raises:
        DataError: no such series.
        SettingsError: a model with known covariates, whose future is not at hand.
    """
    store, window, number = forecaster.store, forecaster.window, 0
    if source and Path(source).exists():
        table = forecaster.read_rows(source)
        forecaster.update(source)
        number = int(forecaster.numbers(table)[0])
    elif source:
        names = [str(name) for name in store.names]
        if source not in names:
            raise DataError(
                f"source is {source!r}, expected a CSV file or one of {len(names)} series"
                f" ({', '.join(names[:3])}, ...): check the name"
            )
        number = names.index(source)
    if window.num_known:
        raise SettingsError(
            "inspect has a model with known covariates, expected one without: its future is not at hand"
        )
    return number
