"""What holds for every layer: chunks, rows, padding, renumbering, bounds, z = 1, T = 0."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from congru import nn
from congru.kernels.cells import CELLS
from tolerances import assert_close

LAYERS = {
    "GRU": nn.GRU,
    "GRU before": lambda *sizes, **keywords: nn.GRU(*sizes, reset_before=True, **keywords),
    "LSTM": nn.LSTM,
    "RNN": nn.RNN,
    "MinGRU": nn.MinGRU,
}
every_layer = pytest.mark.parametrize("name", LAYERS)
few = settings(max_examples=15, deadline=None, derandomize=True)
sizes = st.fixed_dictionaries(
    {
        "B": st.integers(1, 4),
        "T": st.integers(0, 9),
        "I": st.integers(1, 5),
        "H": st.integers(1, 7),
        "seed": st.integers(0, 1000),
        "backend": st.sampled_from(["auto", "composite"]),
    }
)


def draw(name, B, T, I, H, seed, backend, **keywords):
    """A layer in float64, its input [B, T, I] and its state."""
    torch.manual_seed(seed)
    layer = LAYERS[name](I, H, batch_first=True, dtype=torch.float64, backend=backend, **keywords)
    count = layer.num_layers * layer.num_directions
    state = [torch.randn(count, B, H, dtype=torch.float64) for _ in CELLS[layer.cell].states]
    return layer, torch.randn(B, T, I, dtype=torch.float64), tuple(state) if len(state) == 2 else state[0]


def parts(h):
    return h if isinstance(h, tuple) else (h,)


def close(a, b):
    for one, two in zip(parts(a), parts(b)):
        assert_close("layer properties, float64", one.detach(), two.detach())


@few
@given(size=sizes, cut=st.floats(0, 1))
@every_layer
def test_a_stream_may_be_cut_anywhere(name, size, cut):
    layer, x, state = draw(name, **size, num_layers=2)
    t = round(cut * x.shape[1])
    y, h = layer(x, state)
    first, middle = layer(x[:, :t], state)
    second, last = layer(x[:, t:], middle)
    close(torch.cat([first, second], 1), y)
    close(last, h)


@few
@given(size=sizes, row=st.integers(0, 3))
@every_layer
def test_a_row_does_not_see_the_others(name, size, row):
    layer, x, state = draw(name, **size, bidirectional=True)
    b = row % len(x)
    y, h = layer(x, state)
    alone = tuple(part[:, b : b + 1] for part in parts(state))
    y_alone, h_alone = layer(x[b : b + 1], alone if len(alone) == 2 else alone[0])
    close(y[b : b + 1], y_alone)
    close(tuple(part[:, b : b + 1] for part in parts(h)), h_alone)


@few
@given(size=sizes, more=st.integers(1, 4), filling=st.sampled_from([0.0, 1e30, float("nan"), float("inf")]))
@every_layer
def test_padding_after_the_end_changes_nothing(name, size, more, filling):
    layer, x, state = draw(name, **size, num_layers=2, bidirectional=True)
    B, T, num_inputs = x.shape
    padded = torch.cat([x, torch.full((B, more, num_inputs), filling, dtype=torch.float64)], 1)
    y, h = layer(x, state)
    y_padded, h_padded = layer(padded, state, lengths=torch.full((B,), T))
    close(y_padded[:, :T], y)
    close(h_padded, h)
    assert (y_padded[:, T:] == 0).all()


@few
@given(size=sizes)
@every_layer
def test_renumbering_the_units_renumbers_the_output(name, size):
    layer, x, state = draw(name, **size)
    order = torch.randperm(layer.hidden_size)
    y, h = layer(x, state)
    rows = torch.cat([k * layer.hidden_size + order for k in range(len(CELLS[layer.cell].gates))])
    with torch.no_grad():
        for key, weight in layer.named_parameters():
            moved = weight[rows]
            weight.copy_(moved[:, order] if key.startswith("weight_hh") else moved)
    moved_state = tuple(part[..., order] for part in parts(state))
    y_moved, h_moved = layer(x, moved_state if len(moved_state) == 2 else moved_state[0])
    close(y_moved, y[..., order])
    close(h_moved, tuple(part[..., order] for part in parts(h)))


@few
@given(size=sizes, scale=st.sampled_from([0.1, 1.0, 30.0]))
@pytest.mark.parametrize("name", ["GRU", "GRU before", "RNN", "LSTM"])
def test_the_state_stays_within_its_bound(name, size, scale):
    layer, x, state = draw(name, **size)
    y, h = layer(scale * x, state)
    largest = 1.0 if name == "LSTM" else max(1.0, parts(state)[0].abs().max().item())
    assert (y.abs() <= largest).all()
    if x.shape[1]:
        assert (parts(h)[0].abs() <= largest).all()


@few
@given(size=sizes)
@pytest.mark.parametrize("name", ["GRU", "GRU before", "MinGRU"])
def test_a_gate_that_keeps_everything_copies_the_state(name, size):
    layer, x, state = draw(name, **size)
    H = layer.hidden_size
    z = slice(0, H) if name == "MinGRU" else slice(H, 2 * H)
    with torch.no_grad():
        layer.bias_ih_l0[z] = 1000.0
    y, h = layer(x, state)
    copies = state[0].unsqueeze(1).expand_as(y)
    close(y, copies)
    close(h, state)
    if size["backend"] == "composite":  # PyTorch's own kernel computes (h - n) z + n, which rounds
        assert torch.equal(y, copies)
        assert torch.equal(h, state)


@few
@given(size=sizes)
@every_layer
def test_no_steps_return_the_state(name, size):
    layer, x, state = draw(name, **size, num_layers=2, bidirectional=True)
    y, h = layer(x[:, :0], state)
    assert y.shape == (len(x), 0, 2 * layer.hidden_size)
    assert all(torch.equal(a, b) for a, b in zip(parts(h), parts(state)))
    lengths = torch.zeros(len(x), dtype=torch.int64)
    _, h = layer(x, state, lengths=lengths)
    assert all(torch.equal(a, b) for a, b in zip(parts(h), parts(state)))


@few
@given(size=sizes)
@every_layer
def test_resets_everywhere_forget_everything(name, size):
    layer, x, state = draw(name, **size, num_layers=2)
    B, T, num_inputs = x.shape
    y, _ = layer(x, state, reset=torch.ones(B, T, dtype=torch.bool))
    alone, _ = layer(x.reshape(B * T, 1, num_inputs))
    close(y, alone.reshape(y.shape))


@few
@given(size=sizes)
@every_layer
def test_running_backwards_is_running_the_reversed_input(name, size):
    layer, x, state = draw(name, **size, bidirectional=True)
    H = layer.hidden_size
    y, h = layer(x, state)
    forward = LAYERS[name](layer.input_size, H, batch_first=True, dtype=torch.float64)
    weights = layer.state_dict()
    forward.load_state_dict({key: weights[f"{key}_reverse"] for key in forward.state_dict()})
    backward_state = tuple(part[1:] for part in parts(state))
    y_back, h_back = forward(x.flip(1), backward_state if len(backward_state) == 2 else backward_state[0])
    close(y[..., H:], y_back.flip(1))
    close(tuple(part[1:] for part in parts(h)), h_back)
