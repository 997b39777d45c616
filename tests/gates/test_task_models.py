"""What the gates promise, on the models that the tasks train: residual, completeness, the task's own tokens."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import congru
from congru.gates import Trace
from congru.tasks.registry import find_task
from forecast_cases import SEGMENTS, STEPWISE, train, two_series

POEM = "The fog comes on little cat feet.\nIt sits looking over harbour and city.\n" * 20
COMPLETE = 1e-5


def text_model(folder: Path, **settings: Any) -> Path:
    (folder / "poem.txt").write_text(POEM)
    small = {"hidden_size": 24, "batch_size": 8, "chunk": 12, "steps": 25, "evaluations": 2, "threads": 1}
    defaults = {**small, "learning_rate": 0.02, "precision": "float32", "quiet": True, "out": folder / "run"}
    return Path(congru.tasks.text.train(folder / "poem.txt", **{**defaults, **settings}).model_folder)


def forecast_model(folder: Path, **settings: Any) -> Path:
    return Path(train(two_series(), folder, threads=1, **settings).result.model_folder)


MODELS: dict[str, tuple[str, Callable[[Path], Path]]] = {
    "text": ("text", text_model),
    "text, two layers": ("text", lambda folder: text_model(folder, num_layers=2)),
    "text, reset before": ("text", lambda folder: text_model(folder, reset_before=True)),
    "text, minGRU": ("text", lambda folder: text_model(folder, cell="mingru")),
    "forecast, segments": ("forecast", lambda folder: forecast_model(folder, **SEGMENTS)),
    "forecast, step by step": ("forecast", lambda folder: forecast_model(folder, **STEPWISE)),
}


@pytest.fixture(scope="module", params=MODELS)
def traced(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Trace]:
    """The task, and the trace of its model on what the task has at hand."""
    task, make = MODELS[request.param]
    model = congru.load(make(tmp_path_factory.mktemp("model")))
    x, labels = find_task(task).use("inspect_inputs")(model)
    return task, congru.inspect(model, x, tokens=labels)


def test_the_equations_explain_the_models_own_states(traced: tuple[str, Trace]) -> None:
    assert traced[1].check() <= 1e-6


def test_shares_start_and_bias_are_the_prediction(traced: tuple[str, Trace]) -> None:
    trace = traced[1]
    memory = trace.memory()
    whole = memory.contributions.sum() + memory.start + memory.bias
    assert abs(whole - memory.output) <= COMPLETE * abs(memory.output)
    at = () if trace.output.ndim == 2 else (memory.at,)
    predicted = trace.output[(0, *at)]
    assert memory.output == pytest.approx(predicted.max(), rel=COMPLETE)
    shares = trace.memories()
    every = shares.contributions.sum(axis=0) + shares.start + shares.bias
    np.testing.assert_allclose(every, predicted, rtol=0, atol=COMPLETE * np.abs(predicted).max())


def test_steps_carry_the_tasks_own_tokens(traced: tuple[str, Trace], tmp_path: Path) -> None:
    task, trace = traced
    steps = trace.tokens[0]
    if task == "text":
        assert "".join(steps) in POEM or len(set(steps)) > 5
        assert all(len(step) == 1 for step in steps)
    else:
        assert all("2024" in step for step in steps), steps
    page = trace.report(tmp_path / "report.html").read_text(encoding="utf-8")
    assert "What this prediction stands on" in page
