"""Golden cases of MLX: GRU, LSTM and RNN (tanh)."""

from __future__ import annotations

import mlx.core as mx
import mlx.nn
import numpy as np
from case_file import GoldenCase, about, draw, record_versions, save

B, T, I, H = 3, 5, 3, 4
CELLS = {
    "gru": (mlx.nn.GRU, ("Wx", "Wh", "b", "bhn")),
    "lstm": (mlx.nn.LSTM, ("Wx", "Wh", "bias")),
    "rnn": (mlx.nn.RNN, ("Wxh", "Whh", "bias")),
}


def generate(cell: str) -> None:
    kind, names = CELLS[cell]
    x, layer = draw(100, B, T, I), kind(I, H)
    state = tuple(draw(101 + k, 1, B, H) for k in range(2 if cell == "lstm" else 1))
    arrays = {name: draw(seed, *layer[name].shape) for seed, name in enumerate(names)}
    layer.update({name: mx.array(array) for name, array in arrays.items()})
    results = layer(mx.array(x), *(mx.array(part[0]) for part in state))
    parts = [np.array(part) for part in (results if cell == "lstm" else (results,))]
    final = tuple(part[:, -1][None] for part in parts)
    save(f"mlx_{cell}", GoldenCase(about("mlx", cell), x, None, state, [arrays], parts[0], final))


if __name__ == "__main__":
    for name in CELLS:
        generate(name)
    record_versions("generate_mlx.py", "mlx")
