"""Keras models as Keras writes them, .keras and .h5, with what they return for one input. Needs KERAS_BACKEND=torch or jax."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import keras
import numpy as np
from case_file import draw, record_versions
from keras import layers

FOLDER = Path(__file__).parent / "files"


def chain() -> Any:
    """Every layer that is converted, the recurrent ones in each form."""
    return keras.Sequential(
        [
            keras.Input((None,)),
            layers.Embedding(11, 4, name="words"),
            layers.Bidirectional(layers.GRU(5, return_sequences=True), name="both"),
            layers.GRU(3, return_sequences=True, reset_after=False),
            layers.RNN([layers.GRUCell(4), layers.LSTMCell(3)], return_sequences=True),
            layers.LayerNormalization(),
            layers.TimeDistributed(layers.Dense(4, activation="relu")),
            layers.BatchNormalization(),
            layers.SimpleRNN(3, return_sequences=True, use_bias=False),
            layers.Dropout(0.1),
            layers.LSTM(4),
            layers.Dense(2, activation="tanh", name="head"),
        ]
    )


def functional() -> Any:
    """A chain of the functional interface."""
    start = keras.Input((None, 3))
    value = layers.LSTM(4, return_sequences=True, name="under")(start)
    return keras.Model(
        start, layers.Dense(2, activation="softmax", name="head")(layers.GRU(3, name="over")(value))
    )


def fill(model: Any) -> None:
    """No weight is zero; variances are positive."""
    values = [draw(seed, *part.shape) for seed, part in enumerate(model.get_weights())]
    model.set_weights(values)
    for layer in model.layers:
        if isinstance(layer, layers.BatchNormalization):
            layer.moving_variance.assign(np.abs(layer.moving_variance.numpy()) + 0.1)


if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    model = chain()
    fill(model)
    x = np.random.default_rng(0).integers(0, 11, (3, 6))
    np.savez(FOLDER / "keras_chain.npz", x=x, y=np.asarray(keras.ops.convert_to_numpy(model(x))))
    model.save(FOLDER / "keras_chain.keras")
    with zipfile.ZipFile(FOLDER / "keras_chain.keras") as archive:
        content = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(FOLDER / "keras_chain.keras", "w", zipfile.ZIP_DEFLATED) as archive:
        for name, part in content.items():
            archive.writestr(name, part)
    model = functional()
    fill(model)
    x = draw(100, 3, 6, 3)
    inner = keras.Model(model.inputs, model.get_layer("over").output)
    logits = keras.ops.convert_to_numpy(inner(x)) @ model.get_weights()[-2] + model.get_weights()[-1]
    np.savez(FOLDER / "keras_functional.npz", x=x, y=np.asarray(logits))
    model.save(FOLDER / "keras_functional.h5")
    record_versions("generate_keras_files.py", "keras", keras.backend.backend())
