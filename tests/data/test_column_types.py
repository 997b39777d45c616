"""The types of series and time columns come out as they went in, for every kind of table, also through JSON."""

from __future__ import annotations

import datetime
import json
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from congru.data.columns import Columns
from congru.data.long_table import LongTable
from congru.data.table import make_table, read_table, write_ids, write_times
from congru.data.times import TimeFormat

LENGTH = 30
DAYS = pd.date_range("2024-03-01", periods=LENGTH)
BASE = pd.DataFrame({"unique_id": "a", "ds": DAYS, "y": np.arange(LENGTH) % 7 + 100.0})
LATER = pd.date_range("2024-03-31", periods=3)  # the clock changes on the first of them
BERLIN = "Europe/Berlin"


def ahead(table: LongTable, count: int = 3) -> Any:
    """Series and time of the next steps as a table, with format and types as a saved model keeps them."""
    form = TimeFormat(**json.loads(json.dumps(table.format.to_json())))
    types = json.loads(json.dumps(dict(table.types)))
    series = table.series[0]
    times = table.frequency.at(series.ds[0], len(series) + np.arange(count))
    columns = {
        table.columns.unique_id: write_ids([series.name] * count, table.kind, types),
        table.columns.ds: write_times(times, form, table.kind, types),
    }
    return make_table(columns, table.kind)


IDS: dict[str, Any] = {
    "text": BASE.unique_id,
    "category": BASE.unique_id.astype(pd.CategoricalDtype(["b", "a"])),
    "string": BASE.unique_id.astype("string"),
    "arrow text": BASE.unique_id.astype("string[pyarrow]"),
    "object": BASE.unique_id.astype(object),
    "int64": pd.Series(7, index=BASE.index),
    "int16": pd.Series(7, index=BASE.index, dtype="int16"),
    "Int64": pd.Series(7, index=BASE.index, dtype="Int64"),
    "float": pd.Series(7.0, index=BASE.index),
    "leading zeros": pd.Series("007", index=BASE.index),
    "date": pd.Series(pd.Timestamp("2020-01-01"), index=BASE.index),
}


@pytest.mark.parametrize("name", IDS)
def test_names_of_series_in_pandas(name: str) -> None:
    frame = BASE.assign(unique_id=IDS[name])
    out = ahead(read_table(frame))
    assert out.unique_id.dtype == frame.unique_id.dtype
    assert out.unique_id[0] == frame.unique_id[0]


TIMES: dict[str, tuple[Any, Any]] = {
    **{f"datetime64[{unit}]": (DAYS.as_unit(unit), LATER.as_unit(unit)) for unit in ("s", "ms", "us", "ns")},
    "zone": (DAYS.tz_localize(BERLIN), LATER.tz_localize(BERLIN)),
    "fixed offset": (DAYS.tz_localize("+05:30"), LATER.tz_localize("+05:30")),
    "business days": (
        pd.bdate_range("2024-03-01", periods=LENGTH, tz="America/New_York"),
        pd.bdate_range("2024-04-12", periods=3, tz="America/New_York"),
    ),
    "month starts": (
        pd.date_range("2021-10-01", periods=LENGTH, freq="MS", tz=BERLIN),
        pd.date_range("2024-04-01", periods=3, freq="MS", tz=BERLIN),
    ),
    "hours": (
        pd.date_range("2024-03-30", periods=LENGTH, freq="h", tz=BERLIN),
        pd.date_range("2024-03-31 07:00", periods=3, freq="h", tz=BERLIN),
    ),
    "text": (DAYS.strftime("%Y-%m-%d"), LATER.strftime("%Y-%m-%d")),
    "yyyymmdd": (DAYS.strftime("%Y%m%d").astype("int64"), LATER.strftime("%Y%m%d").astype("int64")),
    "nanoseconds": (DAYS.as_unit("ns").astype("int64"), LATER.as_unit("ns").astype("int64")),
    "milliseconds": (DAYS.as_unit("ms").astype("int64"), LATER.as_unit("ms").astype("int64")),
    "int32": (np.arange(LENGTH, dtype="int32"), np.arange(30, 33, dtype="int32")),
    "float": (np.arange(LENGTH, dtype=float), np.arange(30.0, 33.0)),
    "Int64": (pd.array(range(LENGTH), dtype="Int64"), pd.array(range(30, 33), dtype="Int64")),
    "periods of days": (DAYS.to_period("D"), LATER.to_period("D")),
    "periods of quarters": (
        pd.period_range("2010Q1", periods=LENGTH, freq="Q"),
        pd.period_range("2017Q3", periods=3, freq="Q"),
    ),
    "periods of weeks": (
        pd.period_range("2023-01-02", periods=LENGTH, freq="W"),
        pd.period_range("2023-07-31", periods=3, freq="W"),
    ),
    "date objects": (
        pd.Series([day.date() for day in DAYS], dtype=object),
        pd.Series([day.date() for day in LATER], dtype=object),
    ),
    "arrow timestamps": (
        pd.Series(DAYS).astype("timestamp[us][pyarrow]"),
        pd.Series(LATER).astype("timestamp[us][pyarrow]"),
    ),
}


@pytest.mark.parametrize("name", TIMES)
def test_times_in_pandas(name: str) -> None:
    times, expected = TIMES[name]
    out = ahead(read_table(BASE.assign(ds=times)))
    pd.testing.assert_series_equal(out.ds, pd.Series(expected, name="ds"), check_freq=False)


