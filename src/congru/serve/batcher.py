"""Steps of many sessions in one call: whoever asks while a step is computed goes into the next one.

Nobody waits for a batch to fill: the first request starts at once, alone; those that arrive meanwhile advance together through
:func:`congru.runtime.together.advance`, where each has the bits of a step alone.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Executor
from typing import Any, NamedTuple

import numpy as np

from congru.runtime.network import Network
from congru.runtime.session import Session
from congru.runtime.together import advance

MOST = 512  # sessions in one call


class _Wish(NamedTuple):
    session: Session
    values: dict[str, Any]
    answer: asyncio.Future[Any]


class Batcher:
    """The steps of all sessions of one network. Must be used from one event loop; a session may have one wish at a time.

    `told(count, seconds)` hears of every call.
    """

    def __init__(self, network: Network, executor: Executor, told: Callable[[int, float], None]) -> None:
        self.network, self._executor, self._told = network, executor, told
        self._waiting: deque[_Wish] = deque()
        self._worker: asyncio.Task[None] | None = None

    async def step(self, session: Session, x: Any) -> dict[str, Any]:
        """One step of one session: the outputs [O] by name.

        Raises :class:`~congru.errors.ShapeError` for a wrong token or vector, before it meets the others.
        """
        graph = self.network.graph
        values = {
            name: self.network.check_value(name, np.asarray(value), "[]")
            for name, value in graph.named_inputs(x, graph.step_inputs).items()
        }
        answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._waiting.append(_Wish(session, values, answer))
        if self._worker is None:
            self._worker = asyncio.create_task(self._work())
        outputs: dict[str, Any] = await answer
        return outputs

    async def _work(self) -> None:
        loop = asyncio.get_running_loop()
        try:
            while self._waiting:
                wishes = [self._waiting.popleft() for _ in range(min(MOST, len(self._waiting)))]
                wishes = [wish for wish in wishes if not wish.answer.cancelled()]
                if not wishes:
                    continue
                began = time.perf_counter()
                try:
                    outputs = await loop.run_in_executor(self._executor, self._advance, wishes)
                except Exception as error:
                    for wish in wishes:
                        if not wish.answer.done():
                            wish.answer.set_exception(error)
                    continue
                self._told(len(wishes), time.perf_counter() - began)
                for wish, output in zip(wishes, outputs):
                    with contextlib.suppress(asyncio.InvalidStateError):  # cancelled meanwhile
                        wish.answer.set_result(output)
        finally:
            self._worker = None

    def _advance(self, wishes: list[_Wish]) -> list[dict[str, Any]]:
        names = list(self.network.graph.step_inputs)
        x = {name: np.stack([wish.values[name] for wish in wishes]) for name in names}
        outputs = advance([wish.session for wish in wishes], x if len(x) > 1 else x[names[0]])
        by_name = self.network.graph.named_outputs(outputs)
        return [{name: out[k] for name, out in by_name.items()} for k in range(len(wishes))]
