"""Sessions on the native core: the bits of a whole run, a state that can be taken out and put back at any step, and what
happens without the core.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from congru.errors import BackendError
from congru.kernels import binding
from congru.runtime.network import Network
from congru.runtime.session import Session
from runtime_models import Config, random_weights, save, token_config, vector_config

needs_core = pytest.mark.skipif(binding._CORE is None, reason=f"no C core: {binding._REASON}")
FORMS = [("gru", False), ("gru", True), ("lstm", False), ("rnn", False)]
MORE = (
    {"type": "layer_norm", "name": "norm", "size": 37},
    {
        "type": "residual",
        "layers": [
            {"type": "gru", "name": "inner", "input_size": 37, "hidden_size": 37},
            {"type": "linear", "name": "back", "in": 37, "out": 37},
            {"type": "sigmoid"},
        ],
    },
    {"type": "dropout", "p": 0.1},
    {"type": "linear", "name": "head", "in": 37, "out": 33},
)
STEPS = 40


def network_of(cell: str, reset_before: bool, *after: Config, backend: str = "native") -> Network:
    form = {"reset_before": True} if reset_before else {}
    config = vector_config(
        cell, *after, input_size=5, hidden_size=37, num_layers=2, learn_h0=cell != "lstm", **form
    )
    return Network(config, random_weights(config, scale=0.3), backend)


def session_of(network: Network, batch_size: int = 1) -> Session:
    return Session(network, batch_size=batch_size)


def steps_of(batch: int, features: int = 5) -> np.ndarray:
    return np.random.default_rng(batch).standard_normal((batch, STEPS, features)).astype(np.float32)


@needs_core
@pytest.mark.parametrize(("cell", "reset_before"), FORMS)
@settings(max_examples=15, deadline=None)
@given(data=st.data())
def test_any_cutting_gives_the_bits_of_the_whole(cell: str, reset_before: bool, data: st.DataObject) -> None:
    network = network_of(cell, reset_before, *MORE)
    batch = data.draw(st.integers(1, 5))
    x = steps_of(batch)
    whole, end = network.run(x)
    session = session_of(network, batch)
    cuts = data.draw(st.lists(st.tuples(st.sampled_from([1, 0, 2, 16, 17]), st.booleans()), max_size=8))
    outputs, at = [], 0
    for length, take_state in [*cuts, *[(1, False)] * STEPS]:
        chunk = x[:, at : at + length]
        if chunk.shape[1] == 1:
            outputs.append(session.step(chunk[0, 0] if batch == 1 else chunk[:, 0]).reshape(batch, 1, -1))
        else:
            outputs.append(session.run(chunk))
        if take_state:
            session.state = session.state
        at += chunk.shape[1]
    np.testing.assert_array_equal(np.concatenate(outputs, axis=1), whole)
    for name, value in session.state.items():
        np.testing.assert_array_equal(value, end[name])


@needs_core
def test_tokens_of_every_kind_give_the_bits_of_a_run() -> None:
    config = token_config(hidden_size=37, num_layers=2)
    network = Network(config, random_weights(config), "native")
    tokens = np.random.default_rng(0).integers(0, 10, 30)
    whole = session_of(network).run(tokens)
    kinds: list[Callable[[int], Any]] = [int, np.int64, np.uint8, lambda token: [token]]
    session = session_of(network)
    outputs = [session.step(kinds[i % 4](int(token))).reshape(-1) for i, token in enumerate(tokens)]
    np.testing.assert_array_equal(outputs, whole)


@needs_core
def test_vectors_of_every_kind_give_the_bits_of_a_run() -> None:
    network = network_of("gru", False)
    x = steps_of(1)[0]
    whole = session_of(network).run(x)
    wide = np.zeros((STEPS, 10), np.float32)
    wide[:, ::2] = x
    kinds: list[Callable[[int], Any]] = [
        lambda t: x[t],
        lambda t: x[t].tolist(),
        lambda t: x[t].astype(np.float64),
        lambda t: wide[t, ::2],
        lambda t: x[t : t + 1],
    ]
    session = session_of(network)
    outputs = [session.step(kinds[t % 5](t)).reshape(-1) for t in range(STEPS)]
    np.testing.assert_array_equal(outputs, whole)
    large = np.full(5, 3e38, np.float32)  # its square overflows, and it is finite
    assert np.isfinite(session.step(large)).all()


@needs_core
@pytest.mark.parametrize("after", [(), MORE], ids=["bare", "whole model"])
def test_outputs_forks_and_states_are_independent(after: tuple[Config, ...]) -> None:
    network = network_of("lstm", False, *after)
    x = steps_of(1)[0]
    whole = session_of(network).run(x)
    session = session_of(network)
    first = session.step(x[0])
    twin, middle = session.fork(), session.state
    second = session.step(x[1])
    np.testing.assert_array_equal(first, whole[0])
    np.testing.assert_array_equal(twin.last, whole[0])
    np.testing.assert_array_equal(twin.step(x[1]), whole[1])
    second[:] = np.nan
    np.testing.assert_array_equal(session.last, whole[1])
    np.testing.assert_array_equal(session.step(x[2]), whole[2])
    session.state = middle
    np.testing.assert_array_equal(session.step(x[1]), whole[1])
    np.testing.assert_array_equal(session.reset().step(x[0]), whole[0])
    np.testing.assert_array_equal(twin.run(x[2:5]), whole[2:5])
    np.testing.assert_array_equal(twin.run(x[5:20]), whole[5:20])
    np.testing.assert_array_equal(twin.step(x[20]), whole[20])


@needs_core
def test_a_wrong_step_changes_nothing() -> None:
    network = network_of("gru", False)
    x = steps_of(1)[0]
    session = session_of(network)
    session.step(x[0])
    for wrong in (
        np.full(5, np.nan, np.float32),
        np.full(5, np.inf, np.float32),
        x[0, :4],
        x[0].astype(complex),
    ):
        with pytest.raises(ValueError, match="x h"):
            session.step(wrong)
    np.testing.assert_array_equal(session.run(x[1:]), session_of(network).run(x)[1:])


@needs_core
def test_saved_in_the_middle(tmp_path: Path) -> None:
    model = save(tmp_path / "m", vector_config("lstm", num_layers=2))
    assert model.network.backend == "native"
    x = steps_of(1, 3)[0]
    session = model.session()
    session.step(x[0])
    session.save(tmp_path / "state")
    expected = session.step(x[1])
    restored = model.session().restore(tmp_path / "state")
    np.testing.assert_array_equal(restored.step(x[1]), expected)


def test_without_the_core_models_run_on_numpy_and_say_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(binding, "_CORE", None)
    monkeypatch.setattr(binding, "_REASON", "the C core is not built: run pip install .")
    network = network_of("gru", False, backend="auto")
    assert network.backend == "numpy"
    assert "run on 'numpy', because 'native' cannot: backend is 'native'" in network.explain()
    assert "the C core is not built: run pip install ." in network.explain()
    assert binding.about().startswith(
        "C core: not used, the C core is not built: run pip install .; saved models run"
    )
    x = steps_of(1)[0]
    session = session_of(network)
    np.testing.assert_array_equal([session.step(row) for row in x], session_of(network).run(x))
    with pytest.raises(BackendError, match="the C core is not built: run pip install"):
        network_of("gru", False)


@needs_core
def test_with_the_core_it_is_named() -> None:
    assert network_of("gru", False, backend="auto").explain() == (
        "The recurrent layers run on 'native', the first that can."
    )
    assert binding.about().startswith(f"C core: {binding.extension().isa()} (of ")


def best_us(calls: list[Callable[[], Any]], repetitions: int = 60, inner: int = 20) -> list[float]:
    """The fastest of several measurements of each call, in microseconds, taken in turn."""
    best = [float("inf")] * len(calls)
    for _ in range(repetitions):
        for index, call in enumerate(calls):
            start = time.perf_counter()
            for _ in range(inner):
                call()
            best[index] = min(best[index], 1e6 * (time.perf_counter() - start) / inner)
    return best


@pytest.mark.parametrize(
    ("backend", "most"), [pytest.param("native", 3, marks=needs_core), ("numpy", 25)], ids=["native", "numpy"]
)
def test_a_step_costs_little_beside_its_matrix_products(backend: str, most: float) -> None:
    """Against the three products of the step in NumPy, measured in turn."""
    config = token_config(hidden_size=128)
    session = session_of(Network(config, random_weights(config), backend))
    x, h = np.ones((1, 5), np.float32), np.ones((1, 128), np.float32)
    W, U, V = (np.ones(shape, np.float32) for shape in ((5, 384), (128, 384), (128, 10)))
    step, products = best_us([lambda: session.step(3), lambda: (x @ W, h @ U, h @ V)])
    assert step < most * products, f"{step:.1f} us, {products:.1f} us for the products"
