"""Layer norm, heads, zoneout and recurrent masks: forward and backward against torch's autograd and central differences."""

from __future__ import annotations

import numpy as np
import pytest

from congru.errors import CongruError
from congru.reference import options
from congru.reference.layer_norm import normalise
from congru.reference.stack import CELLS
from option_cases import AROUND, OPTION_CALLS, OPTION_FORMS, call_id, make_option_case, option_oracle
from tolerances import assert_close, seeds


def gradients(cell, case):
    back = options.backward(cell, case.dy, case.dstate, case.x, case.state, case.weights, **case.options)
    start = back.dh_reset
    start = () if start is None else start if isinstance(start, tuple) else (start,)
    return [back.dx, *back.dstate, *back.dweights, *start]


@pytest.mark.parametrize("seed", seeds())
@pytest.mark.parametrize(("cell", "before", "norm", "around"), OPTION_CALLS, ids=call_id)
def test_equals_torch(cell, before, norm, around, seed):
    case = make_option_case(cell, before, norm, seed, **around)
    y, final, gates, grads = option_oracle(cell, case)
    actual = options.forward(cell, case.x, case.state, case.weights, **case.options)
    for what, a, b in zip(("y", "state", "gates"), actual, (y, final, gates)):
        assert_close("options, torch, float64", np.asarray(a), np.asarray(b), what)
    for what, (a, b) in enumerate(zip(gradients(cell, case), grads, strict=True)):
        assert_close("options, torch gradients, float64", a, b, f"gradient {what}")


@pytest.mark.parametrize("seed", seeds())
@pytest.mark.parametrize(("cell", "before", "norm"), OPTION_FORMS)
def test_backward_equals_central_differences(cell, before, norm, seed):
    case = make_option_case(cell, before, norm, seed, B=2, T=3, I=2, **AROUND[-1])

    def loss():
        y, state, _ = options.forward(cell, case.x, case.state, case.weights, **case.options)
        return float((y * case.dy).sum() + sum((a * b).sum() for a, b in zip(state, case.dstate)))

    for array, grad in zip((case.x, *case.state, *case.weights), gradients(cell, case)):
        expected = np.zeros_like(array)
        for index in np.ndindex(array.shape):
            value, step = array[index], 1e-5
            array[index] = value + step
            above = loss()
            array[index] = value - step
            expected[index] = (above - loss()) / (2 * step)
            array[index] = value
        assert_close("options, central differences", grad, expected)


@pytest.mark.parametrize(("cell", "before"), [("gru", False), ("gru", True), ("lstm", False), ("rnn", False)])
def test_without_options_it_is_the_plain_cell(cell, before):
    case = make_option_case(cell, before, False, ragged=True, resets=True, reverse=True)
    actual = options.forward(cell, case.x, case.state, case.weights, **case.options)
    plain = {k: v for k, v in case.options.items() if k not in ("layer_norm", "num_heads")}
    expected = CELLS[cell].forward(case.x, case.state, case.weights, **plain)
    for a, b in zip(actual, expected):
        assert_close("reference, same computation in another order", np.asarray(a), np.asarray(b))


def test_a_norm_has_mean_0_and_variance_1_whatever_the_scale_of_the_weights():
    rng = np.random.default_rng(0)
    a = rng.normal(3.0, 50.0, size=(4, 30))
    hat, _ = normalise(a, 3)
    parts = hat.reshape(4, 3, 10)
    assert_close("reference, same computation in another order", parts.mean(axis=2), np.zeros((4, 3)))
    np.testing.assert_allclose(parts.var(axis=2), 1.0, rtol=1e-6)
    case = make_option_case("gru", False, True)
    y = options.forward("gru", case.x, case.state, case.weights, **case.options)[0]
    W, U, *rest = case.weights
    scaled = options.forward("gru", case.x, case.state, (1e4 * W, 1e4 * U, *rest), **case.options)[0]
    np.testing.assert_allclose(scaled, y, atol=1e-3)


def test_zoneout_of_1_copies_the_state_and_of_0_changes_nothing():
    case = make_option_case("lstm", False, True)
    B, T, H = case.dy.shape
    y, state, _ = options.forward(
        "lstm", case.x, case.state, case.weights, **case.options, zoneout=(np.ones((B, T, H)),) * 2
    )
    np.testing.assert_array_equal(y, np.repeat(case.state[0][:, None], T, axis=1))
    np.testing.assert_array_equal(state[1], case.state[1])
    none = options.forward(
        "lstm", case.x, case.state, case.weights, **case.options, zoneout=(np.zeros((B, T, H)),) * 2
    )
    np.testing.assert_array_equal(
        none[0], options.forward("lstm", case.x, case.state, case.weights, **case.options)[0]
    )


