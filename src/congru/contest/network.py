"""The networks that compete: one recurrent layer and a linear read-out at every step, at equal parameters."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any

import torch.nn.functional as F
from torch import Tensor

from congru.contest.problem import Problem
from congru.gates.form import GATES
from congru.nn import Network
from congru.train.compare import hidden_for_parameters

# The gates of a minGRU see the input alone: only a second layer can see what the first one remembers.
DEPTH = {"gru": 1, "lstm": 1, "rnn": 1, "mingru": 2}
# The compiled core is the fastest for small batches of long sequences; it has no minGRU, which is a scan.
BACKEND = {"gru": "native", "lstm": "native", "rnn": "native", "mingru": "auto"}


def declaration(problem: Problem, cell: str, hidden_size: int) -> dict[str, Any]:
    """The network for a problem, as :class:`congru.nn.Network` takes it."""
    return {
        "inputs": {"sequence": {"features": problem.num_inputs}},
        "nodes": [
            {"type": cell, "name": "memory", "hidden_size": hidden_size, "num_layers": DEPTH[cell]},
            {"type": "linear", "name": "answer", "size": problem.num_outputs},
        ],
        "outputs": ["answer"],
    }


def build(declared: Mapping[str, Any]) -> Network:
    """An untrained network, drawn from torch's generator, on its cell's backend."""
    return Network(declared, backend=BACKEND[declared["nodes"][0]["type"]])


def equal_size(problem: Problem, cell: str, gru_size: int) -> int:
    """The hidden size that gives `cell` the parameter count closest to that of a GRU with `gru_size` units."""

    def of_size(cell: str, hidden_size: int) -> Network:
        return build(declaration(problem, cell, hidden_size))

    target = sum(parameter.numel() for parameter in of_size("gru", gru_size).parameters())
    return hidden_for_parameters(functools.partial(of_size, cell), target)


def _read_out(network: Network, states: Tensor) -> Tensor:
    """The linear answer [B, S, O] to states [B, S, H]."""
    layer = network.get_submodule("answer")
    return F.linear(states, layer.get_parameter("weight"), layer.get_parameter("bias"))


def answers(network: Network, problem: Problem, x: Tensor) -> Tensor:
    """The outputs [B, S, O] at the steps that are asked."""
    states = network.get_submodule("memory")(x)[0]
    out: Tensor = _read_out(network, states[:, problem.asked])
    return out


def answers_and_writes(network: Network, problem: Problem, x: Tensor) -> tuple[Tensor, Tensor]:
    """The outputs, and the mean over sequences of all that was written: sum |(1 - z) n|, for an LSTM sum |i g|."""
    layer = network.recurrent_layers()["memory"]
    states, _, gates = layer(x, return_gates=True)
    gate = dict(zip(GATES[layer.cell], gates.unbind(4)))
    written = gate["i"] * gate["g"] if layer.cell == "lstm" else (1 - gate["z"]) * gate["n"]
    out = _read_out(network, states[:, problem.asked])
    return out, written.abs().sum() / len(x)
