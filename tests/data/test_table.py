"""Long tables: what comes in from every kind, what is reported, and one line for each thing that cannot be used."""

from __future__ import annotations

import datetime
import gzip
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from congru.data.columns import Columns
from congru.data.frequency import Frequency, infer_frequency, parse_frequency
from congru.data.table import make_table, read_table
from congru.errors import DataError, SettingsError

DAYS = ["2024-01-01", "2024-01-02", "2024-01-03"]
CONTENT: dict[str, list[Any]] = {
    "unique_id": ["b", "b", "b", "a", "a", "a"],
    "ds": DAYS[::-1] + DAYS,
    "y": [3.0, 2.0, 1.0, 10.0, 20.0, 30.0],
    "price": [1, 2, 3, 4, 5, 6],
}


def write(folder: Path, text: str, name: str = "sales.csv") -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def day_frame(times: list[Any], values: list[Any], **more: list[Any]) -> pd.DataFrame:
    return pd.DataFrame({"ds": times, "y": values, **more})


def tables(folder: Path) -> dict[str, Any]:
    frame = pd.DataFrame(CONTENT)
    frame["ds"] = pd.to_datetime(frame["ds"])
    dates = [datetime.date.fromisoformat(day) for day in CONTENT["ds"]]
    path = folder / "sales.csv"
    frame.to_csv(path, index=False)
    return {
        "pandas": frame,
        "polars": pl.DataFrame({**CONTENT, "ds": dates}),
        "pyarrow": pa.table({**CONTENT, "ds": dates}),
        "csv": path,
    }


@pytest.mark.parametrize("kind", ["pandas", "polars", "pyarrow", "csv"])
def test_every_kind_of_table_gives_the_same_series(kind: str, tmp_path: Path) -> None:
    table = read_table(tables(tmp_path)[kind], columns=Columns(known=("price",)))
    assert table.kind == kind
    assert [series.name for series in table.series] == ["b", "a"]  # in order of appearance
    assert table.series[0].y.tolist() == [1.0, 2.0, 3.0]  # sorted by time
    assert table.series[0].known.tolist() == [[3.0], [2.0], [1.0]]
    assert table.series[1].ds.astype("datetime64[D]").astype(str).tolist() == DAYS
    assert table.known == ["price"]
    assert str(table.frequency) == "1d"
    assert table.report.lines() == ["6 rows, 2 series, one step is 1d"]


@pytest.mark.parametrize("kind", ["pandas", "polars", "pyarrow"])
def test_a_table_goes_out_as_the_kind_that_came_in(kind: str) -> None:
    made = make_table({"ds": np.array(DAYS, "datetime64[us]"), "GRU": np.array([1.0, 2.0, 3.0])}, kind)
    assert type(made).__module__.split(".")[0] == kind
    assert isinstance(make_table({"x": [1]}, "csv"), pd.DataFrame)


def test_columns_of_other_names_gzip_and_a_single_series(tmp_path: Path) -> None:
    path = tmp_path / "power.csv.gz"
    path.write_bytes(gzip.compress(b"date,load\n2024-01-01 00:00Z,5\n2024-01-01T01:00:00Z,6\n"))
    table = read_table(path, columns=Columns(ds="date", y="load"))
    assert table.single
    assert str(table.frequency) == "1h"
    assert table.series[0].y.tolist() == [5.0, 6.0]


def test_hours_with_offsets_follow_utc(tmp_path: Path) -> None:
    path = write(tmp_path, "ds,y\n2024-01-01 02:00+02:00,1\n2024-01-01 00:00-0100,2\n")
    assert read_table(path).series[0].ds.astype(str).tolist() == [
        "2024-01-01T00:00:00.000000",
        "2024-01-01T01:00:00.000000",
    ]
    aware = pd.to_datetime(["2024-01-01 02:00", "2024-01-01 03:00"]).tz_localize("Europe/Berlin")
    assert read_table(day_frame(list(aware), [1, 2])).series[0].ds[0] == np.datetime64(
        "2024-01-01T01:00", "us"
    )


