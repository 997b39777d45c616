"""Layers with layer norm, heads, zoneout and dropout of one mask for all steps."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from congru.errors import CongruError
from congru.nn import GRU, LSTM, RNN, GRUCell, LSTMCell, MinGRU
from congru.reference import options as reference

FORMS = [
    (GRU, {"layer_norm": True}),
    (GRU, {"layer_norm": True, "reset_before": True}),
    (GRU, {"layer_norm": "dreamer"}),
]
FORMS += [
    (LSTM, {"layer_norm": True}),
    (GRU, {"num_heads": 2}),
    (LSTM, {"num_heads": 3, "layer_norm": True}),
    (RNN, {"num_heads": 2}),
]


def stacked(layer, name, *suffixes):
    return [
        tuple(getattr(layer, f"{stem}_{suffix}").detach().numpy() for stem in layer.stems)
        for suffix in suffixes
    ]


@pytest.mark.parametrize(("kind", "form"), FORMS, ids=str)
def test_a_stack_of_two_directions_is_the_reference(kind, form):
    torch.manual_seed(0)
    layer = kind(3, 6, 2, bidirectional=True, batch_first=True, learn_h0=True, dtype=torch.float64, **form)
    for name, part in layer.named_parameters():
        torch.nn.init.normal_(part, 1.0 if name.startswith("gain") else 0.0, 0.5)
    x, lengths = torch.randn(3, 9, 3).double(), torch.tensor([9, 0, 4])
    reset = torch.rand(3, 9) < 0.3
    y, h, gates = layer(x, lengths=lengths, reset=reset, return_gates=True)
    final = h if isinstance(h, tuple) else (h,)
    given = x.numpy()
    for depth in range(2):
        outputs = []
        for direction, suffix in enumerate(("", "_reverse")):
            k = 2 * depth + direction
            start = tuple(
                part[k].detach().numpy() for part in (layer.h0, getattr(layer, "c0", layer.h0))[: len(final)]
            )
            weights = stacked(layer, "", f"l{depth}{suffix}")[0]
            found = reference.forward(
                layer.cell, given, tuple(np.repeat(part[None], 3, axis=0) for part in start), weights,
                lengths=lengths.numpy(), reset=reset.numpy(), h_reset=start, reverse=direction == 1,
                **{"reset_before": False, "layer_norm": False, **form},
            )  # fmt: skip
            outputs.append(found[0])
            for a, b in zip(final, found[1]):
                np.testing.assert_allclose(a[k].detach().numpy(), b, atol=1e-12)
            np.testing.assert_allclose(gates[depth, direction].detach().numpy(), found[2], atol=1e-12)
        given = np.concatenate(outputs, axis=2)
    np.testing.assert_allclose(y.detach().numpy(), given, atol=1e-12)


@pytest.mark.parametrize("kind", [GRU, LSTM, RNN])
def test_with_the_options_off_parameters_and_draws_are_those_of_torch(kind):
    torch.manual_seed(3)
    ours = kind(3, 4, 2, bidirectional=True)
    torch.manual_seed(3)
    theirs = getattr(torch.nn, kind.__name__)(3, 4, 2, bidirectional=True)
    assert list(ours.state_dict()) == list(theirs.state_dict())
    for a, b in zip(ours.parameters(), theirs.parameters()):
        assert torch.equal(a, b)


def test_gains_start_at_one_and_have_names():
    layer = LSTM(3, 4, layer_norm=True, bias=False)
    shapes = {name: tuple(part.shape) for name, part in layer.named_parameters() if "weight" not in name}
    assert shapes == {"gain_ih_l0": (16,), "gain_hh_l0": (16,), "gain_c_l0": (4,)}
    assert all(bool((part == 1).all()) for name, part in layer.named_parameters() if "gain" in name)
    assert list(dict(GRU(3, 4, layer_norm="dreamer").named_parameters())) == [
        "weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0", "gain_ih_l0",
    ]  # fmt: skip
    assert LSTM(3, 4, layer_norm=True).bias_c_l0.shape == (4,)
    assert GRU(3, 6, num_heads=3).weight_hh_l0.shape == (18, 2)


def test_the_repr_shows_what_differs():
    layer = GRU(3, 6, 2, layer_norm=True, num_heads=2, zoneout=0.1, recurrent_dropout=0.2, input_dropout=0.3)
    expected = "GRU(3, 6, num_layers=2, zoneout=0.1, recurrent_dropout=0.2, input_dropout=0.3, layer_norm=True, num_heads=2)"
    assert repr(layer) == expected
    assert repr(GRUCell(3, 6, num_heads=2)) == "GRUCell(3, 6, num_heads=2)"


@pytest.mark.parametrize(("kind", "cell"), [(GRU, GRUCell), (LSTM, LSTMCell)])
def test_a_cell_steps_as_the_layer_does(kind, cell):
    torch.manual_seed(0)
    layer, one = kind(3, 6, layer_norm=True, num_heads=2), cell(3, 6, layer_norm=True, num_heads=2)
    one.load_state_dict({name.removesuffix("_l0"): part for name, part in layer.state_dict().items()})
    x = torch.randn(5, 4, 3)
    y, _ = layer(x)
    h = None
    for step in x:
        h = one(step, h)
    torch.testing.assert_close(h[0] if isinstance(h, tuple) else h, y[-1], atol=1e-6, rtol=0)


@pytest.mark.parametrize("kind", [GRU, LSTM, RNN])
def test_zoneout_keeps_whole_units_in_training_and_mixes_by_its_rate_in_evaluation(kind):
    torch.manual_seed(0)
    layer = kind(3, 64, zoneout=0.25, batch_first=True)
    x = torch.randn(4, 50, 3)
    y, _ = layer(x)
    kept = (y[:, 1:] == y[:, :-1]).float().mean()
    assert 0.22 < kept < 0.28
    layer.eval()
    y, final = layer(x)
    plain = kind(3, 64, batch_first=True)
    plain.load_state_dict(layer.state_dict())
    before = tuple(
        part[:, :, :] for part in (layer(x[:, :-1])[1] if kind is LSTM else (layer(x[:, :-1])[1],))
    )
    after = plain(x[:, -1:], before if kind is LSTM else before[0])[1]
    for old, new, found in zip(
        before, after if kind is LSTM else (after,), final if kind is LSTM else (final,)
    ):
        torch.testing.assert_close(found, 0.25 * old + 0.75 * new, atol=1e-6, rtol=0)


def test_dropouts_draw_one_mask_for_all_steps_and_do_nothing_in_evaluation():
    torch.manual_seed(0)
    layer = GRU(1, 4, batch_first=True, input_dropout=0.5)
    x = torch.ones(64, 5, 1).requires_grad_()
    layer(x)[0].sum().backward()
    reached = x.grad.squeeze(2) != 0
    assert torch.equal(reached, reached[:, :1].expand(-1, 5))  # a row sees x at every step or at none
    assert 0 < int(reached[:, 0].sum()) < 64
    layer = RNN(1, 3, batch_first=True, recurrent_dropout=0.5, bias=False)
    h0 = torch.randn(1, 64, 3).requires_grad_()
    layer(torch.zeros(64, 1, 1), h0)[0].sum().backward()
    share = (h0.grad == 0).float().mean()
    assert 0.35 < share < 0.65
    for p in ({"recurrent_dropout": 0.5}, {"input_dropout": 0.5}):
        layer, plain = GRU(2, 3, **p).eval(), GRU(2, 3)
        plain.load_state_dict(layer.state_dict())
        x = torch.randn(9, 2, 2)
        assert torch.equal(layer(x)[0], plain(x)[0])


def test_one_seed_draws_the_same_masks():
    layer = GRU(2, 8, zoneout=0.3, recurrent_dropout=0.3, input_dropout=0.3)
    x = torch.randn(9, 2, 2)
    torch.manual_seed(5)
    first = layer(x)[0]
    torch.manual_seed(5)
    explained = layer.explain(x)
    assert "'native'" in explained or "'composite'" in explained
    assert torch.equal(layer(x)[0], first)


def test_wrong_arguments():
    for keywords, message in (
        (
            {"zoneout": 1.0},
            "zoneout is 1.0, expected a number from 0 up to, not including, 1: pass 0.0 for none",
        ),
        ({"recurrent_dropout": -0.1}, "recurrent_dropout is -0.1, expected a number from 0"),
        ({"input_dropout": "half"}, "input_dropout is 'half', expected a number from 0"),
        ({"num_heads": 3}, "num_heads is 3, expected a divisor of H = 4"),
        ({"num_heads": True}, "num_heads is True, expected a divisor of H = 4"),
        ({"layer_norm": "dreamer", "reset_before": True}, "reset_before is True, expected False with"),
        ({"layer_norm": 1}, "layer_norm is 1, expected False, True or 'dreamer'"),
    ):
        with pytest.raises(CongruError, match=message):
            GRU(3, 4, **keywords)
    with pytest.raises(CongruError, match="layer_norm is True, expected False for rnn"):
        RNN(3, 4, layer_norm=True)
    with pytest.raises(CongruError, match="layer_norm is True, expected none for mingru"):
        MinGRU(3, 4, layer_norm=True)
    with pytest.raises(
        CongruError, match=r"zoneout is 0.1, expected 0.0 for mingru: it has no recurrent weights"
    ):
        MinGRU(3, 4, zoneout=0.1)
