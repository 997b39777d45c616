"""Small networks with random weights and the model folders made of them, for the tests of the runtime."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from congru.runtime.folder import load, save_model
from congru.runtime.golden import make_golden
from congru.runtime.graph import Graph
from congru.runtime.model import Model
from congru.runtime.network import Network

CELLS = ("gru", "lstm", "rnn", "mingru")
SYMBOLS = list("abcdefgé \n")

Config = dict[str, Any]


def recurrent(cell: str, input_size: int, hidden_size: int, **options: Any) -> Config:
    """One recurrent layer called "rnn"."""
    return {"type": cell, "name": "rnn", "input_size": input_size, "hidden_size": hidden_size, **options}


def token_config(
    cell: str = "gru", num_tokens: int = len(SYMBOLS), hidden_size: int = 6, **options: Any
) -> Config:
    """Embedding, recurrent layer, one output per token."""
    return {
        "layers": [
            {"type": "embedding", "name": "embed", "num_embeddings": num_tokens, "size": 5},
            recurrent(cell, 5, hidden_size, **options),
            {"type": "linear", "name": "head", "in": hidden_size, "out": num_tokens},
        ]
    }


def vector_config(
    cell: str = "gru", *after: Config, input_size: int = 3, hidden_size: int = 6, **options: Any
) -> Config:
    """Vectors into a recurrent layer, then the layers `after`."""
    return {"layers": [recurrent(cell, input_size, hidden_size, **options), *after]}


def random_weights(config: Config, seed: int = 0, scale: float = 0.5) -> dict[str, np.ndarray]:
    """Normal weights for a network, none of them zero."""
    rng = np.random.default_rng(seed)
    shapes = Graph(config).weight_shapes
    return {name: (scale * rng.standard_normal(shape)).astype(np.float32) for name, shape in shapes.items()}


def char_file(symbols: list[str] = SYMBOLS) -> bytes:
    """The bytes of a character tokenizer."""
    return json.dumps({"type": "char", "symbols": symbols}).encode()


def save(folder: Path, config: Config, files: dict[str, bytes] | None = None, **parts: Any) -> Model:
    """Write a model folder with random weights (or the given parts) and load it."""
    weights = random_weights(config)
    whole: dict[str, Any] = {
        "config": {
            "task": "text",
            "cell": "gru",
            "networks": {"main": config},
            "task_config": {"levels": [80, 95]},
        },
        "weights": {"main": weights},
        "golden": {"main": make_golden(config, Network(config, weights).run)},
        "files": files or {},
        "card": "# card\n",
        **parts,
    }
    save_model(folder, **whole)
    return load(folder)


def save_text(folder: Path, cell: str = "gru", **options: Any) -> Model:
    """A text model over the ten symbols of SYMBOLS."""
    return save(folder, token_config(cell, **options), {"tokenizer.json": char_file()})
