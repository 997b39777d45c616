"""The same trace, to 1e-6, from a torch layer, our layer, a model folder, an ONNX file and Keras' weights."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import congru
from congru.gates import Trace
from congru.gates.form import GATES
from congru.gates.inspect import inspect
from congru.reference.conventions import from_canonical
from congru.runtime.golden import make_golden
from congru.runtime.network import Network
from runtime_models import recurrent, save

SAME = 1e-6
I, H = 3, 6


def onnx_file(path: Path, layers: list[tuple[np.ndarray, ...]], reset_before: bool) -> Path:
    """An ONNX file with one GRU node per layer; its input is [T, B, I]."""
    onnx = pytest.importorskip("onnx")
    from onnx import TensorProto, helper, numpy_helper

    nodes, tensors, entering = [], [numpy_helper.from_array(np.array([1]), "axis")], "x"
    for number, weights in enumerate(layers):
        arrays, options = from_canonical("onnx", weights, reset_before)
        names = [f"{name}{number}" for name in ("W", "R", "B")]
        tensors += [
            numpy_helper.from_array(arrays[name].astype(np.float32), f"{name}{number}")
            for name in ("W", "R", "B")
        ]
        y = f"y{number}"
        nodes.append(
            helper.make_node("GRU", [entering, *names], [y], name=f"gru{number}", hidden_size=H, **options)
        )
        nodes.append(helper.make_node("Squeeze", [y, "axis"], [f"h{number}"]))
        entering = f"h{number}"
    graph = helper.make_graph(
        nodes,
        "stack",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["T", "B", I])],
        [helper.make_tensor_value_info(entering, TensorProto.FLOAT, ["T", "B", H])],
        tensors,
    )
    opset = [helper.make_opsetid("", 17)]
    onnx.save(helper.make_model(graph, opset_imports=opset, ir_version=onnx.IR_VERSION_2021_7_30), path)
    return path


def folder(path: Path, ours: Any, num_layers: int, reset_before: bool) -> Path:
    """The layer as a model folder."""
    weights = {f"rnn.{name}": part.detach().numpy() for name, part in ours.named_parameters()}
    config = {"layers": [recurrent("gru", I, H, num_layers=num_layers, reset_before=reset_before)]}
    save(
        path,
        config,
        weights={"main": weights},
        golden={"main": make_golden(config, Network(config, weights).run)},
    )
    return path


def keras_layer(weights: tuple[np.ndarray, ...], reset_before: bool) -> Any:
    """An object with Keras' two methods and these weights."""
    arrays, _ = from_canonical("keras", weights, reset_before)
    listed = [arrays["kernel"], arrays["recurrent_kernel"], arrays["bias"]]
    config = {"use_bias": True, "activation": "tanh", "reset_after": not reset_before}
    methods = {"get_weights": lambda self: listed, "get_config": lambda self: config, "name": "gru"}
    return type("GRU", (), methods)()


def traces(tmp_path: Path, num_layers: int, reset_before: bool, backend: str) -> dict[str, Trace]:
    torch.manual_seed(1)
    ours = congru.nn.GRU(I, H, num_layers, batch_first=True, reset_before=reset_before, backend=backend)
    x = torch.randn(4, 40, I)
    layers = [
        tuple(getattr(ours, f"{stem}_l{k}").detach().numpy() for stem in ("weight_ih", "weight_hh"))
        + tuple(getattr(ours, f"{stem}_l{k}").detach().numpy() for stem in ("bias_ih", "bias_hh"))
        for k in range(num_layers)
    ]
    by_source = {
        "our layer": inspect(ours, x),
        "model folder": inspect(folder(tmp_path / "model", ours, num_layers, reset_before), x.numpy()),
        "ONNX file": inspect(
            onnx_file(tmp_path / "gru.onnx", layers, reset_before), x.numpy().swapaxes(0, 1)
        ),
    }
    if not reset_before:  # torch has only the other form
        theirs = torch.nn.GRU(I, H, num_layers, batch_first=True)
        theirs.load_state_dict(ours.state_dict())
        by_source["torch layer"] = inspect(theirs, x)
    if num_layers == 1:
        by_source["Keras"] = inspect(keras_layer(layers[0], reset_before), x.numpy())
    return by_source


@pytest.mark.parametrize("backend", ["auto", "native"])
@pytest.mark.parametrize("reset_before", [False, True])
@pytest.mark.parametrize("num_layers", [1, 2])
def test_every_source_gives_the_same_trace(
    tmp_path: Path, num_layers: int, reset_before: bool, backend: str
) -> None:
    by_source = traces(tmp_path, num_layers, reset_before, backend)
    assert len(by_source) == 4 - reset_before + (num_layers == 1)
    first = by_source["our layer"]
    for name, trace in by_source.items():
        assert trace.shape == (num_layers, 1, 4, 40, H), name
        trace.check()
        np.testing.assert_allclose(trace.state, first.state, rtol=0, atol=SAME, err_msg=name)
        for letter in GATES["gru"]:
            np.testing.assert_allclose(
                trace.gate(letter), first.gate(letter), rtol=0, atol=SAME, err_msg=f"{name} {letter}"
            )
