"""A small network for every node type: what the tests of nodes run over. A new node adds its entry here."""

from __future__ import annotations

from typing import Any

STEPS = {"x": {"features": 6}}
MEMORY = {"x": {"features": 6}, "m": {"features": 5, "axes": "memory"}}


def one(kind: str, inputs: dict[str, Any] = STEPS, **keys: Any) -> dict[str, Any]:
    """A network of one node called "node"."""
    return {"inputs": inputs, "nodes": [{"type": kind, "name": "node", **keys}], "outputs": ["node"]}


def joined(kind: str) -> dict[str, Any]:
    """Steps, steps and a row into one node."""
    return {
        "inputs": {"x": {"features": 6}, "r": {"features": 6, "axes": "row"}},
        "nodes": [
            {"type": "linear", "name": "inner", "size": 6, "of": "x"},
            {"type": kind, "name": "node", "of": ["x", "inner", "r"]},
        ],
        "outputs": ["node"],
    }


PICTURE = {
    "inputs": {"x": {"features": [2, 5, 6]}},
    "nodes": [
        {"type": "conv2d", "name": "conv", "channels": 3, "kernel": 3, "stride": 2, "padding": 1},
        {"type": "flatten", "name": "flat"},
    ],
    "outputs": ["flat"],
}
ROWS = {
    "inputs": {"x": {"features": [2, 5, 6]}},
    "nodes": [
        {"type": "conv2d", "name": "conv", "channels": 3, "kernel": 3, "padding": 1},
        {"type": "row_max", "name": "rows"},
    ],
    "outputs": ["rows"],
}
PICTURES_ON = {
    "inputs": {"x": {"features": [2, 4, 5]}},
    "nodes": [
        {"type": "conv_gru", "name": "node", "channels": 3, "kernel": 3},
        {"type": "flatten", "name": "flat"},
    ],
    "outputs": ["flat"],
}
TIED = {
    "inputs": {"t": {"tokens": 7}},
    "nodes": [
        {"type": "embedding", "name": "embed", "size": 4},
        {"type": "gru", "name": "rnn", "hidden_size": 5},
        {"type": "linear", "name": "narrow", "size": 4},
        {"type": "linear", "name": "head", "size": 7, "tied": "embed"},
    ],
    "outputs": ["head", "rnn"],
}
CASES: dict[str, dict[str, Any]] = {
    "embedding": one("embedding", {"t": {"tokens": 7}}, size=4),
    "embedding summed": one("embedding", {"t": {"tokens": [7, 3]}}, size=4),
    "embedding side by side": one("embedding", {"t": {"tokens": [7, 3]}}, size=4, combine="concat"),
    "linear": one("linear", size=3),
    "linear tied": TIED,
    "layer_norm": one("layer_norm"),
    "relu": one("relu"),
    "tanh": one("tanh"),
    "sigmoid": one("sigmoid"),
    "dropout": one("dropout", p=0.5),
    "add": joined("add"),
    "concat": joined("concat"),
    "conv2d, flatten": PICTURE,
    "conv2d, row_max": ROWS,
    "conv_gru": PICTURES_ON,
    "gru": one("gru", hidden_size=8, num_layers=2, layer_norm=True, num_heads=2, learn_h0=True),
    "gru before": one("gru", hidden_size=8, reset_before=True, zoneout=0.1),
    "gru both ways": one("gru", hidden_size=8, bidirectional=True),
    "lstm": one("lstm", hidden_size=8, num_layers=2),
    "rnn": one("rnn", hidden_size=8),
    "mingru": one("mingru", hidden_size=8),
    "last": one("last"),
    "mean": one("mean"),
    "mean running": one("mean", running=True),
    "max": one("max"),
    "max running": one("max", running=True),
    "attention_pool": one("attention_pool", size=5),
    "attention_pool running": one("attention_pool", size=5, running=True),
    "attention dot": one("attention", {**MEMORY, "x": {"features": 5}}, of=["x", "m"], score="dot"),
    "attention bilinear": one("attention", MEMORY, of=["x", "m"]),
    "attention additive": one("attention", MEMORY, of=["x", "m"], score="additive", size=4),
    "causal_conv": one("causal_conv", size=4, kernel=4, look_ahead=2),
    "stack": one("stack", frames=3),
}
