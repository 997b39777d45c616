"""The declarative network: what is accepted, what follows from it, and one line for each mistake."""

from __future__ import annotations

from typing import Any

import pytest

from congru.errors import SettingsError
from congru.runtime.graph import Graph
from congru.runtime.nodes.recurrent import Gru
from runtime_models import recurrent, token_config, vector_config

LINEAR = {"type": "linear", "name": "head", "in": 3, "out": 2}


def layers(*entries: Any) -> dict[str, Any]:
    return {"layers": list(entries)}


def test_defaults_are_filled_in() -> None:
    (placed,) = Graph(layers(recurrent("gru", 3, 4))).placed
    assert placed.node == Gru(name="rnn", of=("x",), hidden_size=4)


def test_shapes_of_a_deep_bidirectional_lstm() -> None:
    config = vector_config(
        "lstm", input_size=3, hidden_size=4, num_layers=2, bidirectional=True, learn_h0=True
    )
    shapes = Graph(config).weight_shapes
    assert shapes["rnn.weight_ih_l0_reverse"] == (16, 3)
    assert shapes["rnn.weight_ih_l1"] == (16, 8)
    assert shapes["rnn.weight_hh_l1_reverse"] == (16, 4)
    assert shapes["rnn.bias_hh_l0"] == (16,)
    assert shapes["rnn.h0"] == shapes["rnn.c0"] == (4, 4)
    assert len(shapes) == 4 * 4 + 2
    assert Graph(config).state_shapes == {"rnn.h": (4, 4), "rnn.c": (4, 4)}
    assert Graph(config).outputs["rnn"].size == (8,)


def test_mingru_has_no_recurrent_weights_and_bias_can_be_off() -> None:
    shapes = Graph(vector_config("mingru", bias=False)).weight_shapes
    assert shapes == {"rnn.weight_ih_l0": (12, 3)}


def test_tied_head_stores_only_its_bias() -> None:
    config = layers(
        {"type": "embedding", "name": "embed", "num_embeddings": 9, "size": 4},
        {"type": "linear", "name": "head", "in": 4, "out": 9, "tied": "embed"},
    )
    assert Graph(config).weight_shapes == {"embed.weight": (9, 4), "head.bias": (9,)}


def test_sizes_pass_through_activations_residuals_and_pooling() -> None:
    config = layers(
        {
            "type": "residual",
            "layers": [{"type": "tanh"}, {"type": "linear", "name": "a", "in": 3, "out": 3}],
        },
        {"type": "mean"},
        {"type": "layer_norm", "name": "norm", "size": 3},
        {"type": "dropout", "p": 0.5},
        {**LINEAR, "out": 7},
    )
    graph = Graph(config)
    assert (graph.inputs["x"].size, graph.outputs["head"].size) == ((3,), (7,))
    assert Graph(token_config()).inputs["x"].tokens == (10,)


EMBEDDING = {"type": "embedding", "name": "embed", "num_embeddings": 9, "size": 4}
MISTAKES = [
    ([], r"network is not \{\"layers\": \[\.\.\.\]\} with at least one layer"),
    ([{"type": "conv"}], "network layer 0: type is 'conv', expected one of dropout, embedding"),
    ([["linear"]], "network layer 0: type is None, expected one of"),
    ([{**LINEAR, "biass": True}], "unknown key 'biass', expected name, of, size, bias, tied"),
    ([LINEAR, {"type": "tanh", "p": 1}], "unknown key 'p', expected name, of"),
    ([{"type": "linear", "name": "a", "in": 3}], r"layer 0 \(linear 'a'\): 'out' is missing"),
    ([{**LINEAR, "out": 0}], "out is 0, expected a whole number of at least 1"),
    ([{**LINEAR, "out": 2.0}], "out is 2.0, expected a whole number"),
    ([{**LINEAR, "in": True}], "in is True, expected a whole number"),
    ([{**LINEAR, "bias": 1}], "bias is 1, expected true or false"),
    ([{**LINEAR, "name": "a.b"}], r"name is 'a\.b', expected letters, digits and underscores"),
    ([{**LINEAR, "tied": 3}], "tied is 3, expected the name of an embedding"),
    ([LINEAR, {"type": "dropout", "p": 1.0}], "p is 1.0, expected a number from 0 up to, not including, 1"),
    ([{"type": "residual", "layers": []}], r"\(residual\) is not \{.*\} with at least one layer"),
    ([LINEAR, {**LINEAR, "in": 2}], "the name 'head' is used twice"),
    ([LINEAR, {**LINEAR, "name": "b"}], r"layer 1 \(linear 'b'\): in is 3, expected 2 as before"),
    ([LINEAR, recurrent("gru", 3, 4)], "input_size is 3, expected 2 as before"),
    ([LINEAR, {"type": "layer_norm", "name": "n", "size": 3}], "size is 3, expected 2 as before"),
    ([{"type": "tanh"}, EMBEDDING], "an embedding reads tokens, expected as first layer only"),
    (
        [LINEAR, {"type": "last"}, {"type": "mean"}],
        "one value per sequence, expected one axis of features, one value per step",
    ),
    (
        [LINEAR, {"type": "last"}, recurrent("rnn", 2, 2)],
        "one value per sequence, expected one axis of features, one value per step",
    ),
    ([{"type": "residual", "layers": [LINEAR]}], "turns 3 features into 2, expected equal sizes"),
    ([{"type": "residual", "layers": [{"type": "last"}]}], "last inside a residual, expected after it"),
    ([{"type": "relu"}], "no layer fixes the number of features"),
    ([{**LINEAR, "tied": "embed"}], "tied is 'embed', expected the name of an embedding of one token"),
    (
        [EMBEDDING, {"type": "linear", "name": "head", "in": 4, "out": 8, "tied": "embed"}],
        r"out, in are \(8, 4\), expected \(9, 4\) to share 'embed'",
    ),
]


@pytest.mark.parametrize(("entries", "message"), MISTAKES, ids=[message[:40] for _, message in MISTAKES])
def test_each_mistake_has_its_line(entries: list[Any], message: str) -> None:
    with pytest.raises(SettingsError, match=message) as caught:
        Graph({"layers": entries})
    assert "\n" not in str(caught.value)


def test_only_layers_stand_beside_layers() -> None:
    with pytest.raises(SettingsError, match="network has the key 'name', expected only 'layers'"):
        Graph({"layers": [LINEAR], "name": "x"})
