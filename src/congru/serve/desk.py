"""What a server does with a session, whichever door the request came through: open, feed, step, generate, fork, save, close."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import numpy as np

from congru.errors import DataError, SettingsError
from congru.runtime.decoding.sampling import Sampling, sample
from congru.runtime.decoding.stops import StopText
from congru.runtime.network import Network
from congru.runtime.session import Session
from congru.serve.batcher import Batcher
from congru.serve.faults import Refused
from congru.serve.fitting import Fits
from congru.serve.library import Library
from congru.serve.meters import Meters
from congru.serve.options import Options
from congru.serve.protocol import FeedBody, GenerateBody, OpenBody
from congru.serve.sessions import Held, Sessions

Result = TypeVar("Result")
THREADS = 4  # of long work: loading a model, reading a text
MOST_FED = 1_000_000  # characters or steps in one feed


class Desk:
    """The library, the sessions and the threads that compute; one for each server, on one event loop."""

    def __init__(self, options: Options) -> None:
        self.options, self.meters = options, Meters()
        self.library = Library(options.folders)
        self.sessions = Sessions(options.saves, options.limits.sessions, options.limits.idle_seconds)
        self.pool, self.fits = ThreadPoolExecutor(THREADS, thread_name_prefix="congru"), Fits()
        self._batchers: dict[int, Batcher] = {}

    def close(self) -> None:
        """Let the threads end."""
        self.fits.close()
        self.pool.shutdown(wait=False, cancel_futures=True)

    async def work(self, function: Callable[..., Result], *arguments: Any) -> Result:
        """Call a function in a thread."""
        return await asyncio.get_running_loop().run_in_executor(self.pool, function, *arguments)

    async def open(self, body: OpenBody, owner: object | None = None) -> Held:
        """Open a session, or one that goes on from a saved one."""
        shelf = self.library.find_model(body.model)
        path = None if body.restore is None else self.sessions.path_of(shelf, body.restore)
        if path is not None and not path.is_file():
            known = ", ".join(entry["name"] for entry in self.sessions.saved(shelf)) or "none"
            raise Refused("name", 404, f"restore is {body.restore!r:.80}, expected a saved session ({known})")

        def begin() -> Session:
            model = shelf.model()
            session = model.session(
                body.seed, network=body.network, constants=body.constants, lengths=body.lengths
            )
            return session if path is None else session.restore(path)

        session = await self.work(begin)
        return self.sessions.add(shelf, session, self._batcher(session.network), owner)

    def fork(self, held: Held, seed: int | None, owner: object | None = None) -> Held:
        """A copy of a session under an id of its own; the caller holds the lock of the first."""
        return self.sessions.add(held.shelf, held.session.fork(seed), held.batcher, owner)

    async def feed(self, held: Held, body: FeedBody) -> dict[str, list[float]] | None:
        """Read a text or values; the outputs of the last step."""
        if (body.text is None) == (body.values is None):
            raise SettingsError("feed has text and values, or neither, expected one of them: leave one out")
        size = len(body.text if body.text is not None else body.values or [])
        if size > MOST_FED:
            raise SettingsError(
                f"feed has {size} characters or steps, expected at most {MOST_FED}: send it in parts"
            )
        await self.work(held.session.feed, body.text if body.text is not None else body.values)
        return outputs_of(held.session)

    async def step(self, held: Held, values: Any) -> dict[str, list[float]]:
        """One step, together with those of other sessions."""
        outputs = await held.batcher.step(held.session, values)
        return {name: out.tolist() for name, out in outputs.items()}

    async def generate(
        self, held: Held, body: GenerateBody, told: dict[str, Any], stop: asyncio.Event | None = None
    ) -> AsyncIterator[str]:
        """Draw tokens and yield text as :meth:`Session.generate` would, the steps together with those of others.

        `told` takes "tokens" and "reason" as it goes; `stop` ends it between two tokens.
        """
        session, sampling = held.session, Sampling(body.temperature, body.top_k, body.top_p)
        session.generate(0, temperature=body.temperature, top_k=body.top_k, top_p=body.top_p)  # raises
        assert session.tokenizer is not None
        text, told["tokens"], told["reason"] = StopText(session.tokenizer, body.stop), 0, "length"
        for _ in range(body.n):
            if stop is not None and stop.is_set():
                told["reason"] = "stopped"
                break
            token = sample(session.last, sampling, session.rng)
            await held.batcher.step(session, token)
            told["tokens"] += 1
            piece = text.push(token)
            if piece:
                yield piece
            if text.stopped:
                told["reason"] = "stop"
                return
        piece = text.flush()
        if piece:
            yield piece

    def _batcher(self, network: Network) -> Batcher:
        batcher = self._batchers.get(id(network))
        if batcher is None or batcher.network is not network:
            if len(self._batchers) > 64:  # models that were replaced on disk: nobody asks for them any more
                self._batchers = {id(held.session.network): held.batcher for held in self.sessions}
            batcher = self._batchers[id(network)] = Batcher(network, self.pool, self.meters.stepped)
        return batcher


def outputs_of(session: Session) -> dict[str, list[float]] | None:
    """The outputs of the last step by name, as plain numbers."""
    if session.last is None:
        return None
    return {
        name: np.asarray(out).tolist()
        for name, out in session.network.graph.named_outputs(session.last).items()
    }


def need_text(session: Session) -> None:
    """Refuse a session whose model writes no text."""
    if session.tokenizer is None or session.network.output_size != session.network.num_tokens:
        raise DataError("model writes no text, expected one of the task 'text': choose another")
