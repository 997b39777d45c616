"""RTNeural's JSON, to and from: a chain of layers with Keras' arrays ("in_shape", "layers" with "type" and "weights").

Read: dense and time-distributed-dense with tanh, relu or sigmoid behind it, gru (reset after, bias [2, 3H]), lstm, activation.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from congru.convert.parts import (
    Array,
    Contents,
    Direction,
    Part,
    chain,
    function_part,
    linear_part,
    recurrent_part,
)
from congru.errors import CongruError, ConventionError, DataError
from congru.reference.conventions import from_canonical
from congru.runtime.model import Model
from congru.runtime.nodes.pointwise import Linear
from congru.runtime.nodes.recurrent import RecurrentNode

_DENSE = ("dense", "time-distributed-dense")


def read_rtneural(path: Path) -> Contents:
    """The network of an RTNeural file; raises DataError for another JSON, ConventionError for a layer congru lacks."""
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        layers = data["layers"]
        parts = [part for k, layer in enumerate(layers) for part in _read_layer(layer, k)]
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error.strerror}): check the path") from None
    except CongruError:
        raise
    except (ValueError, KeyError, TypeError, IndexError, AttributeError) as error:
        reason = "it is no text" if isinstance(error, UnicodeDecodeError) else repr(error)[:90]
        raise DataError(
            f"{path} is no RTNeural model ({reason}), expected in_shape and layers with type, shape and weights"
        ) from None
    if not parts:
        raise DataError(f"{path} has no layers, expected at least one: save the model again")
    return Contents("RTNeural JSON", {"main": chain(parts)}, {})


def _read_layer(layer: dict[str, Any], k: int) -> list[Part]:
    kind, name = layer["type"], f"{str(layer['type']).replace('-', '_')}_{k}"
    activation = layer.get("activation") or ""
    if kind in ("gru", "lstm"):
        kernel, recurrent, bias = (np.asarray(part, np.float32) for part in layer["weights"])
        arrays = {"kernel": kernel, "recurrent_kernel": recurrent, "bias": bias}
        options: dict[str, Any] = {"reset_after": bias.ndim == 2} if kind == "gru" else {}
        if activation not in ("", "tanh"):
            options["activation"] = activation
        return [recurrent_part(name, "keras", kind, [[Direction(arrays, options)]])]
    if kind in _DENSE:
        weight = np.asarray(layer["weights"][0], np.float32).T
        shift = np.asarray(layer["weights"][1], np.float32) if len(layer["weights"]) > 1 else None
        return [linear_part(name, np.ascontiguousarray(weight), shift), *_activation(activation, name)]
    if kind == "activation":
        return _activation(activation, name)
    raise ConventionError(
        f"layer {k} is {kind!r}, expected gru, lstm, dense or activation: a model folder has no such node; convert the "
        "layers before and after it apart"
    )


def _activation(kind: str, name: str) -> list[Part]:
    if kind in ("", "linear"):
        return []
    if kind not in ("tanh", "relu", "sigmoid"):
        raise ConventionError(
            f"{name} has the activation {kind!r}, expected tanh, relu or sigmoid: a model folder has no other"
        )
    return [function_part(kind, f"{name}_{kind}")]


def format_rtneural(model: Model) -> bytes:
    """The JSON of a model folder's network, where it is a chain that RTNeural runs.

    Raises ConventionError for a node or a form that it has not: reset before, an embedding, both directions, a plain RNN.
    """
    network = model.network
    layers: list[dict[str, Any]] = []
    size = network.input_size
    if size is None:
        raise ConventionError(
            "the model reads tokens, expected features: RTNeural has no embedding; keep it in your program"
        )
    in_shape = [None, None, size]
    previous = next(iter(network.graph.inputs))
    for node, inputs, _ in network.graph.placed:
        if node.of != (previous,):
            raise ConventionError(
                f"{node} reads {', '.join(node.of)}, expected the node before: RTNeural runs chains only"
            )
        previous = node.name
        weights = network.graph.weights_of(node, inputs, network.weights)
        if isinstance(node, RecurrentNode):
            layers += _write_recurrent(node, weights)
            size = node.hidden_size
        elif isinstance(node, Linear):
            size = node.size
            shift = weights.get("bias", np.zeros(size, np.float32))
            layers.append(_entry("dense", size, [weights["weight"].T, shift]))
        elif node.type in ("tanh", "relu", "sigmoid"):
            layers.append({**_entry("activation", size, []), "activation": node.type})
        elif node.type != "dropout":
            raise ConventionError(
                f"{node} has no layer in RTNeural, expected gru, lstm, linear or an activation"
            )
    return (json.dumps({"in_shape": in_shape, "in_size": in_shape[-1], "layers": layers}) + "\n").encode()


def _write_recurrent(node: RecurrentNode, weights: Any) -> list[dict[str, Any]]:
    if node.type not in ("gru", "lstm") or node.bidirectional or node.learn_h0:
        raise ConventionError(
            f"{node} is not a forward GRU or LSTM from zeros, expected one: RTNeural has no other recurrent layer"
        )
    plain_cell(node)
    entries = []
    for W, U, b_i, b_h in node.direction_weights(weights):
        assert W is not None
        zeros = np.zeros(len(W), np.float32)
        whole = (W, U, zeros if b_i is None else b_i, zeros if b_h is None else b_h)
        arrays, options = from_canonical("keras", whole, node.reset_first, cell=node.type)
        if not options.get("reset_after", True):
            raise ConventionError(
                f"{node} resets before the recurrent product, expected after: RTNeural's GRU is the other function; train "
                "with reset_before=False"
            )
        parts = [arrays["kernel"], arrays["recurrent_kernel"], arrays["bias"]]
        entries.append(_entry(node.type, node.hidden_size, parts))
    return entries


def plain_cell(node: RecurrentNode) -> None:
    """Raise ConventionError for a node with layer norm, heads or zoneout, which no other library's layer has."""
    if node.norm or node.heads != 1 or float(getattr(node, "zoneout", 0)):
        raise ConventionError(
            f"{node} has layer norm, heads or zoneout, expected a plain cell: no other library stores it; "
            "congru export writes out whole networks"
        )


def _entry(kind: str, size: int | None, weights: list[Array]) -> dict[str, Any]:
    return {
        "type": kind,
        "activation": "",
        "shape": [None, None, size],
        "weights": [np.asarray(part, np.float64).tolist() for part in weights],
    }
