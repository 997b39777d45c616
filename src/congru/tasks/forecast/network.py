"""The network of a forecaster: segments in, one vector of forecasts out.

    e_t = relu(A x_t + a)      x_t [F] one segment of the past (Lin et al. 2023, section 3.2)
    h_t = cell(e_t, h_{t-1})
    out = B h + b              after every step where it streams (segment 1), else after the last

The paper decodes with one more step of the cell per segment of the horizon, in parallel. Here one linear
map gives the whole horizon: on ETTh1 both have the same validation error (docs/LOG.md).
"""

from __future__ import annotations

from typing import Any

from congru.tasks.forecast.window import Window


def network_config(
    window: Window, cell: str, hidden_size: int, num_layers: int, dropout: float
) -> dict[str, Any]:
    """The declaration, see :mod:`congru.runtime.graph`.

    >>> window = Window(horizon=2, input_size=8, segment=4)
    >>> [node["type"] for node in network_config(window, "gru", 16, 1, 0.1)["nodes"]]
    ['linear', 'relu', 'gru', 'dropout', 'last', 'linear']
    """
    recurrent = {
        "type": cell,
        "name": "rnn",
        "hidden_size": hidden_size,
        "num_layers": num_layers,
        "dropout": dropout if num_layers > 1 else 0.0,
    }
    return {
        "inputs": {"window": {"features": window.num_features}},
        "nodes": [
            {"type": "linear", "name": "segment", "size": hidden_size},
            {"type": "relu", "name": "bend"},
            recurrent,
            {"type": "dropout", "name": "drop", "p": dropout},
            *([] if window.streaming else [{"type": "last", "name": "end"}]),
            {"type": "linear", "name": "head", "size": window.num_outputs},
        ],
        "outputs": ["head"],
    }
