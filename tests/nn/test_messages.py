"""Wrong calls of layers and cells: one line each, which names the argument that is wrong; what is right is taken."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn.utils.rnn import pack_padded_sequence

from congru import nn, ops
from congru.errors import BackendError, CongruError, SettingsError, ShapeError

LAYERS = [nn.GRU, nn.LSTM, nn.RNN, nn.MinGRU]
CELLS = [nn.GRUCell, nn.LSTMCell, nn.RNNCell, nn.MinGRUCell]
STEPS = [1, 2, 3, 8]


def start(kind, *sizes, dtype=torch.float32):
    h = torch.zeros(sizes, dtype=dtype)
    return (h, h) if "LSTM" in kind.__name__ else h


def one_line(call, message, error=ShapeError):
    with pytest.raises(error) as caught:
        call()
    assert str(caught.value) == message


@pytest.mark.parametrize("kind", [*LAYERS, *CELLS])
def test_a_name_of_no_backend_is_noticed_when_the_module_is_built(kind):
    known = "auto, native, reference, bptt, aten, triton, composite"
    one_line(
        lambda: kind(3, 2, backend="natvie"),
        f"backend is 'natvie', expected {known}: did you mean 'native'?",
        BackendError,
    )
    one_line(
        lambda: kind(3, 2, backend=None),
        f"backend is None, expected {known}: pass one of these",
        BackendError,
    )
    layer = torch.nn.GRU(3, 2)
    with pytest.raises(BackendError, match="did you mean 'composite'"):
        nn.convert(layer, backend="Composit")
    with pytest.raises(BackendError, match="did you mean 'aten'"):
        ops.check_backend("aten_")


@pytest.mark.parametrize("gradient", [False, True])
@pytest.mark.parametrize("steps", STEPS)
@pytest.mark.parametrize("kind", LAYERS)
def test_a_layer_names_the_argument_of_the_wrong_dtype(kind, steps, gradient):
    layer, x = kind(3, 2), torch.zeros(steps, 4, 3)
    with torch.set_grad_enabled(gradient):
        one_line(
            lambda: layer(x, start(kind, 1, 4, 2, dtype=torch.int64)),
            "hx has dtype torch.int64, expected torch.float32 as the weights: pass hx.to(torch.float32)",
        )
        one_line(
            lambda: layer(x.long()),
            "input has dtype torch.int64, expected torch.float32 as the weights: pass input.to(torch.float32)",
        )
        one_line(
            lambda: layer(x.double()),
            "input has dtype torch.float64, expected torch.float32 as the weights:"
            " pass input.to(torch.float32), or convert the model with .to(torch.float64)",
        )
        one_line(
            lambda: layer(x.numpy()),
            "input is numpy.ndarray, expected torch.Tensor: pass torch.as_tensor(input)",
        )
        one_line(
            lambda: layer(x, np.zeros((1, 4, 2), np.float32)),
            "hx is numpy.ndarray, expected torch.Tensor: pass torch.as_tensor(hx)",
        )
        one_line(lambda: layer([x]), "input is list, expected torch.Tensor: pass torch.as_tensor(input)")


@pytest.mark.parametrize("gradient", [False, True])
@pytest.mark.parametrize("kind", CELLS)
def test_a_cell_names_the_argument_of_the_wrong_dtype(kind, gradient):
    cell, x = kind(3, 2), torch.zeros(4, 3)
    with torch.set_grad_enabled(gradient):
        one_line(
            lambda: cell(x, start(kind, 4, 2, dtype=torch.int64)),
            "hx has dtype torch.int64, expected torch.float32 as the weights: pass hx.to(torch.float32)",
        )
        one_line(
            lambda: cell(x.double(), start(kind, 4, 2)),
            "input has dtype torch.float64, expected torch.float32 as the weights:"
            " pass input.to(torch.float32), or convert the model with .to(torch.float64)",
        )
        one_line(
            lambda: cell(x.numpy()),
            "input is numpy.ndarray, expected torch.Tensor: pass torch.as_tensor(input)",
        )
        one_line(
            lambda: cell(x, start(kind, 4, 3)),
            "hx has shape (4, 3), expected [B, H] = (4, 2): pass None for zeros",
        )


def test_in_functions_too():
    x, W, U = torch.zeros(2, 3, 3), torch.zeros(6, 3), torch.zeros(6, 2)
    one_line(
        lambda: ops.sequence("gru", x, (torch.zeros(2, 2, dtype=torch.int64),), (W, U, None, None)),
        "state has dtype torch.int64, expected torch.float32 as x: convert with .to(torch.float32)",
    )
    one_line(
        lambda: ops.sequence("gru", x.double(), None, (W, U, None, None)),
        "x has dtype torch.float64, expected torch.float32 as weights: convert with .to(torch.float32)",
    )


@pytest.mark.parametrize("kind", LAYERS)
def test_a_packed_sequence_is_held_against_the_input_size(kind):
    packed = pack_padded_sequence(torch.zeros(4, 2, 5), torch.tensor([4, 2]))
    one_line(
        lambda: kind(3, 2)(packed),
        "input.data has shape (6, 5), expected [N, I] = (any, 3): give each step input_size features",
    )
    packed = pack_padded_sequence(torch.zeros(4, 2, 3).double(), torch.tensor([4, 2]))
    with pytest.raises(ShapeError, match=r"input has dtype torch\.float64, expected torch\.float32"):
        kind(3, 2)(packed)


@pytest.mark.parametrize("kind", LAYERS)
def test_explain_takes_what_a_call_takes(kind):
    layer = kind(3, 2)
    x, h = torch.zeros(4, 2, 3), start(kind, 1, 2, 2)
    flags = torch.ones(2, 4, dtype=torch.bool)
    calls = [
        ((x,), {}),
        ((x, h), {}),
        ((x[:, 0],), {}),
        ((x[:, 0], start(kind, 1, 2)), {"reset": flags[0], "mask": flags[0]}),
        ((pack_padded_sequence(x, torch.tensor([4, 2])), h), {}),
        ((x,), {"lengths": [4, 1], "reset": flags}),
        ((x,), {"mask": flags, "return_gates": True, "return_states": True}),
    ]
    for arguments, options in calls:
        layer(*arguments, **options)
        assert "runs on" in layer.explain(*arguments, **options)
    with pytest.raises(CongruError, match=r"input is numpy\.ndarray"):
        layer.explain(x.numpy())


@pytest.mark.parametrize("kind", LAYERS)
def test_numbers_of_numpy_are_numbers(kind):
    layer = kind(
        np.int64(3), np.int32(2), np.int8(2), dropout=np.float32(0.5), input_dropout=np.float64(0.25)
    )
    assert [type(value) for value in (layer.input_size, layer.hidden_size, layer.num_layers)] == [int] * 3
    assert (type(layer.dropout), layer.dropout, layer.input_dropout) == (float, 0.5, 0.25)
    one_line(
        lambda: kind(3, 2, 2, dropout=np.float32(2)),
        "dropout is np.float32(2.0), expected a number from 0 to 1: pass 0.0 for none",
        SettingsError,
    )


def test_projections_are_refused_in_one_line():
    one_line(
        lambda: nn.LSTM(3, 4, proj_size=2),
        "proj_size is 2, expected 0: congru computes no projections, keep torch.nn.LSTM for this one",
        SettingsError,
    )
