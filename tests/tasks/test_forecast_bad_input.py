"""Wrong input of the forecast task: one line each, with the argument, its value, what was expected and the fix."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import congru
from congru.cli.main import main
from congru.errors import DataError, ModelFolderError, SettingsError
from congru.tasks import forecast
from congru.tasks.forecast import Forecaster, inspect_inputs, stream
from forecast_cases import STEPWISE, one_series, train, two_series


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Forecaster:
    """A model of two series, the last three days kept from it."""
    return train(two_series(), tmp_path_factory.mktemp("model"), **STEPWISE, test_size=3)


@pytest.fixture(scope="module")
def with_known(tmp_path_factory: pytest.TempPathFactory) -> Forecaster:
    """A model with one known input."""
    frame = one_series().assign(price=np.arange(90.0))
    return train(frame, tmp_path_factory.mktemp("known"), **STEPWISE, known=["price"])


SETTINGS: list[tuple[dict[str, Any], str]] = [
    ({"levels": [80, 100]}, r"levels holds 100, expected 1 to 99 \(per cent\)"),
    ({"levels": [0]}, r"levels holds 0, expected 1 to 99"),
    ({"lags": [0]}, r"lags holds 0, expected at least 1"),
    ({"lags": []}, r"lags is empty, expected at least one"),
    ({"horizon": 0}, r"horizon is 0, expected at least 1"),
    ({"freq": "fortnight"}, r"freq is 'fortnight', expected 1h"),
    ({"horizon": 60}, r"horizon is 60, expected at most 44 with 90 rows in the longest series"),
    ({"test_size": 89}, r"has 90 rows, expected at least 10\d with horizon 3 \(9 .*89 for the test\): add"),
    ({"val_size": 2}, r"val_size is 2, expected at least the horizon 3, or 0 for none"),
    ({"val_size": 0, "levels": [80]}, r"val_size is 0, expected a validation part to calibrate levels on"),
    ({"input_size": 4, "segment": 5}, r"segment is 5, expected at most the input size 4"),
    ({"dry_run": True}, r"dry_run is True, expected False"),
    ({"horizont": 3}, r"horizont is 3, expected a known setting: did you mean horizon"),
    ({"target_column": "z"}, r"expected 'z': rename one or pass --target-column y"),
]


@pytest.mark.parametrize(("settings", "line"), SETTINGS)
def test_settings(settings: dict[str, Any], line: str, tmp_path: Path) -> None:
    with pytest.raises((DataError, SettingsError), match=line) as caught:
        train(two_series(), tmp_path, **settings)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "run").exists()


def test_too_little_data(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="table has one row per series, expected at least 2"):
        train(one_series(1), tmp_path)
    with pytest.raises(DataError, match="table has one row, expected at least 2"):
        train(one_series(1), tmp_path, freq="1d")
    with pytest.raises(DataError, match="horizon is 3, expected at most 2 with 6 rows"):
        train(one_series(6), tmp_path)
    smallest = train(one_series(9), tmp_path, steps=2)
    assert np.isfinite(smallest.values()).all()


def test_a_short_series_beside_long_ones_is_forecast_too(tmp_path: Path) -> None:
    frame = two_series()
    frame = frame[(frame.unique_id == "north") | (frame.ds >= "2024-03-28")]
    table = train(frame, tmp_path, **STEPWISE).predict()
    assert table.unique_id.unique().tolist() == ["north", "south"]
    assert table.GRU.notna().all()


def test_new_rows(model: Forecaster) -> None:
    for day, line in (
        ("3024-04-01", "new row of series 'north' is at 3024-04-01, 365243 steps of 1d after 2024-03-30"),
        ("2024-04-32", "ds '2024-04-32' is not a date"),
    ):
        with pytest.raises(DataError, match=line):
            model.update(pd.DataFrame({"unique_id": ["north"], "ds": [day], "y": [1.0]}))
    late = pd.DataFrame(
        {"unique_id": ["north", "south"], "ds": ["2024-03-31", "3024-01-01"], "y": [1.0, 2.0]}
    )
    before = model.values()
    with pytest.raises(DataError, match="new row of series 'south'"):
        model.update(late)
    np.testing.assert_array_equal(model.values(), before)  # all or nothing
    nameless = pd.DataFrame({"ds": ["2024-03-31"], "y": [1.0]})
    with pytest.raises(DataError, match="table has no column 'unique_id', expected one as in training"):
        model.update(nameless)


def test_known_inputs(with_known: Forecaster, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="future is None, expected a table with price"):
        with_known.predict()
    ahead = pd.DataFrame({"ds": ["2024-03-31", "2024-04-02"], "price": [1.0, 2.0]})
    with pytest.raises(
        DataError, match="future lacks price of series 'y' at 2024-04-01, expected all 3 steps"
    ):
        with_known.predict(ahead)
    with pytest.raises(DataError, match=r"has the columns ds, y, expected 'price' \(known\): add it"):
        with_known.update(pd.DataFrame({"ds": ["2024-03-31"], "y": [1.0]}))


def test_questions_a_model_cannot_answer(model: Forecaster, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="future is a table, expected None"):
        model.predict(two_series())
    with pytest.raises(SettingsError, match="windows is 1, expected windows of 3 steps that the data holds"):
        model.cross_validation(two_series(2))
    with pytest.raises(SettingsError, match="horizon is 4, expected 1 to 3: train with a longer --horizon"):
        model.predict(horizon=4)
    with pytest.raises(SettingsError, match="levels holds 100, expected more than 0 and less than 100"):
        model.predict(levels=[100])
    with pytest.raises(SettingsError, match="anomalies is 99, expected more than 0 and less than 1"):
        next(stream(model, two_series(), anomalies=99))
    with pytest.raises(SettingsError, match="windows is 0 and step_size 3, expected at least 1"):
        model.cross_validation(windows=0)
    with pytest.raises(SettingsError, match="series holds 'west', expected one of 2"):
        model.plot(series=["west"])
    loaded = Forecaster.load(model.model.folder)
    with pytest.raises(SettingsError, match="data is None, expected a table"):
        loaded.cross_validation()
    old = two_series(80)
    with pytest.raises(DataError, match="data has no 3 rows behind those that training used"):
        forecast.evaluate_forecaster(loaded, old)
    with pytest.raises(DataError, match="source is 'west', expected a CSV file or one of 2 series"):
        inspect_inputs(congru.load(model.model.folder), "west")


def test_model_folders(model: Forecaster, tmp_path: Path) -> None:
    with pytest.raises(ModelFolderError, match=r"config\.json"):
        Forecaster.load(tmp_path)
    other = congru.load(model.model.folder)
    other.config = {**other.config, "task": "text"}
    with pytest.raises(ModelFolderError, match="is a model of the task 'text', expected 'forecast'"):
        Forecaster.of(other)
    other = congru.load(model.model.folder)
    del other.files["series.safetensors"]  # type: ignore[attr-defined]
    with pytest.raises(ModelFolderError, match=r"has no side file 'series\.safetensors', expected one"):
        Forecaster.of(other)


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("", "is empty, expected a header and rows"),
        ("unique_id,ds,y\na,2024-13-02,1\n", "data.csv row 2: ds '2024-13-02' is not a date"),
        ("unique_id,ds,y\na,2024-01-01,inf\n", "data.csv row 2: y 'inf' is not a number"),
    ],
)
def test_the_command_prints_one_line_and_exits_with_2(
    text: str, line: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "data.csv"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(SystemExit) as done:
        main(["train", "forecast", str(path), "--out", str(tmp_path / "run")])
    assert done.value.code == 2
    assert line in capsys.readouterr().err


def test_bad_rows_can_be_skipped_by_flag(tmp_path: Path) -> None:
    frame = one_series()
    frame.loc[10, "y"] = np.inf
    with pytest.raises(DataError, match="table row 10: y inf is not a number"):
        train(frame, tmp_path)
    model = train(frame, tmp_path, bad_rows="skip", **STEPWISE)
    assert model.table is not None
    assert not model.table.series[0].observed[10]
