"""Steps that are one call of the core: the bits of the stages, whatever else a session does, and no frame of Python."""

from __future__ import annotations

import inspect
import sys
import weakref
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from congru.errors import ShapeError
from congru.kernels import binding
from congru.runtime.network import Network
from congru.runtime.session import Session
from congru.runtime.together import advance
from runtime_models import random_weights, token_config, vector_config

needs_core = pytest.mark.skipif(binding._CORE is None, reason=f"no C core: {binding._REASON}")
FORMS = [("gru", False), ("gru", True), ("lstm", False), ("rnn", False)]
HEAD = {"type": "linear", "name": "head", "in": 37, "out": 33}
STEPS = 40


def session_of(network: Network) -> Session:
    return Session(network)


def steps_of(batch: int) -> np.ndarray:
    return np.random.default_rng(batch).standard_normal((batch, STEPS, 5)).astype(np.float32)


def network_of(cell: str, reset_before: bool, *after: dict[str, Any]) -> Network:
    form = {"reset_before": True} if reset_before else {}
    config = vector_config(
        cell, *after, input_size=5, hidden_size=37, num_layers=2, learn_h0=cell != "lstm", **form
    )
    return Network(config, random_weights(config, scale=0.3), "native")


def chained(cell: str, reset_before: bool) -> Network:
    network = network_of(cell, reset_before, HEAD)
    assert session_steps(session_of(network)).chain is not None
    return network


def session_steps(session: Session) -> Any:
    return session._stepping()


@needs_core
@pytest.mark.parametrize(("cell", "reset_before"), FORMS)
def test_one_call_of_the_core_gives_the_bits_of_its_stages(cell: str, reset_before: bool) -> None:
    network, x = chained(cell, reset_before), steps_of(1)[0]
    session, other = session_of(network), session_of(network)
    session_steps(other).chain = None
    answers = []
    for row in x:
        answers.append(session.step(row))
        np.testing.assert_array_equal(answers[-1], other.step(row))
        np.testing.assert_array_equal(session.last, answers[-1])
    assert len({answer.tobytes() for answer in answers}) == STEPS  # each an array of its own
    for name, value in session.state.items():
        np.testing.assert_array_equal(value, other.state[name])


def one_of(session: Session, twin: Session, what: str, x: np.ndarray) -> tuple[Any, Session]:
    """What a session answers when it is used one way or another, and the session that goes on."""
    if what == "step":
        return session.step(x[0]), session
    if what == "list":
        return session.step(x[0].tolist()), session
    if what == "run":
        return session.run(x), session
    if what == "nothing":
        return session.run(x[:0]), session
    if what == "bad":
        with pytest.raises(ShapeError, match="expected finite"):
            session.step(np.full(5, np.nan, np.float32))
        return session.last, session
    if what == "fork":
        session.fork().step(x[1])
        return session.last, session.fork()
    if what == "together":
        return advance([session, twin], x[:2]), session
    if what == "bytes":
        return session.restore(session.to_bytes()).last, session
    if what == "state":
        session.state = {name: 0.5 * value for name, value in session.state.items()}
        return session.last, session
    if what == "reset":
        return session.reset().last, session
    return session.state["rnn.h"] if what == "look" else session.last, session


@needs_core
@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_a_step_that_is_a_call_of_the_core_knows_what_else_a_session_did(data: st.DataObject) -> None:
    network = chained("lstm", False)
    session, other, twins = session_of(network), session_of(network), [session_of(network) for _ in range(2)]
    for plain in (other, twins[1]):
        session_steps(plain).chain = None
    ways = [
        "step",
        "list",
        "run",
        "nothing",
        "bad",
        "fork",
        "together",
        "bytes",
        "state",
        "reset",
        "look",
        "last",
    ]
    rng = np.random.default_rng(0)
    for way in data.draw(st.lists(st.one_of(st.just("step"), st.sampled_from(ways)), max_size=30)):
        x = rng.standard_normal((3, 5)).astype(np.float32)
        actual, session = one_of(session, twins[0], way, x)
        expected, other = one_of(other, twins[1], way, x)
        session_steps(other).chain = None  # a fork has its own
        np.testing.assert_array_equal(actual, expected, way)
        np.testing.assert_array_equal(session.last, other.last, way)
    for name, value in other.state.items():
        np.testing.assert_array_equal(session.state[name], value)


