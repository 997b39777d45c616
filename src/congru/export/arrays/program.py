"""The text of the Python files: a head that names the array functions, the nodes of `library.py`, and the networks."""

from __future__ import annotations

import dataclasses
import json
import pprint
from pathlib import Path
from typing import Any

from congru.export.arrays.emitters import ARRAYS
from congru.runtime.model import Model
from congru.runtime.network import Network
from congru.version import __version__

LIBRARY = Path(__file__).parent / "library.py"
_HEADS = {
    "numpy": "import numpy as xp",
    "torch": "import torch\nimport torch as xp\nfrom safetensors.torch import load_file",
    "keras": "import numpy\nfrom keras import ops as xp",
}
_TAILS = {
    "numpy": '''
class Model:
    """The networks with their weights, from the .npz file of the same name."""

    def __init__(self, path=Path(__file__).with_suffix(".npz")):
        with xp.load(path) as arrays:
            self.weights = {name: {} for name in NETWORKS}
            for key, value in arrays.items():
                network, _, name = key.partition(".")
                self.weights[network][name] = value

    def initial_state(self, network, batch_size):
        """The state before the first step: name -> [N, B, F]."""
        return {
            key: xp.repeat(xp.array(value, xp.float32)[:, None], batch_size, 1)
            for key, value in NETWORKS[network]["initial_state"].items()
        }

    def run(self, network, inputs, state=None):
        """Outputs by name and the state after, of inputs by name: [B, T, ..], rows [B, F], memories [B, S, M]."""
        batch_size = len(next(iter(inputs.values())))
        state = self.initial_state(network, batch_size) if state is None else state
        return run_network(NETWORKS[network], self.weights[network], inputs, state)
''',
    "torch": '''
class Model(torch.nn.Module):
    """The networks as parameters "<network>.<node>.<part>", loaded from the .safetensors file of the same name."""

    def __init__(self, path=Path(__file__).with_suffix(".safetensors")):
        super().__init__()
        for key, value in load_file(path).items():
            network, node, part = key.split(".")
            for name, owner in ((network, self), (node, None)):
                owner = owner or getattr(self, network)
                if not hasattr(owner, name):
                    owner.add_module(name, torch.nn.Module())
            getattr(getattr(self, network), node).register_parameter(part, torch.nn.Parameter(value))

    def initial_state(self, network, batch_size):
        """The state before the first step: name -> [N, B, F]."""
        return {
            key: torch.tensor(value)[:, None].repeat(1, batch_size, 1)
            for key, value in NETWORKS[network]["initial_state"].items()
        }

    def forward(self, network, inputs, state=None):
        """Outputs by name and the state after, of inputs by name: [B, T, ..], rows [B, F], memories [B, S, M]."""
        batch_size = len(next(iter(inputs.values())))
        state = self.initial_state(network, batch_size) if state is None else state
        weights = dict(getattr(self, network).named_parameters()) if hasattr(self, network) else {}
        return run_network(NETWORKS[network], weights, inputs, state)
''',
    "keras": '''
class Model:
    """The networks with their weights, from the .npz file of the same name, on the backend of Keras."""

    def __init__(self, path=Path(__file__).with_suffix(".npz")):
        with numpy.load(path) as arrays:
            self.weights = {name: {} for name in NETWORKS}
            for key, value in arrays.items():
                network, _, name = key.partition(".")
                self.weights[network][name] = xp.convert_to_tensor(value)

    def initial_state(self, network, batch_size):
        """The state before the first step: name -> [N, B, F]."""
        return {
            key: xp.repeat(xp.convert_to_tensor(value, "float32")[:, None], batch_size, 1)
            for key, value in NETWORKS[network]["initial_state"].items()
        }

    def run(self, network, inputs, state=None):
        """Outputs by name and the state after, of inputs by name: [B, T, ..], rows [B, F], memories [B, S, M]."""
        inputs = {name: xp.convert_to_tensor(value) for name, value in inputs.items()}
        batch_size = next(iter(inputs.values())).shape[0]
        state = self.initial_state(network, batch_size) if state is None else state
        state = {name: xp.convert_to_tensor(value) for name, value in state.items()}
        return run_network(NETWORKS[network], self.weights[network], inputs, state)
''',
}


def python_file(model: Model, name: str, kind: str) -> str:
    """The text of NAME.py for "numpy", "torch" or "keras"."""
    networks = {key: declared(network) for key, network in model.networks.items()}
    head = (
        f'"""{name}, a model of the task {model.task}, on {kind} alone; written by congru {__version__}.\n\n'
        'Sequences have no padding: run those of equal length together. A step is a sequence of one.\n"""\n\n'
    )
    text = pprint.pformat(json.loads(json.dumps(networks)), width=110, sort_dicts=False, compact=True)
    return f"{head}from pathlib import Path\n\n{_HEADS[kind]}\n\n\n{_nodes()}\n\nNETWORKS = {text}\n\n{_TAILS[kind]}"


def _nodes() -> str:
    """library.py from its first function on."""
    text = LIBRARY.read_text(encoding="utf-8")
    return text[text.index("def sigmoid(") :]


def declared(network: Network) -> dict[str, Any]:
    """A network as the files hold it: nodes with all their keys, the parts of their state, and what their inputs are."""
    nodes = []
    for node, inputs, _ in network.graph.placed:
        ARRAYS.of(node)
        entry = {"type": node.type, **dataclasses.asdict(node), "state": list(node.state(*inputs))}
        entry["axes"] = [spec.axes for spec in inputs]
        entry["lead"] = 1 if inputs[0].axes == "row" else 2
        nodes.append(entry)
    initial = {key: value[:, 0].tolist() for key, value in network.initial_state(1).items()}
    return {"nodes": nodes, "outputs": list(network.graph.outputs), "initial_state": initial}
