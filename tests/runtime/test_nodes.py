"""Every node type: NumPy equals torch, parameters learn, cutting and padding change nothing, mistakes have their line."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from congru import nn
from congru.errors import CongruError
from congru.nn.nodes import TWINS
from congru.runtime.graph import Graph
from congru.runtime.network import Network
from congru.runtime.nodes import NODES
from congru.runtime.session import Session
from nodes_cases import CASES, one

B, T, S = 3, 9, 4
STREAMING = [name for name, config in CASES.items() if Graph(config).stream_problem() is None]
STEPWISE = [name for name in STREAMING if all(s.axes == "steps" for s in Graph(CASES[name]).outputs.values())]


def draw(graph: Graph, seed: int = 0) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    inputs = {}
    for name, spec in graph.inputs.items():
        shape = {"steps": (B, T), "row": (B,), "memory": (B, S)}[spec.axes]
        if spec.tokens is None:
            inputs[name] = rng.standard_normal((*shape, *spec.size)).astype(np.float32)
        else:
            columns = [rng.integers(0, count, shape) for count in spec.tokens]
            inputs[name] = np.stack(columns, -1) if spec.size else columns[0]
    return inputs


def both(name: str, seed: int = 0) -> tuple[nn.Network, Network, dict[str, np.ndarray]]:
    torch.manual_seed(seed)
    theirs = nn.Network(CASES[name]).eval()
    weights = {key: part.detach().numpy() for key, part in theirs.state_dict().items()}
    return theirs, Network(CASES[name], weights), draw(theirs.graph, seed)


def named(outputs: Any, graph: Graph) -> dict[str, Any]:
    return outputs if isinstance(outputs, dict) else dict(zip(graph.outputs, [outputs]))


def test_every_node_has_a_twin_and_a_case() -> None:
    assert set(TWINS) == set(NODES.values())
    used = {placed.node.type for config in CASES.values() for placed in Graph(config).placed}
    assert used == set(NODES)


@pytest.mark.parametrize("ragged", [False, True])
@pytest.mark.parametrize("name", CASES)
def test_numpy_equals_torch(name: str, ragged: bool) -> None:
    theirs, ours, inputs = both(name)
    lengths: dict[str, np.ndarray] = {}
    if ragged:
        lengths["steps"] = np.array([T, 0, 4])
        if "m" in inputs:
            lengths["m"] = np.array([S, 1, 2])
    tensors = {key: torch.from_numpy(value) for key, value in inputs.items()}
    with torch.no_grad():
        wanted, state = theirs(tensors, lengths={k: torch.from_numpy(v) for k, v in lengths.items()})
    outputs, after = ours.run(inputs, lengths=lengths)
    for key, value in named(outputs, ours.graph).items():
        expected = named(wanted, ours.graph)[key].numpy()
        if ragged and value.ndim == 3:  # what stands in padding is nobody's business
            valid = np.arange(T) < lengths["steps"][:, None]
            value, expected = value[valid], expected[valid]
        np.testing.assert_allclose(value, expected, rtol=0, atol=1e-6 * max(1, np.abs(expected).max()))
    assert set(after) == set(state)
    for key, value in after.items():
        scale = max(1.0, float(np.abs(value[np.abs(value) < 1e30]).max(initial=1)))
        np.testing.assert_allclose(value, state[key].numpy(), rtol=0, atol=2e-6 * scale)


@pytest.mark.parametrize("name", [name for name, config in CASES.items() if Graph(config).weight_shapes])
def test_every_parameter_gets_a_gradient(name: str) -> None:
    theirs, _, inputs = both(name)
    outputs, _ = theirs({key: torch.from_numpy(value) for key, value in inputs.items()})
    sum((out * torch.randn_like(out)).sum() for out in named(outputs, theirs.graph).values()).backward()
    for key, parameter in theirs.named_parameters():
        assert parameter.grad is not None, key
        assert parameter.grad.abs().sum() > 0, key


@pytest.mark.parametrize("backend", ["auto", "numpy"])
@pytest.mark.parametrize("name", STEPWISE)
def test_any_cutting_gives_the_same_bits(name: str, backend: str) -> None:
    _, ours, inputs = both(name)
    if backend == "numpy":
        ours = Network(CASES[name], ours.weights, backend)
    graph = ours.graph
    constants = {key: inputs[key] for key in graph.constant_inputs}
    steps = {key: inputs[key] for key in graph.step_inputs}
    whole = named(ours.run(inputs)[0], graph)
    session = Session(ours, batch_size=B, constants=constants)
    parts: list[dict[str, np.ndarray]] = []
    for begin, end in ((0, 1), (1, 1), (1, 4), (4, 5), (5, T)):
        if end == begin + 1:
            row = named(session.step({key: value[:, begin] for key, value in steps.items()}), graph)
            parts.append({key: value[:, None] for key, value in row.items()})
        else:
            parts.append(
                named(session.run({key: value[:, begin:end] for key, value in steps.items()}), graph)
            )
    for key, value in whole.items():
        np.testing.assert_array_equal(np.concatenate([part[key] for part in parts], 1), value)


@pytest.mark.parametrize("name", CASES)
def test_what_stands_in_padding_changes_nothing(name: str) -> None:
    _, ours, inputs = both(name)
    valid = {"steps": np.array([T, 0, 4])}
    if "m" in inputs:
        valid["m"] = np.array([S, 1, 2])
    other = {}
    for key, value in inputs.items():
        lengths = valid.get("m" if key == "m" else "steps")
        axes, tokens = ours.graph.inputs[key].axes, value.dtype == np.int64
        padding = np.arange(value.shape[1]) >= lengths[:, None] if axes != "row" else np.zeros(B, bool)
        other[key] = value.copy()
        other[key][padding] = 0 if tokens else 7.5
    (one_way, state), (other_way, other_state) = (ours.run(x, lengths=valid) for x in (inputs, other))
    for key, value in named(one_way, ours.graph).items():
        changed = named(other_way, ours.graph)[key]
        inside = np.arange(T) < valid["steps"][:, None] if ours.graph.outputs[key].axes == "steps" else ...
        np.testing.assert_array_equal(value[inside], changed[inside])
    for key, value in state.items():
        np.testing.assert_array_equal(value, other_state[key])


@pytest.mark.parametrize("name", CASES)
def test_a_wrong_key_size_or_input_of_every_node_has_its_line(name: str) -> None:
    config = CASES[name]
    wrong: list[tuple[Any, str]] = []
    for number, node in enumerate(config["nodes"]):
        others = config["nodes"][:number], config["nodes"][number + 1 :]
        for key, value, words in (("sizzle", 1, "unknown key 'sizzle'"), ("of", ["nobody"], "expected")):
            changed = {**config, "nodes": [*others[0], {**node, key: value}, *others[1]]}
            wrong.append((lambda changed=changed: Graph(changed), words))
    _, ours, inputs = both(name)
    first = next(iter(inputs))
    rest = {key: value for key, value in inputs.items() if key != first}
    wrong.append((lambda: ours.run(rest), "expected"))
    shapes = {key: np.concatenate([value, value], -1) for key, value in inputs.items()}
    if ours.graph.inputs[first].size:
        wrong.append((lambda: ours.run(shapes), "expected"))
    for call, words in wrong:
        with pytest.raises(CongruError, match=words) as caught:
            call()
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (one("linear", size=3, sise=2), "unknown key 'sise', expected name, of, size"),
        (one("linear", size=0), "size is 0, expected a whole number of at least 1"),
        (one("linear"), "'size' is missing, expected a whole number of at least 1: add it"),
        (one("linear", of="y", size=1), "of' names 'y', expected one of x"),
        (one("embedding", size=3), "its input is 6 features, one value per step, expected tokens"),
        (
            one("causal_conv", size=3, kernel=2, look_ahead=2),
            "look_ahead is 2, expected less than kernel = 2",
        ),
        (one("attention", of=["x"]), "'of' names 1 inputs, expected 2"),
        (one("conv_gru", channels=2, kernel=4), "kernel is 4, expected an odd number"),
        (one("conv_gru", channels=2), "its input is 6 features, one value per step, expected pictures"),
        ({**one("relu"), "inputs": {"x": {"features": 2}, "y": {"features": 2}}}, "'y' leads to no output"),
        ({**one("relu"), "outputs": ["nod"]}, "outputs names 'nod', expected one of node"),
    ],
    ids=str,
)
def test_mistakes_have_their_line(config: dict[str, Any], message: str) -> None:
    with pytest.raises(CongruError) as caught:
        Graph(config)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_missing_input_has_its_line() -> None:
    _, ours, inputs = both("attention dot")
    with pytest.raises(CongruError, match="x has the inputs x, expected x, m: pass just these"):
        ours.run({"x": inputs["x"]})
    with pytest.raises(CongruError, match="constants has nothing, expected m"):
        Session(ours)


def test_a_convolutional_gru_of_one_pixel_is_a_gru() -> None:
    torch.manual_seed(0)
    gru = torch.nn.GRU(4, 3, batch_first=True)
    config = {
        "inputs": {"x": {"features": [4, 1, 1]}},
        "nodes": [
            {"type": "conv_gru", "name": "node", "channels": 3, "kernel": 1},
            {"type": "flatten", "name": "flat"},
        ],
        "outputs": ["flat"],
    }
    weights = {
        f"node.{part}": getattr(gru, f"{part}_l0").detach().numpy()
        for part in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
    }
    weights = {name: w[:, :, None, None] if w.ndim == 2 else w for name, w in weights.items()}
    x, h0 = torch.randn(B, T, 4), torch.randn(1, B, 3)
    y, state = Network(config, weights).run(x[..., None, None].numpy(), {"node.h": h0.numpy()})
    expected, last = gru(x, h0)
    np.testing.assert_allclose(y, expected.detach().numpy(), atol=1e-6)
    np.testing.assert_allclose(state["node.h"], last.detach().numpy(), atol=1e-6)
