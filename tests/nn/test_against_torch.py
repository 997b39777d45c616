"""The layers are torch.nn's: start values, names, results and gradients for every option torch has."""

from __future__ import annotations

import copy
import inspect
import warnings
from types import SimpleNamespace

import pytest
import torch
from torch.nn.utils.rnn import pack_padded_sequence, pack_sequence, pad_packed_sequence

from congru import nn, ops
from congru.kernels import composite
from tolerances import assert_close, seeds

LAYERS = ["GRU", "LSTM", "RNN"]
BACKENDS = ["auto", "composite"]


def pair(name, *arguments, backend="auto", seed=0, **keywords):
    """torch's layer and ours, each drawn from the same seed."""
    torch.manual_seed(seed)
    theirs = getattr(torch.nn, name)(*arguments, **keywords)
    torch.manual_seed(seed)
    return theirs, getattr(nn, name)(*arguments, **keywords, backend=backend)


def tensors(result):
    """Everything in (y, h) or (y, (h, c)), a PackedSequence as its data."""
    y, h = result
    return [
        y.data if isinstance(y, torch.nn.utils.rnn.PackedSequence) else y,
        *(h if isinstance(h, tuple) else [h]),
    ]


def check(theirs, ours, input, hx=None):
    """Equal results, and equal gradients of every parameter and of the initial state."""
    expected, found = tensors(theirs(input, hx)), tensors(ours(input, hx))
    for a, b in zip(found, expected):
        assert a.shape == b.shape
        assert_close("torch.nn, float32", a.detach(), b.detach())
    grads = []
    for layer, parts in ((ours, found), (theirs, expected)):
        loss = sum((part * part).mean() for part in parts)
        grads.append(torch.autograd.grad(loss, list(layer.parameters())))
    for a, b in zip(*grads):
        assert_close("torch.nn gradients, float32", a, b)


def state_of(layer, batch, seed=1):
    torch.manual_seed(seed)
    directions = 2 if layer.bidirectional else 1
    parts = [torch.randn(layer.num_layers * directions, *batch, layer.hidden_size) for _ in range(2)]
    return tuple(parts) if isinstance(layer, torch.nn.LSTM) else parts[0]


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("seed", seeds())
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("batch_first", [False, True])
@pytest.mark.parametrize("num_layers", [1, 3])
@pytest.mark.parametrize("name", LAYERS)
def test_same_start_values_results_and_gradients(
    name, num_layers, batch_first, bidirectional, bias, seed, backend
):
    keywords = {"bias": bias, "batch_first": batch_first, "bidirectional": bidirectional}
    theirs, ours = pair(name, 3, 5, num_layers, **keywords, backend=backend, seed=seed)
    assert list(ours.state_dict()) == list(theirs.state_dict())
    for a, b in zip(ours.parameters(), theirs.parameters()):
        assert torch.equal(a, b)
    x = torch.randn(4, 6, 3)
    check(theirs, ours, x)
    check(theirs, ours, x, state_of(theirs, [4 if batch_first else 6]))


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("name", LAYERS)
def test_one_sequence_without_a_batch(name, backend):
    theirs, ours = pair(name, 3, 5, 2, bidirectional=True, backend=backend)
    check(theirs, ours, torch.randn(6, 3))
    check(theirs, ours, torch.randn(6, 3), state_of(theirs, []))


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("batch_first", [False, True])
@pytest.mark.parametrize("name", LAYERS)
def test_one_seed_drops_the_same_units(name, batch_first, backend):
    theirs, ours = pair(
        name, 3, 8, 3, dropout=0.5, bidirectional=True, batch_first=batch_first, backend=backend
    )
    x = torch.randn(4, 6, 3)
    results = []
    for layer in (theirs, ours):
        torch.manual_seed(7)
        results.append(tensors(layer(x)))
    for a, b in zip(*results):
        assert_close("torch.nn, float32", a.detach(), b.detach())
    assert not torch.equal(ours(x)[0], ours(x)[0])
    check(theirs.eval(), ours.eval(), x)


@pytest.mark.parametrize("enforce_sorted", [False, True])
@pytest.mark.parametrize("name", LAYERS)
def test_packed_sequences(name, enforce_sorted):
    theirs, ours = pair(name, 3, 5, 2, bidirectional=True)
    lengths = torch.tensor([6, 5, 2, 1] if enforce_sorted else [2, 6, 1, 5])
    packed = pack_padded_sequence(torch.randn(6, 4, 3), lengths, enforce_sorted=enforce_sorted)
    check(theirs, ours, packed)
    check(theirs, ours, packed, state_of(theirs, [4]))
    padded, found = pad_packed_sequence(ours(packed)[0])
    assert found.tolist() == lengths.tolist()
    assert_close("torch.nn, float32", padded.detach(), pad_packed_sequence(theirs(packed)[0])[0].detach())
    again = ours(pad_packed_sequence(packed)[0], lengths=lengths)[0]
    assert_close("torch.nn, float32", padded.detach(), again.detach())


