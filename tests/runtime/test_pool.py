"""A pool of sessions: every stream as if alone, whatever is evicted, asked by many threads, closed or refused."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import congru
from congru.errors import BusyError, CongruError, SettingsError, ShapeError
from congru.runtime import pool as pools
from congru.runtime.model import Model
from congru.runtime.network import Network
from congru.runtime.pool import Pool
from runtime_models import random_weights, save, save_text, vector_config

TOKENS = np.random.default_rng(0).integers(0, 10, (20, 6))  # of 20 streams


@pytest.fixture(scope="module")
def text(tmp_path_factory: pytest.TempPathFactory) -> Model:
    return save_text(tmp_path_factory.mktemp("models") / "text", "lstm", num_layers=2)


@pytest.fixture(scope="module")
def alone(text: Model) -> np.ndarray:
    """The outputs [20, 6, O] of every stream in a session of its own."""
    return np.stack(
        [np.stack([session.step(int(t)) for t in row]) for row in TOKENS for session in [text.session()]]
    )


def together(calls: list[Callable[[], None]]) -> None:
    """Run functions at the same time; raise what one of them raised."""
    raised: list[BaseException] = []

    def run(call: Callable[[], None]) -> None:
        try:
            call()
        except BaseException as error:
            raised.append(error)

    threads = [threading.Thread(target=run, args=(call,), daemon=True) for call in calls]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
        assert not thread.is_alive(), "a thread waits for ever"
    if raised:
        raise raised[0]


@pytest.fixture
def often() -> Iterator[None]:
    """Threads change places a hundred times as often."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(5e-5)
    yield
    sys.setswitchinterval(before)


@pytest.mark.parametrize("resident", [1, 7, 100])
def test_every_stream_has_the_bits_of_a_session_alone(text: Model, alone: np.ndarray, resident: int) -> None:
    pool = congru.Pool(text, resident=resident)
    for key in range(20):
        pool.open(key)
    for step in range(6):
        if step % 3 == 0:
            rows = [pool.step(key, int(TOKENS[key, step])) for key in range(20)]
        else:
            rows = pool.advance(list(range(20)), TOKENS[:, step])
        np.testing.assert_array_equal(rows, alone[:, step])
        assert pool.num_resident <= resident
    assert len(pool) == 20
    assert 19 in pool
    assert 20 not in pool


@pytest.mark.usefixtures("often")
def test_many_threads_and_few_residents(
    text: Model, alone: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pools, "MOST", 3)
    pool = Pool(text, resident=2)

    def run(first: int) -> None:
        keys = list(range(first, first + 5))
        for key in keys:
            pool.open(key)
        for step in range(6):
            if step % 2:
                np.testing.assert_array_equal(pool.advance(keys, TOKENS[keys, step]), alone[keys, step])
            for key in keys if step % 2 == 0 else ():
                np.testing.assert_array_equal(pool.step(key, int(TOKENS[key, step])), alone[key, step])
            pool.evict()
        pool.close(first)

    together([lambda first=first: run(first) for first in range(0, 20, 5)])  # type: ignore[misc]
    assert len(pool) == 16
    assert pool.num_resident <= 2


@pytest.mark.usefixtures("often")
def test_steps_of_one_stream_by_many_threads_follow_one_another(text: Model) -> None:
    pool, times = Pool(text).open("one"), 8
    together([lambda: [pool.step("one", 3) for _ in range(5)] and None] * times)
    np.testing.assert_array_equal(pool.step("one", 3), text.session().feed([3] * (5 * times + 1)).last)


