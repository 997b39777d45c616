"""What a prediction would lose without what one step wrote: for answers that are no linear function of the states.

    h_t = a_t0 + .. + a_tt          a_tk: what step k wrote into the state and the gates after it kept (`congru.gates.parts`)
    bits_k = log2 p(answer | h_0, h_1, ..) - log2 p(answer | h_0 - a_0k, h_1 - a_1k, ..)

The parts sum to the state exactly. The bits do not add up: what lies above the layer (attention, a pool, a softmax over legal
moves) is not linear. Positive: without that part the answer would be less probable. The first step of a sequence is taken
together with the state in which it began. In a layer that runs both ways, what a step wrote in both directions is left out.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np

from congru.gates.parts import SUMS, parts_left
from congru.gates.record import Record
from congru.gates.weights import Array
from congru.runtime.decoding.scores import log_softmax
from congru.runtime.instead import outputs_instead
from congru.runtime.network import Inputs, Network

_AT_ONCE = 4_000_000  # numbers of one array: parts left out x steps x outputs


def bits_without(whole: Array, parts: Array, log_p: Callable[[Array], Array]) -> Array:
    """bits [K, ...] that an answer loses without each of `parts` [K, ..., F], of which the states `whole` [..., F] are the sum.

    `log_p` gives the natural logarithm of the answer's probability [N, ...] for states [N, ..., F].

    >>> half = lambda states: np.log(1 / (1 + np.exp(-states[:, 0])))
    >>> bits_without(np.zeros(1), np.zeros((2, 1)), half).tolist()
    [0.0, 0.0]
    """
    chosen = log_p(np.concatenate([whole[None], whole - parts]))
    bits: Array = (chosen[0] - chosen[1:]) / math.log(2)
    return bits


def bits_by_step(
    record: Record, network: Network, x: Inputs, answers: Sequence[Sequence[int]], temperature: float = 1.0
) -> list[Array] | None:
    """bits [answers of t, t + 1] after each step t of the first row that `network` read in x; None for a cell without such parts.

    answers[t]: the outputs that are asked about after step t, any number of them. A layer that runs both ways, and a network with
    one output for the whole sequence, have all T steps in every row; of the latter `answers` has one entry. p is the softmax of
    the first output over `temperature`.
    """
    layers, length = record.layers[-1], int(record.lengths[0])
    if record.cell not in SUMS:
        return None
    node, output = _node_of(record, network), next(iter(network.graph.outputs))
    inputs = network.graph.named_inputs(x)
    pairs = [(t, k) for t, own in enumerate(answers) for k in own]
    steps, outputs = np.array(pairs, np.int64).reshape(-1, 2).T

    def log_p(states: Array) -> Array:
        out = outputs_instead(network, inputs, None, node, states)[output]
        every = log_softmax((out[:, None] if network.pooled else out) / temperature)
        return every[:, steps, outputs]

    whole = np.concatenate([layer.y[0, :length] for layer in layers], axis=1).astype(np.float64)
    group = max(1, _AT_ONCE // (length * max(whole.shape[1], network.output_size)))
    groups = [np.arange(begin, min(begin + group, length)) for begin in range(0, length, group)]
    parts = [bits_without(whole, parts_left(layers, left_out), log_p) for left_out in groups]
    bits = iter(np.concatenate(parts).T)
    to_the_end = len(layers) > 1 or network.pooled
    return [
        np.array([next(bits)[: length if to_the_end else t + 1] for _ in own])
        for t, own in enumerate(answers)
    ]


def _node_of(record: Record, network: Network) -> str:
    """The node of the network whose states the last layer of the record are."""
    name = record.layers[-1][0].name
    return next(
        node.name for node in network.graph.recurrent if name == node.name or name.startswith(f"{node.name} ")
    )
