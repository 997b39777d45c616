"""Connections that never finish: half a request, half a body, an answer nobody reads. Each is cut off, and holds up nobody."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from congru.serve.desk import Desk
from congru.serve.options import Limits
from runtime_models import save_text
from serve_cases import Serving, serving

HEAD = b"PUT /v1/files/a.txt HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    folder = tmp_path_factory.mktemp("models")
    save_text(folder / "words")
    limits = Limits(receive_seconds=1.5, send_seconds=1.5)
    with serving(folder, folder / "words", limits=limits) as running:
        yield running


def seconds_until_cut(own: socket.socket, piece: bytes = b"") -> float:
    """How long the server lets a connection live, to which `piece` is sent every tenth of a second."""
    began = time.monotonic()
    own.settimeout(0.1)
    while time.monotonic() - began < 20:
        try:
            if piece:
                own.sendall(piece)
                time.sleep(0.1)
            if own.recv(1000) == b"":
                return time.monotonic() - began
        except TimeoutError:
            continue
        except OSError:
            return time.monotonic() - began
    return 20


@pytest.mark.parametrize("begun", [b"", b"GET /v1/mod", HEAD, HEAD + b"\r\n" + b"x" * 40])
def test_a_request_that_is_never_finished_is_cut_off(server: Serving, begun: bytes) -> None:
    with socket.create_connection(("127.0.0.1", server.port)) as own:
        own.sendall(begun)
        assert 1 < seconds_until_cut(own) < 15
    assert server.ask("GET", "/health")[0] == 200


def test_a_head_that_drips_is_cut_off_and_a_body_that_drips_is_read(server: Serving) -> None:
    with socket.create_connection(("127.0.0.1", server.port)) as own:
        own.sendall(HEAD)
        assert seconds_until_cut(own, b"X-A: b\r\n") < 15
    with socket.create_connection(("127.0.0.1", server.port)) as own:
        own.sendall(HEAD + b"\r\n")
        for _ in range(10):
            time.sleep(0.25)
            own.sendall(b"x" * 10)
        own.settimeout(20)
        assert own.recv(100).startswith(b"HTTP/1.1 201")


def test_a_connection_that_waits_for_its_next_request_stays(server: Serving) -> None:
    with socket.create_connection(("127.0.0.1", server.port)) as own:
        for _ in range(2):
            own.sendall(b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n")
            own.settimeout(20)
            answer = b""
            while b"}" not in answer:
                answer += own.recv(4000)
            assert answer.startswith(b"HTTP/1.1 200")
            time.sleep(2)
        own.sendall(b"GET /health HTTP/1.1\r\n")  # and the next one is due again
        assert 1 < seconds_until_cut(own) < 15


def test_what_the_server_takes_is_not_the_clients_time(
    server: Serving, monkeypatch: pytest.MonkeyPatch
) -> None:
    opens = Desk.open

    async def slowly(*arguments: Any) -> Any:
        await asyncio.sleep(2.5)
        return await opens(*arguments)

    monkeypatch.setattr(Desk, "open", slowly)
    status, answer = server.ask("POST", "/v1/sessions", {"model": "words"})
    assert status == 201
    assert server.ask("DELETE", f"/v1/sessions/{answer['session']}")[0] in (200, 204)


def test_a_message_that_breaks_off_ends_a_conversation_nobody_reads(
    server: Serving, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What waits to be sent when the conversation ends is not waited for without end."""
    hello = (
        b"GET /v1/socket HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    )
    ping = b'{"type":"ping","id":"' + b"y" * 60_000 + b'"}'
    frame = bytes([0x81, 0x80 | 126]) + len(ping).to_bytes(2, "big") + bytes(4) + ping
    monkeypatch.setattr("congru.serve.socket.WAITING_BYTES", 1 << 30)
    folder = server.desk.library.find("words").path
    limits = Limits(in_flight=1000, send_seconds=3.0)
    with serving(tmp_path, folder, limits=limits) as other, socket.socket() as own:
        own.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
        own.connect(("127.0.0.1", other.port))
        own.sendall(hello)
        assert b"101 Switching" in own.recv(400)
        with contextlib.suppress(ConnectionError):  # cut off already
            for _ in range(200):
                own.sendall(frame)
        own.settimeout(0.2)
        began = time.monotonic()
        while time.monotonic() - began < 20:
            try:
                own.sendall(b"\x7f" * 1000)  # no frame at all
            except TimeoutError:
                continue
            except OSError:
                break
        assert time.monotonic() - began < 20


def test_a_body_that_is_cut_is_no_failure_of_the_server(
    server: Serving, caplog: pytest.LogCaptureFixture
) -> None:
    with socket.create_connection(("127.0.0.1", server.port)) as own:
        own.sendall(HEAD + b"\r\n" + b"x" * 40)
        time.sleep(0.1)
    time.sleep(0.3)
    assert server.ask("GET", "/health")[0] == 200
    assert not [record for record in caplog.records if record.levelname == "ERROR"]


def test_an_answer_that_nobody_reads_is_cut_off(server: Serving) -> None:
    ask = b"GET /page.js HTTP/1.1\r\nHost: localhost\r\n\r\n"
    with socket.socket() as own:
        own.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
        own.connect(("127.0.0.1", server.port))
        own.settimeout(0.1)
        began = time.monotonic()
        while time.monotonic() - began < 20:
            try:
                own.sendall(ask)
                time.sleep(0.05)
            except TimeoutError:
                continue
            except OSError:
                break
        assert time.monotonic() - began < 20
    assert server.ask("GET", "/health")[0] == 200
