"""The forecast task from end to end, through the real loop: train, predict, update, save, load without torch."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
import torch

import congru
from congru.cli.main import main
from congru.errors import ModelFolderError, SettingsError
from congru.tasks import forecast
from congru.tasks.forecast import Forecaster, Settings, make_learner, stream
from congru.tasks.forecast.learner import ForecastLearner
from congru.tasks.forecast.streaming import errors_of
from congru.tasks.forecast.use import inspect_inputs, run
from congru.train.batches import Batches
from forecast_cases import SEGMENTS, SHORT, STEPWISE, one_series, train, two_series


@pytest.fixture(scope="module", params=["stepwise", "segments"])
def trained(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Forecaster:
    """A model of two series with intervals; eleven rows at the end are kept from it."""
    window = STEPWISE if request.param == "stepwise" else SEGMENTS
    folder = tmp_path_factory.mktemp(request.param)
    return train(two_series(), folder, levels=[80, 95], test_size=11, **window)


def twin(forecaster: Forecaster) -> Forecaster:
    """The same forecaster, loaded again."""
    return Forecaster.load(forecaster.model.folder)


def test_bfloat16_weights_forecast_nearly_the_same(
    trained: Forecaster, capsys: pytest.CaptureFixture[str]
) -> None:
    exact = twin(trained).values()
    coarse = Forecaster.load(trained.model.folder, weight_dtype="bfloat16")
    assert coarse.model.network.weight_dtype == "bfloat16"
    assert not np.array_equal(coarse.values(), exact)
    np.testing.assert_allclose(coarse.values(), exact, rtol=0.05, atol=0.5)
    run(trained.model.folder, weight_dtype="bfloat16")
    shown = capsys.readouterr().out.splitlines()[1].split(",")
    assert float(shown[2]) == pytest.approx(float(coarse.predict().GRU[0]), rel=1e-5)


def test_the_table_is_nixtlas(trained: Forecaster) -> None:
    table = trained.predict()
    assert table.columns.tolist() == [
        "unique_id",
        "ds",
        "GRU",
        "GRU-lo-80",
        "GRU-hi-80",
        "GRU-lo-95",
        "GRU-hi-95",
    ]
    assert table.unique_id.tolist() == ["north"] * 3 + ["south"] * 3
    assert table.ds.tolist() == list(pd.date_range("2024-03-31", periods=3)) * 2
    values = table[["GRU-lo-95", "GRU-lo-80", "GRU", "GRU-hi-80", "GRU-hi-95"]].to_numpy()
    assert (np.diff(values, axis=1) >= 0).all()
    assert (values[3:] > 20).all()  # each in its own unit
    assert (values[:3] < 10).all()


def test_loaded_without_torch_it_says_the_same(trained: Forecaster, tmp_path: Path) -> None:
    code = (
        "import sys; sys.modules['torch'] = None\n"
        "import numpy as np\n"
        "from congru.tasks.forecast import Forecaster\n"
        f"np.save(r'{tmp_path / 'values.npy'}', Forecaster.load(r'{trained.model.folder}').values())\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
    np.testing.assert_allclose(np.load(tmp_path / "values.npy"), trained.values(), rtol=1e-5)


def test_runtime_and_training_compute_the_same_forecasts(trained: Forecaster) -> None:
    settings = Settings(**{**SHORT, "levels": [80, 95], "test_size": 11})
    settings = settings.model_copy(
        update={"segment": trained.window.segment, "input_size": trained.window.input_size}
    )
    learner = make_learner(two_series(), settings=settings)
    weights = {f"main.{name}": _tensor(value) for name, value in trained.model.network.weights.items()}
    learner.module.load_state_dict(weights)
    series, cut = learner.data.validation
    with torch.no_grad():
        by_torch = learner.evaluate(learner.module.eval(), learner.validation_rows())
    kept = trained.calibration, trained.store.share
    trained.calibration, trained.store.share = [1.0, 1.0], None
    by_numpy = trained.windows(trained.panel_of()[0], series, cut)
    trained.calibration, trained.store.share = kept
    np.testing.assert_allclose(by_numpy, by_torch, rtol=1e-5)


def _tensor(value: Any) -> Any:
    return torch.from_numpy(value)


def test_update_goes_on_and_any_cutting_gives_the_same(trained: Forecaster) -> None:
    new = two_series(97)
    new = new[new.ds >= "2024-03-31"]
    whole, parts = twin(trained).update(new), twin(trained)
    for day in sorted(new.ds.unique()):
        parts.update(new[new.ds == day])
    np.testing.assert_allclose(parts.values(), whole.values(), rtol=1e-6)
    assert whole.predict().ds.iloc[0] == pd.Timestamp("2024-04-07")
    assert not np.allclose(whole.values(), trained.values())
    if trained.window.streaming:  # one long run through the network, from where the look-back began
        panel, _ = trained.panel_of(two_series(97))
        longer = congru.load(trained.model.folder).session(batch_size=2)
        series, cut = np.array([0, 1]), np.array([90, 90])
        longer.run(panel.inputs(series, cut))
        for step in range(91, 98):
            out = longer.step(panel.inputs(series, np.array([step, step]))[:, -1])
        np.testing.assert_allclose(whole._sessions.out[0], out, atol=1e-5)  # type: ignore[union-attr]
    else:
        panel, _ = trained.panel_of(two_series(97))
        again = trained.windows(panel, np.array([0, 1]), np.array([97, 97]))
        np.testing.assert_allclose(whole.values()[..., 0], again[..., 0], rtol=1e-6)


def test_update_of_one_series_leaves_the_other(trained: Forecaster) -> None:
    new = two_series(92)
    new = new[(new.ds >= "2024-03-31") & (new.unique_id == "south")]
    updated = twin(trained).update(new)
    np.testing.assert_array_equal(updated.values()[0], trained.values()[0])
    assert not np.allclose(updated.values()[1], trained.values()[1])
    assert updated.predict().ds.tolist()[::3] == [pd.Timestamp("2024-03-31"), pd.Timestamp("2024-04-02")]


def test_what_is_kept_does_not_grow(trained: Forecaster) -> None:
    updated = twin(trained)
    before = len(updated.store.files()["series.safetensors"])
    new = two_series(600)
    updated.update(new[new.ds >= "2024-03-31"])
    assert len(updated.store.files()["series.safetensors"]) == before
    assert updated.store.history.shape == trained.store.history.shape


def test_gaps_in_new_rows_take_the_value_before(trained: Forecaster) -> None:
    new = two_series(93)
    new = new[new.unique_id == "north"]
    gap, filled = new[new.ds == "2024-04-02"], new[new.ds >= "2024-03-31"].copy()
    filled.loc[filled.ds < "2024-04-02", "y"] = trained.store.history[0, -1]
    by_gap, by_rows = twin(trained).update(gap).values(), twin(trained).update(filled).values()
    np.testing.assert_allclose(by_gap[..., 0], by_rows[..., 0], rtol=1e-6)
    assert not np.allclose(by_gap[0], by_rows[0])  # the rows that were there taught the intervals


def test_saved_again_it_goes_on_from_there(trained: Forecaster, tmp_path: Path) -> None:
    new = two_series(95)
    updated = twin(trained).update(new[new.ds >= "2024-03-31"])
    again = Forecaster.load(updated.save(tmp_path / "later"))
    np.testing.assert_array_equal(again.values(), updated.values())
    newer = two_series(96)
    newer = newer[newer.ds >= "2024-04-05"]
    np.testing.assert_allclose(again.update(newer).values(), updated.update(newer).values(), rtol=1e-6)
    moved = twin(trained)
    moved.model.folder = tmp_path / "gone"
    with pytest.raises(ModelFolderError, match="is gone, expected the folder the model came from"):
        moved.save(tmp_path / "never")


def test_cross_validation_forecasts_from_past_moments(trained: Forecaster) -> None:
    table = trained.cross_validation(windows=3, step_size=4)
    assert table.columns.tolist()[:5] == ["unique_id", "ds", "cutoff", "y", "GRU"]
    assert len(table) == 2 * 3 * 3
    assert table.cutoff.unique().tolist() == list(pd.to_datetime(["2024-03-19", "2024-03-23", "2024-03-27"]))
    data = two_series()
    merged = table.merge(data, on=["unique_id", "ds"])
    np.testing.assert_array_equal(merged.y_x, merged.y_y)
    cut = data[data.ds <= "2024-03-27"]
    again = twin(trained)
    panel, _ = again.panel_of(cut)
    alone = again.windows(panel, np.array([0, 1]), np.array([87, 87]))  # later rows are not looked at
    np.testing.assert_allclose(table[table.cutoff == "2024-03-27"].GRU, alone[..., 0].ravel(), rtol=1e-6)


def test_calibrated_intervals_hold_on_validation(trained: Forecaster) -> None:
    learner = make_learner(
        two_series(),
        settings=Settings(
            **{**SHORT, "levels": [80, 95], "test_size": 11, "quiet": True},
            segment=trained.window.segment,
            input_size=trained.window.input_size,
        ),
    )
    series, cut = learner.data.validation
    forecast = trained.windows(trained.panel_of()[0], series, cut)
    y = learner.data.panel.actual(series, cut)
    for index, level in enumerate((80, 95)):
        inside = (forecast[..., 1 + 2 * index] <= y) & (y <= forecast[..., 2 + 2 * index])
        assert level / 100 <= inside.mean() <= level / 100 + 0.05


def test_evaluation_stands_beside_baselines(
    trained: Forecaster, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    rows = forecast.evaluate_forecaster(trained)
    assert list(rows) == ["GRU", "last value", "seasonal naive", "linear"]
    assert set(rows["GRU"]) >= {
        "abs_error",
        "rmse",
        "bias",
        "mae",
        "mse",
        "smape",
        "mase",
        "coverage_80",
        "pinball_95",
    }
    table = trained.cross_validation(windows=9, step_size=1).merge(two_series(), on=["unique_id", "ds"])
    scale = table.unique_id.map(dict(zip(trained.store.names, trained.store.units.scale)))
    assert rows["GRU"]["mae"] == pytest.approx(((table.GRU - table.y_x).abs() / scale).mean())
    path = tmp_path / "all.csv"
    two_series().to_csv(path, index=False)
    assert forecast.evaluate(trained.model.folder, str(path)) == rows
    assert "seasonal naive" in capsys.readouterr().out


def test_a_stream_gives_each_value_beside_what_was_said(trained: Forecaster) -> None:
    new = two_series(94)
    new = new[new.ds >= "2024-03-31"]
    streamed = twin(trained)
    moments = list(stream(streamed, new))
    assert [moment.series for moment in moments] == ["north", "south"] * 4
    assert moments[0].forecast[0] == pytest.approx(trained.values()[0, 0, 0])
    assert moments[1].forecast[0] == pytest.approx(trained.values()[1, 0, 0])
    assert moments[2].last_value == moments[0].y
    assert moments[0].seasonal_naive == trained.store.history[0, -7]
    np.testing.assert_allclose(streamed.values(), twin(trained).update(new).values(), rtol=1e-6)
    errors = errors_of(moments)
    assert errors["last value"] == pytest.approx(np.mean([abs(m.y - m.last_value) for m in moments]))


def test_pictures_and_inputs_for_inspection(trained: Forecaster, tmp_path: Path) -> None:
    figure = trained.plot(tmp_path / "forecast.svg", series=["south"])
    assert (tmp_path / "forecast.svg").read_text().startswith("<?xml")
    assert len(figure.axes) == 1
    x, labels = inspect_inputs(congru.load(trained.model.folder), "south")
    assert x.shape == (1, trained.window.num_steps, trained.window.num_features)
    assert labels[-1] == "2024-03-30"
    assert len(labels) == trained.window.num_steps
    out, _ = trained.model.run(x)
    assert np.isfinite(out).all()


@pytest.mark.parametrize("step", [1, 3])
def test_an_explanation_adds_up_to_the_forecast(trained: Forecaster, step: int) -> None:
    fresh = Forecaster.load(trained.model.folder)
    for share in (None, np.array([0.7, 0.2, 0.4])):  # of the network beside simple forecasts
        fresh.store.share = share
        if share is not None:
            weights = np.random.default_rng(1).standard_normal((fresh.window.input_size + 1, 3))
            fresh.store.simple = weights / 10
        explained = fresh.explain("south", step)
        whole = explained.simple + explained.constant + explained.contributions.sum()
        forecast = fresh.values()[1, step - 1, 0]
        assert whole == pytest.approx(explained.forecast, rel=1e-12)
        assert explained.forecast == pytest.approx(forecast, rel=1e-6)
        assert len(explained.contributions) == len(explained.steps) == fresh.window.num_steps
        count, held = explained.last
        sizes = np.abs(explained.contributions)
        assert held == pytest.approx(sizes[-count:].sum() / sizes.sum())
        assert held >= 0.5 > sizes[len(sizes) - count + 1 :].sum() / sizes.sum()
    store, kept = fresh.store, fresh.store.history.copy()
    store.history[1, -3] += 1.0  # what a line makes of a value belongs to the step that read it
    assert store.simple is not None
    store.share, changed_step = np.zeros(3), -1 if fresh.window.segment > 1 else -3
    moved = fresh.explain("south", step).contributions
    store.history[:] = kept
    change = moved - fresh.explain("south", step).contributions
    assert change[changed_step] == pytest.approx(store.simple[-5, step - 1], rel=1e-6)
    assert np.abs(np.delete(change, changed_step)).max() < 1e-9
    assert "% on the last" in str(explained)
    assert str(explained).startswith(explained.time)


def test_an_explanation_names_what_it_does_not_know(trained: Forecaster) -> None:
    with pytest.raises(SettingsError, match="step is 4, expected 1 to 3: count the steps ahead from 1"):
        trained.explain(step=4)
    with pytest.raises(SettingsError, match="series is 'west', expected one of 2 known"):
        trained.explain("west")


@pytest.mark.parametrize("kind", ["polars", "pyarrow", "csv"])
def test_the_kind_of_table_that_came_in_goes_out(kind: str, tmp_path: Path) -> None:
    frame = one_series()
    path = tmp_path / "one.csv"
    frame.to_csv(path, index=False)
    data = {"polars": pl.from_pandas(frame), "pyarrow": pa.table(frame.to_dict("list")), "csv": path}[kind]
    table = train(data, tmp_path, **STEPWISE, cell="lstm").predict()
    assert type(table).__module__.split(".")[0] == {"csv": "pandas"}.get(kind, kind)
    names = table.column_names if kind == "pyarrow" else list(table.columns)
    assert names == ["ds", "LSTM"]  # one series without a name stays without


@pytest.mark.parametrize("cell", ["lstm", "rnn", "mingru"])
def test_other_cells_stream_as_well(cell: str, tmp_path: Path) -> None:
    model = train(one_series(), tmp_path, **STEPWISE, cell=cell)
    later = one_series(93).iloc[90:]
    assert np.isfinite(model.update(later).values()).all()
    assert model.columns == [{"lstm": "LSTM", "rnn": "RNN", "mingru": "MinGRU"}[cell]]


def test_month_ends_go_on_as_month_ends(tmp_path: Path) -> None:
    times = pd.date_range("2020-01-31", periods=60, freq="ME")
    frame = pd.DataFrame({"ds": times, "y": 5 + np.sin(np.arange(60) * np.pi / 6)})
    model = train(frame.iloc[:37], tmp_path, **STEPWISE, test_size=4)
    assert model.predict().ds.tolist() == list(times[37:40])
    table = twin(model).cross_validation(frame.iloc[:49])  # new rows that begin in a short month
    assert table.ds.tolist() == list(times[46:49])
    assert twin(model).update(frame.iloc[37:49]).predict().ds.tolist() == list(times[49:52])
    table = twin(model).cross_validation(frame.iloc[37:49])
    assert table.ds.tolist() == list(times[46:49])


def test_it_learns_what_no_baseline_can(tmp_path: Path) -> None:
    """A known input tells the next values: with it the error falls far below every baseline."""
    rng = np.random.default_rng(0)
    sale = rng.integers(0, 2, 240)
    frame = pd.DataFrame({"ds": pd.date_range("2024-01-01", periods=240), "y": 5.0 + 3 * sale, "sale": sale})
    past, ahead = frame.iloc[:-3], frame.iloc[-3:][["ds", "sale"]]
    how: dict[str, Any] = {
        "steps": 250,
        "hidden_size": 16,
        "learning_rate": 1e-2,
        "noise": 0.0,
        "calendar": False,
        "known": ["sale"],
    }
    model = train(past, tmp_path, **STEPWISE, **how, lags=[1])
    assert model.result is not None
    assert model.result.best is not None
    assert model.result.best < 0.35 * min(model.result.baselines.values())
    np.testing.assert_allclose(model.predict(ahead).GRU, frame.y.iloc[-3:], atol=1.5)
    segments = train(past, tmp_path / "s", **SEGMENTS, **how)
    assert segments.result is not None
    assert segments.result.best is not None
    assert segments.result.best < 0.35 * min(segments.result.baselines.values())
    updated = twin(model).update(frame.iloc[-3:])
    assert updated.store.known_history[0, -3:, 0].tolist() == ahead.sale.tolist()


def test_a_constant_series_is_forecast_as_the_constant(tmp_path: Path) -> None:
    frame = two_series()
    frame.loc[frame.unique_id == "north", "y"] = 4.0
    with pytest.warns(UserWarning, match="constant series: 1, first: series 'north' is 4 throughout"):
        model = train(frame, tmp_path, **STEPWISE, levels=[80])
    values = model.values()
    assert np.isfinite(values).all()
    assert (values[0] == 4.0).all()  # itself, in an interval of no width


def test_batches_are_the_same_again_and_shared_over_processes() -> None:
    learner: ForecastLearner = make_learner(two_series(), settings=Settings(**SHORT, **SEGMENTS))
    whole = list(Batches(learner).epoch(3))
    assert len(whole) == learner.steps_per_epoch
    later = list(Batches(learner).epoch(3, start=2))
    halves = [list(Batches(learner, rank, 2).epoch(3)) for rank in (0, 1)]
    for step, batch in enumerate(whole):
        for part, tensor in enumerate(batch):
            if step >= 2:
                assert tensor.equal(later[step - 2][part])
            both = np.concatenate([halves[rank][step][part].numpy() for rank in (0, 1)])
            np.testing.assert_array_equal(tensor.numpy(), both)
    assert not whole[0][0].equal(next(Batches(learner).epoch(4))[0])


def test_a_table_that_is_barely_long_enough_has_windows_in_every_epoch() -> None:
    for length in range(50, 56):
        learner = make_learner(one_series(length), settings=Settings(horizon=24))
        assert learner.stride > 1
        for epoch in range(8):
            assert len(learner.rows(epoch)) >= learner.settings.batch_size


def test_training_sees_neither_validation_nor_test() -> None:
    learner = make_learner(two_series(), settings=Settings(**SHORT, **SEGMENTS, val_size=10, test_size=5))
    assert learner.data.train_end.tolist() == [75, 75]
    _, cut = learner.data.train_rows(1, 0)
    assert cut.max() + 3 == 75
    assert set(learner.data.validation[1].tolist()) == set(range(75, 83))
    spoiled = two_series()
    spoiled.loc[spoiled.ds >= "2024-03-16", "y"] = 1e6
    other = make_learner(spoiled, settings=Settings(**SHORT, **SEGMENTS, val_size=10, test_size=5))
    np.testing.assert_array_equal(other.data.units.scale, learner.data.units.scale)
    for one, two in zip(Batches(learner).epoch(0), Batches(other).epoch(0)):
        assert all(a.equal(b) for a, b in zip(one, two))


def test_without_validation_the_train_part_is_looked_at() -> None:
    learner = make_learner(two_series(), settings=Settings(**SHORT, **SEGMENTS, val_size=0))
    assert learner.baselines == {}
    assert "which training has seen" in str(learner.describe()["validation"])
    with torch.no_grad():
        part = learner.evaluate(learner.module.eval(), learner.validation_rows())
    assert np.isfinite(learner.metrics([part])["mase"])


def test_widths_for_comparisons_need_no_data() -> None:
    learner = make_learner(two_series(), settings=Settings(**SHORT, **SEGMENTS))
    with torch.device("meta"):
        module = learner.build("lstm", 5)
    assert module["main"].recurrent_layers()["rnn"].hidden_size == 5


def test_commands(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data, new, out = tmp_path / "data.csv", tmp_path / "new.csv", tmp_path / "run"
    longer = two_series(94)
    longer[longer.ds < "2024-03-31"].to_csv(data, index=False)
    longer[longer.ds >= "2024-03-31"].to_csv(new, index=False)
    flags = [
        "--horizon",
        "3",
        "--levels",
        "80",
        "--steps",
        "6",
        "--hidden-size",
        "4",
        "--out",
        str(out),
        "--quiet",
    ]
    with pytest.raises(SystemExit) as done:
        main(["train", "forecast", str(data), *flags])
    assert done.value.code == 0
    capsys.readouterr()
    with pytest.raises(SystemExit) as done:
        main(
            [
                "run",
                str(out),
                "--update",
                str(new),
                "--plot",
                str(tmp_path / "p.svg"),
                "--save",
                str(tmp_path / "m"),
            ]
        )
    assert done.value.code == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "unique_id,ds,GRU,GRU-lo-80,GRU-hi-80"
    assert lines[1].startswith("north,2024-04-04,")
    assert len(lines) == 7
    assert (tmp_path / "p.svg").exists()
    with pytest.raises(SystemExit):
        main(["run", str(tmp_path / "m"), "--out", str(tmp_path / "forecast.csv")])
    assert (tmp_path / "forecast.csv").read_text().splitlines() == lines
    with pytest.raises(SystemExit):
        main(["run", str(out), "--stream", str(new)])
    assert "mean absolute error one step ahead" in capsys.readouterr().out
    with pytest.raises(SystemExit):
        main(["eval", str(out), str(new)])
    assert "last value" in capsys.readouterr().out
