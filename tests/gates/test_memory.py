"""Exact shares: identities of docs/gates.md in float64, against brute force and automatic differentiation."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import pytest
import torch

import congru
from congru.errors import CongruError
from congru.gates import Stack, Trace
from congru.gates.memory import attribute_all
from congru.gates.readout import Readout
from congru.gates.sensitivity import trust_sentence
from gates_cases import KEEPING, known_keep, random_trace, with_readout


def completeness(trace: Trace, **options: Any) -> float:
    memory = trace.memory(**options)
    return abs(memory.contributions.sum() + memory.start + memory.bias - memory.output)


@pytest.mark.parametrize("kind", ["steps", "last", "mean"])
@pytest.mark.parametrize(("cell", "reset_before"), KEEPING)
def test_shares_and_rest_are_the_output(cell: str, reset_before: bool, kind: str) -> None:
    trace = random_trace(cell, reset_before, readout=kind, T=9, lengths=[9, 5])
    for row in (0, 1):
        memory = trace.memory(2, row=row)
        outputs = trace.output[row]
        expected = outputs[trace.lengths[row] - 1, 2] if kind == "steps" else outputs[2]
        assert memory.output == pytest.approx(expected, abs=1e-12)
        assert abs(memory.residual) < 1e-12
        assert completeness(trace, target=2, row=row) < 1e-12
        assert memory.contributions[trace.lengths[row] :].tolist() == [0.0] * (9 - trace.lengths[row])


@pytest.mark.parametrize("kind", ["steps", "last", "final", "mean"])
def test_both_directions_add_up(kind: str) -> None:
    trace = random_trace("gru", ways=2, layers=2, readout=kind, T=7, lengths=[7, 4])
    for row in (0, 1):
        memory = trace.memory(1, row=row)
        outputs = trace.output[row, trace.lengths[row] - 1] if kind == "steps" else trace.output[row]
        assert memory.output == pytest.approx(outputs[1], abs=1e-12)
        assert completeness(trace, target=1, row=row) < 1e-12
        np.testing.assert_allclose(memory.directions.sum(axis=0), memory.contributions)
    assert "exact for the top of 2 layers" in trace.memory().note


def test_shares_are_the_written_parts_themselves() -> None:
    """Against the definition: a_k = (1 - z_k) * product of later keeps, and sum a_k + product = 1."""
    trace = random_trace("gru", T=8, B=1)
    z, n = trace.keep[0, 0, 0], trace.candidate[0, 0, 0]
    later = np.stack([np.prod(z[k + 1 :], axis=0) for k in range(8)])
    a = (1 - z) * later
    np.testing.assert_allclose(a.sum(axis=0) + np.prod(z, axis=0), 1, atol=1e-12)
    u = trace.readout.weight[1]
    np.testing.assert_allclose(trace.memory(1).contributions, (a * n) @ u, atol=1e-12)


def test_a_new_start_cuts_the_past() -> None:
    reset = np.zeros((1, 8), bool)
    reset[0, 5] = True
    trace = random_trace("gru", T=8, B=1, reset=reset)
    memory = trace.memory(0)
    assert memory.contributions[:5].tolist() == [0.0] * 5
    assert completeness(trace, target=0) < 1e-12
    assert np.isnan(memory.trust[:5]).all()


def test_learned_start_counts_as_start() -> None:
    random = np.random.default_rng(0)
    stack = random_trace("gru").top
    h_reset = (random.normal(size=(1, 5)),)
    reset = np.zeros((2, 6), bool)
    reset[:, 3] = True
    x = random.normal(size=(2, 6, 3))
    trace = congru.inspect(Stack("gru", [[stack.weights]], h_reset=h_reset), x, reset=reset)
    trace = with_readout(trace, Readout("head", "last", random.normal(size=(2, 5)), np.zeros(2)))
    assert abs(trace.memory(1).start) > 1e-3
    assert completeness(trace, target=1) < 1e-12


@pytest.mark.parametrize("kind", ["steps", "last", "mean"])
def test_all_outputs_at_once_are_the_single_ones(kind: str) -> None:
    trace = random_trace("gru", readout=kind, T=6, ways=2)
    shares = trace.memories()
    for output in range(4):
        memory = trace.memory(output)
        np.testing.assert_allclose(shares.contributions[:, output], memory.contributions, atol=1e-12)
        assert shares.start[output] == pytest.approx(memory.start, abs=1e-12)
        assert shares.output[output] == pytest.approx(memory.output, abs=1e-12)


def test_a_hundred_outputs_cost_hardly_more_than_one() -> None:
    """One scan for all of T = 1,000, H = 256, then a matrix product; bench/gates.py has the time itself."""
    trace = random_trace("mingru", B=1, T=1000, H=256, I=4)
    weight = np.random.default_rng(0).normal(size=(100, 256))
    one, many = (
        with_readout(trace, Readout("head", "steps", weight[:count], np.zeros(count))) for count in (1, 100)
    )
    times: dict[str, list[float]] = {"one": [], "many": []}
    for _ in range(5):
        for name, asked in (("one", one), ("many", many)):
            start = time.process_time()
            attribute_all(asked)
            times[name].append(time.process_time() - start)
    assert min(times["many"]) < 10 * min(times["one"])


def test_step_asked_about() -> None:
    trace = random_trace("gru", T=6)
    memory = trace.memory("c", at=2)
    assert memory.target == "c"
    assert memory.contributions[3:].tolist() == [0.0] * 3
    assert memory.output == pytest.approx(trace.output[0, 2, 2])
    assert trace.memory("c", at=-4).output == memory.output
    assert trace.memory().target == "abcd"[int(trace.output[0, -1].argmax())]


def test_a_direction_of_ones_own_needs_no_readout() -> None:
    trace = random_trace("mingru", readout=None, T=5)
    u = np.arange(5.0)
    memory = trace.memory(u, at=3)
    assert memory.output == pytest.approx(float(u @ trace.state[0, 0, 0, 3]))
    assert completeness(trace, target=u, at=3) < 1e-12
    every = np.ones((5, 5))
    assert trace.memory(every).output == pytest.approx(float(trace.state[0, 0, 0].sum()))


def test_cell_state_of_an_lstm() -> None:
    trace = random_trace("lstm", T=7)
    u = np.arange(5.0)
    memory = trace.memory(u, on="cell")
    assert memory.output == pytest.approx(float(u @ trace.memory_state[0, 0, 0, -1]))
    assert completeness(trace, target=u, on="cell") < 1e-12
    named = trace.memory("b", on="cell")
    assert named.output == pytest.approx(trace.output[0, -1, 1])
    assert abs(named.residual) < 1e-12
    assert "output gate and tanh held as they were" in named.note


def autograd_sensitivity(trace: Trace, u: np.ndarray) -> np.ndarray:
    """dL/dh_k for L = u . h_T, every path, by torch: the rest of the run as a function of h_k."""
    layer = trace.top
    cell = congru.nn.GRU(3, 5, batch_first=True, dtype=torch.float64, reset_before=layer.form.reset_before)
    with torch.no_grad():
        for parameter, part in zip(cell.parameters(), layer.weights):
            parameter.copy_(torch.tensor(part))
    x = torch.tensor(layer.x[:1])
    rows = []
    for k in range(x.shape[1]):
        h = torch.tensor(layer.y[0, k][None, None], requires_grad=True)
        last = cell(x[:, k + 1 :], h)[0][0, -1] if k + 1 < x.shape[1] else h[0, 0]
        (last @ torch.tensor(u)).backward()
        rows.append(h.grad[0, 0].numpy())
    return np.stack(rows)


@pytest.mark.parametrize("reset_before", [False, True])
def test_trust_share_is_that_of_the_true_gradient(reset_before: bool) -> None:
    trace = random_trace("gru", reset_before, T=6, B=1)
    u = trace.readout.weight[2]
    d = autograd_sensitivity(trace, u)
    z = trace.keep[0, 0, 0]
    B = np.stack([u * np.prod(z[k + 1 :], axis=0) for k in range(6)])
    expected = (B * d).sum(axis=1) / (d * d).sum(axis=1)
    memory = trace.memory(2)
    np.testing.assert_allclose(memory.trust, expected, rtol=1e-10)
    weight = np.abs(memory.contributions[:-1])  # at the step asked about the share is 1 by definition
    assert expected[-1] == pytest.approx(1)
    assert memory.share == pytest.approx((expected[:-1] * weight).sum() / weight.sum())
    flow = trace.gradient_flow(2)
    np.testing.assert_allclose(flow.gradient, np.linalg.norm(d, axis=1)[::-1], rtol=1e-10)
    np.testing.assert_allclose(flow.carry, np.linalg.norm(B, axis=1)[::-1], rtol=1e-10)


def test_a_pure_conveyor_is_trusted_fully() -> None:
    trace = known_keep([0.9, 0.5], T=6)
    memory = trace.memory(np.ones(2))
    np.testing.assert_allclose(memory.trust, 1, rtol=1e-12)
    assert memory.share == pytest.approx(1)
    flow = trace.gradient_flow(np.array([1.0, 0.0]))
    np.testing.assert_allclose(flow.gradient, 0.9 ** np.arange(6), rtol=1e-12)
    assert flow.half_lag() == 6
    assert trace.gradient_flow(np.array([0.0, 1.0])).half_lag() == 2


def test_gradient_flow_of_cells_without_or_with_another_carry() -> None:
    assert random_trace("rnn", T=5).gradient_flow(0).carry is None
    flow = random_trace("lstm", T=5).gradient_flow(0)
    assert flow.gradient.shape == flow.carry.shape == (5,)
    assert flow.carry[0] == pytest.approx(flow.gradient[0])


def test_a_prediction_of_the_step_itself_has_no_trust_share() -> None:
    memory = random_trace("gru", T=5).memory(0, at=0)
    assert np.isnan(memory.share)
    assert "nothing older than the step itself" in str(memory)


def test_memory_says_what_it_stands_on() -> None:
    trace = random_trace("gru", T=4)
    text = str(trace.memory("a"))
    assert "trust share" in text
    assert text.startswith("'a' at step 3: ")
    top = trace.memory("a").top(2)
    assert abs(top[0][2]) >= abs(top[1][2])


@pytest.mark.parametrize(
    ("share", "words"),
    [
        (1.0, "clean conveyor"),
        (0.5, "with care"),
        (0.1, "recomputed"),
        (2.0, "overstates"),
        (float("nan"), "nothing older"),
    ],
)
def test_trust_in_words(share: float, words: str) -> None:
    assert words in trust_sentence(share)


@pytest.mark.parametrize(
    ("trace", "options", "message"),
    [
        (lambda: random_trace("rnn"), {}, "memory is asked of a plain RNN, expected a cell with a keep gate"),
        (
            lambda: random_trace("lstm"),
            {"on": "state"},
            "memory is asked of an LSTM's state, expected on='cell'",
        ),
        (lambda: random_trace("gru"), {"on": "cell"}, "on is 'cell', expected 'state' for a GRU"),
        (lambda: random_trace("gru"), {"on": "h"}, "on is 'h', expected 'state' or 'cell'"),
        (
            lambda: random_trace("gru", readout=None),
            {},
            "target needs a linear read-out of layer, .*no output was seen",
        ),
        (
            lambda: random_trace("gru"),
            {"target": 9},
            "target is 9, expected 0 to 3: the read-out has 4 outputs",
        ),
        (
            lambda: random_trace("gru"),
            {"target": "z"},
            r"target is 'z', expected one of the outputs' names \('a', 'b'",
        ),
        (
            lambda: random_trace("gru"),
            {"target": np.ones(4)},
            r"target has shape \(4,\), expected \[D\*H\] = \(5,\)",
        ),
        (lambda: random_trace("gru"), {"at": 6}, "at is 6, expected 0 to 5: the row has 6 steps"),
        (
            lambda: random_trace("gru", readout="mean"),
            {"at": 2},
            "at is 2, expected None: .* of the mean over steps",
        ),
        (lambda: random_trace("gru"), {"row": 2}, "row is 2, expected 0 to 1: the trace has B = 2"),
        (
            lambda: random_trace("gru", lengths=[6, 0]),
            {"row": 1},
            "row 1 has length 0, expected at least one step",
        ),
    ],
)
def test_what_cannot_be_attributed_has_its_line(trace: Any, options: dict[str, Any], message: str) -> None:
    with pytest.raises(CongruError, match=message):
        trace().memory(**options)


def test_an_lstm_is_asked_about_its_cell_unless_told_otherwise() -> None:
    trace = random_trace("lstm")
    assert trace.memory(1).contributions.tolist() == trace.memory(1, on="cell").contributions.tolist()
    with pytest.raises(CongruError, match="memories is asked of an LSTM, expected a GRU or a minGRU"):
        trace.memories()
