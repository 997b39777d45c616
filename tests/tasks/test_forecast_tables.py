"""Tables that people really have: what `congru train forecast` reads, says and forecasts for each of the awkward files."""

from __future__ import annotations

import io
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from congru.data.columns import Columns
from congru.data.long_table import LongTable
from congru.data.table import read_table
from congru.errors import DataError, SettingsError
from congru.tasks.forecast import Forecaster
from congru.tasks.forecast.future import known_ahead
from congru.tasks.forecast.use import evaluate, run
from forecast_cases import STEPWISE, train, without_charts
from shared_files import CASES, needs

FOLDER = CASES / "forecast"
pytestmark = needs(FOLDER)

TINY: dict[str, Any] = {"steps": 2, "evaluations": 1, "hidden_size": 4, **STEPWISE}


def read(name: str, **how: Any) -> LongTable:
    return read_table(FOLDER / name, **how)


def ahead(table: LongTable, count: int = 3) -> list[str]:
    """The next times of the first series, as the file writes them."""
    series = table.series[0]
    return table.format.texts(table.frequency.at(series.ds[0], len(series) + np.arange(count)))


NEXT_TIMES = {
    "month-end-from-february.csv": ["2022-03-31", "2022-04-30", "2022-05-31"],
    "month-start.csv": ["2022-03-01", "2022-04-01", "2022-05-01"],
    "quarter-end.csv": ["2022-03-31", "2022-06-30", "2022-09-30"],
    "year-end.csv": ["2020-12-31", "2021-12-31", "2022-12-31"],
    "yyyymm.csv": ["202401", "202402", "202403"],
    "compact-dates.csv": ["20230501", "20230502", "20230503"],
    "plain-years.csv": ["2020", "2021", "2022"],
    "epoch-seconds.csv": ["1701439200", "1701442800", "1701446400"],
    "epoch-float-seconds.csv": ["1701079200", "1701082800", "1701086400"],
    "slash-iso-dates.csv": ["2023/05/01", "2023/05/02", "2023/05/03"],
    "two-digit-hours.csv": ["2023-01-11 0:00", "2023-01-11 1:00", "2023-01-11 2:00"],
    "monday-to-saturday.csv": ["2023-02-27", "2023-02-28", "2023-03-01"],
    "business-days-with-holidays.csv": ["2023-03-02", "2023-03-03", "2023-03-06"],
    "weekly-mondays.csv": ["2024-04-22", "2024-04-29", "2024-05-06"],
    "15-minutes.csv": ["2024-03-03T00:00:00", "2024-03-03T00:15:00", "2024-03-03T00:30:00"],
    "daily.csv.gz": ["2023-05-01", "2023-05-02", "2023-05-03"],
    "ramp-counted.csv": ["120", "121", "122"],
    "daily-midnight-with-offsets.csv": [
        "2023-12-29T00:00:00+01:00",
        "2023-12-30T00:00:00+01:00",
        "2023-12-31T00:00:00+01:00",
    ],
    "hourly-local-naive-over-autumn-change.csv": [
        "2023-11-04 23:00",
        "2023-11-05 00:00",
        "2023-11-05 01:00",
    ],
    "hourly-local-naive-over-spring-change.csv": [
        "2024-04-10 01:00",
        "2024-04-10 02:00",
        "2024-04-10 03:00",
    ],
}


@pytest.mark.parametrize("name", NEXT_TIMES)
def test_times_go_on_as_the_file_writes_them(name: str) -> None:
    assert ahead(read(name)) == NEXT_TIMES[name]


@pytest.mark.parametrize("freq", ["M", "1mo", "ME", "mo"])
def test_month_ends_stay_ends_however_the_step_is_called(freq: str) -> None:
    assert ahead(read("month-end-from-february.csv", freq=freq)) == ["2022-03-31", "2022-04-30", "2022-05-31"]


def test_saturdays_are_open_and_sundays_are_not() -> None:
    table = read("monday-to-saturday.csv")
    assert str(table.frequency) == "Mon-Sat"
    series = table.series[0]
    assert series.observed.all()
    days = table.frequency.at(series.ds[0], len(series) + np.arange(60)).astype("datetime64[D]")
    assert set(((days.astype(int) + 3) % 7).tolist()) == {0, 1, 2, 3, 4, 5}


