"""Networks trained side by side as one network, whose output is the mean of theirs: what a model folder holds of `--seeds`.

Members err at different places, and the mean of their outputs is nearer than each. With the features f_m that the output
layer W_m, b_m of member m of M reads,

    mean of the outputs = [W_1 .. W_M] / M  [f_1; ..; f_M]  +  (b_1 + .. + b_M) / M
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from congru.nn.network import Network
from congru.runtime.graph import Graph
from congru.runtime.tensors import of_owner
from congru.tasks.members import OUTPUT, member_name
from congru.train.base import Settings, TaskLearner
from congru.train.networks import Networks

_MEMBERS = "members"  # the node in front of the output layer, which reads the features of all members


class JoinedLearner(TaskLearner[Settings]):
    """A learner whose networks are members of one declaration: the model folder holds them as one network."""

    def saved(self, networks: Networks) -> dict[str, tuple[Any, nn.Module]]:
        """One network, whose outputs are the mean of all members'."""
        declared = self.networks(self.settings.cell, self.settings.hidden_size)
        return {"main": joined(declared["main"], networks)}


def joined(declaration: Mapping[str, Any], networks: Networks) -> tuple[Mapping[str, Any], nn.Module]:
    """The declaration and the network that all `networks`, of one declaration, are together; one alone stays as it is."""
    members = list(networks.values())
    if len(members) == 1:
        return declaration, members[0]
    together = joined_config(declaration, len(members))
    network = Network(together)
    tied = str(declaration["nodes"][-1].get("tied", ""))
    network.load_state_dict(joined_weights([member.state_dict() for member in members], tied))
    return together, network.eval()


def joined_config(declaration: Mapping[str, Any], count: int) -> dict[str, Any]:
    """So many networks of a declaration as one, whose output is the mean of theirs.

    >>> one = {"inputs": {"x": {"features": 2}}, "nodes": [{"type": "gru", "name": "rnn", "hidden_size": 3},
    ...        {"type": "linear", "name": "head", "size": 1}], "outputs": ["head"]}
    >>> for node in joined_config(one, 2)["nodes"]: print(node["type"], node["name"], node.get("of"))
    gru rnn ['x']
    gru rnn2 ['x']
    concat members ['rnn', 'rnn2']
    linear head None
    """
    *below, output = declaration["nodes"]
    own = {node["name"] for node in below}
    nodes, read = [], []
    for number in range(count):
        before = next(iter(declaration["inputs"]))
        for node in below:
            names = node.get("of", before)
            names = [names] if isinstance(names, str) else names
            of = [member_name(name, number) if name in own else name for name in names]
            nodes.append({**node, "name": member_name(node["name"], number), "of": of})
            before = node["name"]
        read.append(member_name(before, number))
    head = {"type": "linear", "name": OUTPUT, "size": output["size"]}
    return {
        "inputs": declaration["inputs"],
        "nodes": [*nodes, {"type": "concat", "name": _MEMBERS, "of": read}, head],
        "outputs": [OUTPUT],
    }


def joined_weights(members: Sequence[Mapping[str, Tensor]], tied: str = "") -> dict[str, Tensor]:
    """The weights of `joined_config` from those of its members; `tied` names the embedding whose table an output layer is.

    >>> from torch import ones
    >>> one, two = ({"head.weight": k * ones(2, 1), "head.bias": k * ones(2)} for k in (1, 3))
    >>> joined = joined_weights([one, two])
    >>> joined["head.weight"].tolist(), joined["head.bias"].tolist()
    ([[0.5, 1.5], [0.5, 1.5]], [2.0, 2.0])
    """
    weights = {}
    for number, member in enumerate(members):
        for name, value in member.items():
            node, _, part = name.partition(".")
            if node != OUTPUT:
                weights[f"{member_name(node, number)}.{part}"] = value
    table = f"{tied}.weight" if tied else f"{OUTPUT}.weight"
    weights[f"{OUTPUT}.weight"] = torch.cat([member[table] for member in members], 1) / len(members)
    weights[f"{OUTPUT}.bias"] = torch.stack([member[f"{OUTPUT}.bias"] for member in members]).mean(0)
    return weights


def parted_weights(graph: Graph, weights: Mapping[str, NDArray[Any]]) -> list[dict[str, NDArray[Any]]]:
    """The weights of each member that `joined_weights` made one; the only ones of a network that was alone.

    Of the members' output biases only the mean is known: each gets that.

    >>> one = {"inputs": {"x": {"features": 2}}, "nodes": [{"type": "relu", "name": "bend"},
    ...        {"type": "linear", "name": "head", "size": 1}], "outputs": ["head"]}
    >>> joined = {"head.weight": np.array([[0.5, 0.0, 1.5, 1.0]]), "head.bias": np.array([2.0])}
    >>> for member in parted_weights(Graph(joined_config(one, 2)), joined): print(member)
    {'head.weight': array([[1., 0.]]), 'head.bias': array([2.])}
    {'head.weight': array([[3., 2.]]), 'head.bias': array([2.])}
    """
    if _MEMBERS not in graph.node_names:
        return [dict(weights)]
    count = len(graph.placed[-2].inputs)
    own = graph.node_names[:-2]
    heads = np.split(weights[f"{OUTPUT}.weight"] * count, count, axis=1)
    members = []
    for number, head in enumerate(heads):
        member = {
            f"{name}.{part}": value
            for name in own[: len(own) // count]
            for part, value in of_owner(weights, member_name(name, number), ".").items()
        }
        members.append({**member, f"{OUTPUT}.weight": head, f"{OUTPUT}.bias": weights[f"{OUTPUT}.bias"]})
    return members
