"""Rows whose valid steps lie anywhere, and the states of every step and layer: each layer in every form of call."""

from __future__ import annotations

import pytest
import torch

from congru import nn
from congru.errors import CongruError
from tolerances import assert_close

LAYERS = {
    "GRU": nn.GRU,
    "GRU before": lambda *sizes, **keywords: nn.GRU(*sizes, reset_before=True, **keywords),
    "LSTM": nn.LSTM,
    "RNN": nn.RNN,
    "RNN relu": lambda *sizes, **keywords: nn.RNN(*sizes, nonlinearity="relu", **keywords),
    "MinGRU": nn.MinGRU,
}
every_layer = pytest.mark.parametrize("name", LAYERS)
B = 5
ROW = "composite gradients, float64"


def built(name, **keywords):
    torch.manual_seed(1)
    options = {"bidirectional": True, "batch_first": True, "dtype": torch.float64, **keywords}
    return LAYERS[name](3, 2, 2, **options)


def parts(h):
    return h if isinstance(h, tuple) else (h,)


def masks(steps):
    """Left, right and both ends padded, a hole, nothing valid."""
    t = torch.arange(steps)
    return torch.stack([t >= 1, t < steps - 1, (t >= 1) & (t < steps - 1), t % 2 == 0, t < 0])


def start_of(name, steps):
    x = torch.randn(B, steps, 3, dtype=torch.float64)
    h = torch.randn(4, B, 2, dtype=torch.float64)
    return x, ((h, h.cos()) if name == "LSTM" else h)


def row_of(hx, k):
    return tuple(part[:, k : k + 1] for part in hx) if isinstance(hx, tuple) else hx[:, k : k + 1]


@pytest.mark.parametrize("gradient", [False, True])
@pytest.mark.parametrize("steps", [1, 2, 3, 8])
@every_layer
def test_a_row_with_padding_anywhere_is_the_row_without_it(name, steps, gradient):
    layer, mask = built(name), masks(steps)
    x, hx = start_of(name, steps)
    x[~mask] = torch.nan
    x.requires_grad_(gradient)
    with torch.set_grad_enabled(gradient):
        y, h, gates, states = layer(x, hx, mask=mask, return_gates=True, return_states=True)
        assert torch.equal(layer(x, hx, mask=mask)[0], y)
    if gradient:
        loss = sum(part.sin().sum() for part in (y, *parts(h), gates, *parts(states)))
        inputs = [x, *layer.parameters()]
        found, wanted = torch.autograd.grad(loss, inputs), [torch.zeros_like(part) for part in inputs]
    for k in range(B):
        one = x.detach()[k : k + 1, mask[k]].requires_grad_(gradient)
        with torch.set_grad_enabled(gradient):
            alone = layer(one, row_of(hx, k), return_gates=True, return_states=True)
        for whole, part, axis in ((y[k], alone[0][0], 0), (gates[:, :, k], alone[2][:, :, 0], 2)):
            assert_close(ROW, whole.index_select(axis, mask[k].nonzero()[:, 0]).detach(), part.detach())
            assert not whole.index_select(axis, (~mask[k]).nonzero()[:, 0]).any()
        for whole, part in zip(parts(states), parts(alone[3])):
            assert_close(ROW, whole[:, :, k][:, :, mask[k]].detach(), part[:, :, 0].detach())
            assert not whole[:, :, k][:, :, ~mask[k]].any()
        for whole, part in zip(parts(h), parts(alone[1])):
            assert_close(ROW, whole[:, k].detach(), part[:, 0].detach())
        if gradient and one.numel():
            loss = sum(part.sin().sum() for part in (alone[0], *parts(alone[1]), alone[2], *parts(alone[3])))
            dx, *others = torch.autograd.grad(loss, [one, *layer.parameters()])
            wanted[0][k, mask[k]] = dx[0]
            for total, part in zip(wanted[1:], others):
                total += part
    if gradient:
        for a, b in zip(found, wanted):
            assert_close(ROW, a, b)


@every_layer
def test_padding_at_the_right_is_lengths_and_one_sequence_has_a_mask_too(name):
    layer = built(name, batch_first=False)
    x, hx = start_of(name, 6)
    x, lengths = x.transpose(0, 1), torch.tensor([6, 0, 1, 4, 5])
    flags = torch.rand(B, 6) < 0.4
    mask = torch.arange(6) < lengths.unsqueeze(1)
    results = layer(x, hx, mask=mask, reset=flags, return_gates=True)
    for a, b in zip(results, layer(x, hx, lengths=lengths, reset=flags, return_gates=True)):
        for one, other in zip(parts(a), parts(b)):
            assert torch.equal(one, other)
    y, h, gates = layer(x[:, 3], mask=mask[3], return_gates=True)
    again = layer(x[:, 3:4], mask=mask[3:4], return_gates=True)
    assert torch.equal(y, again[0][:, 0])
    assert torch.equal(gates, again[2][:, :, 0])
    assert torch.equal(parts(h)[-1], parts(again[1])[-1][:, 0])


