"""One model as a page without a server takes it along: its step as calls of congru.wasm, an example, and what was measured.

The networks that stream run in the browser; of the recurrent layers the page gets weights, inputs and states, from which its own
equations (`web/src/gates.ts`) make every gate. What is no network (rules of chess, beam search, features of sound) stays behind.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from typing import Any

import numpy as np

from congru.errors import CongruError, ExportError
from congru.export.c.program import c_network
from congru.export.cases import Case, golden_cases
from congru.export.wasm.plan import Arrays, network_plan, state_content
from congru.gates.formulas import formulas_of
from congru.gates.layer import Layer
from congru.gates.strips import strips_of
from congru.runtime.graph import Graph
from congru.runtime.model import Model
from congru.runtime.network import Network
from congru.serve.explorer import Explored, Explorer, output_name, shares_problem, told_by_task
from congru.serve.library import Shelf
from congru.serve.views import subject_of

Plain = dict[str, Any]
SHOWN = 4  # golden sequences of a network that the page replays


def base64_of(values: Any) -> str:
    """An array as float32 in base64, which the page reads without a library."""
    return base64.b64encode(np.ascontiguousarray(values, np.float32).tobytes()).decode()


def pack_networks(model: Model) -> Plain:
    """The networks that can run step by step: `description` and `weights` as congru.js takes them, `golden` sequences with the
    outputs of NumPy, and why the `left` ones cannot.
    """
    arrays, plans, left, golden = Arrays(), dict[str, Any](), dict[str, str](), dict[str, Any]()
    cases = golden_cases(model)
    for name, network in model.networks.items():
        try:
            wide = seen_inside(model, name, network)
            made = c_network(wide, name, "page")
            plan = network_plan(made, arrays)
        except ExportError as error:
            left[name] = str(error).removeprefix(f"{name} cannot be written as C, ").partition(": choose")[0]
            continue
        plans[name] = plan
        rows = [row for case in cases[name] for row in case.rows(network)][:SHOWN]
        golden[name] = [_sequence(made, plan["state"], row) for row in rows]
    description = {
        "format": "congru-wasm",
        "task": model.task,
        "metadata": {},
        "networks": plans,
    }
    weights = base64.b64encode(bytes(arrays.content)).decode()
    return {"description": description, "weights": weights, "golden": golden, "left": left}


def seen_inside(model: Model, name: str, network: Network) -> Network:
    """The same network with the inputs of its recurrent nodes among its outputs, so that the page sees their gates."""
    config = network_config(model, name)
    wanted = [node.of[0] for node in network.graph.recurrent if node.of[0] in network.graph.node_names]
    outputs = list(dict.fromkeys([*network.graph.outputs, *wanted]))
    return Network.of_checked(
        Graph({**config, "outputs": outputs}), network.weights, integers=network.integers
    )


def network_config(model: Model, name: str) -> Plain:
    """The declaration of a network, also of a folder of format 1, as named nodes."""
    from congru.runtime.chain import is_chain, read_chain

    config = model.config["networks"][name] if "networks" in model.config else model.config["network"]
    return dict(read_chain(config) if is_chain(config) else config)


def _sequence(made: Any, state: Mapping[str, Any], row: Case) -> Plain:
    """A golden sequence: the state as bytes, the inputs of every step, the outputs that NumPy gives."""
    network = made.network
    graph = network.graph
    constants = {name: np.ravel(row.inputs[name][0]).tolist() for name in graph.constant_inputs}
    count = row.inputs[graph.step_inputs[0]].shape[1] if graph.step_inputs else 1
    steps = [
        {**constants, **{name: np.ravel(row.inputs[name][0, t]).tolist() for name in graph.step_inputs}}
        for t in range(count)
    ]
    outputs = {
        name: {"steps": graph.outputs[name].axes == "steps", "values": np.ravel(value[0]).tolist()}
        for name, value in row.outputs.items()
    }
    content = state_content(made, state["fields"], state["bytes"], row.state)
    return {"state": base64.b64encode(content).decode(), "steps": steps, "outputs": outputs}


def pack_example(shelf: Shelf) -> Plain:
    """The input that the task has at hand and what every recurrent layer did with it; `why` where it has none."""
    try:
        source = subject_of(shelf).source(shelf, None)
        explored = Explorer().explore(shelf, shelf.model(), source)
    except (CongruError, TypeError) as error:
        return {"why": str(error)}
    layers = [
        pack_layer(node, depth, way, layer, len(row))
        for node, trace in explored.traces.items()
        for depth, row in enumerate(trace.layers)
        for way, layer in enumerate(row)
    ]
    tokenizer = shelf.model().tokenizer
    text = "".join(tokenizer.decode([t]) for t in source.tokens) if source.tokens and tokenizer else None
    return {
        "task": explored.model.task,
        "steps": explored.labels,
        "cut": explored.cut,
        **told_by_task(explored),
        "tokens": explored.tokens,
        "text": text,
        "layers": layers,
        "readout": pack_readout(explored),
        "shares": shares_problem(explored.trace),
    }


def pack_readout(explored: Explored) -> Plain | None:
    """The linear map from the last states to the outputs; None where there is none."""
    readout = explored.trace.readout
    if readout is None:
        return None
    return {
        "kind": readout.kind,
        "weight": base64_of(readout.weight),
        "bias": base64_of(readout.bias),
        "labels": [output_name(explored, k) for k in range(len(readout.weight))],
        "named": len(readout.labels) == len(readout.weight),
    }


def pack_layer(node: str, depth: int, way: int, layer: Layer, ways: int) -> Plain:
    """One layer in one direction: how it is shown, its weights, its input x [T, I], its states y [T, H] and where it began."""
    form, weights = layer.form, layer.weights
    plain = not form.layer_norm
    told = {
        "node": node,
        "depth": depth,
        "direction": way,
        "directions": ways,
        "title": form.title,
        "cell": form.cell,
        "resetBefore": form.reset_before,
        "zoneout": form.zoneout,
        "plain": plain,
        "units": layer.hidden_size,
        "inputs": int(layer.x.shape[2]),
        "formulas": formulas_of(form),
        "strips": [
            {"key": strip.key, "title": strip.title, "signed": strip.signed} for strip in strips_of(layer, 0)
        ],
    }
    arrays = {"W": weights.W, "U": weights.U, "bi": weights.b_i, "bh": weights.b_h}
    arrays |= {"x": layer.x[0], "y": layer.y[0], "start": layer.start[0][0]}
    if form.cell == "lstm":
        arrays["startCell"] = layer.start[1][0]
    return {**told, **{name: None if value is None else base64_of(value) for name, value in arrays.items()}}


def live_text(model: Model, packed: Mapping[str, Any], example: Mapping[str, Any]) -> Plain | None:
    """What the page needs to read any text: the symbols of a model of characters; None for every other."""
    content = model.files.get("tokenizer.json")
    if model.task != "text" or content is None or "layers" not in example:
        return None
    symbols = json.loads(content).get("symbols")
    name = next(iter(model.networks))
    ready = symbols and name in packed["description"]["networks"] and len(model.networks) == 1
    network = model.networks[name]
    nodes = network.graph.recurrent
    if not ready or len(nodes) != 1 or example["readout"] is None or example["readout"]["kind"] != "steps":
        return None
    return {
        "network": name,
        "symbols": symbols,
        "inside": nodes[0].of[0],
        "output": next(iter(network.graph.outputs)),
        "parts": {part: f"{nodes[0].name}_{part}" for part in nodes[0].state_parts},
    }