def test_missing_steps_are_filled_marked_and_reported() -> None:
    table = read_table(day_frame(["2024-01-01", "2024-01-02", "2024-01-05"], [1.0, 2.0, 5.0]))
    series = table.series[0]
    assert series.y.tolist() == [1.0, 2.0, 2.0, 2.0, 5.0]
    assert series.observed.tolist() == [True, True, False, False, True]
    assert table.report.lines()[1] == "missing steps: 2, first: series 'y' at 2024-01-03"


def test_times_off_the_grid_move_to_the_nearest_step() -> None:
    times = [
        "2024-01-01 00:00",
        "2024-01-01 01:00",
        "2024-01-01 02:10",
        "2024-01-01 03:00",
        "2024-01-01 04:00",
    ]
    table = read_table(day_frame(times, [0, 1, 2, 3, 4]), freq="1h")
    assert table.series[0].y.tolist() == [0, 1, 2, 3, 4]
    assert table.report.counts == {"times between two steps moved to the nearest": 1}
    assert "2024-01-01 02:10" in table.report.lines()[1]


@pytest.mark.parametrize(
    ("start", "freq", "name", "season"),
    [
        ("2024-01-01", "15min", "15min", 96),
        ("2024-01-01", "D", "1d", 7),
        ("2024-01-01", "B", "B", 5),
        ("2024-01-07", "7D", "1w", 52),
        ("2024-01-31", "ME", "1mo", 12),
        ("2024-02-29", "ME", "1mo", 12),
        ("2024-01-15", "MS", "1mo", 12),
        ("2023-03-31", "QE", "1q", 4),
        ("2020-12-31", "YE", "1y", None),
    ],
)
def test_the_step_is_found_and_continued_as_pandas_does(
    start: str, freq: str, name: str, season: int | None
) -> None:
    times = pd.date_range(start, periods=30, freq=freq)
    table = read_table(day_frame(list(times[:20]), list(range(20))))
    assert str(table.frequency) == name
    assert table.frequency.season == season
    assert bool(table.series[0].observed.all())
    ahead = table.frequency.at(table.series[0].ds[0], np.arange(20, 30))
    assert ahead.tolist() == times[20:].to_numpy().astype("datetime64[us]").tolist()
    steps, exact = table.frequency.position(times.to_numpy().astype("datetime64[us]"), table.series[0].ds[0])
    assert steps.tolist() == list(range(30))
    assert bool(exact.all())


@pytest.mark.parametrize(
    ("name", "start", "freq"),
    [
        ("M", "2024-01-31", "ME"),
        ("1mo", "2024-01-31", "ME"),
        ("MS", "2024-01-01", "MS"),
        ("1q", "2024-03-31", "QE"),
        ("QS-OCT", "2024-10-01", "QS-OCT"),
        ("QE-NOV", "2024-02-29", "QE-NOV"),
        ("W-MON", "2024-01-01", "W-MON"),
        ("BME", "2024-01-31", "BME"),
        ("BMS", "2024-01-01", "BMS"),
        ("YE-DEC", "2010-12-31", "YE-DEC"),
        ("YS-APR", "2010-04-01", "YS-APR"),
        ("1d", "2024-01-01", "D"),
        ("Mon-Sat", "2024-01-01", "C"),
    ],
)
def test_steps_as_pandas_and_polars_spell_them(name: str, start: str, freq: str) -> None:
    day: Any = pd.offsets.CustomBusinessDay(weekmask="Mon Tue Wed Thu Fri Sat") if freq == "C" else freq
    times = pd.date_range(start, periods=12, freq=day)
    series = read_table(day_frame(list(times[:8]), list(range(8))), freq=name)
    assert series.series[0].observed.all()
    ahead = series.frequency.at(series.series[0].ds[0], np.arange(12))
    assert ahead.tolist() == times.to_numpy().astype("datetime64[us]").tolist()


def test_business_month_ends_are_found() -> None:
    times = pd.date_range("2024-01-31", periods=20, freq="BME")
    table = read_table(day_frame(list(times[:15]), list(range(15))))
    assert table.frequency.business
    assert table.frequency.at(table.series[0].ds[0], np.array([19])).tolist() == [times[19].to_pydatetime()]


