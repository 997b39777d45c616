"""Whole models on the native core: a row of a batch is the row alone, bit for bit, and forks share the weights."""

from __future__ import annotations

import tracemalloc
from typing import Any

import numpy as np
import pytest

from congru.errors import SettingsError, ShapeError
from congru.runtime.graph import Graph, alone
from congru.runtime.network import Network
from congru.runtime.session import Session
from congru.runtime.together import advance
from nodes_cases import CASES
from nodes_cases import one as network_of_one
from runtime_models import random_weights, recurrent

TEXT = {
    "inputs": {"text": {"tokens": 65}},
    "nodes": [
        {"type": "embedding", "name": "embed", "size": 24},
        {"type": "gru", "name": "rnn", "hidden_size": 96},
        {"type": "linear", "name": "narrow", "size": 24},
        {"type": "linear", "name": "head", "size": 65, "tied": "embed"},
    ],
    "outputs": ["head"],
}
VECTORS = {
    "layers": [
        {"type": "linear", "name": "first", "in": 7, "out": 33},
        {"type": "layer_norm", "name": "norm", "size": 33},
        {"type": "residual", "layers": [recurrent("lstm", 33, 33, num_layers=2), {"type": "tanh"}]},
        {"type": "linear", "name": "last", "in": 33, "out": 5},
    ]
}
SPEECH = {
    "inputs": {"x": {"features": 13}},
    "nodes": [
        {"type": "stack", "name": "frames", "frames": 3},
        {"type": "causal_conv", "name": "ahead", "size": 40, "kernel": 5, "look_ahead": 3},
        {"type": "relu", "name": "relu"},
        {"type": "gru", "name": "rnn", "hidden_size": 40, "layer_norm": True},
        {"type": "attention_pool", "name": "pool", "size": 8, "running": True},
        {"type": "linear", "name": "head", "size": 11},
    ],
    "outputs": ["head"],
}
MODELS = {"text": TEXT, "vectors": VECTORS, "speech": SPEECH}


def network_and_input(name: str, batch: int = 17, steps: int = 21) -> tuple[Network, Any]:
    network = Network(MODELS[name], random_weights(MODELS[name], scale=0.2))
    (spec,) = Graph(MODELS[name]).inputs.values()
    rng = np.random.default_rng(3)
    if spec.tokens is not None:
        return network, rng.integers(0, spec.tokens[0], (batch, steps))
    return network, rng.standard_normal((batch, steps, *spec.size)).astype(np.float32)


@pytest.mark.parametrize("name", MODELS)
def test_a_row_of_a_batch_has_the_bits_of_the_row_alone(name: str) -> None:
    network, x = network_and_input(name)
    assert network.backend == "native"
    whole, state = network.run(x)
    for row in range(len(x)):
        alone, after = network.run(x[row : row + 1])
        np.testing.assert_array_equal(alone[0], whole[row])
        for key, value in after.items():
            np.testing.assert_array_equal(value[:, 0], state[key][:, row])


ONE_FEATURE = {  # sums over the steps of a single number
    f"{kind} of one feature": network_of_one(kind, {"x": {"features": 1}}, **keys)
    for kind, keys in (("mean", {}), ("attention_pool", {"size": 3}))
}


@pytest.mark.parametrize("name", [*CASES, *ONE_FEATURE])
def test_every_node_gives_a_row_of_a_batch_the_bits_of_the_row_alone(name: str) -> None:
    config = {**CASES, **ONE_FEATURE}[name]
    network, rng = Network(config, random_weights(config, scale=0.4)), np.random.default_rng(1)
    inputs = {}
    for key, spec in network.graph.inputs.items():
        shape = {"steps": (9, 140), "row": (9,), "memory": (9, 33)}[spec.axes]
        if spec.tokens is None:
            inputs[key] = rng.standard_normal((*shape, *spec.size)).astype(np.float32)
        else:
            inputs[key] = rng.integers(0, min(spec.tokens), (*shape, *spec.size))
    whole = network.graph.named_outputs(network.run(alone(inputs))[0])
    for row in (0, 5, 8):
        part = {key: value[row : row + 1] for key, value in inputs.items()}
        for key, output in network.graph.named_outputs(network.run(alone(part))[0]).items():
            np.testing.assert_array_equal(output[0], whole[key][row])


@pytest.mark.parametrize("name", MODELS)
def test_a_session_alone_has_the_bits_of_its_row_of_a_batch(name: str) -> None:
    network, x = network_and_input(name)
    whole, _ = network.run(x)
    session = Session(network)
    steps = np.stack([session.step(value) for value in x[5]])
    np.testing.assert_array_equal(steps, whole[5])


@pytest.mark.parametrize("stepped", [False, True])
@pytest.mark.parametrize("name", MODELS)
def test_a_fork_goes_its_own_way_from_the_same_state(name: str, stepped: bool) -> None:
    network, x = network_and_input(name)
    session, other = Session(network), Session(network)
    for one in (session, other):
        one.run(x[0])
        if stepped:
            one.step(x[1][0])
    fork = session.fork()
    np.testing.assert_array_equal(fork.last, session.last)
    session.run(x[2])
    first = fork.step(x[1][1])
    fork.run(x[3])
    np.testing.assert_array_equal(first, other.step(x[1][1]))
    twin = other.fork()
    np.testing.assert_array_equal(twin.run(x[4]), other.run(x[4]))


