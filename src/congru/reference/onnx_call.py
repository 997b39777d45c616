"""What a recurrent ONNX node says about itself: which cell it is, and the options that `conventions.to_canonical` takes.

GRU, LSTM and RNN of opset 7 and later. What no cell here computes is refused by name: peepholes, other activations, clipping,
coupled gates. Attributes without meaning for these functions (activation_alpha of tanh) are passed over, as runtimes do.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from congru.errors import ConventionError

KINDS = ("GRU", "LSTM", "RNN")
INPUTS = ("X", "W", "R", "B", "sequence_lens", "initial_h", "initial_c", "P")
_OPTIONS = ("linear_before_reset", "clip", "activations", "input_forget")


class Call(NamedTuple):
    """A node's cell, the options of `to_canonical` (without `direction`), its direction, and whether the batch comes first."""

    cell: str
    options: dict[str, Any]
    direction: str
    batch_first: bool


def read_call(name: str, kind: str, attributes: Mapping[str, Any], peepholes: Any = None) -> Call:
    """Read the attributes of a node; `peepholes` is its input P, where it has one.

    Raises ConventionError for peepholes that are not zero; other activations and clipping are refused by `to_canonical`.

    >>> read_call("rnn", "RNN", {"activations": [b"Relu"], "layout": 1})
    Call(cell='rnn_relu', options={'activations': ['Relu']}, direction='forward', batch_first=True)
    """
    if peepholes is not None and np.any(peepholes):
        raise ConventionError(
            f"ONNX node {name} has peepholes (its input P), expected none: there the cell state enters the gates, which no LSTM "
            "here computes; train it without"
        )
    options = {key: attributes[key] for key in _OPTIONS if key in attributes}
    cell = kind.lower()
    if "activations" in options:
        options["activations"] = [_text(part).capitalize() for part in options["activations"]]
        names = {"Hardsigmoid": "HardSigmoid", "Scaledtanh": "ScaledTanh", "Leakyrelu": "LeakyRelu"}
        options["activations"] = [names.get(part, part) for part in options["activations"]]
        if cell == "rnn" and set(options["activations"]) == {"Relu"}:
            cell = "rnn_relu"
    if cell != "gru":
        options.pop("linear_before_reset", None)
    return Call(
        cell, options, _text(attributes.get("direction", "forward")), attributes.get("layout", 0) == 1
    )


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)
