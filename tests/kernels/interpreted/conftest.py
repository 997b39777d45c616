"""Triton's interpreter for these tests: quicker, and with the programs of a launch at once where they wait for each other."""

from __future__ import annotations

import inspect
import sys
import threading
import time
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest

HERE = threading.local()  # the index of the program that a thread runs
LATE = 0.05  # seconds; a step of the others takes less
SECONDS = 120.0  # after which programs that wait have waited for nothing


@pytest.fixture(autouse=True)
def patched_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """The interpreter replaces the language anew at every call of a function; here once for every module."""
    from triton.runtime import interpreter

    patch, done = interpreter._patch_lang, set()

    def once(function: Any) -> Any:
        if id(function.__globals__) not in done:
            done.add(id(function.__globals__))
            patch(function)
        return SimpleNamespace(restore=lambda: None)

    monkeypatch.setattr(interpreter, "_patch_lang", once)


@pytest.fixture
def programs_at_once(monkeypatch: pytest.MonkeyPatch, patched_once: None) -> Iterator[None]:
    """Every program of a launch in a thread of its own; the interpreter runs one after the other, and a wait would not end."""
    from triton.runtime import interpreter

    here, threads, errors = HERE, [], []
    start, patch = interpreter.GridExecutor.__init__, interpreter._patch_lang
    builder = type(interpreter.interpreter_builder)
    monkeypatch.setattr(
        builder,
        "grid_idx",
        property(lambda _: here.index, lambda _, index: setattr(here, "index", index)),
        raising=False,
    )

    def started(executor: Any, fn: Any, *arguments: Any) -> None:
        start(executor, fn, *arguments)

        def program(index: tuple[int, int, int], values: dict[str, Any]) -> None:
            here.index = index
            try:
                fn(**values)
            except Exception as error:
                errors.append(error)

        def in_a_thread(**values: Any) -> None:
            threads.append(threading.Thread(target=program, args=(here.index, values), daemon=True))

        in_a_thread.__signature__ = inspect.signature(fn)  # type: ignore[attr-defined]
        in_a_thread.kernel = fn  # type: ignore[attr-defined]
        in_a_thread.__annotations__ = fn.__annotations__
        executor.fn = in_a_thread

    def joined(function: Any) -> Any:
        patch(getattr(function, "kernel", function))

        def restore() -> None:
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join(SECONDS)
            alive = any(thread.is_alive() for thread in threads)
            threads.clear()
            assert not errors, errors
            assert not alive, "programs wait for each other for ever"

        return SimpleNamespace(restore=restore)

    monkeypatch.setattr(interpreter.GridExecutor, "__init__", started)
    monkeypatch.setattr(interpreter, "_patch_lang", joined)
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-4)
    yield
    sys.setswitchinterval(interval)


@pytest.fixture
def some_come_late(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every second program comes late from each wait, so that others may write what it has still to read."""
    from triton.runtime import interpreter

    builder = type(interpreter.interpreter_builder)
    atomic = builder.create_atomic_rmw

    def slower(self: Any, *arguments: Any) -> Any:
        before = atomic(self, *arguments)
        if HERE.index[1] % 2:
            time.sleep(LATE)
        return before

    monkeypatch.setattr(builder, "create_atomic_rmw", slower)