def test_one_saturday_among_business_days_is_an_exception() -> None:
    frame = pd.read_csv(FOLDER / "business-days-with-holidays.csv")
    extra = pd.DataFrame({"unique_id": ["AAA"], "ds": ["2022-06-11"], "y": [1.0]})
    table = read_table(pd.concat([frame, extra]))
    assert str(table.frequency) == "B"
    assert table.report.counts == {"times between two steps moved to the nearest": 1, "missing steps": 3}
    friday = table.series[0].ds == np.datetime64("2022-06-10")
    assert table.series[0].y[friday].tolist() == frame.y[frame.ds == "2022-06-10"].tolist()


FINDINGS = {
    "hourly-local-naive-over-autumn-change.csv": "clocks went back: the first stays: 1, .* at 2023-10-29 02:00, row 317",
    "hourly-local-naive-over-spring-change.csv": "missing steps: 1, first: series 'load' at 2024-03-31 02:00",
    "gap-of-six-weeks.csv": "missing steps: 42, first: series 'a' at 2023-03-22",
    "nan-in-middle.csv": "missing steps: 4, first: series 'a' at 2023-03-02",
    "leading-nan.csv": "rows before the first value left out: 50, first: series 'b' up to 2023-02-19",
    "pandas-index-column.csv": r"columns not used: '' \(nameless\)",
    "category-column.csv": "columns not used: store_type",
    "semicolon-only.csv": "separator is ';'",
    "tabs.tsv": "separator is a tab",
    "thousands-separators.csv": "thousands mark of y is ','",
    "constant-among-others.csv": "constant series: 1, first: series 'c' is 2500 throughout",
}


@pytest.mark.parametrize("name", FINDINGS)
def test_what_was_found_is_said(name: str) -> None:
    assert re.search(FINDINGS[name], "\n".join(read(name).report.lines()))


def test_numbers_are_read_as_they_are_meant() -> None:
    assert read("thousands-separators.csv").series[0].y[:2].tolist() == [12058.49, 12646.29]
    assert len(read("excel-trailing-comma.csv").series[0]) == 120
    assert read("mixed-case-columns.csv").columns.ds == "DS"
    assert [series.name for series in read("integer-ids.csv").series] == [1, 2, 10]


