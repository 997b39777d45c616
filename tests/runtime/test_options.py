"""A trained network with layer norm, heads and zoneout runs without torch, on the core and on NumPy, as it did in torch."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from congru.errors import CongruError
from congru.kernels import binding
from congru.nn import Network as TorchNetwork
from congru.runtime.graph import Graph
from congru.runtime.network import Network
from tolerances import assert_close

needs_core = pytest.mark.skipif(binding._CORE is None, reason=f"no C core: {binding._REASON}")
DECLARATIONS = [
    ("gru", {"layer_norm": True}),
    (
        "gru",
        {"layer_norm": True, "num_heads": 2, "zoneout": 0.2, "recurrent_dropout": 0.1, "input_dropout": 0.1},
    ),
    ("gru", {"layer_norm": True, "reset_before": True, "bias": False}),
    ("gru", {"layer_norm": "dreamer", "bidirectional": True, "num_layers": 2}),
    ("lstm", {"layer_norm": True, "num_heads": 2, "zoneout": 0.1, "learn_h0": True}),
    ("rnn", {"num_heads": 3, "zoneout": 0.3}),
]


def declared(kind, options):
    directions = 2 if options.get("bidirectional") else 1
    recurrent = {"type": kind, "name": "rnn", "input_size": 3, "hidden_size": 6, **options}
    return {"layers": [recurrent, {"type": "linear", "name": "head", "in": 6 * directions, "out": 2}]}


def both(kind, options, backend, weight_dtype="float32"):
    torch.manual_seed(0)
    ours = TorchNetwork(declared(kind, options)).eval()
    weights = {name: part.detach().numpy() for name, part in ours.state_dict().items()}
    shapes = {name: tuple(part.shape) for name, part in weights.items()}
    assert shapes == Graph(declared(kind, options)).weight_shapes
    return ours, Network(declared(kind, options), weights, backend, weight_dtype)


@pytest.mark.parametrize("backend", ["numpy", "auto"])
@pytest.mark.parametrize(("kind", "options"), DECLARATIONS, ids=str)
def test_equals_torch(kind, options, backend):
    ours, network = both(kind, options, backend)
    x, lengths = torch.randn(3, 9, 3), torch.tensor([9, 4, 0])
    with torch.no_grad():
        expected, after = ours(x, lengths=lengths)
    actual, state = network.run(x.numpy(), lengths=lengths.numpy())
    assert actual.dtype == np.float32
    assert_close("runtime network, torch", actual, expected.numpy())
    for name, part in after.items():
        assert_close("runtime network, torch", state[name], part.numpy())


@pytest.mark.parametrize("backend", ["numpy", "auto"])
@pytest.mark.parametrize(
    ("kind", "options"), [d for d in DECLARATIONS if "bidirectional" not in d[1]], ids=str
)
def test_any_chunking_gives_the_same_bits_and_steps_equal_the_run(kind, options, backend):
    _, network = both(kind, options, backend)
    x = np.random.default_rng(0).normal(size=(1, 9, 3)).astype(np.float32)
    whole, _ = network.run(x)
    state, pieces = network.initial_state(1), []
    for begin, end in ((0, 1), (1, 5), (5, 9)):
        piece, state = network.run(x[:, begin:end], state)
        pieces.append(piece)
    np.testing.assert_array_equal(np.concatenate(pieces, axis=1), whole)


@needs_core
@pytest.mark.parametrize("weight_dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize(
    ("kind", "options"), [d for d in DECLARATIONS if "bidirectional" not in d[1]], ids=str
)
def test_a_session_steps_on_packed_weights_with_the_bits_of_a_run(kind, options, weight_dtype):
    network = both(kind, options, "auto", weight_dtype)[1]
    if weight_dtype == "bfloat16" and options.get("layer_norm"):
        assert network.backend == "numpy"
        assert "it has no bfloat16 weights with layer norm" in network.explain()
        return
    assert network.backend == "native"
    for batch in (1, 3):
        x = np.random.default_rng(0).normal(size=(batch, 20, 3)).astype(np.float32)
        whole, end = network.run(x)
        steps = network.steps(batch)
        steps.write(network.initial_state(batch))
        time_major = np.ascontiguousarray(x.swapaxes(0, 1))
        first = steps.run([time_major[:10]])[steps.output]
        steps.write(steps.read())
        stepped = np.concatenate([first, steps.run([time_major[10:]])[steps.output]])
        np.testing.assert_array_equal(stepped.swapaxes(0, 1), whole)
        for name, part in steps.read().items():
            np.testing.assert_array_equal(part, end[name])


def test_a_layer_without_options_is_plain():
    (node,) = Graph({"layers": [{"type": "gru", "name": "rnn", "input_size": 3, "hidden_size": 4}]}).recurrent
    assert not node.form().has_options


@pytest.mark.parametrize(
    ("kind", "options", "message"),
    [
        (
            "gru",
            {"num_heads": 4},
            r"node 'rnn' \(gru\): num_heads is 4, expected a divisor of H = 6",
        ),
        ("gru", {"layer_norm": "rms"}, "layer_norm is 'rms', expected true, false or 'dreamer'"),
        ("gru", {"layer_norm": "dreamer", "reset_before": True}, "reset_before is True, expected False with"),
        ("lstm", {"layer_norm": "dreamer"}, "layer_norm is 'dreamer', expected False for lstm: only the gru"),
        ("rnn", {"layer_norm": True}, "unknown key 'layer_norm'"),
        ("gru", {"zoneout": 1.0}, "zoneout is 1.0, expected a number from 0 up to, not including, 1"),
        ("mingru", {"zoneout": 0.1}, "unknown key 'zoneout'"),
    ],
)
def test_wrong_declarations(kind, options, message):
    with pytest.raises(CongruError, match=message):
        Graph(declared(kind, options))
