"""The networks that compete: one recurrent layer and a linear read-out at every step, at equal parameters."""

from __future__ import annotations

import functools

import torch
from torch import Tensor

from congru.gates.equations import GATES
from congru.nn import Network, chrono_init
from congru.tasks.memory.problem import Problem
from congru.train.compare import hidden_for_parameters

# The gates of a minGRU see the input alone: only a second layer can see what the first one remembers.
DEPTH = {"gru": 1, "lstm": 1, "rnn": 1, "mingru": 2}
# The compiled core is the fastest for small batches of long sequences; it has no minGRU, which is a scan.
BACKEND = {"gru": "native", "lstm": "native", "rnn": "native", "mingru": "auto"}


def build(problem: Problem, cell: str, hidden_size: int) -> Network:
    """An untrained network for a problem, drawn from torch's generator."""
    recurrent = {
        "type": cell,
        "name": "memory",
        "input_size": problem.num_inputs,
        "hidden_size": hidden_size,
        "num_layers": DEPTH[cell],
    }
    answer = {"type": "linear", "name": "answer", "in": hidden_size, "out": problem.num_outputs}
    return Network({"layers": [recurrent, answer]}, backend=BACKEND[cell])


def equal_size(problem: Problem, cell: str, gru_size: int) -> int:
    """The hidden size that gives `cell` the parameter count closest to that of a GRU with `gru_size` units."""
    target = sum(parameter.numel() for parameter in build(problem, "gru", gru_size).parameters())
    return hidden_for_parameters(functools.partial(build, problem, cell), target)


def initialise(network: Network, init: str, longest: int) -> None:
    """Leave the start values of torch, or set the gates by `congru.nn.chrono_init`."""
    if init == "chrono":
        for layer in network.recurrent_layers().values():
            chrono_init(layer, longest)


def _read_out(network: Network, states: Tensor) -> Tensor:
    """The linear answer [B, S, O] to states [B, S, H]."""
    layer = network.get_submodule("answer")
    return torch.nn.functional.linear(states, layer.get_parameter("weight"), layer.get_parameter("bias"))


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


def seeded(seed: int, problem: Problem, cell: str, hidden_size: int, init: str) -> Network:
    """The same untrained network for the same seed; torch's generator goes on from there."""
    torch.manual_seed(seed)
    network = build(problem, cell, hidden_size)
    initialise(network, init, problem.lag)
    return network