@pytest.mark.parametrize(
    ("name", "line"),
    [
        (
            "W-TUE",
            "freq is '1w' from TUE, but table does not fit: 2024-01-01 is on a day of the week other than TUE",
        ),
        ("QS-FEB", "2024-01-01 is on a month that FEB does not lead to; pass another --freq"),
    ],
)
def test_an_anchor_that_the_times_do_not_have(name: str, line: str) -> None:
    freq = "W-MON" if name[0] == "W" else "QS-JAN"
    times = pd.date_range("2024-01-01", periods=8, freq=freq)
    with pytest.raises(DataError, match=line):
        read_table(day_frame(list(times), list(range(8))), freq=name)


def test_a_weekend_among_business_days_moves_to_friday() -> None:
    table = read_table(day_frame(["2024-01-06", "2024-01-08", "2024-01-09"], [1, 2, 3]), freq="B")
    assert table.series[0].ds.astype("datetime64[D]").astype(str).tolist() == [
        "2024-01-05",
        "2024-01-08",
        "2024-01-09",
    ]
    assert table.report.counts == {"times between two steps moved to the nearest": 1}


def test_counted_steps() -> None:
    table = read_table(day_frame([3, 1, 5, 9], [3, 1, 5, 9]))
    assert str(table.frequency) == "2"
    assert table.series[0].ds.tolist() == [1, 3, 5, 7, 9]
    assert table.frequency.phase(9) == 4


@pytest.mark.parametrize("text", ["60min", "1h", "H", "3600s"])
def test_names_of_an_hour(text: str) -> None:
    assert parse_frequency(text) == Frequency("us", 3_600_000_000)


@pytest.mark.parametrize("text", ["fortnight", "", "0h", "-1h", "2B"])
def test_unknown_frequency(text: str) -> None:
    with pytest.raises(SettingsError, match=r"expected 1h, 15min, 1d.*: give the step of the time column"):
        parse_frequency(text)


def test_frequency_and_times_of_another_kind() -> None:
    with pytest.raises(SettingsError, match="freq is '1h', expected a whole number such as 1"):
        read_table(day_frame([1, 2], [1, 2]), freq="1h")
    with pytest.raises(SettingsError, match="freq is '5', expected a length of time such as 1h"):
        read_table(day_frame(DAYS, [1, 2, 3]), freq="5")


def test_no_regular_step() -> None:
    times = np.cumsum([1, 7, 11, 13, 17, 19, 23]).astype("timedelta64[m]") + np.datetime64("2024-01-01")
    with pytest.raises(DataError, match=r"table has no regular step: .* pass --freq 15min"):
        infer_frequency([times.astype("datetime64[us]")], "table")


BAD_FILES = {
    "": "is empty, expected a header and rows: unique_id,ds,y",
    "ds,y\n": "sales.csv has a header but no rows",
    "ds,value\n2024-01-01,1\n": "sales.csv has the columns ds, value, expected 'y': rename one or pass --target-column value",
    "day,y\n2024-01-01,1\n": "sales.csv has the columns day, y, expected 'ds': rename one or pass --time-column day",
    "ds,y,y\n2024-01-01,1,1\n": "sales.csv has the column 'y' twice",
    "ds,y\n2024-01-01,1\n2024-13-02,2\n": "sales.csv row 3: ds '2024-13-02' is not a date, expected YYYY-MM-DD"
    ".*: fix the row or pass --bad-rows skip",
    "ds,y\n2024-01-01,1\n\n2024-01-02,2,9\n": "sales.csv row 4: has 3 values, expected 2 as in the header",
    "ds,y\n2024-01-01,1\n2024-01-01,2\n": "sales.csv row 3: ds 2024-01-01 is there twice for series 'y'",
    "ds,y\n2024-01-01,1\n2024-01-02,n/a\n": "sales.csv row 3: y 'n/a' is not a number, expected a finite number",
    "ds,y\n2024-01-01,1\n2024-01-02,inf\n": "sales.csv row 3: y 'inf' is not a number",
    "ds,y\n2024-01-01,1\n": "sales.csv has one row per series, expected at least 2",
    "ds,y\n2000-01-01,1\n2000-01-01 01:00,1\n2024-01-01,2\n": "row 4: ds 2024-01-01 00:00 of series 'y' lies 210383 steps"
    " of 1h after 2000-01-01 01:00, expected no such gap: fix the row or pass --bad-rows skip",
    "ds,y\n01/01/2024,1\n14/01/2024,1\n": "has '01/01/2024' in ds, expected YYYY-MM-DD .*: pass --date-format '%d/%m/%Y'$",
    "ds,y\n01/02/2024,1\n": "pass --date-format '%d/%m/%Y' or --date-format '%m/%d/%Y'",
    "ds,y\n2024-01-01,1\n,2\n": "row 3: ds '' is not a date",
    'ds,y\n"2024-01-01,1\n2024-01-02,2\n': "sales.csv row 2: a quote opens here and never closes",
}