def test_sessions_and_forks_share_the_weights() -> None:
    layer = {"type": "gru", "name": "rnn", "hidden_size": 512}
    config = {"inputs": {"x": {"features": 64}}, "nodes": [layer], "outputs": ["rnn"]}
    network = Network(config, random_weights(config, scale=0.05))
    x = np.zeros(64, np.float32)
    Session(network).step(x)
    packed = network.computes["rnn"].packed()
    sessions = [Session(network) for _ in range(20)]
    forks = [session.fork() for session in sessions if len(session.step(x))]
    assert network.computes["rnn"].packed() is packed
    tracemalloc.start()
    more = [fork.fork() for fork in forks if len(fork.step(x))]
    each = tracemalloc.get_traced_memory()[0] / len(more)
    tracemalloc.stop()
    assert each < 30_000, "a fork carries no weights"


@pytest.mark.parametrize("name", MODELS)
def test_sessions_advance_together_each_as_if_alone(name: str) -> None:
    network, x = network_and_input(name)
    whole, _ = network.run(x)
    sessions = [Session(network) for _ in x]
    for session, row in zip(sessions[::2], x[::2]):  # some are further than others
        session.run(row[:3])
    for t in range(3):
        late = advance(sessions[1::2], x[1::2, t])
        np.testing.assert_array_equal(late, whole[1::2, t])
    for t in range(3, 6):
        np.testing.assert_array_equal(advance(sessions, x[:, t]), whole[:, t])
    np.testing.assert_array_equal(sessions[4].last, whole[4, 5])
    np.testing.assert_array_equal(sessions[4].step(x[4][6]), whole[4, 6])


def test_sessions_with_memories_of_their_own_advance_together() -> None:
    config = {
        "inputs": {
            "x": {"features": 6},
            "m": {"features": 6, "axes": "memory"},
            "r": {"features": 2, "axes": "row"},
        },
        "nodes": [
            {"type": "gru", "name": "rnn", "hidden_size": 6, "of": "x"},
            {"type": "attention", "name": "att", "of": ["rnn", "m"]},
            {"type": "concat", "name": "both", "of": ["rnn", "att", "r"]},
            {"type": "gru", "name": "top", "hidden_size": 5},
        ],
        "outputs": ["top"],
    }
    network, rng = Network(config, random_weights(config)), np.random.default_rng(0)
    x = rng.standard_normal((4, 3, 6)).astype(np.float32)

    def fresh() -> list[Session]:
        draw = np.random.default_rng(1)
        memories = [draw.standard_normal((1, size, 6)) for size in (2, 5, 1, 3)]
        return [Session(network, constants={"m": m, "r": draw.standard_normal((1, 2))}) for m in memories]

    alone, together = fresh(), fresh()
    for t in range(3):
        expected = np.stack([session.step(row) for session, row in zip(alone, x[:, t])])
        np.testing.assert_array_equal(advance(together, x[:, t]), expected)


def test_what_cannot_advance_together_has_its_line() -> None:
    network, x = network_and_input("vectors", 2)
    sessions = [Session(network), Session(network)]
    with pytest.raises(SettingsError, match="sessions holds a session twice"):
        advance([sessions[0]] * 2, x[:, 0])
    with pytest.raises(SettingsError, match="sessions is empty"):
        advance([], x[:, 0])
    with pytest.raises(SettingsError, match="one of another network or with batch_size above 1"):
        advance([sessions[0], Session(network_and_input("text")[0])], x[:, 0])
    with pytest.raises(ShapeError, match="x has 1 rows, expected 2, one for each session"):
        advance(sessions, x[:1, 0])


@pytest.mark.parametrize("end", ["head", "rnn"])
def test_the_last_output_of_sessions_that_advanced_together_is_their_own(end: str) -> None:
    nodes = [
        {"type": "gru", "name": "rnn", "hidden_size": 6},
        {"type": "linear", "name": "head", "size": 4},
    ]
    config = {"inputs": {"x": {"features": 5}}, "nodes": nodes[: 1 + (end == "head")], "outputs": [end]}
    network, rng = Network(config, random_weights(config)), np.random.default_rng(0)
    x = rng.standard_normal((3, 4, 5)).astype(np.float32)
    sessions, whole = [Session(network) for _ in x], network.run(x)[0]
    answer = advance(sessions, x[:, 0])
    answer[:] = 7  # the caller's own
    forks = [session.fork() for session in sessions]
    advance(sessions, x[:, 1])
    sessions[0].step(x[0, 2])
    sessions[0].run(x[0, 3:])
    np.testing.assert_array_equal(np.stack([fork.last for fork in forks]), whole[:, 0])
    for _ in range(2):
        np.testing.assert_array_equal(np.stack([session.last for session in sessions[1:]]), whole[1:, 1])
    np.testing.assert_array_equal(sessions[0].last, whole[0, 3])
    sessions[1].step(x[1, 2])
    fork = sessions[1].fork()
    sessions[1].step(x[1, 3])
    np.testing.assert_array_equal(fork.last, whole[1, 2])
    assert sessions[1].reset().last is None


def test_a_negative_token_is_refused_by_sessions_together() -> None:
    network, _ = network_and_input("text", 2)
    with pytest.raises(ShapeError, match="holds the token -1, expected 0 to 64"):
        advance([Session(network), Session(network)], np.array([3, -1]))
