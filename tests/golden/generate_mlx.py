"""Golden case of the GRU in MLX."""

from __future__ import annotations

import mlx.core as mx
import mlx.nn
import numpy as np
from case_file import GoldenCase, about, draw, record_versions, save

B, T, I, H = 3, 5, 3, 4

if __name__ == "__main__":
    x, state = draw(100, B, T, I), draw(101, 1, B, H)
    layer = mlx.nn.GRU(I, H)
    arrays = {name: draw(seed, *layer[name].shape) for seed, name in enumerate(("Wx", "Wh", "b", "bhn"))}
    layer.update({name: mx.array(array) for name, array in arrays.items()})
    y = np.array(layer(mx.array(x), mx.array(state[0])))
    save("mlx_gru", GoldenCase(about("mlx", "gru"), x, None, (state,), [arrays], y, (y[:, -1][None],)))
    record_versions("generate_mlx.py", "mlx")
