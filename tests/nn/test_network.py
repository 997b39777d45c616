"""The declarative network in torch: the same tensors, outputs and states as the NumPy runtime's."""

from __future__ import annotations

import pytest
import torch

from congru import nn
from congru.errors import SettingsError, ShapeError
from congru.runtime.graph import Graph
from congru.runtime.network import Network as RuntimeNetwork
from tolerances import assert_close

CELLS = [("gru", {}), ("gru", {"reset_before": True}), ("lstm", {}), ("rnn", {}), ("mingru", {})]


@pytest.fixture(autouse=True)
def seed():
    torch.manual_seed(0)


def tokens(cell="gru", pool=(), **keywords):
    """Embedding, two recurrent layers (one inside a residual), normalisation and a tied head."""
    return {
        "layers": [
            {"type": "embedding", "name": "embed", "num_embeddings": 9, "size": 4},
            {"type": cell, "name": "rnn", "input_size": 4, "hidden_size": 4, "num_layers": 2, **keywords},
            {"type": "dropout", "p": 0.5},
            {"type": "residual", "layers": [
                {"type": cell, "name": "inner", "input_size": 4, "hidden_size": 4, **keywords},
                {"type": "layer_norm", "name": "norm", "size": 4},
            ]},
            *({"type": kind} for kind in pool),
            {"type": "linear", "name": "head", "in": 4, "out": 9, "tied": "embed"},
        ]
    }  # fmt: skip


def vectors(cell, activation, pool=()):
    """Vectors through a bidirectional layer with a learned start."""
    return {
        "layers": [
            {"type": "linear", "name": "first", "in": 3, "out": 5, "bias": False},
            {"type": activation},
            {
                "type": cell,
                "name": "rnn",
                "input_size": 5,
                "hidden_size": 4,
                "bidirectional": True,
                "learn_h0": True,
            },
            *({"type": kind} for kind in pool),
            {"type": "linear", "name": "head", "in": 8, "out": 2},
        ]
    }


def check_against_runtime(config, x, **options):
    network = nn.Network(config).eval()
    for parameter in network.parameters():  # none keeps a start value of 0 or 1
        torch.nn.init.normal_(parameter, std=0.5)
    weights = {name: weight.detach().numpy() for name, weight in network.state_dict().items()}
    assert {name: weight.shape for name, weight in weights.items()} == Graph(config).weight_shapes
    runtime = RuntimeNetwork(config, weights)
    out, state = network(x, **options)
    for _ in range(2):  # the second time from the state after the first
        arrays = {name: value.numpy() for name, value in options.items()}
        expected, state_expected = runtime.run(x.numpy(), **arrays)
        assert_close("runtime network, torch", out.detach(), expected)
        assert set(state) == set(state_expected)
        for name, part in state_expected.items():
            assert_close("runtime network, torch", state[name].detach(), part, name)
        out, again = network(x, state, **options)
        expected, _ = runtime.run(x.numpy(), state_expected, **arrays)
        assert_close("runtime network, torch", out.detach(), expected)
        assert set(again) == set(state)
        out, state = network(x, **options)


@pytest.mark.parametrize("pool", [(), ("last",), ("mean",)])
@pytest.mark.parametrize(("cell", "form"), CELLS)
def test_tokens_as_the_runtime(cell, form, pool):
    x = torch.randint(0, 9, (3, 7))
    check_against_runtime(tokens(cell, pool, **form), x)
    check_against_runtime(tokens(cell, pool, **form), x, lengths=torch.tensor([7, 0, 3]))


@pytest.mark.parametrize("activation", ["relu", "tanh", "sigmoid"])
@pytest.mark.parametrize("pool", [(), ("last",), ("mean",)])
def test_vectors_as_the_runtime(activation, pool):
    for cell in ("gru", "lstm"):
        check_against_runtime(vectors(cell, activation, pool), torch.randn(3, 6, 3))


def test_pooling_no_steps_gives_zeros_before_the_head():
    for pool in ("last", "mean"):
        network = nn.Network(vectors("gru", "relu", (pool,)))
        out, _ = network(torch.randn(2, 0, 3))
        assert torch.equal(out, network.head.bias.expand(2, 2))
        out, _ = network(torch.randn(2, 3, 3), lengths=[0, 2])
        assert torch.equal(out[0], network.head.bias)


def test_recurrent_layers_by_name():
    network = nn.Network(tokens("lstm"), backend="composite")
    assert list(network.recurrent_layers()) == ["rnn", "inner"]
    assert all(isinstance(layer, nn.LSTM) for layer in network.recurrent_layers().values())
    assert {layer.backend for layer in network.recurrent_layers().values()} == {"composite"}


