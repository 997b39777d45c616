"""Holding a gate does what it says, and the unit dictionary finds what was planted."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import congru
from congru.errors import CongruError
from congru.gates import Stack, Trace
from congru.gates.whatif import gate_letter
from gates_cases import random_stack, random_trace


def test_keep_held_at_one_freezes_the_state() -> None:
    trace = random_trace("gru", T=8, lengths=[8, 6])
    what_if = trace.clamp("keep", steps=slice(3, 6), value=1.0)
    before, after = what_if.states
    np.testing.assert_array_equal(after[:, :3], before[:, :3])
    np.testing.assert_allclose(after[0, 3:6], np.repeat(before[0, 2:3], 3, axis=0), atol=1e-14)
    assert not after[1, 6:].any()
    assert what_if.moved[:, :3].max() == 0
    assert "keep held at 1 in 5 units of layer at 3 of 8 steps" in str(what_if)


def test_keep_held_at_zero_erases_the_past() -> None:
    one = random_trace("gru", T=6, B=1)
    frozen = one.clamp("keep", steps=3, value=0.0).states[1][0, 3]
    np.testing.assert_allclose(frozen, one.candidate[0, 0, 0, 3], atol=1e-14)


def test_only_the_chosen_units_move_at_first() -> None:
    trace = random_trace("gru", T=6)
    what_if = trace.clamp("reset", units=[1, 3], steps=[2], value=0.0)
    moved = np.abs(what_if.states[1] - what_if.states[0])[0, 2] > 1e-9
    assert moved.tolist() == [False, True, False, True, False]
    mask = np.array([False, True, False, True, False])
    same = trace.clamp("r", units=mask, steps=2, value=0.0)
    np.testing.assert_array_equal(same.states[1], what_if.states[1])


@pytest.mark.parametrize("cell", ["gru", "lstm", "mingru", "rnn"])
def test_holding_a_gate_at_its_own_value_changes_nothing(cell: str) -> None:
    trace = random_trace(cell, B=1, T=5)
    value = float(trace.candidate[0, 0, 0, 2, 1])
    if abs(value) <= 1:
        what_if = trace.clamp("candidate", units=1, steps=2, value=value)
        np.testing.assert_allclose(what_if.states[1], what_if.states[0], atol=1e-14)


def test_layers_above_run_again_on_what_changed() -> None:
    stack = random_stack("gru", layers=2, ways=2)
    x = np.random.default_rng(0).normal(size=(2, 6, 3))
    trace = congru.inspect(stack, x)
    what_if = trace.clamp("keep", layer=0, direction=1, value=0.5)
    held = [[tuple(np.array(part) for part in way) for way in row] for row in stack.weights]
    W, U, b_i, b_h = held[0][1]
    for part in (W, U, b_i, b_h):
        part[5:10] = 0  # sigmoid(0) = 0.5
    expected = congru.inspect(Stack("gru", held), x)
    y = np.concatenate([way.y for way in expected.layers[-1]], axis=2)
    np.testing.assert_allclose(what_if.states[1], y, atol=1e-12)


def test_outputs_and_loss_are_compared() -> None:
    trace = random_trace("gru", T=6, readout="last")
    what_if = trace.clamp("keep", value=0.0, loss=lambda outputs: float((outputs**2).mean()))
    np.testing.assert_allclose(what_if.outputs[0], trace.output, atol=1e-12)
    assert what_if.loss[0] == pytest.approx(float((trace.output**2).mean()))
    assert what_if.loss[1] != what_if.loss[0]
    assert "the loss from" in str(what_if)
    assert random_trace("gru", readout=None).clamp("keep").outputs is None


def test_freezing_the_steps_that_count_moves_the_output_more() -> None:
    """The causal check of the memory map, on a conveyor: dropping the largest share hurts most."""
    random = np.random.default_rng(3)
    W, b = np.zeros((3, 1)), np.array([0.0, 3.0, 0.0])
    W[2] = 1.0
    x = random.normal(size=(1, 12, 1))
    trace = congru.inspect(Stack("gru", [[(W, np.zeros((3, 1)), b, None)]]), x)
    shares = np.abs(trace.memory(np.ones(1)).contributions)
    moved = [trace.clamp("keep", steps=k, value=1.0).moved[0, -1] for k in range(12)]
    assert int(np.argmax(moved)) == int(np.argmax(shares))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"gate": "f"}, "gate is 'f', expected one of keep, candidate, reset for a GRU"),
        ({"gate": "keep", "value": 2.0}, r"value is 2\.0, expected 0 \(closed\) to 1 \(open\) for keep"),
        ({"gate": "candidate", "value": -2.0}, r"value is -2\.0, expected -1 to 1 for candidate"),
        (
            {"gate": "keep", "units": [5]},
            r"units is \[5\], expected numbers from 0 to 4: pass a list, a slice or None",
        ),
        ({"gate": "keep", "steps": []}, r"steps is \[\], expected numbers from 0 to 5"),
        ({"gate": "keep", "layer": 3}, "layer is 3, expected -1 to 0"),
    ],
)
def test_what_cannot_be_held_has_its_line(options: dict[str, Any], message: str) -> None:
    with pytest.raises(CongruError, match=message):
        random_trace("gru").clamp(**options)


def test_loss_needs_a_readout_and_lower_layers_a_direct_stack() -> None:
    with pytest.raises(CongruError, match="loss is given, but layer has no linear read-out, expected one"):
        random_trace("gru", readout=None).clamp("keep", loss=lambda outputs: 0.0)
    below, above = random_trace("gru", T=6), random_trace("gru", T=6, I=5, seed=1)
    apart = Trace((below.layers[0], above.layers[0]), below.tokens)
    with pytest.raises(CongruError, match="layer does not read layer directly, expected stacked layers"):
        apart.clamp("keep", layer=0)


def test_gates_by_name() -> None:
    assert [gate_letter("lstm", name) for name in ("keep", "input", "output", "candidate", "f")] == list(
        "fiogf"
    )
    with pytest.raises(CongruError, match="gate is 'keep', expected one of candidate for a plain RNN"):
        gate_letter("rnn", "keep")


def planted_units() -> Trace:
    """Unit 0 follows the letter b, unit 1 the letter c; the rest sees nothing."""
    text = "abacabadabacabac"
    x = np.array([[[float(letter == "b"), float(letter == "c")] for letter in text]])
    W = np.zeros((4, 2))
    W[0, 0] = W[1, 1] = 3.0
    return congru.inspect(
        Stack("rnn", [[(W, np.zeros((4, 4)), np.full(4, -1.0), None)]]), x, tokens=list(text)
    )


def test_the_dictionary_finds_the_letter_a_unit_follows() -> None:
    units = planted_units().units(top=3, width=2)
    assert {snippet.token for snippet in units.entry(0).high} == {"b"}
    assert {snippet.token for snippet in units.entry(1).high} == {"c"}
    assert units.entry(0).span == pytest.approx(np.tanh(2) + np.tanh(1))
    assert {entry.unit for entry in units.liveliest(2)} == {0, 1}
    steps = [snippet.step for snippet in units.entry(0).high]
    assert min(abs(a - b) for a in steps for b in steps if a != b) > 2
    assert str(units.entry(0).high[0]) == "+0.96  a[b]a"


def test_snippets_of_one_long_moment_are_told_once() -> None:
    x = np.array([[[1.0]] * 6 + [[0.0]] * 6 + [[1.0]] * 6]).reshape(1, 18, 1)
    weights = (np.ones((1, 1)), np.zeros((1, 1)), None, None)
    trace = congru.inspect(Stack("rnn", [[weights]]), x, tokens=list("abcdefghijklmnopqr"))
    steps = [snippet.step for snippet in trace.units(top=9, width=4).entry(0).high]
    assert steps == [0, 5, 12, 17]


def test_nearest_moments_are_alike() -> None:
    trace = planted_units()
    snippets = trace.units(top=2, width=1).nearest(step=3)
    assert [snippet.token for snippet in snippets] == ["c", "c"]
    assert snippets[0].value == pytest.approx(1)
    with pytest.raises(CongruError, match="step is 99 of row 0, expected a step of the corpus"):
        trace.units().nearest(99)


def test_a_corpus_of_several_traces() -> None:
    trace = planted_units()
    units = trace.units([trace, trace], top=8, width=1)
    assert {snippet.trace for snippet in units.entry(0).high} == {0, 1}
    with pytest.raises(CongruError, match="unit is 4, expected 0 to 3"):
        units.entry(4)
    with pytest.raises(CongruError, match=r"corpus has layers of \[4, 5\] units, expected one size"):
        trace.units([trace, random_trace("gru")])
