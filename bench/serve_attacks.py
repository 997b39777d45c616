"""What `bench.serve` throws at a server beside malformed messages: readers that do not read, connections that never finish, paths
that lead outside, and uploads that are too large. A session steps on beside all of them, and the server's memory is read before
and after.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
from websockets.asyncio.client import connect

SECRET = "the-secret-of-this-measurement"
GONE = 120.0  # seconds after which a connection that is still there counts as held
HANDSHAKE = (
    b"GET /v1/socket HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)
HALVES = (
    b"",
    b"GET /v1/mod",
    b"PUT /v1/files/half.txt HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\nhalf",
    HANDSHAKE,
)


async def attacks(port: int, secret: Path, metric: Callable[[int, str], float]) -> dict[str, Any]:
    """All of them, one after the other; `secret` is a file outside of what is served, and holds `SECRET`."""
    rows = {}
    for name, attack in (
        ("slow_readers", slow_readers),
        ("half_open", half_open),
        ("path_escapes", lambda port: path_escapes(port, secret)),
        ("oversized", oversized),
    ):
        rows[name] = await beside(port, attack, metric)
        print(name, rows[name], flush=True)
    return rows


async def beside(
    port: int, attack: Callable[[int], Awaitable[dict[str, Any]]], metric: Callable[[int, str], float]
) -> dict[str, Any]:
    """What an attack comes to, with the latency of a session beside it, and what the server's memory grew by."""
    seconds: list[float] = []
    async with connect(f"ws://127.0.0.1:{port}/v1/socket") as raw:
        await raw.recv()

        async def ask(**message: Any) -> dict[str, Any]:
            await raw.send(json.dumps(message))
            answer: dict[str, Any] = json.loads(await raw.recv())
            return answer

        key = (await ask(type="open", model="words"))["session"]
        before = metric(port, "congru_resident_bytes")
        under_way = asyncio.create_task(_as_task(attack(port)))
        while not under_way.done():
            began = time.perf_counter()
            answer = await ask(type="step", session=key, values=1)
            if answer["type"] != "stepped":
                raise SystemExit(f"the session beside the attack was told {answer}")
            seconds.append(time.perf_counter() - began)
            await asyncio.sleep(0.005)
        result = await under_way
        grown = metric(port, "congru_resident_bytes") - before
    return {
        **result,
        "grown_mb": round(grown / 1e6, 2),
        "beside_p99_ms": round(1e3 * float(np.quantile(seconds, 0.99)), 2),
    }


async def _as_task(attack: Awaitable[dict[str, Any]]) -> dict[str, Any]:
    return await attack


async def slow_readers(port: int, count: int = 50) -> dict[str, Any]:
    """Connections that ask for answers of 60 kB again and again and read none of them; half of them break off their messages."""
    ping = _frame(b'{"type":"ping","id":"' + b"y" * 60_000 + b'"}')

    async def one(broken: bool) -> tuple[float, int]:
        own = await _raw(port)
        loop, began, sent = asyncio.get_running_loop(), time.perf_counter(), 0
        await loop.sock_sendall(own, HANDSHAKE)
        with contextlib.suppress(OSError):
            while time.perf_counter() - began < GONE:
                try:
                    sent += own.send(ping[0 if broken else sent % len(ping) :])
                except BlockingIOError:
                    await asyncio.sleep(0.2)
        own.close()
        return time.perf_counter() - began, sent

    ended = await asyncio.gather(*(one(number % 2 == 1) for number in range(count)))
    return {
        "connections": count,
        "cut_off": sum(seconds < GONE for seconds, _ in ended),
        "longest_s": round(max(seconds for seconds, _ in ended), 1),
        "taken_mb": round(sum(sent for _, sent in ended) / 1e6, 1),
    }


