"""One WebSocket connection: messages in, answers out, and nothing left when it is gone.

Messages are worked on side by side, those of one session in their order; when `in_flight` of them wait for an answer, or as
many as have `WAITING_BYTES` together, the next is not read, so a client that sends faster than it is answered waits in its own
network buffer. A reader that takes longer than `send_seconds` for one message is cut off.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
from collections.abc import Iterator
from functools import partial
from typing import Any

from fastapi import WebSocket, WebSocketDisconnect
from pydantic import ValidationError
from starlette.websockets import WebSocketDisconnected

from congru.serve import protocol
from congru.serve.desk import Desk
from congru.serve.faults import Refused, refused
from congru.serve.runs import Runs
from congru.serve.sessions import Held
from congru.serve.transport import ABORT
from congru.version import __version__

_GONE = (WebSocketDisconnect, WebSocketDisconnected)
_LOG = logging.getLogger(__name__)
WAITING_BYTES = 256 << 10  # of messages that wait for an answer; the last may go beyond


class Connection:
    """The conversation with one client; `self` is the owner of its sessions."""

    def __init__(self, socket: WebSocket, desk: Desk, runs: Runs) -> None:
        self.socket, self.desk, self.runs = socket, desk, runs
        self._room = asyncio.Semaphore(desk.options.limits.in_flight)
        self._waiting, self._answered = 0, asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()
        self._stops: dict[int | str, asyncio.Event] = {}
        self._sending = asyncio.Lock()

    async def talk(self) -> None:
        """Serve until the client leaves."""
        await self.socket.accept()
        try:
            await self.send(protocol.Hello(version=__version__).model_dump())
            while True:
                await self._room.acquire()
                while self._waiting > WAITING_BYTES:
                    self._answered.clear()
                    await self._answered.wait()
                text = await self._receive()
                task = asyncio.create_task(self._handle(text))
                self._tasks.add(task)
                self._waiting += len(text)
                task.add_done_callback(partial(self._done, len(text)))
        except _GONE:
            pass
        finally:
            for task in list(self._tasks):
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)
            self.desk.sessions.close_all_of(self)
            with contextlib.suppress(RuntimeError, WebSocketDisconnect):  # closed already
                await self.socket.close()

    def _done(self, size: int, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        self._waiting -= size
        self._answered.set()
        self._room.release()

    async def _receive(self) -> str | bytes:
        message = await self.socket.receive()
        if message["type"] == "websocket.disconnect":
            raise WebSocketDisconnect(message.get("code", 1000))
        content: str | bytes | None = message.get("text")
        return content if content is not None else message.get("bytes", b"")

    async def send(self, answer: dict[str, Any]) -> None:
        """Send one answer; a client that does not read it in time is cut off."""
        limits = self.desk.options.limits
        async with self._sending:
            cut = asyncio.get_running_loop().call_later(limits.send_seconds, self.socket.scope[ABORT])
            try:
                await self.socket.send_text(json.dumps(answer))
            finally:
                cut.cancel()

    async def _handle(self, text: str | bytes) -> None:
        identity: int | str | None = None
        try:
            content = _parse(text)
            known = content.get("id")
            identity = known if isinstance(known, (int, str)) and not isinstance(known, bool) else None
            try:
                request = protocol.REQUESTS.validate_python(content)
            except ValidationError as error:
                raise Refused("message", 400, _first_fault(error)) from None
            self.desk.meters.count("messages_total", f'type="{request.type}"')
            await self._answer(request)
        except _GONE:
            return  # the loop that reads learns it, too
        except Exception as error:
            fault = refused(error)
            if fault.status == 500:
                _LOG.exception("a message failed")
            self.desk.meters.count("refused_total", f'code="{fault.code}"')
            with contextlib.suppress(*_GONE):
                await self.send(
                    {"type": "error", "id": identity, "code": fault.code, "message": str(fault)[:2000]}
                )

    async def _answer(self, request: Any) -> None:
        if isinstance(request, protocol.Open):
            held = await self.desk.open(protocol.OpenBody(**request.model_dump(exclude={"id", "type"})), self)
            await self._say(request, "opened", session=held.key)
        elif isinstance(request, protocol.Ping):
            await self._say(request, "pong")
        elif isinstance(request, protocol.Stop):
            stop = self._stops.get(request.target)
            if stop is None:
                raise Refused(
                    "target", 404, f"target is {request.target!r:.80}, expected one that runs: it has ended"
                )
            stop.set()
            await self._say(request, "stopped")
        elif isinstance(request, protocol.Watch):
            await self._watch(request)
        else:
            held = self.desk.sessions.find(request.session, self)
            if isinstance(request, protocol.Generate):
                await self._generate(request, held)
            else:
                async with held.lock:
                    await self._use(request, held)

    async def _use(self, request: Any, held: Held) -> None:
        if isinstance(request, protocol.Step):
            outputs = await self.desk.step(held, request.values)
            await self._say(request, "stepped", outputs=outputs)
        elif isinstance(request, protocol.Feed):
            body = protocol.FeedBody(text=request.text, values=request.values)
            await self._say(request, "fed", outputs=await self.desk.feed(held, body))
        elif isinstance(request, protocol.Fork):
            await self._say(request, "opened", session=self.desk.fork(held, request.seed, self).key)
        elif isinstance(request, protocol.Save):
            await self.desk.work(self.desk.sessions.save, held, request.name)
            await self._say(request, "saved")
        else:
            self.desk.sessions.close(request.session, self)
            await self._say(request, "closed")

    async def _generate(self, request: protocol.Generate, held: Held) -> None:
        body = protocol.GenerateBody(**request.model_dump(exclude={"id", "type", "session"}))
        told: dict[str, Any] = {"tokens": 0, "reason": "length"}
        async with held.lock:
            with self._stoppable(request.id) as stop:
                async for piece in self.desk.generate(held, body, told, stop):
                    await self._say(request, "piece", text=piece)
        await self._say(request, "generated", **told)

    async def _watch(self, request: protocol.Watch) -> None:
        with self._stoppable(request.id) as stop:
            async for news in self.runs.watch(request.run, request.after, stop):
                await self._say(request, "metrics", **news)

    @contextlib.contextmanager
    def _stoppable(self, key: int | str | None) -> Iterator[asyncio.Event]:
        """The event that the message `stop` sets, known under the id of a request while it runs."""
        stop = asyncio.Event()
        if key is not None:
            self._stops[key] = stop
        try:
            yield stop
        finally:
            if key is not None and self._stops.get(key) is stop:
                del self._stops[key]

    async def _say(self, request: Any, kind: str, **parts: Any) -> None:
        await self.send({"type": kind, "id": request.id, **parts})


def _parse(text: str | bytes) -> dict[str, Any]:
    """A message as an object. Raises :class:`Refused` for anything else, and for numbers that JSON does not know."""
    try:
        if isinstance(text, bytes):
            raise ValueError("binary")
        content = json.loads(text, parse_constant=_no_number)
    except (ValueError, RecursionError):
        raise Refused(
            "message", 400, f"message is {text[:60]!r}, expected a JSON object: see /v1/messages.json"
        ) from None
    if not isinstance(content, dict):
        raise Refused(
            "message", 400, f"message is {text[:60]!r}, expected a JSON object: see /v1/messages.json"
        )
    return content


def _no_number(name: str) -> None:
    raise ValueError(name)


def _first_fault(error: ValidationError) -> str:
    """The first fault of a message as one line."""
    fault = error.errors(include_url=False)[0]
    where = ".".join(str(part) for part in fault["loc"]) or "message"
    words = str(fault["msg"]).removeprefix("Input should be ")
    return f"{where} is {fault['input']!r:.80}, expected {words[:1].lower()}{words[1:200]}: see /v1/messages.json"
