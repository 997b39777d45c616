"""Who is lost and who is slow, over made-up times; that a store which is gone means rank zero."""

from __future__ import annotations

import threading
import time

import pytest

from congru.train import watch
from congru.train.watch import Lost, Roster, Sign, Watch


def sign(number: int, doing: str = "step", step: int = 7) -> Sign:
    return Sign(number, doing, step, "node-b", 4711)


def test_who_gives_no_sign_is_lost_and_nobody_else() -> None:
    roster = Roster(0, 3, now=0.0)
    for second in range(30):
        roster.hear([sign(second), sign(second), sign(min(second, 9))], float(second))
    assert roster.lost(28.0, 20.0) == []
    (lost,) = roster.lost(29.0, 20.0)
    assert str(lost) == "rank 2 (node-b, process 4711) has not been heard of for 20 s, last at step 7"


def test_a_process_that_was_never_heard_of_is_lost_too() -> None:
    assert [str(lost) for lost in Roster(0, 2, now=0.0).lost(21.0, 20.0)] == [
        "rank 1 has not been heard of for 21 s"
    ]


def test_who_lives_and_does_not_come_to_the_end_of_the_step_is_slow() -> None:
    roster = Roster(0, 3, now=0.0)
    for second in range(60):
        roster.hear([sign(second, "waiting"), sign(second, "waiting"), sign(second, "step")], float(second))
    assert roster.slow(44.0, 45.0) == []
    (lost,) = roster.slow(59.0, 45.0)
    assert str(lost) == "rank 2 (node-b, process 4711) is still at step 7 after 59 s, all others wait for it"
    roster.hear([sign(60, "waiting", 8), sign(60, "step", 8), sign(60, "step", 8)], 60.0)
    assert roster.slow(61.0, 45.0) == []


def test_an_evaluation_may_take_its_time() -> None:
    roster = Roster(0, 2, now=0.0)
    for second in range(100):
        roster.hear([sign(second, "waiting"), sign(second, "evaluation")], float(second))
    assert roster.slow(99.0, 45.0) == []


class Slow:
    """A store whose answers take their time."""

    def __init__(self) -> None:
        self.asked = threading.Event()

    def set(self, key: str, value: str) -> None:
        pass

    def multi_get(self, keys: list[str]) -> list[bytes]:
        self.asked.set()
        time.sleep(0.3)
        return [sign(0).line().encode() for _ in keys]


def test_the_end_waits_until_the_thread_is_out_of_the_store(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch, "EVERY", 0.01)
    store = Slow()
    one = Watch(0, 2, store, print)
    one.start()
    assert store.asked.wait(10)
    one.close()
    assert not one._thread.is_alive()


class Gone:
    """A store whose machine is gone."""

    def set(self, key: str, value: str) -> None:
        raise RuntimeError("Connection reset by peer")

    def multi_get(self, keys: list[str]) -> list[bytes]:
        raise RuntimeError("Connection reset by peer")


def test_a_store_that_is_gone_means_rank_zero(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch, "EVERY", 0.01)
    monkeypatch.setattr(watch, "LOST_AFTER", 0.05)
    monkeypatch.setattr(watch, "GRACE", 0.01)
    told: list[list[Lost]] = []
    left = threading.Event()
    monkeypatch.setattr(
        watch.os, "_exit", lambda status: left.set() if status == watch.os.EX_TEMPFAIL else None
    )
    one = Watch(1, 2, Gone(), told.append)
    one.start()
    assert left.wait(10)
    one.close()
    assert [lost.rank for lost in told[0]] == [0]


def test_a_fault_for_which_nobody_is_missing_is_raised(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch, "LOST_AFTER_FAULT", 0.0)
    monkeypatch.setattr(watch, "GRACE", 0.1)
    with pytest.raises(RuntimeError, match="out of memory"):
        Watch(0, 2, Gone(), print).fault(RuntimeError("out of memory"))
