"""Any cutting of a stream gives the same outputs; rows of a batch and padding do not touch one another."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from congru.runtime.network import Network
from runtime_models import CELLS, random_weights, save, token_config, vector_config
from tolerances import assert_close

NORM_AND_MORE = (
    {"type": "layer_norm", "name": "norm", "size": 37},
    {
        "type": "residual",
        "layers": [{"type": "linear", "name": "inner", "in": 37, "out": 37}, {"type": "sigmoid"}],
    },
    {"type": "relu"},
    {"type": "linear", "name": "head", "in": 37, "out": 33},
)
STEPS = 23


def network_of(cell: str, **options: Any) -> Network:
    config = vector_config(cell, *NORM_AND_MORE, input_size=5, hidden_size=37, num_layers=2, **options)
    return Network(config, random_weights(config, scale=0.3), "numpy")


@pytest.mark.parametrize("cell", CELLS)
@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_any_chunking_gives_the_same_bits(cell: str, data: st.DataObject) -> None:
    network = network_of(cell, **({"reset_before": data.draw(st.booleans())} if cell == "gru" else {}))
    batch = data.draw(st.integers(1, 5))
    x = np.random.default_rng(batch).standard_normal((batch, STEPS, 5)).astype(np.float32)
    whole, end = network.run(x)
    cuts = sorted(data.draw(st.lists(st.integers(0, STEPS), max_size=6)))
    state, parts = None, []
    for first, last in zip([0, *cuts], [*cuts, STEPS]):
        part, state = network.run(x[:, first:last], state)
        parts.append(part)
    np.testing.assert_array_equal(np.concatenate(parts, axis=1), whole)
    assert state is not None
    for name in end:
        np.testing.assert_array_equal(state[name], end[name])


@pytest.mark.parametrize("cell", CELLS)
def test_steps_equal_one_run(cell: str, tmp_path: Path) -> None:
    model = save(tmp_path / "m", token_config(cell, hidden_size=37))
    tokens = np.random.default_rng(0).integers(0, 10, 40)
    whole = model.session().run(tokens)
    session = model.session()
    np.testing.assert_array_equal([session.step(token) for token in tokens], whole)


@pytest.mark.parametrize("cell", CELLS)
def test_a_row_of_a_batch_equals_the_row_alone(cell: str) -> None:
    network = network_of(cell, bidirectional=False)
    x = np.random.default_rng(0).standard_normal((4, STEPS, 5)).astype(np.float32)
    whole, _ = network.run(x)
    for row in range(4):
        assert_close("runtime cell", network.run(x[row : row + 1])[0][0], whole[row])


@pytest.mark.parametrize("cell", CELLS)
def test_padding_after_the_end_changes_nothing(cell: str) -> None:
    config = vector_config(cell, {"type": "mean"}, bidirectional=True, num_layers=2)
    network = Network(config, random_weights(config), "numpy")
    x = np.random.default_rng(0).standard_normal((2, 9, 3)).astype(np.float32)
    padded = np.concatenate([x, np.full((2, 4, 3), 7, np.float32)], axis=1)
    out, state = network.run(x, lengths=[9, 5])
    padded_out, padded_state = network.run(padded, lengths=[9, 5])
    assert_close("runtime cell", padded_out, out)
    for name in state:
        np.testing.assert_array_equal(padded_state[name], state[name])


@pytest.mark.parametrize("cell", ["gru", "rnn"])
def test_the_state_stays_within_its_bound(cell: str) -> None:
    config = vector_config(cell)
    network = Network(config, random_weights(config, scale=5))
    start = {"rnn.h": np.linspace(-3, 3, 6, dtype=np.float32).reshape(1, 1, 6)}
    _, state = network.run(np.random.default_rng(0).standard_normal((1, 50, 3)) * 10, start)
    assert np.abs(state["rnn.h"]).max() <= 3