REFUSED = {
    "day-first-dates.csv": r"has '01/01/2023' in ds, .*: pass --date-format '%d/%m/%Y'$",
    "us-dates-no-zero.csv": r"has '1/1/2023' in ds, .*: pass --date-format '%m/%d/%Y'$",
    "duplicate-stamps.csv": r"row 82: ds 2023-02-10 is there twice for series 'a', .*pass --bad-rows skip",
    "empty-id.csv": r"row 9: unique_id '' is not a name, .*pass --bad-rows skip",
    "irregular-sensor.csv": r"no regular step: .* pass --freq 1min",
    "numeric-store-column.csv": r"row 202: ds 2023-01-01 is there twice for series 'y', .*: pass --id-column store",
    "wide-three-series.csv": r"expected 'ds' and 'y': rename one or pass --time-column date --target-column north",
    "excel-german-semicolon-comma.csv": r"--time-column Datum --target-column Umsatz --id-column Filiale",
    "quoted-newline-then-bad-number.csv": r"row 83: y 'n/a' is not a number, .*pass --bad-rows skip",
    "latin1.csv": r"row 2: byte 0xf6 is not UTF-8, .*iconv -f latin1 -t utf-8 latin1.csv > latin1-utf8.csv",
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_refused_names_a_fix_that_works(name: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=REFUSED[name]) as caught:
        read(name)
    line = str(caught.value)
    assert "\n" not in line
    if "iconv" in line:
        encoding = line.split("iconv -f ")[1].split()[0]
        path = tmp_path / name
        path.write_text((FOLDER / name).read_bytes().decode(encoding), encoding="utf-8")
        assert read_table(path).series[0].name == "Köln"
        return
    flags = dict(re.findall(r"--([a-z-]+) '?([^' ]+)'?", line))
    table = read(
        name,
        columns=Columns(
            flags.get("id-column", "unique_id"),
            flags.get("time-column", "ds"),
            flags.get("target-column", "y"),
        ),
        freq=flags.get("freq"),
        bad_rows=flags.get("bad-rows", "error"),
        date_format=flags.get("date-format", ""),
    )
    kept = sum(int(series.observed.sum()) for series in table.series)
    assert kept >= 0.85 * table.report.rows  # no half of the rows is dropped


def test_dates_with_a_named_format_go_out_in_it() -> None:
    assert ahead(read("day-first-dates.csv", date_format="%d/%m/%Y")) == [
        "01/05/2023",
        "02/05/2023",
        "03/05/2023",
    ]
    assert ahead(read("us-dates-no-zero.csv", date_format="%m/%d/%Y")) == ["5/1/2023", "5/2/2023", "5/3/2023"]
    german = read("excel-german-semicolon-comma.csv", columns=Columns("Filiale", "Datum", "Umsatz"))
    assert german.series[0].y[:3].tolist() == [1010.86, 1143.83, 1190.1]
    assert ahead(german, 1) == ["01.05.2023"]
    assert "decimal mark of Umsatz is ','" in german.report.notes


def test_a_stamp_a_thousand_years_ahead_is_refused_before_anything_is_filled(tmp_path: Path) -> None:
    path = tmp_path / "far.csv"
    path.write_text((FOLDER / "nan-in-middle.csv").read_text() + "a,3023-05-01,99\n")
    with pytest.raises(DataError, match=r"row 122: ds 3023-05-01 of series 'a' lies .*pass --bad-rows skip"):
        read_table(path)
    assert len(read_table(path, bad_rows="skip").series[0]) == 120


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("tables")


def printed(capsys: pytest.CaptureFixture[str]) -> tuple[pd.DataFrame, str]:
    captured = capsys.readouterr()
    return pd.read_csv(io.StringIO(captured.out), dtype=str), captured.err


def test_days_across_the_clock_change_and_an_update_after_it(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = (FOLDER / "daily-midnight-with-offsets.csv").read_text().splitlines()
    summer, winter = folder / "summer.csv", folder / "winter.csv"
    summer.write_text("\n".join(lines[:86]) + "\n")  # up to 24 October, all +02:00
    winter.write_text("\n".join([lines[0], *lines[80:121]]) + "\n")  # overlaps, and goes on with +01:00
    train(summer, folder / "zone", **TINY)
    run(folder / "zone" / "run", update=winter)
    table, messages = printed(capsys)
    assert table.ds.tolist() == [
        "2023-11-29T00:00:00+01:00",
        "2023-11-30T00:00:00+01:00",
        "2023-12-01T00:00:00+01:00",
    ]
    assert "rows already known left out: 6" in messages
    whole = train(FOLDER / "daily-midnight-with-offsets.csv", folder / "whole", **TINY)
    assert str(whole.predict().ds.dtype) == "datetime64[us, Europe/Berlin]"
    assert whole.predict().ds[0] == pd.Timestamp("2023-12-29", tz="Europe/Berlin")


def test_integer_ids_are_the_same_series_on_every_route(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = train(FOLDER / "integer-ids.csv", folder / "ids", **TINY)
    new = FOLDER / "integer-ids-new-rows.csv"
    run(model.model.folder, update=new)
    table, _ = printed(capsys)
    assert table.unique_id.tolist() == ["1"] * 3 + ["2"] * 3 + ["10"] * 3
    for rows in (pd.read_csv(new), pd.read_csv(new, dtype={"unique_id": str})):
        updated = Forecaster.load(model.model.folder).update(rows)
        assert len(updated.store.names) == 3
        forecast = updated.predict()
        assert forecast.unique_id.dtype == np.int64
        assert forecast.ds[0] == pd.Timestamp("2023-05-04")


def test_counts_stay_at_or_above_zero(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = train(FOLDER / "intermittent-zeros.csv", folder / "zeros", **TINY, levels=[80, 95])
    assert model.store.minimum == 0.0
    assert model.values().min() >= 0.0
    assert "Croston" in evaluate(model.model.folder, str(FOLDER / "intermittent-zeros.csv"))
    assert "validation data" in capsys.readouterr().out
    free = train(FOLDER / "intermittent-zeros.csv", folder / "free", **TINY, levels=[99], minimum="none")
    assert free.values().min() < 0.0


def test_floors_are_relative_to_the_series(folder: Path) -> None:
    with pytest.warns(UserWarning, match="series 'c' is 2500 throughout; its forecast is that value"):
        constant = train(FOLDER / "constant-among-others.csv", folder / "constant", **TINY, levels=[80])
    assert (constant.values()[1] == 2500).all()
    scales = train(FOLDER / "huge-and-tiny-scales.csv", folder / "scales", **TINY, levels=[80])
    last = scales.store.history[:, -1:]
    assert (np.abs(scales.values()[..., 0] / last - 1) < 2).all()
    width = scales.values()[..., 2] - scales.values()[..., 1]
    assert (width < 5 * np.abs(last)).all()
    assert (width > 1e-3 * np.abs(last)).all()
    sine = train(FOLDER / "exact-sine-hourly.csv", folder / "sine", **TINY)
    assert sine.result is not None
    assert 0 < sine.result.baselines["last value"] < 100
    ten = train(FOLDER / "ten-rows.csv", folder / "ten", **TINY)
    assert np.isfinite(ten.values()).all()


def test_short_series_are_named_and_left_out_of_the_test_part(folder: Path) -> None:
    model = train(FOLDER / "unequal-lengths.csv", folder / "short", **TINY, test_size=14, levels=[80])
    assert model.table is not None
    by_name = dict(zip(model.store.names, (model.store.length - model.store.train_end).tolist()))
    assert by_name == {"long": 14, "stopped": 14, "new": 0, "one": 0}
    forecast = model.predict()
    one = forecast[forecast.unique_id == "one"]
    assert (one["GRU-hi-80"] - one["GRU-lo-80"]).max() < 150
    described = (model.model.folder.parent / "data.json").read_text()
    assert (
        "too short for a test part, used whole for training: 2, first: series 'new' of 10 rows" in described
    )


def test_filled_steps_count_in_no_denominator() -> None:
    from congru.tasks.forecast.data import prepare
    from congru.tasks.forecast.settings import Settings

    data = prepare(FOLDER / "gap-of-six-weeks.csv", Settings(horizon=7))
    y = pd.read_csv(FOLDER / "gap-of-six-weeks.csv", index_col="ds", parse_dates=True).y.asfreq("D")
    known = y[: data.train_end[0]]
    assert data.naive_errors[0] == pytest.approx((known - known.shift(7)).abs().mean())
    assert data.units.scale[0] == pytest.approx(known.std(ddof=0))


def roles_frame(length: int = 90) -> pd.DataFrame:
    days = pd.date_range("2024-01-01", periods=length)
    rng = np.random.default_rng(0)
    return pd.DataFrame(
        {
            "unique_id": np.repeat(["a", "b"], length),
            "ds": np.tile(days, 2),
            "y": np.tile(np.sin(np.arange(length)), 2) + np.repeat([5.0, 50.0], length),
            "price": rng.standard_normal(2 * length),
            "sky": rng.choice(["rain", "sun"], 2 * length),
            "region": np.repeat(["north", "south"], length),
            "note": "x",
        }
    )


ROLES: dict[str, Any] = {"known": ["sky"], "past": ["price"], "static": "region", "ignore": ["note"]}


@pytest.fixture(scope="module", params=["stepwise", "segments"])
def with_roles(request: pytest.FixtureRequest, folder: Path) -> Forecaster:
    window = {"input_size": 12, "segment": 4} if request.param == "segments" else {}
    settings = {
        **TINY,
        **window,
        "linear": False,
    }  # a line reads no columns, and would be all of so small a network
    return train(roles_frame(), folder / request.param, **settings, **ROLES, test_size=12)


def test_columns_have_roles(with_roles: Forecaster) -> None:
    store = with_roles.store
    assert store.known == ["sky=rain", "sky=sun"]
    assert store.past == ["price"]
    assert store.static == ["region=north", "region=south"]
    assert store.static_values.tolist() == [[1, 0], [0, 1]]
    panel, _ = with_roles.panel_of()
    assert panel.inputs(np.array([0]), np.array([40])).shape[-1] == with_roles.window.num_features
    future = roles_frame(93).groupby("unique_id").tail(3)[["unique_id", "ds", "sky"]]
    table = with_roles.predict(future)
    assert len(table) == 6
    other = future.assign(sky=["sun" if sky == "rain" else "rain" for sky in future.sky])
    assert not np.allclose(table.GRU, with_roles.predict(other).GRU)


def test_past_only_columns_are_never_read_ahead(with_roles: Forecaster) -> None:
    frame = roles_frame()
    table = with_roles.cross_validation(frame, windows=2)
    spoiled = frame.assign(price=frame.price.where(frame.ds <= "2024-03-27", 1e6))
    np.testing.assert_array_equal(
        table.GRU, with_roles.cross_validation(spoiled, windows=2).GRU[: len(table)]
    )
    other = frame.assign(sky=frame.sky.where(frame.ds != "2024-03-30", "sun"))
    assert not np.array_equal(frame.sky, other.sky)
    assert not np.allclose(table.GRU, with_roles.cross_validation(other, windows=2).GRU)  # known ahead it is
    before = frame.assign(price=frame.price.where(frame.ds != "2024-03-24", 9.0))
    assert not np.allclose(table.GRU, with_roles.cross_validation(before, windows=2).GRU)


def test_update_stream_inspect_and_plot_with_columns_of_all_roles(
    with_roles: Forecaster, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from congru.tasks.forecast.use import inspect_inputs

    later = roles_frame(95)
    new = later[later.ds > "2024-03-30"]
    new.to_csv(folder / "new.csv", index=False)
    ahead = roles_frame(98)
    ahead[ahead.ds > "2024-04-04"].drop(columns=["y", "price"]).to_csv(folder / "ahead.csv", index=False)
    model_folder = with_roles.model.folder
    run(model_folder, stream_rows=folder / "new.csv", future=folder / "ahead.csv", anomalies=0.99)
    assert "10 rows lie outside the interval of 99 %" in capsys.readouterr().out
    run(model_folder, update=folder / "new.csv", future=folder / "ahead.csv", plot=folder / "p.svg")
    assert printed(capsys)[0].ds.tolist()[:3] == ["2024-04-05", "2024-04-06", "2024-04-07"]
    assert (folder / "p.svg").exists()
    x, labels = inspect_inputs(with_roles.model, "b")
    assert x.shape[1] == len(labels) == with_roles.window.num_steps


def test_holidays_are_known_ahead_by_themselves(folder: Path) -> None:
    days = pd.date_range("2023-11-01", periods=50)
    frame = pd.DataFrame({"ds": days, "y": np.sin(np.arange(50.0))})
    model = train(frame, folder / "holidays", **TINY, holidays="DE")
    assert model.store.known == ["holidays DE"]
    assert known_ahead(model, None)[0, :, 0].tolist() == [0.0, 0.0, 0.0]  # type: ignore[index]
    later = pd.DataFrame({"ds": pd.date_range("2023-12-21", periods=3), "y": [0.0, 0.0, 0.0]})
    model.update(later)
    assert known_ahead(model, None)[0, :, 0].tolist() == [0.0, 1.0, 1.0]  # type: ignore[index]
    assert Forecaster.load(model.save(folder / "with-holidays")).predict().ds[1] == pd.Timestamp("2023-12-25")
    with pytest.raises(SettingsError, match="holidays is 'XX', expected a country's code"):
        read_table(frame, columns=Columns(holidays=("XX",)))


def test_the_flags_of_roles_and_the_printed_next_command(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from congru.cli.main import main

    path, out = folder / "roles.csv", folder / "by-flags"
    roles_frame().to_csv(path, index=False)
    flags = "--known price,sky --static region --ignore note --min none --horizon 3 --steps 2 --evaluations 1"
    with without_charts(), pytest.raises(SystemExit) as done:
        main(["train", "forecast", str(path), *flags.split(), "--hidden-size", "4", "--out", str(out)])
    assert done.value.code == 0
    output = capsys.readouterr().out
    assert re.search("known covariates +price, sky=rain, sky=sun", output)
    line = next(line.split() for line in output.splitlines() if line.strip().startswith("congru run"))
    assert line[3:] == ["--future", "FUTURE.csv"]
    ahead = roles_frame(93)
    ahead[ahead.ds > "2024-03-30"].to_csv(folder / "FUTURE.csv", index=False)
    with pytest.raises(SystemExit) as done:
        main([*line[1:4], str(folder / "FUTURE.csv")])
    assert done.value.code == 0
    assert printed(capsys)[0].ds[0] == "2024-03-31"
    with pytest.raises(SystemExit) as done:
        main(line[1:3])
    assert done.value.code == 2
    assert "pass their next values (--future FILE)" in capsys.readouterr().err


def test_kinds_of_tables_are_read_or_refused_in_one_line() -> None:
    script = FOLDER / "table_types.py"
    done = subprocess.run(
        [sys.executable, str(script)], capture_output=True, text=True, check=True, timeout=300
    )
    kinds = {"OK": set[str](), "ERR": set[str]()}
    for line in done.stdout.splitlines():
        result, rest = line.split(maxsplit=1)
        assert result in kinds, line  # TRACEBACK is the third
        kinds[result].add(rest.split(" |")[0].strip())
    assert kinds["ERR"] == {
        *(
            "None id",
            "Series",
            "dict",
            "duplicate columns",
            "empty",
            "folder",
            "inf y",
            "int column name",
            "lazy",
        ),
        *("MultiIndex columns", "list", "nan id", "nul", "numpy array", "string ds us", "tuple id"),
        *("unclosed quote big", "url"),
    }
    assert len(kinds["OK"]) == 57
