"""Bits that a prediction loses without what a step wrote: against the deletion worked out by hand from the equations, in float64.

Every network here is computed a second time with the reference's step and plain NumPy; its states are taken apart by products
of the gates written out, and what lies above is computed for each prediction and each step left out by itself.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

import congru
from congru.gates.deletion import bits_by_step, bits_without
from congru.gates.parts import parts_left
from congru.reference import gru
from congru.runtime.network import Network
from congru.tasks.translate.network import network_configs
from congru.tasks.translate.settings import Settings as TranslateSettings
from congru.tasks.video.network import network_config
from congru.tasks.video.settings import Settings as VideoSettings
from runtime_models import random_weights

Arrays = dict[str, np.ndarray]
TOLERANCE = 2e-5  # float32 on one side


def by_hand(x: np.ndarray, weights: Arrays, name: str, ways: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """The states [T, D*H] of a GRU node over x [T, I], and the part [T, T, D*H] that step k left in the state after step t."""
    length, states, parts = len(x), [], []
    for way in range(ways):
        suffix = "l0_reverse" if way else "l0"
        cell = [
            weights[f"{name}.{part}_{suffix}"].astype(float)
            for part in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
        ]
        order = range(length - 1, -1, -1) if way else range(length)
        h, kept, written = np.zeros((1, cell[1].shape[1])), {}, {}
        y = np.zeros((length, h.shape[1]))
        for t in order:
            (h,), gates = gru.step(x[t : t + 1], (h,), cell)
            _, keep, candidate = gates[0]
            kept[t], written[t], y[t] = keep, (1 - keep) * candidate, h[0]
        left = np.zeros((length, length, h.shape[1]))
        for t in range(length):
            for k in range(length):
                between = range(t, k) if way else range(k + 1, t + 1)
                if (k >= t) if way else (k <= t):
                    left[t, k] = written[k] * np.prod([kept[j] for j in between], axis=0, initial=1.0)
        states.append(y)
        parts.append(left)
    return np.concatenate(states, axis=1), np.concatenate(parts, axis=2)


def log2_p(logits: np.ndarray) -> np.ndarray:
    shifted = logits - logits.max()
    return (shifted - np.log(np.exp(shifted).sum())) / math.log(2)


def test_the_parts_of_all_steps_are_the_states() -> None:
    config = network_config(VideoSettings(hidden_size=5), (3,), 4)
    network = Network(config, random_weights(config, scale=0.8))
    x = np.random.default_rng(0).standard_normal((1, 9, 3)).astype(np.float32)
    (layers,) = congru.inspect(network, x).layers
    y, expected = by_hand(x[0].astype(float), network.weights, "rnn", 2)
    parts = parts_left(layers, np.arange(9))
    np.testing.assert_allclose(parts.swapaxes(0, 1), expected, atol=TOLERANCE)
    np.testing.assert_allclose(parts.sum(axis=0), y, atol=TOLERANCE)
    np.testing.assert_array_equal(parts_left(layers, np.array([6, 2])), parts[[6, 2]])
    state = {"rnn.h": np.full((2, 1, 5), 0.7)}
    (layers,) = congru.inspect(
        network, x, h0=state
    ).layers  # what was there before belongs to the first step that each way reads
    begun = parts_left(layers, np.arange(9)).sum(axis=0)
    np.testing.assert_allclose(
        begun, np.concatenate([layer.y[0] for layer in layers], axis=1), atol=TOLERANCE
    )
    assert np.abs(begun - y).max() > 0.1


@pytest.mark.parametrize("fixed_vector", [False, True])
@pytest.mark.parametrize("group", [1, 4_000_000])
def test_the_next_token_of_a_decoder(fixed_vector: bool, group: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("congru.gates.deletion._AT_ONCE", group)
    settings = TranslateSettings(embedding_size=4, hidden_size=3, layer_norm=False, fixed_vector=fixed_vector)
    config = network_configs(settings, 7, 9)["decoder"]
    network = Network(config, random_weights(config, seed=3, scale=0.9))
    rng, weights = np.random.default_rng(1), network.weights
    x: dict[str, Any] = {"target": np.array([[8, 3, 1, 4, 6]])}
    x |= {name: rng.standard_normal((1, *size)) for name, size in (("memory", (4, 6)), ("summary", (4,)))}
    if fixed_vector:
        del x["memory"]
        x["summary"] = rng.standard_normal((1, 6))
    record = congru.inspect(network, {name: np.asarray(part) for name, part in x.items()})
    answers = [[0, 5], [3], [], [8, 2, 1], [4]]
    told = bits_by_step(record, network, x, answers)
    assert told is not None

    table, summary = weights["embed.weight"].astype(float), x["summary"]
    words = table[x["target"][0]]
    beside = np.repeat(summary, 5, axis=0)
    first = np.concatenate([words, beside], axis=1) if fixed_vector else words + beside
    below, _ = by_hand(first, weights, "below")
    if fixed_vector:
        looked = beside
    else:
        scores = below @ weights["attend.weight"].astype(float) @ x["memory"][0].T
        share = np.exp(scores - scores.max(axis=1, keepdims=True))
        looked = share / share.sum(axis=1, keepdims=True) @ x["memory"][0]
    above, parts = by_hand(np.concatenate([below, looked], axis=1), weights, "above")

    def read(state: np.ndarray, t: int) -> np.ndarray:
        known = np.concatenate([state, looked[t]])
        known = weights["readout.weight"].astype(float) @ known + weights["readout.bias"]
        return log2_p(table @ known + weights["head.bias"])

    for t, own in enumerate(answers):
        assert len(told[t]) == len(own)
        for bits, answer in zip(told[t], own):
            plain = read(above[t], t)[answer]
            expected = [plain - read(above[t] - parts[t, k], t)[answer] for k in range(t + 1)]
            np.testing.assert_allclose(bits, expected, atol=TOLERANCE)
    assert max(np.abs(bits).max() for bits in told if len(bits)) > 0.05


@pytest.mark.parametrize(
    ("pool", "streaming"),
    [("mean", True), ("max", True), ("attention", True), ("max", False), ("attention", False)],
)
def test_the_class_of_a_clip(pool: Any, streaming: bool) -> None:
    config = network_config(VideoSettings(hidden_size=5, pool=pool, streaming=streaming), (3,), 4)
    network = Network(config, random_weights(config, seed=5, scale=0.9))
    weights, length, temperature = network.weights, 7, 1.7
    x = np.random.default_rng(2).standard_normal((1, length, 3)).astype(np.float32)
    record = congru.inspect(network, x)
    assert record.readout is None  # else its shares would add up
    answers = [[t % 4, 3] for t in range(length)] if streaming else [[2, 0]]
    told = bits_by_step(record, network, x, answers, temperature)
    assert told is not None
    y, parts = by_hand(x[0].astype(float), weights, "rnn", 1 if streaming else 2)

    def read(states: np.ndarray) -> np.ndarray:
        if pool == "attention":
            scores = np.tanh(states @ weights["pool.weight"].T + weights["pool.bias"]) @ weights["pool.query"]
            share = np.exp(scores - scores.max())
            pooled = share / share.sum() @ states
        else:
            pooled = states.mean(axis=0) if pool == "mean" else states.max(axis=0)
        return log2_p((weights["head.weight"] @ pooled + weights["head.bias"]) / temperature)

    for row, own in enumerate(answers):
        seen = row + 1 if streaming else length
        for bits, answer in zip(told[row], own):
            plain = read(y[:seen])[answer]
            expected = [plain - read(y[:seen] - parts[:seen, k])[answer] for k in range(seen)]
            np.testing.assert_allclose(bits, expected, atol=TOLERANCE)
    assert max(np.abs(bits).max() for bits in told) > 0.05


def test_a_cell_whose_state_is_no_such_sum_has_none() -> None:
    config = network_config(VideoSettings(hidden_size=5, cell="lstm", streaming=True), (3,), 4)
    network = Network(config, random_weights(config))
    x = np.zeros((1, 3, 3), np.float32)
    assert bits_by_step(congru.inspect(network, x), network, x, [[0]] * 3) is None


def test_bits_are_positive_where_the_part_spoke_for_the_answer() -> None:
    bits = bits_without(
        np.array([3.0]), np.array([[2.0], [1.5], [-0.5]]), lambda states: -(states[:, 0] ** 2)
    )
    np.testing.assert_allclose(bits, (np.array([1.0, 2.25, 12.25]) - 9.0) / math.log(2))
