"""What does `Forecaster.update` of 1,000 series cost in memory and time?

A streaming forecaster (segment 1) with a GRU of 64 units, trained for one step on 1,000 series of 200 days: it carries a session
for every series. Memory is what a process without torch grows by, after another forecaster, of 10 series, has loaded all that is
loaded once: by reading the folder (a thousand sessions), by the first new day of every series, and by thirty more. The peak is
that of the whole process while updating. Correctness first: ten series that were updated alone forecast the same, bit for bit.

    python -m bench.forecast_update
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from bench.record import ROOT, write_result
from bench.sessions import resident

BARS = {"megabytes of reading and updating": 50.0}
NUM_SERIES, DAYS, NEW_DAYS, HIDDEN_SIZE, HORIZON = 1000, 200, 31, 64, 14
FEW = 10


def table_of(num_series: int, first: int, days: int) -> pd.DataFrame:
    """Days `first` to `first + days` of the series, with weekly waves of their own."""
    day = np.arange(first, first + days)
    phase = np.arange(num_series)[:, None]
    values = 10 + np.sin(2 * np.pi * (day + phase) / 7) + 0.1 * np.cos(day * (1 + phase))
    return pd.DataFrame(
        {
            "unique_id": np.repeat([f"s{k:04d}" for k in range(num_series)], days),
            "ds": np.tile(pd.Timestamp("2024-01-01") + pd.to_timedelta(day, "D"), num_series),
            "y": values.ravel(),
        }
    )


def highest() -> float:
    """The most megabytes that this process has held."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) * 1024 / 1e6


def train(folder: Path) -> None:
    """Write the models of all series, and of a few to begin with."""
    from congru.tasks.forecast import Forecaster

    settings = {"horizon": HORIZON, "hidden_size": HIDDEN_SIZE, "segment": 1, "input_size": 32}
    settings |= {"steps": 1, "evaluations": 1, "quiet": True}
    for name, num_series in (("whole", NUM_SERIES), ("few", FEW)):
        forecaster = Forecaster.train(table_of(num_series, 0, DAYS), **settings, out=folder / name)
        if not forecaster.window.streaming:
            raise SystemExit("the forecaster does not stream")


def grow(folder: str) -> dict[str, Any]:
    """Megabytes and seconds of reading, of one new day of every series, and of thirty more."""
    from congru.tasks.forecast import Forecaster

    first, rest = table_of(NUM_SERIES, DAYS, 1), table_of(NUM_SERIES, DAYS + 1, NEW_DAYS - 1)
    Forecaster.load(Path(folder) / "few").update(
        table_of(FEW, DAYS, NEW_DAYS)
    )  # everything that is loaded once
    Path("/proc/self/clear_refs").write_text("5")  # the peak starts anew
    marks, times = [resident()], [time.perf_counter()]
    whole = Forecaster.load(Path(folder) / "whole")
    for table in (None, first, rest):
        if table is not None:
            whole.update(table)
        marks.append(resident())
        times.append(time.perf_counter())
    peak = highest()
    alone = Forecaster.load(Path(folder) / "whole").update(table_of(FEW, DAYS, NEW_DAYS))
    if not np.array_equal(whole.values()[:FEW], alone.values()[:FEW]):
        raise SystemExit("series that were updated together differ from those alone")
    parts, seconds = ("reading", "first day", "30 more days"), np.diff(times)
    return {
        "megabytes": dict(zip(parts, np.diff(marks).round(2).tolist())),
        "megabytes of reading and updating": round(marks[-1] - marks[0], 2),
        "peak above the beginning, megabytes": round(peak - marks[0], 2),
        "seconds": dict(zip(parts, seconds.round(3).tolist())),
        "milliseconds a new value": round(1e3 * seconds[-1] / (NUM_SERIES * (NEW_DAYS - 1)), 4),
    }


def main() -> None:
    """Measure in processes of their own, print and write results/forecast_update.json."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--repetitions", type=int, default=3)
    repetitions = parser.parse_args().repetitions
    runs = []
    with tempfile.TemporaryDirectory() as folder:
        train(Path(folder))
        for _ in range(repetitions):
            code = f"import json, bench.forecast_update as b; print(json.dumps(b.grow({folder!r})))"
            done = subprocess.run(
                [sys.executable, "-c", code], check=True, capture_output=True, text=True, cwd=ROOT
            )
            runs.append(json.loads(done.stdout))
            print(runs[-1], flush=True)
    median = sorted(runs, key=lambda run: run["megabytes of reading and updating"])[len(runs) // 2]
    target = write_result(
        "forecast_update",
        f"python -m bench.forecast_update --repetitions {repetitions}",
        {"bars": BARS, "series": NUM_SERIES, "hidden_size": HIDDEN_SIZE, **median, "runs": runs},
        repetitions=repetitions,
        packages=("pandas",),
    )
    print(target.relative_to(ROOT))


if __name__ == "__main__":
    main()