async def half_open(port: int, each: int = 50) -> dict[str, Any]:
    """Connections that say nothing, half a request, half a body, or shake hands and never answer a ping."""

    async def one(begun: bytes) -> float:
        own = await _raw(port)
        loop, began = asyncio.get_running_loop(), time.perf_counter()
        if begun:
            await loop.sock_sendall(own, begun)
        with contextlib.suppress(OSError):
            while time.perf_counter() - began < GONE:
                with contextlib.suppress(TimeoutError):
                    if await asyncio.wait_for(loop.sock_recv(own, 4096), 5) == b"":
                        break
        own.close()
        return time.perf_counter() - began

    ended = await asyncio.gather(*(one(begun) for begun in HALVES for _ in range(each)))
    return {
        "connections": len(ended),
        "cut_off": sum(seconds < GONE for seconds in ended),
        "longest_s": round(max(ended), 1),
    }


async def path_escapes(port: int, secret: Path) -> dict[str, Any]:
    """Paths that lead to a file outside, through every door that takes a path or a name, written in every way."""
    up = "/".join([".."] * 12) + str(secret)
    ways = [
        str(secret),
        up,
        quote(up, safe=""),
        up.replace("..", "%2e%2e"),
        up.replace("/", "%2f"),
        up.replace("/", "\\"),
    ]
    ways += [
        quote(quote(up, safe=""), safe=""),
        f"%00{up}",
        f"....//{up}",
        f"file://{secret}",
        up.replace("..", "%c0%ae%c0%ae"),
    ]
    asked = refused = told = 0
    for way in ways:
        body = json.dumps({"task": "text", "data": [way], "settings": {}})
        model = json.dumps({"model": way})
        named = json.dumps({"model": "words", "restore": way})
        for method, path, content in (
            ("GET", f"/{way}", ""),
            ("GET", f"/assets/{way}", ""),
            ("GET", f"/v1/models/{way}", ""),
            ("GET", f"/v1/runs/{way}", ""),
            ("PUT", f"/v1/files/{way}", "x"),
            ("POST", "/v1/runs", body),
            ("POST", "/v1/sessions", model),
            ("POST", "/v1/sessions", named),
        ):
            status, answer = await _request(port, method, path, content)
            asked += 1
            refused += 400 <= status < 500
            told += SECRET in answer
    return {"requests": asked, "refused": refused, "told": told}


async def oversized(port: int, count: int = 20, most: int = 32 << 20) -> dict[str, Any]:
    """Uploads of more than the limit, with their length in the head and without one; messages of more than the limit."""
    refused = 0
    for number in range(count):
        head = f"PUT /v1/files/large-{number}.txt HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
        chunked = number % 2 == 1
        lengths = "Transfer-Encoding: chunked" if chunked else f"Content-Length: {2 * most}"
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(f"{head}{lengths}\r\n\r\n".encode())
        piece, answer = b"x" * (1 << 20), asyncio.create_task(reader.readline())
        with contextlib.suppress(OSError):
            for _ in range(2 * most // len(piece)):
                writer.write(b"%x\r\n%s\r\n" % (len(piece), piece) if chunked else piece)
                await writer.drain()
        with contextlib.suppress(OSError):
            refused += b" 413 " in await answer
        writer.close()
    ended = 0
    for _ in range(count):
        async with connect(f"ws://127.0.0.1:{port}/v1/socket", max_size=None) as raw:
            await raw.recv()
            await raw.send("x" * (2 << 20))
            await raw.wait_closed()
            ended += raw.close_code == 1009
    return {"uploads": count, "refused": refused, "messages": count, "ended": ended}


async def _raw(port: int) -> socket.socket:
    """A plain connection with a small receive buffer."""
    own = socket.socket()
    own.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    own.setblocking(False)
    await asyncio.get_running_loop().sock_connect(own, ("127.0.0.1", port))
    return own


async def _request(port: int, method: str, path: str, content: str) -> tuple[int, str]:
    """Status and text of an answer to a request whose path goes as it is written."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    kind = "application/json" if method == "POST" else "application/octet-stream"
    head = f"{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Type: {kind}\r\n"
    writer.write(f"{head}Content-Length: {len(content.encode())}\r\n\r\n{content}".encode())
    answer = (await reader.read()).decode("utf-8", "replace")
    writer.close()
    return int(answer.split(" ", 2)[1]), answer


def _frame(payload: bytes) -> bytes:
    """A masked text frame of a WebSocket, with a mask of zeros."""
    return bytes([0x81, 0x80 | 126]) + len(payload).to_bytes(2, "big") + bytes(4) + payload
