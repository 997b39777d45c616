"""Golden cases made by torch are replayed by NumPy."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from congru import nn
from congru.runtime.golden import golden_problem, make_golden
from congru.runtime.network import Network
from runtime_models import CELLS, random_weights, token_config, vector_config


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("make", [token_config, vector_config])
def test_torch_cases_replay(cell: str, make: Any) -> None:
    config = make(cell, num_layers=2)
    weights = random_weights(config)
    module = nn.Network(config).eval()
    module.load_state_dict({name: torch.from_numpy(weight) for name, weight in weights.items()})

    def run(x: Any, state: Any, lengths: Any) -> Any:
        start = state and {name: torch.from_numpy(value) for name, value in state.items()}
        with torch.no_grad():
            out, after = module(
                torch.from_numpy(x), start, lengths=None if lengths is None else torch.from_numpy(lengths)
            )
        return out.numpy(), {name: value.numpy() for name, value in after.items()}

    golden = make_golden(config, run)
    network = Network(config, weights)
    assert golden_problem(network, golden) is None
    assert "lengths_1.steps" in golden
    assert np.abs(golden["state0_2.rnn.h"]).min() > 0
    assert golden["input_0.x"].shape[:2] == (2, 5)
    for name in golden:
        if name.startswith(("output", "state_")):
            wrong = {**golden, name: golden[name] + 3e-4 * np.abs(golden[name]).max()}
            assert f"{name!r} by 3.0e-04 of its largest value" in str(golden_problem(network, wrong))
