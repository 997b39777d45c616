"""The forecaster as an object of scikit-learn's and Nixtla's habits, and `congru.load(folder).predict()`."""

from __future__ import annotations

import copy
import json
import pickle
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest

import congru
from congru.data.columns import Columns
from congru.data.long_table import LongTable
from congru.data.table import read_table
from congru.errors import SettingsError
from congru.report.verdict import verdict
from congru.tasks.forecast.outputs import outputs
from congru.tasks.forecast.panel import Panel, fit_units
from congru.tasks.forecast.window import Window
from congru.tasks.registry import TASKS
from forecast_cases import STEPWISE, two_series, without_charts

TINY: dict[str, Any] = {
    "horizon": 3,
    "steps": 2,
    "evaluations": 1,
    "hidden_size": 4,
    "batch_size": 8,
    "test_size": 9,
    "levels": [80],
    **STEPWISE,
}


@pytest.fixture(scope="module", autouse=True)
def charts_are_left_out() -> Iterator[None]:
    with without_charts():
        yield


@pytest.fixture(scope="module")
def fitted() -> congru.Forecaster:
    return congru.Forecaster(**TINY).fit(two_series())


def clone(estimator: Any) -> Any:
    """What sklearn.base.clone does and checks."""
    params = {name: copy.deepcopy(value) for name, value in estimator.get_params(deep=False).items()}
    made = type(estimator)(**params)
    again = made.get_params(deep=False)
    assert all(again[name] is params[name] for name in params)
    return made


def test_parameters_come_and_go_as_scikit_learn_wants() -> None:
    forecaster = congru.Forecaster(horizon=7, levels=[80, 95])
    assert forecaster.get_params()["horizon"] == 7
    assert forecaster.get_params()["cell"] == "gru"
    other = clone(forecaster).set_params(horizon=3)
    assert other.get_params()["horizon"] == 3
    assert forecaster.get_params()["horizon"] == 7
    assert repr(other) == "Forecaster(horizon=3, levels=[80, 95])"
    assert not other.fitted
    for action in (other.predict, other.score, lambda: other.save("x")):
        with pytest.raises(SettingsError, match=r"has not learned, .*: call fit\(data\) first"):
            action()
    with pytest.raises(SettingsError, match="horizont is 3, expected a known setting: did you mean horizon"):
        congru.Forecaster(horizont=3)
    with pytest.raises(SettingsError, match="levles is 1, expected a known setting: did you mean levels"):
        forecaster.set_params(levles=1)


