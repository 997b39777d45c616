"""The demo of forecasts: three cells on four years of Seattle weather, beside simple forecasts; a report; a month streamed.

The data is the daily maximum temperature of the package vega_datasets (NOAA, 2012 to 2015). Training sees 2012 to
2014 (the last tenth of it chooses the best step), January to November 2015 is scored once, December is streamed.
"""

from __future__ import annotations

import os
import shlex
import shutil
import statistics
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from congru.errors import require
from congru.report.verdict import share_of

HORIZON_DAYS = 7
PAST_DAYS = 30  # drawn before the forecast
SCORED_DAYS = 334  # January to November 2015
STREAM_FROM = "2015-12-01"
CELLS = ("gru", "lstm", "rnn")
SEEDS = (0, 1)
HIDDEN_SIZE = 32  # of the GRU; the others get the same number of parameters


@dataclass(frozen=True)
class Score:
    """One row of the table: mean and spread over the seeds of the error on the scored days."""

    name: str
    error: float
    spread: float | None = None
    parameters: int | None = None
    hidden_size: int | None = None
    seconds: float | None = None


def weather(seconds: float, out: Path | None = None, setup_seconds: float | None = None) -> int:
    """Train GRU, LSTM and RNN on daily weather, compare, write a report, stream a month day by day."""
    began = time.perf_counter()
    require("torch", "train")
    from congru.train.comparison import unequal_steps

    past, month = load_weather()
    print(f"Seattle, highest temperature of the day: {len(past)} days to learn from and score,", end=" ")
    print(f"{HORIZON_DAYS} days ahead; {len(CELLS)} cells x {len(SEEDS)} seeds x {seconds:g} s")
    comparison = train_all(past, seconds, out)
    scores, best = score_all(comparison, past)
    print(table_of(scores))
    trained = time.perf_counter() - began
    page = write_report(best, Path(comparison.rows[0].folders[0]).parent, month)
    stream_month(best, month)
    total = time.perf_counter() - began
    setup = "" if setup_seconds is None else f"set-up {setup_seconds:.0f} s, "
    print(f"\n{setup}table after {trained:.0f} s, everything after {total:.0f} s")
    activate = way_to_the_path()
    if activate:
        print(f"  {activate}    (puts congru on the path)")
    folder = Path(comparison.rows[0].folders[0]).parent
    compared = write_comparison(comparison, folder)
    print(conclusion_of(scores))
    for line in unequal_steps(comparison):
        print(line)
    print("next")
    for command in ("run", "inspect"):
        print(f"  {shlex.join(['congru', command, str(best.model.folder)])}")
    print(f"reports: {page} (the GRU), {compared} (all cells)")
    return 0


def way_to_the_path() -> str:
    """What to type before `congru` is found by its name; "" where it is."""
    if shutil.which("congru") is not None:
        return ""
    return f". {os.path.relpath(Path(sys.executable).parent / 'activate')}"


def load_weather() -> tuple[Any, Any]:
    """The long tables (unique_id, ds, y): all days before December 2015, and December."""
    weather = require("vega_datasets", "demo").data.seattle_weather()
    table = weather.rename(columns={"date": "ds", "temp_max": "y"})[["ds", "y"]]
    table.insert(0, "unique_id", "Seattle")
    late = table["ds"] >= STREAM_FROM
    return table[~late].reset_index(drop=True), table[late].reset_index(drop=True)


def train_all(past: Any, seconds: float, out: Path | None) -> Any:
    """Every cell with every seed: equal seconds, equal parameters; a line per run."""
    from congru.tasks.forecast.learner import make_learner
    from congru.tasks.forecast.settings import Settings
    from congru.train.compare import compare
    from congru.train.folder import next_free

    settings = Settings(
        horizon=HORIZON_DAYS,
        levels=[80],
        test_size=SCORED_DAYS,
        hidden_size=HIDDEN_SIZE,
        minutes=seconds / 60,
        out=next_free(Path("runs"), "demo") if out is None else out,
    )
    origin = dict.fromkeys(("horizon", "levels", "test_size", "minutes"), "demo")
    return compare(
        make_learner,
        [past],
        settings,
        CELLS,
        SEEDS,
        say=lambda line: print(f"  {line}", flush=True),
        origin=origin,
    )


def score_all(comparison: Any, past: Any) -> tuple[list[Score], Any]:
    """The scores of all cells and baselines on the scored days, and the GRU that was best on validation."""
    from congru.tasks.forecast import Forecaster, evaluate_forecaster

    scores, baselines, gru = [], {}, None
    for row in comparison.rows:
        errors = []
        for folder in row.folders:
            forecaster = Forecaster.load(folder)
            panel, _ = forecaster.panel_of(past)
            measured = evaluate_forecaster(forecaster, past)
            degrees = {name: float(f["mae"] * panel.units.scale[0]) for name, f in measured.items()}
            errors.append(degrees.pop(forecaster.name))
            baselines = degrees
        if row.cell == "gru":
            gru = Forecaster.load(row.folders[row.values.index(min(row.values))])
        name, mean, spread = forecaster.name, statistics.fmean(errors), statistics.stdev(errors)
        scores.append(Score(name, mean, spread, row.num_parameters, row.hidden_size, row.seconds))
    scores += [Score(name, error) for name, error in baselines.items()]
    return sorted(scores, key=lambda score: score.error), gru


