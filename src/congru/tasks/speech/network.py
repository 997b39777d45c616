"""The network of a recogniser: steps of features in, a number per character and for the blank out.

    c_t = relu(W [x_(t - K + 1) .. x_t] + b)       a convolution whose last `look_ahead` steps lie in the future of its output
    y   = L layers of GRU over c, with layer norm, one dropout mask for all steps before every layer
    out = W y + b;   log p_t = log softmax(out_t) speaks of step t - look_ahead

Both ways by a flag; the convolution is the same.
"""

from __future__ import annotations

from typing import Any

from congru.tasks.members import OUTPUT
from congru.tasks.speech.settings import Settings


def network_config(settings: Settings, num_features: int, num_labels: int) -> dict[str, Any]:
    """The declaration, see :mod:`congru.runtime.graph`.

    >>> config = network_config(Settings(), 117, 29)
    >>> [node["type"] for node in config["nodes"]]
    ['causal_conv', 'relu', 'gru', 'linear']
    """
    cell: dict[str, Any] = {"type": settings.cell, "name": "rnn", "hidden_size": settings.hidden_size}
    if settings.cell in ("gru", "lstm"):
        cell["layer_norm"] = settings.layer_norm
    if settings.cell == "mingru":
        cell["dropout"] = settings.dropout if settings.num_layers > 1 else 0.0
    else:
        cell["input_dropout"] = settings.dropout
    return {
        "inputs": {"steps": {"features": num_features}},
        "nodes": [
            {
                "type": "causal_conv",
                "name": "conv",
                "size": settings.conv_size,
                "kernel": settings.kernel,
                "look_ahead": settings.look_ahead,
            },
            {"type": "relu", "name": "active"},
            {**cell, "num_layers": settings.num_layers, "bidirectional": settings.bidirectional},
            {"type": "linear", "name": OUTPUT, "size": num_labels},
        ],
        "outputs": [OUTPUT],
    }