def test_what_waits_goes_together_into_the_next_batch(text: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    sizes, first, inside = [], threading.Event(), threading.Event()
    plain = pools.advance

    def slow(sessions: list[Any], x: Any) -> Any:
        sizes.append(len(sessions))
        if len(sizes) == 1:
            inside.set()
            assert first.wait(10)
        return plain(sessions, x)

    monkeypatch.setattr(pools, "advance", slow)
    pool = Pool(text, queue=6)
    for key in range(8):
        pool.open(key)

    def later() -> None:
        assert inside.wait(10)
        while pool._num_waiting < 6:
            time.sleep(0.001)
        with pytest.raises(
            BusyError, match="the queue has 6 steps waiting, expected at most 6 with these 1: ask again"
        ):
            pool.step(7, 1)
        first.set()

    def step(key: int) -> None:
        assert key == 0 or inside.wait(10)
        pool.step(key, 1)

    together([lambda key=key: step(key) for key in range(7)] + [later])  # type: ignore[misc]
    assert sizes == [1, 6]


def test_a_borrowed_session_is_ones_own(text: Model) -> None:
    pool, order = Pool(text, resident=1).open("a", seed=1).open("b"), list[str]()
    asked = threading.Event()

    def step() -> None:
        assert asked.wait(10)
        pool.step("a", 1)
        order.append("step")

    def hold() -> None:
        with pool.borrow("a") as session:
            asked.set()
            session.feed("face")
            while not pool._num_waiting:
                time.sleep(0.001)
            pool.step("b", 1)  # of others it goes on
            order.append("borrow")

    together([step, hold])
    assert order == ["borrow", "step"]
    with pool.borrow("a") as session:
        np.testing.assert_array_equal(session.last, text.session().feed("face").step(1))
        with pytest.raises(ZeroDivisionError), pool.borrow("b"):
            1 / 0  # noqa: B018
    pool.step("b", 1)


def test_fork_close_and_bytes(text: Model) -> None:
    pool = Pool(text).open("a", seed=4)
    with pool.borrow("a") as session:
        session.feed("a bad")
    pool.fork("a", "b").evict()
    pool.open("c", content=pool.to_bytes("a"))
    rows = pool.advance(["a", "b", "c"], [2, 2, 2])
    np.testing.assert_array_equal(rows, np.stack([text.session().feed("a bad").step(2)] * 3))
    texts = []
    for key in ("a", "b", "c"):
        with pool.borrow(key) as session:
            texts.append("".join(session.generate(12)))
    assert len(set(texts)) == 1
    pool.close("a")
    assert "a" not in pool
    assert len(pool.open("a")) == 3


def test_who_waits_for_a_closed_key_hears_of_it(text: Model) -> None:
    pool, held = Pool(text).open("a"), threading.Event()

    def hold() -> None:
        with pool.borrow("a"):
            held.set()
            while not pool._entries["a"].waiting or len(pool._entries["a"].waiting) < 2:
                time.sleep(0.001)

    def close() -> None:
        assert held.wait(10)
        pool.close("a")

    def step() -> None:
        assert held.wait(10)
        while not pool._entries["a"].waiting:
            time.sleep(0.001)
        with pytest.raises(SettingsError, match="key 'a' was closed, expected one that is open"):
            pool.step("a", 1)

    together([hold, close, step])
    assert len(pool) == 0
    assert pool.open("a").step("a", 1) is not None


@pytest.mark.parametrize("error", [MemoryError, KeyboardInterrupt])
def test_an_error_reaches_all_of_its_batch_and_the_pool_goes_on(
    text: Model, monkeypatch: pytest.MonkeyPatch, error: type[BaseException]
) -> None:
    pool = Pool(text).open("a").open("b")

    def fails(sessions: object, x: object) -> None:
        raise error("no")

    with monkeypatch.context() as patch:
        patch.setattr(pools, "advance", fails)
        with pytest.raises(error):
            pool.advance(["a", "b"], [1, 2])
    np.testing.assert_array_equal(pool.advance(["a", "b"], [1, 2])[1], text.session().step(2))
    assert pool._num_waiting == 0
    assert not pool._leading


def test_vectors_rows_and_memories(tmp_path: Path) -> None:
    config = vector_config("gru", {"type": "linear", "name": "head", "in": 6, "out": 4}, learn_h0=True)
    pool = Pool(save(tmp_path / "v", config)).open(1)
    x = np.random.default_rng(1).standard_normal((3, 3)).astype(np.float32)
    np.testing.assert_array_equal([pool.step(1, row) for row in x], pool.model.session().run(x))
    graph = {
        "inputs": {"x": {"features": 2}, "m": {"features": 3, "axes": "memory"}},
        "nodes": [
            {"type": "gru", "name": "rnn", "hidden_size": 4, "of": ["x"]},
            {"type": "attention", "name": "att", "of": ["rnn", "m"]},
        ],
        "outputs": ["att"],
    }
    network = Network(graph, random_weights(graph))
    model = Model(tmp_path, {"task": "t", "networks": {"main": graph}}, {"main": network}, {}, {})
    memory = np.random.default_rng(2).standard_normal((1, 5, 3)).astype(np.float32)
    pool = (
        Pool(model).open("a", constants={"m": memory}, lengths={"m": [4]}).open("b", constants={"m": memory})
    )
    pool.evict()
    for key, lengths in (("a", {"m": [4]}), ("b", {})):
        session = model.session(constants={"m": memory}, lengths=lengths)
        np.testing.assert_array_equal(pool.step(key, x[0, :2]), session.step(x[0, :2]))


@pytest.mark.parametrize(
    ("call", "kind", "message"),
    [
        (
            lambda pool: pool.step("no", 1),
            SettingsError,
            "key 'no' is not open, expected one of the 1 open: open it",
        ),
        (lambda pool: pool.open("a"), SettingsError, "key 'a' is open, expected a new one: close it first"),
        (lambda pool: pool.fork("a", "a"), SettingsError, "key 'a' is open, expected a new one"),
        (
            lambda pool: pool.open("b").open("c"),
            BusyError,
            "the pool has 2 keys open, expected fewer: close some",
        ),
        (lambda pool: pool.step("a", 10), ShapeError, "x holds the token 10, expected 0 to 9"),
        (lambda pool: pool.advance(["a"], [1, 2]), ShapeError, "x has 2 rows, expected 1, one for each key"),
        (
            lambda pool: pool.advance(["a", "a"], [1, 2]),
            SettingsError,
            "keys has 2, expected at least one and each once",
        ),
        (
            lambda pool: pool.open("b", content=b"x"),
            CongruError,
            "the session has 1 bytes that begin with b'x'",
        ),
        (
            lambda pool: Pool(pool.model, resident=0),
            SettingsError,
            "resident is 0, expected a whole number of at least 1",
        ),
        (lambda pool: Pool(pool.model, network="x"), SettingsError, "network is 'x', expected one of main"),
    ],
)
def test_one_line_for_what_is_wrong(text: Model, call: Any, kind: type[CongruError], message: str) -> None:
    pool = Pool(text, capacity=2).open("a")
    with pytest.raises(kind) as caught:
        call(pool)
    assert str(caught.value).startswith(message)
    assert "\n" not in str(caught.value)
    pool.step("a", 1)
