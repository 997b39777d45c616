"""Tables and texts from public repositories: what is read of each, or the one line that refuses it with a fix that works."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest

from congru.data.columns import Columns
from congru.data.table import read_table
from congru.data.text import read_text
from congru.errors import DataError
from congru.tasks.forecast import Forecaster
from congru.tasks.forecast.use import run
from forecast_cases import STEPWISE, train
from shared_files import CASES, needs

FOLDER = CASES / "forecast_text"
pytestmark = needs(FOLDER)

HOTELS = Columns("Classement,Quartier", "Date", "Occupancy rate")
AIR = Columns(ds="Date,Time", y="CO(GT)", past=("NMHC(GT)",), missing=("-200",))


def utf8(name: str, encoding: str, folder: Path) -> Path:
    """A file as the iconv of the message would write it."""
    path = folder / name
    path.write_text((FOLDER / name).read_bytes().decode(encoding), encoding="utf-8", newline="")
    return path


@pytest.fixture
def hotels(tmp_path: Path) -> Path:
    return utf8("hotels_monthly.csv", "latin1", tmp_path)


def columns_of(line: str) -> tuple[Columns, str]:
    """The columns and the pattern of the flags in a line."""
    flags = {
        name: plain or quoted for name, quoted, plain in re.findall(r"--([a-z-]+) (?:'([^']*)'|(\S+))", line)
    }
    columns = Columns(
        flags.get("id-column", "unique_id"), flags.get("time-column", "ds"), flags.get("target-column", "y")
    )
    return columns, flags.get("date-format", "")


def refusal(source: Any, **how: Any) -> str:
    with pytest.raises(DataError) as caught:
        read_table(source, **how)
    line = str(caught.value)
    assert "\n" not in line
    assert "expected" in line
    return line


def test_series_named_by_two_columns_and_dates_that_two_patterns_fit(hotels: Path) -> None:
    line = refusal(hotels, columns=HOTELS)
    assert "has '01-01-13' in Date" in line
    assert "--date-format '%d-%m-%y' or --date-format '%m-%d-%y'" in line
    table = read_table(hotels, columns=HOTELS, date_format=columns_of(line.split(" or --")[0])[1])
    assert len(table.series) == 11
    assert str(table.frequency) == "1mo"
    first = table.series[0]
    assert (first.name, len(first), float(first.y[0])) == ("3 stars/All", 58, 0.611553068)
    assert {"separator is ';'", "decimal mark of Occupancy rate is ','"} <= set(table.report.notes)
    assert table.format.texts(first.ds[-1:]) == ["01-10-17"]


@pytest.mark.parametrize("form", ["csv", "pandas", "polars"])
def test_names_and_times_of_two_columns_are_the_same_from_every_kind_of_table(form: str) -> None:
    path = FOLDER / "air_quality.csv"
    source = {"csv": str, "pandas": pd.read_csv, "polars": pl.read_csv}[form](path)
    table = read_table(source, columns=AIR)
    (series,) = table.series
    assert table.report.rows == 1199
    assert str(series.ds[0]) == "2004-03-10T18:00:00.000000"
    assert str(table.frequency) == "1h"
    raw = pd.read_csv(path)
    gone = (raw["CO(GT)"] == -200).to_numpy()
    assert 200 < gone.sum() < 300
    assert int((~series.observed).sum()) == gone.sum()
    np.testing.assert_array_equal(series.y[series.observed], raw["CO(GT)"][~gone])
    assert series.past.min() > 0


def test_a_date_and_a_time_of_day_that_lie_apart_are_offered_together() -> None:
    path = FOLDER / "air_quality.csv"
    columns, _ = columns_of(refusal(path))
    assert columns == Columns(ds="Date,Time", y="CO(GT)")
    assert len(read_table(path, columns=columns).series[0]) == 1199
    columns, _ = columns_of(refusal(path, columns=Columns(ds="Date", y="CO(GT)")))
    assert columns.ds == "Date,Time"


def test_a_model_of_composed_columns_takes_updates_and_missing_values_on_every_route(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    frame = pd.read_csv(FOLDER / "air_quality.csv")[["Date", "Time", "CO(GT)"]]
    frame.insert(0, "room", "a")
    frame.insert(1, "floor", 1)
    settings: dict[str, Any] = {
        "steps": 2,
        "evaluations": 1,
        "hidden_size": 4,
        **STEPWISE,
        "id_column": "room,floor",
        "time_column": "Date,Time",
        "target_column": "CO(GT)",
        "missing": -200,
    }
    model = train(frame[:400], tmp_path / "rooms", **settings)
    assert model.store.columns.missing == ("-200",)
    assert float(model.store.history.min()) > 0
    assert model.predict()["room,floor"].unique().tolist() == ["a/1"]
    new = frame[395:420]
    new.to_csv(tmp_path / "new.csv", index=False)
    run(model.model.folder, update=tmp_path / "new.csv")
    out = capsys.readouterr()
    assert "rows already known left out: 5" in out.err
    last = frame.iloc[419]
    after = (pd.Timestamp(f"{last.Date} {last.Time}") + pd.Timedelta("1h")).strftime("%Y-%m-%d %-H:%M:%S")
    assert out.out.splitlines()[1].startswith(f"a/1,{after},")
    updated = Forecaster.load(model.model.folder).update(new)
    assert updated.predict()["Date,Time"].tolist()[0] == pd.Timestamp(after)


WIDE = {
    "elnino_wide.csv": ("month", 732, "1950 JAN", 23.11, "1mo"),
    "museums_wide.csv": ("year", 2, "2010", 17.518, "1y"),
}


@pytest.mark.parametrize("name", WIDE)
def test_a_column_for_every_step_is_refused_with_how_to_turn_it(name: str) -> None:
    what, steps, first, value, step = WIDE[name]
    line = refusal(FOLDER / name)
    assert f"has a column for every {what} (" in line
    call = re.search(r"pandas\.(melt\(table, .*?\)) and pass", line)
    assert call
    turned = eval(f"pd.{call[1]}", {"pd": pd, "table": pd.read_csv(FOLDER / name)})
    columns, _ = columns_of(line)
    table = read_table(turned, columns=columns, bad_rows="skip")
    assert str(table.frequency) == step
    assert len(table.series[0]) == steps
    assert table.format.texts(table.series[0].ds[:1])[0].upper() == first
    assert float(table.series[0].y[0]) == value


def test_dates_without_separators_and_with_names_of_months() -> None:
    weekly = read_table(FOLDER / "co2_weekly.csv", columns=columns_of(refusal(FOLDER / "co2_weekly.csv"))[0])
    assert str(weekly.frequency) == "1w"
    assert weekly.report.counts == {"missing steps": 59}
    assert int(weekly.series[0].observed.sum()) == 2225
    monthly = read_table(
        FOLDER / "month_names.csv", columns=columns_of(refusal(FOLDER / "month_names.csv"))[0]
    )
    (series,) = monthly.series
    assert (len(series), str(monthly.frequency)) == (257, "1mo")
    assert monthly.format.texts(series.ds[[0, -1]]) == ["Jan-1-1995", "May-1-2016"]


def test_lines_before_the_table_are_told_and_quarters_read(tmp_path: Path) -> None:
    name = "unemployment_preamble.csv"
    line = refusal(FOLDER / name)
    assert "row 10: has 5 values" in line
    skipped = re.search(r"tail -n \+(\d+) ", line)
    assert skipped
    path = tmp_path / name
    lines = (FOLDER / name).read_text().splitlines()
    path.write_text("\n".join(lines[int(skipped[1]) - 1 :]) + "\n")
    table = read_table(path, columns=Columns(ds="Year,Period", y="Value"))
    (series,) = table.series
    assert (len(series), str(table.frequency)) == (203, "1q")
    assert table.format.texts(series.ds[[0, -1]]) == ["1959 Q01", "2009 Q03"]


REFUSED = {
    "two_columns_no_header.txt": r"row 1: has the numbers -0\.00313258, 0\.083 for names of columns, expected a header",
    "duplicate_headers.csv": "has the column 'id' twice",
    "ragged.csv": "row 5: has 6 values, expected 3",
    "greek_8859_7.csv": "row 2: byte 0xcb is not UTF-8",
    "utf16_big.csv": "row 1: byte 0xfe is not UTF-8.*iconv -f utf-16 ",
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_no_table_as_it_stands_is_one_line(name: str) -> None:
    assert re.search(REFUSED[name], refusal(FOLDER / name))


def test_the_fixes_of_refused_tables_work(tmp_path: Path) -> None:
    numbers = pd.read_csv(FOLDER / "two_columns_no_header.txt", sep=" ", names=["y", "other"])
    numbers["ds"] = np.arange(len(numbers))
    numbers.to_csv(tmp_path / "named.csv", index=False)
    table = read_table(tmp_path / "named.csv")
    assert (len(table.series[0]), table.series[0].y[0]) == (107, -0.00313258)
    assert refusal(utf8("utf16_big.csv", "utf-16", tmp_path)).startswith("utf16_big.csv has the columns ")
    kept = (FOLDER / "ragged.csv").read_text().splitlines()[:3]
    (tmp_path / "kept.csv").write_text("\n".join(kept).replace("id,name,age", "ds,name,y") + "\n")
    assert read_table(tmp_path / "kept.csv").series[0].y.tolist() == [30, 26]


def test_two_rows_are_too_few_and_the_line_says_how_many_are_needed(tmp_path: Path) -> None:
    path = FOLDER / "vix.csv"
    columns, _ = columns_of(refusal(path))
    assert columns == Columns(ds="Date", y="VIXClose")
    table = read_table(path, columns=columns)
    assert table.format.texts(table.series[0].ds[:1]) == ["2004-01-05T00:00:00Z"]
    with pytest.raises(
        DataError, match="the longest series has 2 rows, expected at least 49 with horizon 24 "
    ):
        Forecaster.train(
            path, time_column="Date", target_column="VIXClose", steps=2, out=tmp_path / "run", quiet=True
        )
    enough = pd.DataFrame(
        {"ds": pd.date_range("2004-01-05", periods=49, tz="UTC"), "y": np.sin(np.arange(49.0))}
    )
    train(enough, tmp_path, steps=2, evaluations=1, hidden_size=4, horizon=24)


def test_times_with_and_without_a_zone_are_not_mixed(tmp_path: Path) -> None:
    rows = pd.read_csv(FOLDER / "zones.csv", skipinitialspace=True)
    rows.assign(y=np.arange(4.0)).to_csv(tmp_path / "zones.csv", index=False)
    columns = Columns(ds="datetime")
    line = refusal(tmp_path / "zones.csv", columns=columns)
    assert "'2020-01-01T15:00:00' without a zone in datetime and '2020-01-01T15:00:00Z' with one" in line
    rows[1:].assign(y=np.arange(3.0)).to_csv(tmp_path / "zoned.csv", index=False)
    series = read_table(tmp_path / "zoned.csv", columns=columns).series[0]
    hours = (series.ds[series.observed].astype("datetime64[h]")).astype(str).tolist()
    assert hours == ["2020-01-01T12", "2020-01-01T15", "2020-01-01T18"]


def test_marks_of_thousands_and_decimals_of_other_countries(tmp_path: Path) -> None:
    cells = pd.read_csv(FOLDER / "locale_numbers.csv", dtype=str)
    frame = pd.DataFrame({"ds": [2001, 2002], "y": [cells.a[0], "2,5"], "people": [cells.b[0], "1.000.000"]})
    frame.to_csv(tmp_path / "t.csv", index=False)
    table = read_table(tmp_path / "t.csv", columns=Columns(past=("people",)))
    assert table.series[0].y.tolist() == [1.7, 2.5]
    assert table.series[0].past[:, 0].tolist() == [200_000_000, 1_000_000]
    assert {"decimal mark of y is ','", "thousands mark of people is '.'"} <= set(table.report.notes)


RECORDS = {"header_newline.csv": 1, "mac_newlines.csv": 2, "null_byte.csv": 1}


@pytest.mark.parametrize("name", RECORDS)
def test_line_breaks_of_all_kinds_and_a_nul_part_no_rows(name: str, tmp_path: Path) -> None:
    from congru.data.csv_file import read_csv

    file = read_csv(FOLDER / name, "ds,y")
    assert len(file.header) == 3
    assert {len(column) for column in file.columns.values()} == {RECORDS[name]}
    assert refusal(FOLDER / name, columns=Columns(ds=file.header[0], y=file.header[1]))


@pytest.mark.parametrize(
    ("name", "encoding", "lines"),
    [("french_latin1_crlf.txt", "latin1", 200), ("french_utf16.txt", "utf-16", 100)],
)
def test_a_text_in_another_encoding_names_the_one_that_reads_it(
    name: str, encoding: str, lines: int, tmp_path: Path
) -> None:
    with pytest.raises(DataError, match=f"iconv -f {encoding} -t utf-8 ") as caught:
        read_text(FOLDER / name)
    assert "\n" not in str(caught.value)
    assert len(read_text(utf8(name, encoding, tmp_path)).text.splitlines()) == lines


def test_a_text_with_one_damaged_line_is_not_taken_for_another_encoding(tmp_path: Path) -> None:
    path = FOLDER / "bad_utf8_middle.txt"
    with pytest.raises(
        DataError, match=r"line 51, byte \d+: .* as all else in it is, .*iconv -c -f utf-8 "
    ) as caught:
        read_text(path)
    assert "\n" not in str(caught.value)
    kept = tmp_path / "kept.txt"
    kept.write_bytes(path.read_bytes().decode("utf-8", "ignore").encode())  # what iconv -c writes
    assert len(read_text(kept).text.splitlines()) == 81