def test_fit_predict_and_score(
    fitted: congru.Forecaster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert fitted.predict().columns.tolist() == ["unique_id", "ds", "GRU", "GRU-lo-80", "GRU-hi-80"]
    assert fitted.result is not None
    scores = congru.tasks.forecast.evaluate_forecaster(fitted, two_series())
    assert fitted.score(two_series()) == -scores["GRU"]["mase"]
    assert fitted.score() == fitted.score(two_series())
    frame = two_series()
    apart = clone(fitted).fit(frame.drop(columns="y"), frame.y)
    np.testing.assert_array_equal(apart.values(), fitted.values())
    monkeypatch.chdir(tmp_path)
    clone(fitted).fit(pl.from_pandas(frame))
    assert list(tmp_path.iterdir()) == []  # no run folder where none was asked for


def test_saved_loaded_and_pickled_it_is_the_same(fitted: congru.Forecaster, tmp_path: Path) -> None:
    later = two_series(93)
    moved = fitted.copy().update(later[later.ds > "2024-03-30"])
    for again in (congru.Forecaster.load(moved.save(tmp_path / "m")), pickle.loads(pickle.dumps(moved))):
        pd.testing.assert_frame_equal(again.predict(), moved.predict())
        assert again.get_params()["horizon"] == 3
    assert not np.allclose(moved.values(), fitted.values())
    blank = pickle.loads(pickle.dumps(congru.Forecaster(horizon=9)))
    assert blank.get_params()["horizon"] == 9


def test_a_loaded_model_predicts(fitted: congru.Forecaster, tmp_path: Path) -> None:
    folder = fitted.save(tmp_path / "model")
    pd.testing.assert_frame_equal(congru.load(folder).predict(), fitted.predict())
    assert len(congru.load(folder).predict(horizon=2)) == 4
    other = congru.load(Path(__file__).parent / "folders" / "text-format-1")
    with pytest.raises(SettingsError, match="task 'text', which does not predict tables"):
        other.predict()


def test_a_notebook_shows_settings_and_forecast(fitted: congru.Forecaster) -> None:
    shown = fitted._repr_html_()
    assert "2 series, the first up to 2024-03-30, 3 steps ahead" in shown
    assert "<svg role=" in shown
    assert "prefers-color-scheme:dark" in shown.replace(" ", "")
    assert 'style="fill: #ffffff' not in shown  # no white paper on a dark page
    assert len(shown) < 100_000
    assert "<svg" not in congru.Forecaster()._repr_html_()


def test_other_levels_shorter_horizons_and_unseen_series(fitted: congru.Forecaster) -> None:
    table = fitted.predict(horizon=2, levels=[50, 80, 99])
    assert table.columns.tolist()[2:] == [
        "GRU",
        *(f"GRU-{s}-{n}" for n in (50, 80, 99) for s in ("lo", "hi")),
    ]
    np.testing.assert_array_equal(table["GRU-lo-80"], fitted.predict(horizon=2)["GRU-lo-80"])
    assert (table["GRU-hi-50"] < table["GRU-hi-99"]).all()
    new = two_series(40).assign(unique_id=lambda t: t.unique_id + "-new")
    forecast = fitted.predict(data=new)
    assert forecast.unique_id.unique().tolist() == ["north-new", "south-new"]
    assert forecast.ds[0] == pd.Timestamp("2024-02-10")
    assert (forecast.GRU[3:] > 20).all()  # in its own unit
    assert len(fitted.store.names) == 2  # the forecaster stays as it was
    added = fitted.copy().update(new)
    assert added.report.findings() == ["series not seen in training, added: 2, first: series 'north-new'"]
    again = added.predict()
    np.testing.assert_allclose(again.GRU[6:], forecast.GRU, rtol=1e-6)


def test_many_new_series_are_taken_in_at_once(
    fitted: congru.Forecaster, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each costs what it holds, not a copy of all: the windows and the store are built once, whatever their number."""
    built = []

    def counted(panel: Panel, *arguments: Any, **options: Any) -> None:
        built.append(1)
        original(panel, *arguments, **options)

    original = Panel.__init__
    monkeypatch.setattr(Panel, "__init__", counted)
    many = [
        two_series(length).assign(unique_id=lambda t: t.unique_id + str(len(t))) for length in (5, 20, 40)
    ]
    counts = []
    for table in (many[0], pd.concat(many)):
        built.clear()
        together = fitted.predict(data=table)
        counts.append(len(built))
    assert counts[0] == counts[1]
    alone = pd.concat([fitted.predict(data=table) for _, table in pd.concat(many).groupby("unique_id")])
    pd.testing.assert_frame_equal(
        together.sort_values(["unique_id", "ds"], ignore_index=True),
        alone.sort_values(["unique_id", "ds"], ignore_index=True),
        rtol=1e-5,
    )


def test_an_overlapping_update_says_what_it_left_out(fitted: congru.Forecaster) -> None:
    table = two_series(95)
    table = table[(table.ds > "2024-03-20") & (table.ds != "2024-04-02")]
    changed = table.assign(y=table.y.where(table.ds != "2024-03-25", 77.0))
    whole, late = fitted.copy().update(changed), fitted.copy().update(table[table.ds > "2024-03-30"])
    np.testing.assert_array_equal(whole.values(), late.values())
    assert whole.report.counts == {
        "missing steps": 2,
        "rows already known left out": 20,
        "rows already known say another value, the first stays": 2,
    }


def test_evaluation_of_the_newest_rows_alone(fitted: congru.Forecaster) -> None:
    later = two_series(100)
    newest = later[later.ds > "2024-03-30"]
    alone = fitted.cross_validation(newest, windows=2)
    assert alone.cutoff.unique().tolist() == list(pd.to_datetime(["2024-04-03", "2024-04-06"]))
    np.testing.assert_allclose(alone.GRU, fitted.cross_validation(later, windows=2).GRU, rtol=1e-6)
    loaded = fitted.copy()
    loaded.table = None
    np.testing.assert_allclose(loaded.cross_validation(newest, windows=2).GRU, alone.GRU)


def test_scores_per_series_and_step_add_up(fitted: congru.Forecaster) -> None:
    evaluation = congru.tasks.forecast.evaluation_of(fitted)
    overall, series, steps = evaluation.overall(), evaluation.by_series(), evaluation.by_step()
    for metric in ("abs_error", "mase", "coverage_80", "smape"):
        parts = [scores["GRU"][metric] for scores in series.values()]
        assert overall["GRU"][metric] == pytest.approx(np.mean(parts))
        assert overall["GRU"][metric] == pytest.approx(np.mean([s["GRU"][metric] for s in steps.values()]))
    assert list(series) == ["north", "south"]
    assert list(steps) == ["1", "2", "3"]
    assert evaluation.words() == "14 windows of 2 series, one every step, 3 steps ahead"
    assert (
        "On the unseen data (14 windows of 2 series, one every step, 3 steps ahead)" in evaluation.verdict()
    )
    frame = two_series()
    forecast = fitted.cross_validation(windows=7, step_size=1).merge(frame, on=["unique_id", "ds"])
    assert overall["GRU"]["abs_error"] == pytest.approx((forecast.GRU - forecast.y_x).abs().mean())


def test_cross_validation_trains_anew_where_it_must(monkeypatch: pytest.MonkeyPatch) -> None:
    plain = congru.Forecaster(**{**TINY, "test_size": 0, "levels": []}).fit(two_series())
    train, last = TASKS["forecast"].train, []

    def spy(data: LongTable, settings: Any) -> Any:
        last.append([str(series.ds[-1])[:10] for series in data.series])
        return train(data, settings=settings)

    monkeypatch.setattr(type(TASKS["forecast"]), "train", lambda _, data, settings: spy(data, settings))
    table = plain.cross_validation(windows=4)
    assert table.cutoff.nunique() == 4
    assert len(table) == 24
    assert last == [["2024-03-18", "2024-03-18"]]  # nothing behind the first cutoff is seen
    refitted = plain.cross_validation(windows=2, refit=True)
    assert last[1:] == [["2024-03-24"] * 2, ["2024-03-27"] * 2]
    assert refitted.cutoff.nunique() == 2
    np.testing.assert_allclose(refitted.GRU[:3], plain.cross_validation(windows=2).GRU[:3])
    assert not np.allclose(refitted.GRU[3:6], plain.cross_validation(windows=2).GRU[3:6])


def test_a_verdict_names_windows_and_never_sells_an_untrained_model(tmp_path: Path) -> None:
    line = verdict("mase", 0.5, {"last value": 0.7}, minimize=True, windows="one window", best_step=0)
    assert "(one window) training did not help" in line
    short = two_series(20)
    congru.Forecaster(**{**TINY, "test_size": 0, "out": tmp_path / "run", "val_size": 3}).fit(short)
    status = json.loads((tmp_path / "run" / "status.json").read_text(), parse_constant=pytest.fail)
    assert "(2 windows of 2 series, 3 steps ahead)" in status["verdict"]


def test_no_number_that_is_none_reaches_json(tmp_path: Path) -> None:
    frame = two_series().assign(y=4.0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        model = congru.Forecaster(**{**TINY, "out": tmp_path / "run"}).fit(frame)
    for path in tmp_path.rglob("*.json"):
        json.loads(path.read_text(), parse_constant=pytest.fail)
    assert (model.values() == 4.0).all()
    assert all(
        np.isfinite(list(scores.values())).all()
        for scores in congru.tasks.forecast.evaluate_forecaster(model).values()
    )


@pytest.mark.parametrize("window", [STEPWISE, {"input_size": 12, "segment": 4}], ids=["stepwise", "segments"])
def test_several_seeds_are_one_folder_whose_forecast_is_their_mean(
    window: dict[str, Any], tmp_path: Path
) -> None:
    model = congru.Forecaster(**{**TINY, **window, "seeds": 3}).fit(two_series())
    assert list(model.model.networks) == ["main", "main2", "main3"]
    panel = model.store.panel()
    ends = np.array([0, 1]), np.full(2, model.store.history.shape[1])
    outs = outputs(model.model, panel.inputs(*ends), model.window)
    alone = [model.forecasts_of(panel, *ends, out) for out in outs]
    assert not np.allclose(alone[0], alone[1])
    np.testing.assert_allclose(model.values(), np.mean(alone, axis=0), rtol=1e-6)
    later = two_series(95)
    rest = later[later.ds > "2024-04-01"]
    updated = model.copy().update(later[later.ds == "2024-04-01"])
    again = congru.Forecaster.load(updated.save(tmp_path / "saved")).update(rest)
    np.testing.assert_allclose(again.values(), updated.update(rest).values(), rtol=1e-6)
    assert congru.inspect(model.model, panel.inputs(*ends)[:1]).layer_names


def test_trained_on_pandas_updated_from_polars_saved_and_loaded_the_types_stay(tmp_path: Path) -> None:
    frame = two_series(100)
    frame["ds"] = frame.ds.dt.tz_localize("Europe/Berlin")
    frame["unique_id"] = frame.unique_id.astype("category")
    summer = frame[frame.ds < "2024-03-25"]
    model = congru.Forecaster(**{**TINY, "test_size": 0, "levels": []}).fit(summer)
    later = pl.from_pandas(
        frame[frame.ds >= "2024-03-20"].astype({"unique_id": str})
    )  # over the clock change
    model.update(later)
    again = congru.Forecaster.load(model.save(tmp_path / "model"))
    for forecast in (model.predict(), again.predict()):
        assert forecast.dtypes[["unique_id", "ds"]].tolist() == frame.dtypes[["unique_id", "ds"]].tolist()
        assert forecast.ds[0] == pd.Timestamp("2024-04-10", tz="Europe/Berlin")
    joined = frame.merge(again.predict(), on=["unique_id", "ds"], how="outer")
    assert len(joined) == len(frame) + 6
    polars = congru.Forecaster(**{**TINY, "test_size": 0, "levels": []}).fit(
        later.with_columns(pl.col("ds").dt.date(), pl.col("unique_id").cast(pl.Categorical))
    )
    polars.update(pd.DataFrame({"unique_id": ["north"], "ds": ["2024-04-10"], "y": [3.0]}))
    out = congru.Forecaster.load(polars.save(tmp_path / "polars")).predict()
    assert out.schema["ds"] == pl.Date
    assert isinstance(out.schema["unique_id"], pl.Categorical)
    assert out["ds"][0].isoformat() == "2024-04-11"


def test_hours_of_a_zone_go_on_over_the_clock_change() -> None:
    hours = pd.date_range("2024-03-25", periods=160, freq="h", tz="Europe/Berlin")
    frame = pd.DataFrame({"ds": hours, "y": np.sin(np.arange(160) / 4)})
    model = congru.Forecaster(**{**TINY, "test_size": 0, "levels": []}).fit(frame.iloc[:140])
    assert model.update(frame.iloc[120:]).predict().ds.tolist() == list(
        pd.date_range("2024-03-31 17:00", periods=3, freq="h", tz="Europe/Berlin")
    )
    assert model.report.counts == {"rows already known left out": 20}


def test_a_series_of_one_row_gets_an_interval_of_its_own_size() -> None:
    window = Window(3, 8, 1)
    alone = fit_units([np.array([0.05])], window)
    assert alone.unit[0] == pytest.approx(0.005)
    beside = fit_units([np.array([0.05]), 100 + 20 * np.sin(np.arange(50.0))], window)
    assert beside.unit[0] == pytest.approx(0.05 * beside.scale[1] / beside.level[1])
    constant = fit_units([np.full(9, 0.002), np.zeros(9)], window)
    assert constant.flat.tolist() == [True, True]
    panel = Panel(window, constant, [np.full(9, 0.002), np.zeros(9)], [np.zeros((9, 0))] * 2, [0, 0])
    ends = np.array([0, 1]), np.array([9, 9])
    assert panel.absolute(np.full((2, 3, 3), 7.0), *ends)[..., 0].tolist() == [[0.002] * 3, [0.0] * 3]
    assert (panel.inputs(*ends) == 0).all()


def test_a_category_may_be_called_none() -> None:
    frame = two_series().assign(promo=["none", "NA"] * 90)
    table = read_table(frame, columns=Columns(known=("promo",)))
    assert table.known == ["promo=NA", "promo=none"]
    assert table.series[0].known[:2].tolist() == [[0, 1], [1, 0]]


def test_categories_that_training_has_not_seen_are_named() -> None:
    frame = two_series().assign(sky=["rain", "sun"] * 90)
    model = congru.Forecaster(**{**TINY, "levels": []}, past=["sky"]).fit(frame)
    model.update(two_series(91).assign(sky="snow").groupby("unique_id").tail(1))
    assert "categories not seen in training: sky snow" in model.report.notes


def test_an_exact_sine_and_croston() -> None:
    from congru.tasks.forecast.baselines import croston, croston_windows, is_intermittent
    from congru.tasks.forecast.metrics import naive_error

    sine = np.sin(2 * np.pi * np.arange(240) / 24)
    assert naive_error(sine, 24) == pytest.approx(np.abs(np.diff(sine)).mean())
    demand = np.tile([0.0, 0.0, 6.0], 40)
    assert is_intermittent([demand])
    assert not is_intermittent([demand - 1])
    assert not is_intermittent([np.ones(30)])
    assert croston(demand)[-1] == pytest.approx(2.0)  # 6 every third step
    windows = croston_windows([demand], np.array([0, 0]), np.array([120, 2]), 4)
    np.testing.assert_allclose(windows, [[2.0] * 4, [0.0] * 4])


def test_a_setting_whose_default_is_made_anew_is_named_with_it() -> None:
    with pytest.raises(
        SettingsError, match=r"levels is 80, expected a list: change it or leave it out for \["
    ):
        congru.Forecaster(levels=80).fit(None)