def test_dreamer_in_its_authors_sense_of_the_update_gate():
    """Their h' = u * tanh(s(reset) * cand) + (1 - u) * h with u = s(update - 1) and [reset, cand, update] = norm(W [x, h])."""
    case = make_option_case("gru", False, "dreamer")
    W, U, b_i, b_h, g_i = case.weights
    B, T, H = case.dy.shape
    b_i, b_h, g_i = (part.reshape(3, H) for part in (b_i, b_h, g_i))
    h, (kernel_x, kernel_h) = case.state[0], (W.reshape(3, H, -1), U.reshape(3, H, -1))
    order = [0, 2, 1]  # the authors' rows: reset, candidate, update
    sign = np.array([1.0, 1.0, -1.0])[:, None]  # their update is 1 - z
    outputs = []
    for t in range(T):
        joined = (
            np.einsum("ghi,bi->bgh", kernel_x, case.x[:, t]) + np.einsum("ghk,bk->bgh", kernel_h, h) + b_h
        )
        flat = joined[:, order].reshape(B, -1)
        flat = (flat - flat.mean(1, keepdims=True)) / np.sqrt(flat.var(1, keepdims=True) + 1e-3)
        parts = flat.reshape(B, 3, H) * (sign * g_i[order]) + sign * b_i[order]
        reset, cand, update = parts[:, 0], parts[:, 1], parts[:, 2]
        update = 1 / (1 + np.exp(-(update - 1)))
        h = update * np.tanh(cand / (1 + np.exp(-reset))) + (1 - update) * h
        outputs.append(h)
    y = options.forward("gru", case.x, case.state, case.weights, **case.options)[0]
    assert_close("options, torch, float64", y, np.stack(outputs, axis=1))


@pytest.mark.parametrize(
    ("cell", "change", "message"),
    [
        (
            "rnn",
            {"layer_norm": True},
            "layer_norm is True, expected False for rnn: only the gru and the lstm",
        ),
        ("lstm", {"layer_norm": "dreamer"}, "layer_norm is 'dreamer', expected False for lstm: only the gru"),
        ("gru", {"layer_norm": "rms"}, "layer_norm is 'rms', expected False, True or 'dreamer': pass one"),
        ("gru", {"layer_norm": "dreamer", "reset_before": True}, "reset_before is True, expected False with"),
        (
            "gru",
            {"layer_norm": "dreamer", "num_heads": 2},
            "num_heads is 2, expected 1 with layer_norm='dreamer'",
        ),
        ("gru", {"num_heads": 4}, "num_heads is 4, expected a divisor of H = 6: each head has H / num_heads"),
        (
            "gru",
            {"num_heads": 2},
            r"U has shape \(18, 6\), expected \[3H, H/num_heads\] = \(18, 3\): one block",
        ),
        ("gru", {"layer_norm": True}, "weights has 4 parts, expected 6 for gru: pass"),
        (
            "lstm",
            {"zoneout": np.zeros((3, 5, 6))},
            "zoneout has 1 parts, expected 2 for lstm: pass one for each",
        ),
        (
            "gru",
            {"zoneout": np.zeros((3, 6))},
            r"zoneout has shape \(3, 6\), expected \[B, T, H\] = \(3, 5, 6\)",
        ),
        (
            "gru",
            {"recurrent_mask": np.zeros(6)},
            r"recurrent_mask has shape \(6,\), expected \[B, H\] = \(3, 6\)",
        ),
        ("mingru", {}, "cell is 'mingru', expected one of gru, lstm, rnn: the others have no options"),
    ],
)
def test_wrong_options(cell, change, message):
    case = make_option_case("gru" if cell == "mingru" else cell, False, False)
    with pytest.raises(CongruError, match=message):
        options.forward(cell, case.x, case.state, case.weights, **{**case.options, **change})


def test_a_gain_of_the_wrong_size():
    case = make_option_case("lstm", False, True)
    for index, message in (
        (4, r"g_i has shape \(5,\), expected \[4H\] = \(24,\)"),
        (6, r"g_c has shape \(5,\), expected \[H\]"),
    ):
        weights = [*case.weights]
        weights[index] = np.ones(5)
        with pytest.raises(CongruError, match=message):
            options.forward("lstm", case.x, case.state, weights, **case.options)
