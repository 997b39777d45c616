"""A Keras recurrent layer, by its weights and its config; Keras itself is not needed and not imported."""

from __future__ import annotations

from typing import Any

import numpy as np

from congru.errors import CongruError
from congru.gates.sources.stack import Stack
from congru.reference import conventions

_CELLS = {"GRU": "gru", "LSTM": "lstm", "SimpleRNN": "rnn"}


def is_keras(model: Any) -> bool:
    """Whether the object has Keras' `get_weights` and `get_config`."""
    return hasattr(model, "get_weights") and hasattr(model, "get_config")


def stack_of_keras(layer: Any) -> Stack:
    """The arrays of a Keras GRU, LSTM or SimpleRNN, or of a Bidirectional around one.

    Raises CongruError for another layer, ConventionError for activations these equations do not cover.
    """
    if hasattr(layer, "forward_layer") and hasattr(layer, "backward_layer"):
        ways = [stack_of_keras(layer.forward_layer), stack_of_keras(layer.backward_layer)]
        return ways[0]._replace(weights=[[way.weights[0][0] for way in ways]], name=str(layer.name))
    kind = type(layer).__name__
    if kind not in _CELLS:
        raise CongruError(
            f"{kind} is no recurrent Keras layer, expected {', '.join(_CELLS)} or Bidirectional: pass "
            "model.get_layer(...)"
        )
    config = layer.get_config()
    names = (
        ("kernel", "recurrent_kernel", "bias")
        if config.get("use_bias", True)
        else ("kernel", "recurrent_kernel")
    )
    arrays = {name: np.asarray(array) for name, array in zip(names, layer.get_weights())}
    known = (
        ("reset_after", "activation", "recurrent_activation")
        if kind == "GRU"
        else ("activation", "recurrent_activation")
    )
    options = {name: config[name] for name in known if name in config}
    weights, reset_before = conventions.to_canonical("keras", arrays, cell=_CELLS[kind], **options)
    backward = bool(config.get("go_backwards", False))
    return Stack(_CELLS[kind], [[weights]], reset_before, str(layer.name), backward=backward)
