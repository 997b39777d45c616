"""The first signal asks for a stop, an echo of it is ignored, a second one interrupts."""

from __future__ import annotations

import os
import signal
import threading
from functools import partial

import pytest

from congru.train.interrupt import StopSignal


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_asks_for_a_stop_and_the_old_handlers_come_back(
    number: int, request: pytest.FixtureRequest
) -> None:
    before = signal.default_int_handler
    request.addfinalizer(partial(signal.signal, number, signal.signal(number, before)))  # ignored under nohup
    with StopSignal() as stop:
        assert not stop.requested
        os.kill(os.getpid(), number)
        assert stop.requested
    assert signal.getsignal(number) is before


def test_under_nohup_a_closed_terminal_changes_nothing() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with StopSignal() as stop:
            os.kill(os.getpid(), signal.SIGHUP)
            assert not stop.requested
    finally:
        signal.signal(signal.SIGHUP, before)


def test_an_echo_is_ignored_and_a_second_signal_interrupts() -> None:
    now = [10.0]
    with StopSignal(lambda: now[0]) as stop:
        os.kill(os.getpid(), signal.SIGINT)
        now[0] = 10.5
        os.kill(os.getpid(), signal.SIGTERM)
        assert stop.requested
        now[0] = 12.0
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)


def test_outside_the_main_thread_nothing_is_caught() -> None:
    before = signal.getsignal(signal.SIGINT)
    inside = []

    def work() -> None:
        with StopSignal():
            inside.append(signal.getsignal(signal.SIGINT))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert inside == [before]