def table_of(scores: list[Score]) -> str:
    """The scores as aligned text, best first.

    >>> print(table_of([Score("GRU", 2.5, 0.01, 4000, 32, 15.0), Score("last value", 3.0)]))
                     mean absolute error    parameters  hidden    time
    GRU               2.500 °C ± 0.010           4,000      32    15 s
    last value        3.000 °C
    """
    lines = [f"{'':<16} {'mean absolute error':<22} {'parameters':>10}  {'hidden':>6}  {'time':>6}"]
    for score in scores:
        spread = "" if score.spread is None else f" ± {score.spread:.3f}"
        line = f"{score.name:<16}  {score.error:.3f} °C{spread:<12}"
        if score.seconds is not None:
            line += f" {score.parameters:>11,}  {score.hidden_size:>6}  {score.seconds:>4.0f} s"
        lines.append(line.rstrip())
    return "\n".join(lines)


def conclusion_of(scores: list[Score]) -> str:
    """Which of the models and simple forecasts is best on the scored days, in a sentence.

    >>> conclusion_of([Score("GRU", 2.5, 0.01, 4000, 32, 15.0), Score("last value", 3.0)])
    'On the scored days GRU is best (2.500 °C), 17 % better than last value, the best simple forecast.'
    """
    models = [score for score in scores if score.seconds is not None]
    simple = min((score for score in scores if score.seconds is None), key=lambda score: score.error)
    best = min(models, key=lambda score: score.error)
    share = share_of(best.error, simple.error)
    if best.error >= simple.error:
        return (
            f"On the scored days {simple.name}, a simple forecast, is best ({simple.error:.3f} °C): the best model,"
            f" {best.name}, is {share} worse. Use the simple one."
        )
    return (
        f"On the scored days {best.name} is best ({best.error:.3f} °C), {share} better than {simple.name}, the best simple"
        " forecast."
    )


def write_comparison(comparison: Any, folder: Path) -> Path:
    """The page about all cells."""
    from congru.cli.compare import seen_by_all
    from congru.tasks.registry import find_task
    from congru.train.comparison import write_page

    seen = seen_by_all(find_task("forecast"), comparison)
    return write_page(comparison, folder, seen, "Seattle weather: GRU, LSTM and plain RNN side by side")


def write_report(forecaster: Any, folder: Path, month: Any) -> Path:
    """One offline page: the forecast, then the gates and timescales of the network that made it."""
    import congru
    from congru.gates.report import report
    from congru.tasks.forecast.inspection import inspect_reading

    svg = forecast_picture(forecaster, month)
    reading = inspect_reading(forecaster.model, unit="°C")
    trace = congru.inspect(forecaster.model, reading.x, tokens=reading.tokens, labels=reading.outputs)
    trace.check()
    sentence = (
        f"The next {HORIZON_DAYS} days with the interval that should hold 80 of 100 values, and what came."
    )
    context = {
        "about": {"data": "Seattle, highest temperature of the day (°C)"},
        "series": forecaster.store.history[0][:, None],
        "reading": reading,
        "extra": [("Forecast", sentence, svg)],
    }
    return report(
        trace, folder / "report.html", title="Seattle weather: a GRU and its gates", context=context
    )


def forecast_picture(forecaster: Any, month: Any) -> str:
    """The last days, the forecast with its interval, and what came, as an SVG text; call it before the month is streamed."""
    from congru.report.charts import line_chart

    past, ahead = forecaster.store.history[0][-PAST_DAYS:], forecaster.values()[0]
    days, actual = list(range(1, len(ahead) + 1)), month["y"].to_list()[: len(ahead)]
    series = {
        "past": (list(range(1 - len(past), 1)), past.tolist()),
        f"forecast of the {forecaster.name}": (days, ahead[:, 0].tolist()),
        "what came": (days, actual),
    }
    interval = {f"forecast of the {forecaster.name}": (ahead[:, 1].tolist(), ahead[:, 2].tolist())}
    return line_chart(series, "°C", x_label="days from 30 November 2015", bands=interval)


def stream_month(forecaster: Any, month: Any) -> None:
    """Go through December day by day: forecast, see the value, take one step; and the errors at the end."""
    from congru.tasks.forecast import stream
    from congru.tasks.forecast.streaming import errors_of

    print(f"\nDecember 2015 day by day, {forecaster.name} beside the last value (°C):")
    print(f"  {'day':<12} {'actual':>6} {'forecast':>9} {'80 % interval':>16} {'last value':>11}")
    moments = []
    for moment in stream(forecaster, month):
        moments.append(moment)
        middle, low, high = moment.forecast
        interval = f"{low:.1f} to {high:.1f}"
        print(
            f"  {str(moment.ds)[:10]:<12} {moment.y:>6.1f} {middle:>9.1f} {interval:>16} {moment.last_value:>11.1f}"
        )
    errors = ", ".join(f"{name} {error:.2f}" for name, error in errors_of(moments).items())
    milliseconds = 1e3 * statistics.median(moment.update_seconds for moment in moments)
    print(f"  mean absolute error one day ahead: {errors}; {milliseconds:.2f} ms a day")