def test_gates_of_a_packed_sequence_are_in_the_callers_order():
    layer = nn.GRU(3, 5, 2, return_gates=True, batch_first=True)
    rows = [torch.randn(length, 3) for length in (2, 4, 3)]
    _, _, gates = layer(pack_sequence(rows, enforce_sorted=False))
    assert gates.shape == (2, 1, 3, 4, 3, 5)
    for b, row in enumerate(rows):
        _, _, alone = layer(row)
        assert_close("torch.nn, float32", gates[:, :, b, : len(row)].detach(), alone.detach())
        assert (gates[:, :, b, len(row) :] == 0).all()


def test_relu():
    theirs, ours = pair("RNN", 3, 5, 2, "relu")
    check(theirs, ours, torch.randn(6, 4, 3))
    ours.backend = "composite"
    check(theirs, ours, torch.randn(6, 4, 3))
    assert ours.nonlinearity == theirs.nonlinearity == "relu"


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("name", ["GRUCell", "LSTMCell", "RNNCell"])
def test_cells(name, bias):
    theirs, ours = pair(name, 3, 5, bias)
    assert list(ours.state_dict()) == list(theirs.state_dict())
    assert repr(ours) == repr(theirs)
    generator = torch.Generator().manual_seed(0)
    for batch in ([4], []):
        x = torch.randn(*batch, 3, generator=generator)
        hx = [torch.randn(*batch, 5, generator=generator) for _ in range(2)]
        hx = tuple(hx) if name == "LSTMCell" else hx[0]
        for backend in BACKENDS:
            ours.backend = backend
            for state in (None, hx):
                expected, found = theirs(x, state), ours(x, state)
                pairs = zip(found, expected) if name == "LSTMCell" else [(found, expected)]
                for a, b in pairs:
                    assert a.shape == b.shape
                    assert_close("torch.nn, float32", a.detach(), b.detach())
    assert torch.equal(ours.weight_hh, theirs.weight_hh)


def test_relu_cell():
    theirs, ours = pair("RNNCell", 3, 5, True, "relu")
    x = torch.randn(4, 3)
    assert_close("torch.nn, float32", ours(x).detach(), theirs(x).detach())


@pytest.mark.parametrize("name", LAYERS)
def test_a_checkpoint_loads_both_ways(name):
    keywords = {"num_layers": 2, "bidirectional": True}
    theirs, ours = getattr(torch.nn, name)(3, 5, **keywords), getattr(nn, name)(3, 5, **keywords)
    x = torch.randn(6, 4, 3)
    ours.load_state_dict(theirs.state_dict())
    check(theirs, ours, x)
    fresh = getattr(torch.nn, name)(3, 5, **keywords)
    fresh.load_state_dict(ours.state_dict())
    check(fresh, ours, x)


@pytest.mark.parametrize(
    ("name", "keywords"),
    [
        ("GRU", {}),
        ("GRU", {"num_layers": 2, "dropout": 0.1, "bidirectional": True}),
        ("LSTM", {"bias": False, "batch_first": True}),
        ("RNN", {"num_layers": 2}),
    ],
)
def test_repr(name, keywords):
    theirs, ours = pair(name, 3, 5, **keywords)
    assert repr(ours) == repr(theirs)


@pytest.mark.parametrize("name", [*LAYERS, "GRUCell", "LSTMCell", "RNNCell"])
def test_forward_takes_torchs_argument_names(name):
    theirs, ours = getattr(torch.nn, name), getattr(nn, name)
    names = list(inspect.signature(theirs.forward).parameters)
    assert list(inspect.signature(ours.forward).parameters)[: len(names)] == names


@pytest.mark.parametrize("name", LAYERS)
def test_attributes_that_code_for_torch_reads(name):
    theirs, ours = pair(name, 3, 5, 2, bidirectional=True)
    for attribute in (
        "input_size",
        "hidden_size",
        "num_layers",
        "bias",
        "batch_first",
        "dropout",
        "bidirectional",
    ):
        assert getattr(ours, attribute) == getattr(theirs, attribute)
    for ends in zip(ours.all_weights, theirs.all_weights):
        for a, b in zip(*ends):
            assert torch.equal(a, b)
    ours.flatten_parameters()
    assert list(copy.deepcopy(ours).state_dict()) == list(theirs.state_dict())


def test_dropout_on_one_layer_warns_as_torch_does():
    for layer in (torch.nn.GRU, nn.GRU):
        with pytest.warns(UserWarning, match="dropout"):
            layer(3, 5, dropout=0.5)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        nn.GRU(3, 5, 2, dropout=0.5)


def test_output_can_be_viewed_whatever_layout_a_backend_has(monkeypatch):
    def sequence(call):
        y, state, gates = composite.sequence(call)
        return y.contiguous(), state, gates

    batch_first = SimpleNamespace(supports=lambda call: None, sequence=sequence)
    monkeypatch.setitem(ops._loaded, "native", batch_first)
    nn.GRU(3, 5, backend="native")(torch.randn(6, 4, 3))[0].view(24, 5)


def test_output_can_be_viewed_as_in_torch():
    for bidirectional in (False, True):
        theirs, ours = pair("GRU", 3, 5, bidirectional=bidirectional)
        x = torch.randn(6, 4, 3)
        directions = 2 if bidirectional else 1
        for options in ({}, {"lengths": torch.tensor([6, 2, 1, 0])}):
            ours(x, **options)[0].view(6, 4, directions, 5)
        theirs(x)[0].view(6, 4, directions, 5)
