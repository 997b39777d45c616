"""The network of a classifier of clips: frames in, one number per class out, after every frame where it streams.

e_t = relu(W relu(conv(.. relu(conv(x_t))))) + b)    pictures: each convolution halves rows and columns
                                                     with `columns` max of every row only the largest value goes on
e_t = x_t                                            tracks
y_t = GRU over e                                     both ways, forward only where it streams
c   = last, mean, max or attention of y              c_t over the frames so far where it streams
out = W dropout(c) + b
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from congru.tasks.members import OUTPUT
from congru.tasks.video.settings import Settings

POOLS = {"attention": "attention_pool", "mean": "mean", "max": "max"}


def network_config(settings: Settings, shape: Sequence[int], num_classes: int) -> dict[str, Any]:
    """The declaration for steps of `shape` (C, H, W) or (I,), see :mod:`congru.runtime.graph`.

    >>> config = network_config(Settings(channels=(4,), streaming=True), (1, 8, 8), 3)
    >>> [node["type"] for node in config["nodes"]]
    ['conv2d', 'relu', 'flatten', 'linear', 'relu', 'dropout', 'gru', 'mean', 'dropout', 'linear']
    """
    cell: dict[str, Any] = {"type": settings.cell, "name": "rnn", "hidden_size": settings.hidden_size}
    if settings.cell == "gru":
        cell["reset_before"] = settings.reset_before
    pictures = len(shape) == 3
    return {
        "inputs": {"frames": {"features": list(shape) if pictures else shape[0]}},
        "nodes": [
            *(encoder(settings) if pictures else window(settings)),
            {
                **cell,
                "num_layers": settings.num_layers,
                "bidirectional": not settings.streaming,
                "dropout": settings.dropout if settings.num_layers > 1 else 0.0,
            },
            *pool(settings),
            {"type": "dropout", "name": "drop", "p": settings.dropout},
            {"type": "linear", "name": OUTPUT, "size": num_classes},
        ],
        "outputs": [OUTPUT],
    }


def window(settings: Settings) -> list[dict[str, Any]]:
    """A convolution over the last frames of a track, where one is asked for."""
    if not settings.window:
        return []
    size = {"size": settings.encoder_size, "kernel": settings.window}
    return [{"type": "causal_conv", "name": "window", **size}, {"type": "relu", "name": "encoded"}]


def encoder(settings: Settings) -> list[dict[str, Any]]:
    """Convolutions over every picture by itself, and one linear map."""
    nodes: list[dict[str, Any]] = []
    for number, channels in enumerate(settings.channels):
        convolution = {"channels": channels, "kernel": 3, "stride": 2, "padding": 1}
        nodes.append({"type": "conv2d", "name": f"conv{number}", **convolution})
        nodes.append({"type": "relu", "name": f"bend{number}"})
    return [
        *nodes,
        {"type": "row_max" if settings.columns == "max" else "flatten", "name": "flat"},
        {"type": "linear", "name": "encode", "size": settings.encoder_size},
        {"type": "relu", "name": "encoded"},
        {"type": "dropout", "name": "thin", "p": settings.dropout, "locked": True},
    ]


def pool(settings: Settings) -> list[dict[str, Any]]:
    """How the states become one vector; a stream that takes the last state needs none."""
    if settings.pool == "last":
        return [] if settings.streaming else [{"type": "last", "name": "pool"}]
    node: dict[str, Any] = {"type": POOLS[settings.pool], "name": "pool", "running": settings.streaming}
    if settings.pool == "attention":
        node["size"] = settings.hidden_size
    return [node]