@pytest.mark.parametrize("text", BAD_FILES)
def test_each_bad_file_has_its_line(text: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=BAD_FILES[text]) as caught:
        read_table(write(tmp_path, text))
    assert "\n" not in str(caught.value)


def test_bad_paths(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="does not exist, expected a CSV file"):
        read_table(tmp_path / "none.csv")
    with pytest.raises(DataError, match="is a folder, expected a CSV file"):
        read_table(tmp_path)
    path = tmp_path / "latin.csv"
    path.write_bytes(b"ds,y\n2024-01-01,1\n2024-01-02,\xe9\n")
    with pytest.raises(DataError, match="row 3: byte 0xe9 is not UTF-8"):
        read_table(path)
    path = tmp_path / "cut.csv.gz"
    path.write_bytes(gzip.compress(b"ds,y\n")[:-6])
    with pytest.raises(DataError, match="is not a whole gzip file"):
        read_table(path)
    path = write(tmp_path, "ds,y\n")
    path.chmod(0)
    if not _readable(path):  # root reads everything
        with pytest.raises(DataError, match="cannot be read"):
            read_table(path)


def _readable(path: Path) -> bool:
    try:
        path.read_bytes()
    except PermissionError:
        return False
    return True


def test_objects_that_are_no_table() -> None:
    with pytest.raises(DataError, match="data is list, expected a CSV path or a pandas"):
        read_table([1, 2, 3])
    with pytest.raises(DataError, match=r"LazyFrame.*call collect"):
        read_table(pl.LazyFrame(CONTENT))
    with pytest.raises(DataError, match="table has no rows"):
        read_table(pd.DataFrame({"ds": [], "y": []}))


def test_a_bad_value_in_a_table_tells_its_position() -> None:
    with pytest.raises(DataError, match=r"table row 1: y inf is not a number"):
        read_table(day_frame(DAYS, [1.0, float("inf"), 3.0]))
    with pytest.raises(DataError, match=r"table row 2: ds 'soon' is not a date"):
        read_table(day_frame([*DAYS[:2], "soon"], [1, 2, 3]))


def test_bad_rows_can_be_skipped_and_are_counted(tmp_path: Path) -> None:
    text = "ds,y\n2024-01-01,1\nsoon,5\n2024-01-02,x\n2024-01-02,2\n2024-01-02,7\n2024-01-03,3\n"
    table = read_table(write(tmp_path, text), bad_rows="skip")
    assert table.series[0].y.tolist() == [1.0, 2.0, 3.0]  # of two rows with one time the first stays
    assert table.report.counts == {
        "rows without a date in ds left out": 1,
        "rows without a number in y left out": 1,
        "rows with a time given before left out": 1,
    }
    assert "first: row 3" in table.report.lines()[1]
    with pytest.raises(DataError, match="has no row that can be used, expected at least 2"):
        read_table(write(tmp_path, "ds,y\n2024-01-01,x\nsoon,1\n"), bad_rows="skip")
    with pytest.raises(SettingsError, match="bad_rows is 'drop', expected 'error' or 'skip'"):
        read_table(day_frame(DAYS, [1, 2, 3]), bad_rows="drop")  # type: ignore[arg-type]


def test_future_rows_need_no_target() -> None:
    frame = pd.DataFrame({"ds": DAYS, "price": [1, 2, 3]})
    table = read_table(frame, columns=Columns(known=("price",)), target=False)
    assert np.isnan(table.series[0].y).all()
    assert table.series[0].known.ravel().tolist() == [1.0, 2.0, 3.0]


def test_constant_series_are_reported() -> None:
    lines = read_table(day_frame(DAYS, [5, 5, 5])).report.lines()
    assert lines[1] == "constant series: 1, first: series 'y' is 5 throughout"
