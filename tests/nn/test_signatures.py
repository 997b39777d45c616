"""The constructors show their arguments: the order of torch.nn's, then ours by keyword, each with its line."""

from __future__ import annotations

import inspect

import pytest
import torch

from congru import nn

LAYERS = [nn.GRU, nn.LSTM, nn.RNN, nn.MinGRU]
CELLS = [nn.GRUCell, nn.LSTMCell, nn.RNNCell, nn.MinGRUCell]


def parameters(of: type) -> dict[str, inspect.Parameter]:
    return dict(inspect.signature(of).parameters)


def positional(of: type) -> list[tuple[str, object]]:
    """Names and defaults of what may be passed by place."""
    kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
    return [(name, entry.default) for name, entry in parameters(of).items() if entry.kind is kind]


def of_torch_layer(name: str) -> list[tuple[str, object]]:
    """torch.nn.GRU and its siblings hide theirs behind *args: their base shows them, RNN has one more."""
    _, *arguments = positional(torch.nn.RNNBase)
    if name != "LSTM":
        arguments = [entry for entry in arguments if entry[0] != "proj_size"]
    if name == "RNN":
        arguments.insert(3, ("nonlinearity", "tanh"))
    return arguments


@pytest.mark.parametrize("name", ["GRU", "LSTM", "RNN"])
def test_layers_take_the_arguments_of_torch_in_its_order(name):
    assert positional(getattr(nn, name)) == of_torch_layer(name)
    values = [3, 4, 2, True, True, 0.5, True]
    values[3:3] = ["relu"] if name == "RNN" else []
    ours, theirs = (getattr(module, name)(*values) for module in (nn, torch.nn))
    shown = ("num_layers", "bias", "batch_first", "dropout", "bidirectional")
    assert [getattr(ours, key) for key in shown] == [getattr(theirs, key) for key in shown]


@pytest.mark.parametrize("name", ["GRUCell", "LSTMCell", "RNNCell"])
def test_cells_take_the_arguments_of_torch_in_its_order(name):
    assert positional(getattr(nn, name)) == positional(getattr(torch.nn, name))


@pytest.mark.parametrize("of", LAYERS + CELLS)
def test_every_argument_is_shown_and_has_its_line(of):
    variadic = {inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD}
    lines = [line for line in (of.__doc__ or "").splitlines() if line.lstrip().startswith("- `")]
    for name, parameter in parameters(of).items():
        assert parameter.kind not in variadic
        assert parameter.annotation is not inspect.Parameter.empty
        assert any(f"`{name}`" in line.partition(":")[0] for line in lines), name


@pytest.mark.parametrize("of", LAYERS)
def test_the_warning_about_dropout_points_at_the_caller(of):
    with pytest.warns(UserWarning, match="dropout is 0.5 with num_layers=1") as caught:
        of(3, 4, dropout=0.5)
    assert caught[0].filename == __file__
