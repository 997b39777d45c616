"""A run followed in TensorBoard, read back from its file, and in MLflow, whose calls are written down."""

from __future__ import annotations

import struct
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from toy import ToyLearner, ToySettings

from congru.errors import MissingPackageError
from congru.train.loop import RunResult, fit
from congru.train.resolve import resolve


def run(out: Path, **settings: Any) -> RunResult:
    keywords = {"steps": 6, "evaluations": 2, "batch_size": 2, "quiet": True, "out": out, **settings}
    resolved, origin = resolve(ToySettings, keywords)
    return fit(ToyLearner(resolved), resolved, origin=origin)


def events_of(folder: Path) -> list[Any]:
    """The events of the one file in a folder: records of a length, its checksum, the bytes, their checksum."""
    event = pytest.importorskip("tensorboardX").proto.event_pb2.Event
    (path,) = folder.iterdir()
    content, at, events = path.read_bytes(), 0, []
    while at < len(content):
        (length,) = struct.unpack_from("<Q", content, at)
        events.append(event.FromString(content[at + 12 : at + 12 + length]))
        at += 16 + length
    return events


def test_tensorboard_has_every_curve_and_the_verdict(tmp_path: Path) -> None:
    result = run(tmp_path / "run", track=["tensorboard"])
    points: dict[str, dict[int, float]] = {}
    for event in events_of(tmp_path / "run" / "tensorboard"):
        for value in event.summary.value:
            points.setdefault(value.tag, {})[event.step] = value.simple_value
    assert list(points["train/loss"]) == [1, 2, 3, 4, 5, 6]
    assert list(points["validation/mse"]) == [0, 3, 6]
    assert min(points["validation/mse"].values()) == pytest.approx(result.best, rel=1e-6)
    assert {"settings/text_summary", "verdict/text_summary"} <= points.keys()


def test_mlflow_gets_settings_metrics_verdict_and_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = record_mlflow(monkeypatch)
    result = run(tmp_path / "run", track=["mlflow"])
    names = [name for name, _, _ in calls]
    assert names[:3] == ["start_run", "set_tags", "log_params"]
    assert names[-2:] == ["log_artifacts", "end_run"]
    assert calls[2][1][0]["steps"] == "6"
    assert calls[-1][1] == ("FINISHED",)
    assert Path(calls[-2][1][0]) == tmp_path / "run" / "model"
    metrics = {options["step"]: args[0] for name, args, options in calls if name == "log_metrics"}
    assert metrics[result.best_step]["best/mse"] == result.best
    assert set(metrics) == set(range(7))
    assert any("verdict" in args[0] for name, args, _ in calls if name == "set_tags")


def test_a_run_that_fails_is_ended_and_a_dry_or_refused_one_never_begun(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = record_mlflow(monkeypatch)
    run(tmp_path / "dry", track=["mlflow", "mlflow"], dry_run=True)
    assert calls == []
    with pytest.raises(ValueError, match="loss is nan at step 2"):
        run(tmp_path / "run", track=["mlflow"], nan_at=2)
    assert [args for name, args, _ in calls if name == "end_run"] == [("KILLED",)]


@pytest.mark.parametrize(("name", "package"), [("tensorboard", "tensorboardX"), ("mlflow", "mlflow")])
def test_a_missing_package_is_one_line_before_anything_is_written(
    name: str, package: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    line = rf"{package} is not installed, expected by this command: pip install 'congru\[{name}\]'"
    with pytest.raises(MissingPackageError, match=line):
        run(tmp_path / "run", track=[name])
    assert not (tmp_path / "run").exists()


def record_mlflow(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, tuple[Any, ...], dict[str, Any]]]:
    calls: list[tuple[str, tuple[Any, ...], dict[str, Any]]] = []

    def recorder(name: str) -> Any:
        return lambda *args, **options: calls.append((name, args, options))

    names = ("start_run", "set_tags", "log_params", "log_metrics", "log_artifacts", "end_run")
    monkeypatch.setitem(sys.modules, "mlflow", SimpleNamespace(**{name: recorder(name) for name in names}))
    return calls
