"""Layers and directions against torch.nn, packed sequences and autograd."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from cases import FORMS, NUM_STATES, make_case
from congru.reference import stack
from tolerances import assert_close, seeds

MODULES = {"gru": torch.nn.GRU, "lstm": torch.nn.LSTM, "rnn": torch.nn.RNN}


def make_weights(cell, L, D, I, H):
    return [
        [make_case(cell, seed=10 * layer + d, I=D * H if layer else I, H=H).weights for d in range(D)]
        for layer in range(L)
    ]


def torch_run(cell, x, state, weights, lengths, dy, dstate):
    """Return y, state and the gradients by x, state, weights of torch.nn with packed rows."""
    L, D, (I, H) = len(weights), len(weights[0]), (x.shape[2], state[0].shape[2])
    module = MODULES[cell](I, H, L, batch_first=True, bidirectional=D == 2).double()
    flat = [array for layer in weights for direction in layer for array in direction]
    with torch.no_grad():
        for parameter, array in zip(module.parameters(), flat, strict=True):
            parameter.copy_(torch.tensor(array))
    x = torch.tensor(x, requires_grad=True)
    state = [torch.tensor(part, requires_grad=True) for part in state]
    packed = torch.nn.utils.rnn.pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False)
    y, final = module(packed, tuple(state) if cell == "lstm" else state[0])
    y, _ = torch.nn.utils.rnn.pad_packed_sequence(y, batch_first=True, total_length=x.shape[1])
    final = final if cell == "lstm" else (final,)
    loss = (y * torch.tensor(dy)).sum()
    loss = loss + sum((a * torch.tensor(b)).sum() for a, b in zip(final, dstate))
    loss.backward()
    grads = [x.grad, *(part.grad for part in state), *(parameter.grad for parameter in module.parameters())]
    return y.detach(), [part.detach() for part in final], grads


@pytest.mark.parametrize("seed", seeds())
@pytest.mark.parametrize(("L", "D"), [(1, 1), (2, 1), (1, 2), (3, 2)])
@pytest.mark.parametrize("cell", ["gru", "lstm", "rnn"])
def test_equals_torch(cell, L, D, seed):
    B, T, I, H = 3, 4, 5, 3
    rng = np.random.default_rng(seed)
    weights = make_weights(cell, L, D, I, H)
    x, dy = rng.normal(size=(B, T, I)), rng.normal(size=(B, T, D * H))
    state, dstate = (tuple(rng.normal(size=(L * D, B, H)) for _ in range(NUM_STATES[cell])) for _ in range(2))
    lengths = np.array([4, 1, 3])
    y, final, grads = torch_run(cell, x, state, weights, lengths, dy, dstate)
    actual = stack.forward(cell, x, state, weights, lengths=lengths)
    assert_close("reference, torch, float64", actual[0], y, "y")
    assert_close("reference, torch, float64", np.stack(actual[1]), np.stack(final), "state")
    back = stack.backward(cell, dy, dstate, x, state, weights, lengths=lengths)
    flat = [array for layer in back.dweights for direction in layer for array in direction]
    for a, b in zip([back.dx, *back.dstate, *flat], grads, strict=True):
        assert_close("reference, torch gradients, float64", a, b)


@pytest.mark.parametrize(("cell", "reset_before"), FORMS)
def test_backward_with_resets_equals_central_differences(cell, reset_before):
    B, T, I, H, L, D = 2, 3, 2, 2, 2, 2
    rng = np.random.default_rng(3)
    weights = make_weights(cell, L, D, I, H)
    x, dy = rng.normal(size=(B, T, I)), rng.normal(size=(B, T, D * H))
    state, dstate = (tuple(rng.normal(size=(L * D, B, H)) for _ in range(NUM_STATES[cell])) for _ in range(2))
    h_reset = tuple(rng.normal(size=(L * D, H)) for _ in state)
    restart = h_reset if cell == "lstm" else h_reset[0]
    reset = np.array([[False, True, False], [True, False, True]])
    options = {"lengths": np.array([3, 2]), "reset": reset, "h_reset": restart, "reset_before": reset_before}

    def loss():
        y, final, _ = stack.forward(cell, x, state, weights, **options)
        return float((y * dy).sum() + sum((a * b).sum() for a, b in zip(final, dstate)))

    back = stack.backward(cell, dy, dstate, x, state, weights, **options)
    arrays, grads = [x, *state, *h_reset], [back.dx, *back.dstate]
    grads += list(back.dh_reset) if cell == "lstm" else [back.dh_reset]
    arrays += [array for layer in weights for direction in layer for array in direction]
    grads += [array for layer in back.dweights for direction in layer for array in direction]
    for array, grad in zip(arrays, grads, strict=True):
        assert grad.shape == array.shape
        for index in [tuple(rng.integers(0, array.shape)) for _ in range(3)]:
            value, step = array[index], 1e-5
            array[index] = value + step
            above = loss()
            array[index] = value - step
            expected = (above - loss()) / (2 * step)
            array[index] = value
            assert_close("reference, central differences", grad[index], expected)


def test_gates_are_those_of_each_layer_and_direction():
    weights = make_weights("gru", 2, 2, 3, 4)
    x = np.random.default_rng(0).normal(size=(2, 5, 3))
    _, _, gates = stack.forward("gru", x, None, weights)
    assert gates.shape == (2, 2, 2, 5, 3, 4)
    first, _, _ = stack.forward("gru", x, None, weights[:1])
    for layer, layer_input in enumerate((x, first)):
        for d in range(2):
            expected = stack.CELLS["gru"].forward(layer_input, None, weights[layer][d], reverse=d == 1)[2]
            np.testing.assert_array_equal(gates[layer, d], expected)


def test_no_rows_no_steps_and_no_h_reset():
    weights = make_weights("gru", 2, 2, 3, 4)
    y, (h,), gates = stack.forward("gru", np.zeros((0, 0, 3)), None, weights)
    assert (y.shape, h.shape, gates.shape) == ((0, 0, 8), (4, 0, 4), (2, 2, 0, 0, 3, 4))
    assert stack.backward("gru", y, None, np.zeros((0, 0, 3)), None, weights).dh_reset is None