def test_the_tied_head_shares_the_embedding_and_its_gradient():
    network = nn.Network(tokens()).eval()
    assert "head.weight" not in network.state_dict()
    assert network.head.bias.shape == (9,)
    out, _ = network(torch.zeros(1, 2, dtype=torch.int64))
    out[..., 5].sum().backward()
    assert (network.embed.weight.grad[5] != 0).any()
    without = tokens()
    without["layers"][-1]["bias"] = False
    assert not [name for name in nn.Network(without).state_dict() if name.startswith("head")]
    assert nn.Network(without)(torch.zeros(1, 2, dtype=torch.int64))[0].shape == (1, 2, 9)


def test_resets_reach_every_recurrent_layer():
    network = nn.Network(tokens()).eval()
    x = torch.randint(0, 9, (1, 6))
    reset = torch.tensor([[False, False, True, False, False, False]])
    out, state = network(x, reset=reset)
    fresh, state_fresh = network(x[:, 2:])
    assert_close("torch.nn, float32", out[:, 2:].detach(), fresh.detach())
    for name in state:
        assert_close("torch.nn, float32", state[name].detach(), state_fresh[name].detach())


def test_dropout_acts_in_training_only():
    network = nn.Network(tokens())
    x = torch.randint(0, 9, (2, 5))
    assert not torch.equal(network(x)[0], network(x)[0])
    network.eval()
    assert torch.equal(network(x)[0], network(x)[0])


def test_a_state_of_another_network_has_its_line():
    network = nn.Network(tokens())
    _, state = network(torch.zeros(1, 2, dtype=torch.int64))
    del state["inner.h"]
    with pytest.raises(
        ShapeError, match=r"state has the names \['rnn.h'\], expected \['inner.h', 'rnn.h'\]: pass the"
    ):
        network(torch.zeros(1, 2, dtype=torch.int64), state)


@pytest.mark.parametrize("name", ["training", "forward", "graph"])
def test_a_name_that_torch_uses_has_its_line(name):
    config = {"layers": [{"type": "linear", "name": name, "in": 2, "out": 2}]}
    with pytest.raises(
        SettingsError, match=f"network: the name '{name}' is one of torch.nn.Module's, expected another"
    ):
        nn.Network(config)


def test_the_checks_are_the_runtimes():
    with pytest.raises(SettingsError, match="network layer 0: type is 'attention', expected one of"):
        nn.Network({"layers": [{"type": "attention"}]})


def test_recurrent_layers_stay_in_float32_where_they_are_told_to():
    config = {
        "inputs": {"x": {"features": 6}},
        "nodes": [
            {"type": "linear", "name": "inner", "size": 8},
            {"type": "gru", "name": "rnn", "hidden_size": 8},
            {"type": "linear", "name": "head", "size": 3},
        ],
        "outputs": ["head", "rnn"],
    }
    torch.manual_seed(0)
    network = nn.Network(config, recurrent_float32=True)
    x, reset = torch.randn(2, 5, 6), torch.zeros(2, 5, dtype=torch.bool)
    reset[1, 3] = True
    with torch.autocast("cpu", torch.bfloat16):
        out, _ = network(x, reset=reset)
        inner = network.inner(None, x)
    assert (inner.dtype, out["rnn"].dtype, out["head"].dtype) == (
        torch.bfloat16,
        torch.float32,
        torch.bfloat16,
    )
    expected, _ = network.rnn(inner.float(), reset=reset)
    torch.testing.assert_close(out["rnn"], expected, rtol=0, atol=0)


def test_a_sum_of_embeddings_has_the_gradient_of_its_tables():
    config = {
        "inputs": {"t": {"tokens": [7, 3]}},
        "nodes": [{"type": "embedding", "name": "rows", "size": 4}],
        "outputs": ["rows"],
    }
    network = nn.Network(config)
    tokens = torch.tensor([[[6, 0], [6, 2], [1, 2]]])
    dy = torch.randn(1, 3, 4)
    y, _ = network(tokens)
    first, second = network.rows.weight_0, network.rows.weight_1
    torch.testing.assert_close(y, first[tokens[..., 0]] + second[tokens[..., 1]])
    y.backward(dy)
    expected = torch.zeros(7, 4).index_add(0, tokens[0, :, 0], dy[0])
    torch.testing.assert_close(first.grad, expected)
    torch.testing.assert_close(second.grad, torch.zeros(3, 4).index_add(0, tokens[0, :, 1], dy[0]))
