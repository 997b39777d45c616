"""The NumPy network against the torch network, layer by layer; its checks, its gates, its backends."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from congru import nn
from congru.errors import BackendError, SettingsError, ShapeError
from congru.runtime.graph import Graph
from congru.runtime.network import Network
from runtime_models import CELLS, random_weights, recurrent, token_config, vector_config
from tolerances import assert_close, seeds

HEAD = {"type": "linear", "name": "head", "in": 6, "out": 4}
EMBED = {"type": "embedding", "name": "embed", "num_embeddings": 9, "size": 6}
NETWORKS: dict[str, dict[str, Any]] = {
    **{f"{cell}": vector_config(cell, HEAD) for cell in CELLS},
    **{f"{cell} no bias": vector_config(cell, HEAD, bias=False) for cell in CELLS},
    **{f"{cell} deep": vector_config(cell, HEAD, num_layers=3, dropout=0.5) for cell in CELLS},
    **{f"{cell} h0": vector_config(cell, HEAD, learn_h0=True) for cell in CELLS},
    **{
        f"{cell} both ways": vector_config(cell, num_layers=2, bidirectional=True, learn_h0=True)
        for cell in CELLS
    },
    "gru reset before": vector_config("gru", HEAD, reset_before=True, num_layers=2),
    "tied": {
        "layers": [
            EMBED,
            recurrent("gru", 6, 6),
            {"type": "linear", "name": "out", "in": 6, "out": 9, "tied": "embed"},
        ]
    },
    "tied without bias": {
        "layers": [
            EMBED,
            {"type": "linear", "name": "out", "in": 6, "out": 9, "tied": "embed", "bias": False},
        ]
    },
    "norm, dropout, activations": vector_config(
        "gru",
        {"type": "layer_norm", "name": "norm", "size": 6},
        {"type": "dropout", "p": 0.5},
        *({"type": kind} for kind in ("tanh", "sigmoid", "relu")),
    ),
    "residual": vector_config(
        "rnn",
        {
            "type": "residual",
            "layers": [
                {"type": "layer_norm", "name": "norm", "size": 6},
                {**recurrent("lstm", 6, 6), "name": "inner"},
                {"type": "residual", "layers": [{"type": "linear", "name": "square", "in": 6, "out": 6}]},
                {"type": "tanh"},
            ],
        },
    ),
    "last": vector_config("gru", {"type": "last"}, HEAD),
    "mean": vector_config("gru", {"type": "mean"}, HEAD, bidirectional=False),
    "two recurrent layers": vector_config("gru", {**recurrent("lstm", 6, 5), "name": "second"}),
}


def draw(config: dict[str, Any], seed: int, batch: int = 3, steps: int = 7) -> tuple[Any, Any, Any]:
    """Input, state and lengths (whole, empty, between) of a network."""
    rng = np.random.default_rng(seed)
    graph = Graph(config)
    x = rng.standard_normal((batch, steps, 3)).astype(np.float32)
    if graph.inputs["x"].tokens is not None:
        x = rng.integers(0, 9, (batch, steps))
    state = {
        name: rng.uniform(-1, 1, (depth, batch, hidden)).astype(np.float32)
        for name, (depth, hidden) in graph.state_shapes.items()
    }
    return x, state, np.array([steps, 0, 3])[:batch]


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("with_state", [False, True])
@pytest.mark.parametrize("ragged", [False, True])
def test_equals_the_torch_network(name: str, with_state: bool, ragged: bool) -> None:
    config = NETWORKS[name]
    for seed in seeds():
        weights = random_weights(config, seed)
        theirs = nn.Network(config).eval()
        theirs.load_state_dict({key: torch.from_numpy(value) for key, value in weights.items()})
        x, state, lengths = draw(config, seed)
        start = state if with_state else None
        counts = lengths if ragged else None
        with torch.no_grad():
            expected, after = theirs(
                torch.from_numpy(x),
                start and {key: torch.from_numpy(value) for key, value in start.items()},
                lengths=None if counts is None else torch.from_numpy(counts),
            )
        actual, actual_after = Network(config, weights).run(x, start, counts)
        assert actual.dtype == np.float32
        assert_close("runtime network, torch", actual, expected, "output")
        assert set(actual_after) == set(after)
        for key, value in after.items():
            assert_close("runtime network, torch", actual_after[key], value, key)


@pytest.mark.parametrize("name", NETWORKS)
def test_no_steps_give_the_state_back(name: str) -> None:
    config = NETWORKS[name]
    network = Network(config, random_weights(config))
    x, state, _ = draw(config, 0)
    out, after = network.run(x[:, :0], state)
    assert out.shape == ((3, network.output_size) if network.pooled else (3, 0, network.output_size))
    assert all((after[key] == state[key]).all() for key in state)


def test_no_state_is_the_learned_h0() -> None:
    config = NETWORKS["lstm h0"]
    weights = random_weights(config)
    network = Network(config, weights)
    state = network.initial_state(2)
    assert (state["rnn.h"] == weights["rnn.h0"][:, None]).all()
    assert (state["rnn.c"] == weights["rnn.c0"][:, None]).all()
    assert state["rnn.c"].shape == (1, 2, 6)


@pytest.mark.parametrize("cell", CELLS)
def test_trace_has_the_gates_of_the_reference(cell: str) -> None:
    config = vector_config(cell, num_layers=2, bidirectional=True)
    weights = random_weights(config)
    x, state, lengths = draw(config, 0)
    out, after, gates = Network(config, weights).trace(x, state, lengths)
    expected_out, expected_after, expected = Network(config, weights, "reference").trace(x, state, lengths)
    rows = {"gru": 3, "lstm": 4, "rnn": 1, "mingru": 2}[cell]
    assert gates["rnn"].shape == (2, 2, 3, 7, rows, 6)
    assert (gates["rnn"][:, :, 1] == 0).all()  # the empty row
    assert np.abs(gates["rnn"][:, :, 0]).min() > 0
    assert_close("runtime cell", gates["rnn"], expected["rnn"], "gates")
    assert_close("runtime cell", out, expected_out, "output")
    for key, value in expected_after.items():
        assert_close("runtime cell", after[key], value, key)
    np.testing.assert_array_equal(out, Network(config, weights).run(x, state, lengths)[0])


def test_backends_by_name() -> None:
    config = vector_config("gru")
    weights = random_weights(config)
    assert Network(config, weights).backend in ("native", "numpy")
    assert Network(config, weights, "numpy").backend == "numpy"
    assert Network(config, weights, "reference").backend == "reference"
    with pytest.raises(
        BackendError, match="backend is 'fast', expected one of auto, numpy, native, reference"
    ):
        Network(config, weights, "fast")


def test_num_parameters() -> None:
    config = token_config()
    assert (
        Network(config, random_weights(config)).num_parameters
        == 10 * 5 + 18 * 5 + 18 * 6 + 2 * 18 + 10 * 6 + 10
    )


def test_weights_that_do_not_fit() -> None:
    config = vector_config("gru", HEAD)
    weights = random_weights(config)
    with pytest.raises(
        ShapeError, match=r"lacks the tensor 'head\.bias', expected by its network \(1 missing\)"
    ):
        Network(config, {key: value for key, value in weights.items() if key != "head.bias"})
    with pytest.raises(ShapeError, match=r"holds the tensor 'x', expected none of that name \(1 too many\)"):
        Network(config, {**weights, "x": weights["head.bias"]})
    with pytest.raises(ShapeError, match=r"holds 'head\.bias' with shape \(3,\), expected \(4,\)"):
        Network(config, {**weights, "head.bias": weights["head.bias"][:3]})
    with pytest.raises(ShapeError, match=r"holds 'head\.bias' as float64, expected float32"):
        Network(config, {**weights, "head.bias": weights["head.bias"].astype(np.float64)})
    broken = weights["head.bias"].copy()
    broken[1] = np.inf
    with pytest.raises(ShapeError, match=r"holds 'head\.bias' with NaN or infinite values"):
        Network(config, {**weights, "head.bias": broken})
    with pytest.raises(SettingsError, match="at least one layer"):
        Network({"layers": []}, {})


NAN = np.zeros((1, 2, 3))
NAN[0, 1, 2] = np.nan
VECTOR_MISTAKES: list[tuple[dict[str, Any], str]] = [
    (
        {"x": np.zeros((1, 2, 4))},
        r"x has shape \(1, 2, 4\), expected \[B, T, I\] = \(any, any, 3\): pass 3 features",
    ),
    ({"x": np.zeros((2, 3))}, r"x has shape \(2, 3\), expected \[B, T, I\]"),
    ({"x": NAN}, r"x holds nan at \[0, 1, 2\], expected finite float32 numbers: fill or drop it"),
    ({"x": np.full((1, 1, 3), 1e300)}, r"x holds 1e\+300 at \[0, 0, 0\]"),
    ({"x": [[["a", "b", "c"]]]}, "x has dtype <U1, expected numbers"),
    ({"lengths": [1]}, r"lengths has shape \(1,\), expected \[B\] = \(2,\)"),
    ({"lengths": [1, 6]}, "lengths holds 6, expected 0 to T = 5"),
    ({"lengths": [-1, 2]}, "lengths holds -1, expected 0 to T = 5"),
    ({"lengths": [1.0, 2.0]}, "lengths has dtype float64, expected whole numbers"),
    ({"state": {"h": np.zeros((1, 2, 6))}}, r"state has the names \['h'\], expected \['rnn.h'\]"),
    (
        {"state": {"rnn.h": np.zeros((2, 6))}},
        r"state\['rnn.h'\] has shape \(2, 6\), expected \[L\*D, B, H\] = \(1, 2, 6\)",
    ),
    ({"state": {"rnn.h": np.full((1, 2, 6), np.nan)}}, r"state\['rnn.h'\] holds nan at \[0, 0, 0\]"),
]


@pytest.mark.parametrize(
    ("arguments", "message"), VECTOR_MISTAKES, ids=[text[:30] for _, text in VECTOR_MISTAKES]
)
def test_wrong_vectors(arguments: dict[str, Any], message: str) -> None:
    config = vector_config("gru", HEAD)
    network = Network(config, random_weights(config))
    with pytest.raises(ShapeError, match=message):
        network.run(**{"x": np.zeros((2, 5, 3)), **arguments})


@pytest.mark.parametrize(
    ("x", "message"),
    [
        ([[0, 10]], "x holds the token 10, expected 0 to 9: use this model's tokenizer"),
        ([[-1, 2]], "x holds the token -1, expected 0 to 9"),
        ([[0.5]], "x has dtype float64, expected whole numbers: pass token ids"),
        ([1, 2], r"x has shape \(2,\), expected \[B, T\]"),
    ],
)
def test_wrong_tokens(x: Any, message: str) -> None:
    config = token_config()
    with pytest.raises(ShapeError, match=message):
        Network(config, random_weights(config)).run(x)