POLARS = pl.from_pandas(BASE)
POLARS_COLUMNS: dict[str, pl.Expr] = {
    "ms": pl.col("ds").cast(pl.Datetime("ms")),
    "date": pl.col("ds").cast(pl.Date),
    "zone": pl.col("ds").dt.replace_time_zone(BERLIN),
    "text": pl.col("ds").dt.strftime("%d.%m.%Y"),
    "categorical": pl.col("unique_id").cast(pl.Categorical),
    "enum": pl.col("unique_id").cast(pl.Enum(["b", "a"])),
    "int32": pl.lit(3, dtype=pl.Int32).alias("unique_id"),
}


@pytest.mark.parametrize("name", POLARS_COLUMNS)
def test_types_in_polars(name: str) -> None:
    frame = POLARS.with_columns(POLARS_COLUMNS[name])
    out = ahead(read_table(frame))
    assert out.schema == frame.drop("y").schema
    days = out["ds"].dt.date() if out["ds"].dtype.is_temporal() else out["ds"].str.to_date("%d.%m.%Y")
    assert days.to_list() == [day.date() for day in LATER]
    joined = frame.join(out, on=["unique_id", "ds"], how="full", coalesce=True)
    assert joined.height == LENGTH + 3


ARROW = pa.Table.from_pandas(BASE, preserve_index=False)
ARROW_COLUMNS: dict[str, tuple[int, Any]] = {
    "dictionary": (0, ARROW["unique_id"].dictionary_encode()),
    "large text": (0, ARROW["unique_id"].cast(pa.large_string())),
    "date32": (1, ARROW["ds"].cast(pa.timestamp("us")).cast(pa.date32())),
    "zone": (1, ARROW["ds"].cast(pa.timestamp("us")).cast(pa.timestamp("us", tz=BERLIN))),
    "seconds": (1, ARROW["ds"].cast(pa.timestamp("s"))),
}


@pytest.mark.parametrize("name", ARROW_COLUMNS)
def test_types_in_arrow(name: str) -> None:
    index, column = ARROW_COLUMNS[name]
    table = ARROW.set_column(index, ("unique_id", "ds")[index], column)
    out = ahead(read_table(table))
    assert out.schema.field(index).type == table.schema.field(index).type
    last = out["ds"].to_pylist()[-1]
    assert (last if isinstance(last, datetime.datetime) else datetime.datetime(2024, 4, 2)).day == 2


def test_missing_values_of_nullable_columns_are_missing_steps() -> None:
    values = [*range(10), None, *range(11, LENGTH)]
    for frame in (
        BASE.assign(y=pd.array(values, dtype="Int64")),
        BASE.assign(y=pd.array(values, dtype="Float64")),
        BASE.assign(y=pd.Series(values, dtype="int64[pyarrow]")),
        POLARS.with_columns(pl.Series("y", values)),
        ARROW.set_column(2, "y", pa.array(values)),
    ):
        table = read_table(frame)
        assert np.flatnonzero(~table.series[0].observed).tolist() == [10]
        assert table.report.counts == {"missing steps": 1}


def test_names_and_times_in_an_index_are_columns() -> None:
    out = ahead(read_table(BASE.set_index("ds")))
    assert out.ds.tolist() == list(LATER)
    assert not read_table(BASE.set_index("unique_id")).single


def test_a_file_goes_out_as_pandas_would_read_it(tmp_path: Any) -> None:
    path = tmp_path / "numbers.csv"
    BASE.assign(unique_id=3, ds=DAYS.strftime("%Y%m%d")).to_csv(path, index=False)
    out = ahead(read_table(path))
    assert out.dtypes.tolist() == [np.int64, np.int64]
    assert out.ds.tolist() == [20240331, 20240401, 20240402]
    BASE.assign(unique_id="007").to_csv(path, index=False)
    assert ahead(read_table(path)).unique_id.tolist() == ["007"] * 3
    BASE.to_parquet(tmp_path / "table.parquet")
    assert ahead(read_table(tmp_path / "table.parquet")).ds.tolist() == list(LATER)


def test_one_line_for_each_table_that_is_none(tmp_path: Any) -> None:
    pairs = pd.MultiIndex.from_product([["k"], ["unique_id", "ds", "y"]])
    lines = {
        "column \\('k', 'unique_id'\\) \\(tuple\\), expected names of text": BASE.set_axis(pairs, axis=1),
        "column 0 \\(int\\), expected names of text": BASE.rename(columns={"y": 0}),
        "column 'y' twice, expected distinct names": pd.concat([BASE, BASE[["y"]]], axis=1),
        "row 0: unique_id \\('a', 1\\) is a tuple, expected text or a number": BASE.assign(
            unique_id=[("a", 1)] * LENGTH
        ),
        "row 0: unique_id None is not a name": pl.DataFrame(
            {"unique_id": [None, "a"], "ds": ["2024-01-01"] * 2, "y": [1, 2]}
        ),
        "data is the address https://example.org/x.csv, expected a file": "https://example.org/x.csv",
    }
    for line, table in lines.items():
        with pytest.raises(ValueError, match=line) as caught:
            read_table(table, columns=Columns())
        assert "\n" not in str(caught.value)
