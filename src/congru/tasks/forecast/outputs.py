"""What the networks of a forecaster say about windows, and the answer that its folder must repeat when it is loaded."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from congru.runtime.answer import Arrays
from congru.runtime.model import Model
from congru.tasks.forecast.panel import Panel
from congru.tasks.forecast.quantiles import bounded, calibrate
from congru.tasks.forecast.store import NUM_ANSWERS, SeriesStore
from congru.tasks.forecast.window import Array, Window, decode_mean

Index = NDArray[np.int64]


def outputs(model: Model, x: NDArray[np.float32], window: Window) -> NDArray[np.float32]:
    """What each of E networks says at the end of windows x [B, n, F]: [E, B, O]."""
    answers = [np.asarray(network.run(x)[0]) for network in model.networks.values()]
    return np.stack([out[:, -1] if window.streaming else out for out in answers])


def outputs_and_states(
    model: Model, x: NDArray[np.float32]
) -> tuple[NDArray[np.float32], list[dict[str, Any]]]:
    """Of E networks that stream: the last outputs [E, B, O] and the states after windows x [B, n, F]."""
    runs = [network.run(x) for network in model.networks.values()]
    return np.stack([np.asarray(answer)[:, -1] for answer, _ in runs]), [dict(state) for _, state in runs]


def forecasts_of(
    out: NDArray[np.float32],
    store: SeriesStore,
    panel: Panel,
    rows: tuple[Index, Index],
    factors: list[float],
) -> Array:
    """Forecasts [B, h, 1 + 2 levels] of windows (series, cutoff) from the outputs of E networks for them, [E, B, O].

    `factors` are those of the intervals' calibration. Nothing is bounded by a minimum yet.
    """
    network = decode_mean(list(out), panel.bases(*rows), store.window)
    widened = calibrate(store.with_simple(network, panel, *rows), factors)
    return panel.absolute(widened, *rows)


def answer(model: Model, store: SeriesStore) -> Arrays:
    """The calibrated forecasts of the first series of a store, from their last windows: what a model must repeat."""
    panel, *rows = store.last_windows(NUM_ANSWERS)
    series, cutoff = rows
    out = outputs(model, panel.inputs(series, cutoff), store.window)
    factors = [float(factor) for factor in model.task_config["calibration"]]
    forecast = forecasts_of(out, store, panel, (series, cutoff), factors)
    return {"forecast": bounded(forecast, store.minimum)}


def reply(model: Model, inputs: Arrays) -> Arrays:
    """What a loaded model answers to the stored input, which is its own store."""
    return answer(model, SeriesStore.read(model.task_config, model.files, str(model.folder)))
