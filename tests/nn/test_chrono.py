"""Chrono initialisation: which biases it sets, to what, and what the gates then keep."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from congru.errors import SettingsError
from congru.nn import GRU, LSTM, RNN, GRUCell, MinGRU, chrono_init

LONGEST = 400


def bias(layer: torch.nn.Module, name: str, row: int) -> np.ndarray:
    """The [H] entries of one gate."""
    whole = layer.get_parameter(name).detach().numpy()
    return whole[row * layer.hidden_size : (row + 1) * layer.hidden_size]


@pytest.mark.parametrize(
    ("layer", "keep", "extra"),
    [(GRU, 1, {}), (LSTM, 1, {}), (MinGRU, 0, {}), (GRU, 1, {"reset_before": True})],
)
def test_the_keep_gate_spreads_memories_evenly_up_to_the_longest(layer, keep, extra):
    torch.manual_seed(0)
    module = chrono_init(layer(2, 1000, **extra), LONGEST)
    u = np.exp(bias(module, "bias_ih_l0", keep))
    assert u.min() >= 1
    assert u.max() <= LONGEST - 1
    # Quartiles of U(1, 399): a thousand draws miss them by 1.4 % of the width (one standard deviation).
    assert np.quantile(u, [0.25, 0.5, 0.75]) == pytest.approx([100.5, 200, 299.5], abs=20)
    if layer is not MinGRU:
        assert np.all(bias(module, "bias_hh_l0", keep) == 0)


def test_the_gru_keeps_one_half_life_per_drawn_time():
    """Without input and recurrence keep = u / (1 + u): a unit forgets in about u steps."""
    torch.manual_seed(0)
    layer = chrono_init(GRU(1, 8, batch_first=True), LONGEST)
    with torch.no_grad():
        layer.weight_ih_l0.zero_()
        layer.weight_hh_l0.zero_()
    _, _, gates = layer(torch.zeros(1, 1, 1), return_gates=True)
    keep = gates[0, 0, 0, 0, 1].detach().numpy()
    u = np.exp(bias(layer, "bias_ih_l0", 1))
    assert keep == pytest.approx(u / (1 + u), abs=1e-6)


def test_the_lstm_writes_what_it_forgets():
    torch.manual_seed(0)
    layer = chrono_init(LSTM(2, 5), LONGEST)
    assert np.array_equal(bias(layer, "bias_ih_l0", 0), -bias(layer, "bias_ih_l0", 1))
    assert np.all(bias(layer, "bias_hh_l0", 0) == 0)


@pytest.mark.parametrize("layer", [GRU, LSTM, MinGRU])
def test_nothing_else_changes(layer):
    torch.manual_seed(0)
    module = layer(3, 4, num_layers=2, bidirectional=True)
    before = {name: part.detach().clone() for name, part in module.named_parameters()}
    chrono_init(module, LONGEST, generator=torch.Generator().manual_seed(1))
    gates = {GRU: [1], LSTM: [0, 1], MinGRU: [0]}[layer]
    set_rows = torch.zeros(module.bias_ih_l0.shape[0] // 4, 4, dtype=torch.bool)
    set_rows[gates] = True
    seen = set()
    for name, part in module.named_parameters():
        same = part.detach() == before[name]
        if name.startswith("bias"):
            assert torch.equal(same, ~set_rows.flatten()), name
            if name.startswith("bias_ih"):
                seen.add(tuple(part[set_rows.flatten()].tolist()))
        else:
            assert same.all(), name
    assert len(seen) == 4  # every layer and direction draws its own


def test_a_generator_makes_it_repeatable_and_leaves_torchs_alone():
    layers = [GRUCell(2, 6), GRUCell(2, 6)]
    state = torch.get_rng_state()
    for layer in layers:
        chrono_init(layer, LONGEST, generator=torch.Generator().manual_seed(7))
    assert torch.equal(torch.get_rng_state(), state)
    assert np.array_equal(bias(layers[0], "bias_ih", 1), bias(layers[1], "bias_ih", 1))


@pytest.mark.parametrize(
    ("module", "longest", "line"),
    [
        (RNN(2, 3), 10, "module is a rnn, expected one of gru, lstm, mingru: a plain RNN has no gate to set"),
        (GRU(2, 3, bias=False), 10, "module has bias=False, expected biases: build it with bias=True"),
        (GRU(2, 3), 2, "longest is 2, expected a whole number of 3 or more: pass the longest lag in steps"),
        (
            GRU(2, 3),
            9.5,
            "longest is 9.5, expected a whole number of 3 or more: pass the longest lag in steps",
        ),
    ],
)
def test_wrong_arguments_are_one_line(module, longest, line):
    with pytest.raises(SettingsError) as caught:
        chrono_init(module, longest)
    assert str(caught.value) == line
