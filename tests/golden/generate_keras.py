"""Golden cases of Keras 3: GRU with both reset_after, LSTM, SimpleRNN. Needs KERAS_BACKEND=torch or jax."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from case_file import GoldenCase, about, draw, record_versions, save

B, T, I, H = 3, 5, 3, 4
LAYERS = {"gru": keras.layers.GRU, "lstm": keras.layers.LSTM, "rnn": keras.layers.SimpleRNN}


def generate(name: str, cell: str, **options: Any) -> None:
    layer = LAYERS[cell](H, return_sequences=True, return_state=True, **options)
    x = draw(100, B, T, I)
    state = tuple(draw(101 + k, 1, B, H) for k in range(2 if cell == "lstm" else 1))
    layer.build(x.shape)
    arrays = {part.path.rsplit("/")[-1]: draw(seed, *part.shape) for seed, part in enumerate(layer.weights)}
    layer.set_weights(list(arrays.values()))
    y, *final = layer(x, initial_state=[part[0] for part in state])
    y, *final = (keras.ops.convert_to_numpy(part) for part in (y, *final))
    final = tuple(np.asarray(part)[None] for part in final)
    save(
        name,
        GoldenCase(about("keras", cell, options=options), x, None, state, [arrays], np.asarray(y), final),
    )


if __name__ == "__main__":
    for reset_after in (True, False):
        generate(f"keras_gru_reset_after_{reset_after}".lower(), "gru", reset_after=reset_after)
    generate("keras_lstm", "lstm")
    generate("keras_rnn", "rnn")
    record_versions("generate_keras.py", "keras", keras.backend.backend())