@every_layer
def test_a_sequence_that_begins_in_padding_begins_at_the_next_valid_step(name):
    layer = built(name, bidirectional=False)
    x, hx = start_of(name, 6)
    hx = tuple(part[:2] for part in hx) if name == "LSTM" else hx[:2]
    mask = torch.tensor([0, 1, 0, 0, 1, 1]).bool().expand(B, 6)
    reset = torch.tensor([0, 0, 0, 1, 0, 0]).bool().expand(B, 6)
    y, _ = layer(x, hx, mask=mask, reset=reset)
    fresh, _ = layer(x[:, 4:])
    assert_close(ROW, y[:, 4:].detach(), fresh.detach())
    started, _ = layer(x[:, 1:2], hx)
    assert_close(ROW, y[:, 1:2].detach(), started.detach())


@pytest.mark.parametrize(
    "options", [{}, {"zoneout": 0.25}, {"learn_h0": True}, {"num_layers": 1, "bidirectional": False}], ids=str
)
@every_layer
def test_states_of_every_step_and_layer_are_those_of_a_walk(name, options):
    if name == "MinGRU" and "zoneout" in options:
        options = {}
    options = {"num_layers": 2, "bidirectional": True, **options}
    torch.manual_seed(1)
    layer = LAYERS[name](3, 2, batch_first=True, dtype=torch.float64, **options).eval()
    for parameter in layer.parameters():
        torch.nn.init.normal_(parameter)
    x = torch.randn(B, 4, 3, dtype=torch.float64, requires_grad=True)
    y, h, states = layer(x, return_states=True)
    H, D = 2, layer.num_directions
    top = parts(states)[0][-1]
    assert torch.equal(torch.cat(list(top), -1), y)
    for part, final in zip(parts(states), parts(h)):
        assert part.shape == (layer.num_layers, D, B, 4, H)
        for direction, last in enumerate((-1, 0)[:D]):
            assert_close(
                ROW,
                part[:, direction, :, last].detach(),
                final.reshape(layer.num_layers, D, B, H)[:, direction].detach(),
            )
    # The state after step t is the final state of the first t steps; the loss on it has the same gradient.
    prefixes = [layer(x[:, : t + 1])[1] for t in range(4)]
    for k, part in enumerate(parts(states)):
        walked = torch.stack([parts(each)[k].reshape(-1, D, B, H)[0, 0] for each in prefixes], 1)
        assert_close(ROW, part[0, 0].detach(), walked.detach())
        gradients = [
            torch.autograd.grad(each.sin().sum(), x, retain_graph=True)[0] for each in (part[0, 0], walked)
        ]
        assert_close(ROW, *gradients)


# torch.func.jvp compiles a table of its own on first use.
@pytest.mark.filterwarnings("ignore:.*torch.jit.script. is deprecated:DeprecationWarning")
def test_states_are_differentiable_in_every_way():
    layer = built("LSTM", bidirectional=False)
    x = torch.randn(2, 3, 3, dtype=torch.float64, requires_grad=True)

    def c(x):
        return layer(x, return_states=True)[2][1]

    assert torch.autograd.gradcheck(c, x, check_forward_ad=True, check_batched_grad=True)
    assert torch.autograd.gradgradcheck(c, x)


@every_layer
def test_a_wrong_mask_has_its_line(name):
    layer, x = built(name), torch.zeros(2, 4, 3, dtype=torch.float64)
    for options, message in (
        (
            {"mask": torch.ones(2, 3).bool()},
            r"mask has shape \(2, 3\), expected \[B, T\] = \(2, 4\): pass True for",
        ),
        ({"mask": torch.ones(2, 4)}, "mask has dtype torch.float32, expected torch.bool: pass mask != 0"),
        (
            {"mask": torch.ones(2, 4).bool(), "lengths": [1, 2]},
            "mask is given with lengths, expected one of both",
        ),
        ({"mask": torch.ones(2, 4).bool(), "reset": torch.ones(2, 3).bool()}, r"reset has shape \(2, 3\)"),
    ):
        with pytest.raises(CongruError, match=message):
            layer(x, **options)
    packed = torch.nn.utils.rnn.pack_padded_sequence(x, torch.tensor([4, 2]), batch_first=True)
    with pytest.raises(CongruError, match="mask is given with a PackedSequence, expected None"):
        layer(packed, mask=torch.ones(2, 4).bool())