@needs_core
def test_steps_of_a_stream_cost_no_frame_of_python() -> None:
    session, x = session_of(chained("gru", False)), steps_of(1)[0]
    session.step(x[0])
    calls: list[str] = []
    sys.setprofile(lambda frame, event, _: calls.append(frame.f_code.co_name) if event == "call" else None)
    try:
        for row in x[1:5]:
            session.step(row)
    finally:
        sys.setprofile(None)
    assert calls == []
    session.state = session.state
    assert session._chain is None
    session.step(x[5])
    assert session._chain is not None


@needs_core
def test_a_step_is_a_method_as_any_other() -> None:
    session, x = session_of(chained("gru", False)), steps_of(1)[0]
    expected = session_of(session.network).run(x[:5])
    step = session.step
    ways: list[Callable[[Any], Any]] = [
        step,
        session.step,
        lambda row: session.step(x=row),
        lambda row: Session.step(session, row),
    ]
    for row, way, y in zip(x, [*ways, step], expected):
        np.testing.assert_array_equal(way(row), y)
    assert list(inspect.signature(Session.step).parameters) == ["self", "x"]
    assert inspect.isfunction(Session.step)
    assert "Raises" in str(Session.step.__doc__)
    with pytest.raises(TypeError, match="missing 1 required positional argument: 'x'"):
        session.step()  # type: ignore[call-arg]
    with pytest.raises(TypeError, match="takes 2 positional arguments but 3 were given"):
        session.step(x[0], x[1])  # type: ignore[call-arg]


@needs_core
def test_a_session_is_gone_with_its_last_name() -> None:
    session, x = session_of(chained("gru", False)), steps_of(1)[0]
    session.step(x[0])
    session.step(x[1])
    gone = weakref.ref(session)
    del session
    assert gone() is None


@needs_core
def test_a_fork_of_a_chain_goes_its_own_way() -> None:
    session, x = session_of(chained("gru", False)), steps_of(2)
    session.step(x[0, 0])
    twin, last = session.fork(), session.last
    assert session_steps(twin).chain is not session_steps(session).chain
    ahead = session.step(x[0, 1])
    np.testing.assert_array_equal(twin.last, last)
    twin.step(x[1, 0])
    np.testing.assert_array_equal(session.last, ahead)


@needs_core
def test_a_row_that_is_not_plainly_right_changes_nothing_in_a_chain() -> None:
    session, x = session_of(chained("lstm", False)), steps_of(1)[0]
    session.step(x[0])
    chain, before = session_steps(session).chain, session.state
    bad = x[1].copy()
    bad[3] = np.inf
    for value in (bad, x[1].astype(np.float64), x[1, :4], x[1][None], 7, None, "abc", x[:, 0][:5]):
        assert chain(value) is None
    np.testing.assert_array_equal(
        session.step(x[1].tolist()), session_of(session.network).feed(x[:1]).step(x[1])
    )
    session.state = before
    with pytest.raises(ShapeError, match="expected finite"):
        session.step(bad)
    for name, value in session.state.items():
        np.testing.assert_array_equal(value, before[name])


@needs_core
def test_a_chain_of_tokens_takes_plain_whole_numbers_in_range() -> None:
    config = token_config("gru")
    session = Session(Network(config, random_weights(config), "native"))
    chain = session_steps(session).chain
    count = session.network.num_tokens
    assert chain(count) is None
    assert chain(-1) is None
    assert chain(True) is None
    assert chain(2**70) is None
    answer = session.step(np.int64(3))
    np.testing.assert_array_equal(Session(session.network).step(3), answer)


@needs_core
def test_a_chain_refuses_stages_that_do_not_fit() -> None:
    core = binding.extension()
    steppers = [network_of("gru", False).steps(1, {}, {})._stateful[0].steppers[0] for _ in range(2)]
    with pytest.raises(ShapeError, match=r"stages\[1\] does not fit"):
        core.Chain(tuple(steppers), 5)
    with pytest.raises(ShapeError, match=r"stages\[0\] does not fit"):
        core.Chain((max,), 5)
