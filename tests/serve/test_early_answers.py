"""Answers that come before the client has sent all of its request: they arrive, whatever it still sends, and nothing grows."""

from __future__ import annotations

import http.client
import shutil
import socket
import ssl
import struct
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from congru.serve.meters import resident_bytes
from congru.serve.options import Limits
from runtime_models import save_text
from serve_cases import Serving, make_certificate, serving

LIMIT, MIB = 1 << 20, 1 << 20
TOKEN = "a-token-of-this-test"
HANDSHAKE = (
    b"GET /v1/socket HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    folder = tmp_path_factory.mktemp("models")
    save_text(folder / "words")
    limits = Limits(body_bytes=LIMIT, discard_bytes=32 * MIB, requests_per_second=10_000, send_seconds=4)
    with serving(folder, folder / "words", limits=limits, token=TOKEN) as running:
        yield running


def request(line: str, *headers: str, token: str = TOKEN) -> bytes:
    known = ("Host: localhost", f"Authorization: Bearer {token}", *headers)
    return "\r\n".join([f"{line} HTTP/1.1", *known, "", ""]).encode()


def told(own: socket.socket) -> int:
    """The status of an answer that is read to its end."""
    answer = http.client.HTTPResponse(own)
    answer.begin()
    assert len(answer.read()) > 10
    return answer.status


def talk(port: int, head: bytes, mebibytes: int, chunked: bool) -> int:
    """What a client is told that reads nothing before it has sent everything; an error where it is reset."""
    piece = b"x" * MIB
    with socket.create_connection(("127.0.0.1", port), timeout=20) as own:
        own.sendall(head)
        for _ in range(mebibytes):
            own.sendall(b"%x\r\n%s\r\n" % (len(piece), piece) if chunked else piece)
        if chunked:
            own.sendall(b"0\r\n\r\n")
        return told(own)


REFUSED = {  # the answer, the request, and how many mebibytes it has
    "too large": (413, "PUT /v1/files/a.txt", 8, TOKEN),
    "no such path": (404, "POST /v1/nothing", 1, TOKEN),
    "no such method": (405, "POST /v1/models", 1, TOKEN),
    "no token": (401, "PUT /v1/files/a.txt", 8, "wrong"),
}


@pytest.mark.parametrize("chunked", [False, True], ids=["length", "chunked"])
@pytest.mark.parametrize("ends", [False, True], ids=["kept", "closed"])
@pytest.mark.parametrize("kind", REFUSED)
def test_a_refused_body_is_told_so(server: Serving, kind: str, ends: bool, chunked: bool) -> None:
    """Ten tries each: what is lost is lost by chance."""
    status, line, mebibytes, token = REFUSED[kind]
    lengths = "Transfer-Encoding: chunked" if chunked else f"Content-Length: {mebibytes * MIB}"
    head = request(line, lengths, *(["Connection: close"] if ends else []), token=token)
    for _ in range(10):
        assert talk(server.port, head, mebibytes, chunked) == status


@pytest.mark.skipif(shutil.which("openssl") is None, reason="to run this: apt-get install openssl")
def test_a_refused_body_is_told_so_over_tls(tmp_path: Path) -> None:
    """Where a connection cannot be closed on one side alone."""
    certificate, key = make_certificate(tmp_path)
    tls = ssl.create_default_context(cafile=str(certificate))
    save_text(tmp_path / "words")
    limits = Limits(body_bytes=LIMIT, discard_bytes=32 * MIB)
    with serving(tmp_path, tmp_path / "words", certificate=certificate, key=key, limits=limits) as server:
        for ends in 5 * [["Connection: close"], []]:
            with (
                socket.create_connection(("127.0.0.1", server.port), timeout=20) as raw,
                tls.wrap_socket(raw, server_hostname="127.0.0.1") as own,
            ):
                own.sendall(request("PUT /v1/files/a.txt", f"Content-Length: {8 * MIB}", *ends))
                for _ in range(8):
                    own.sendall(b"x" * MIB)
                assert told(own) == 413


def test_what_is_no_http_is_told_so(server: Serving) -> None:
    for head in (b"\x16\x03\x01 nonsense\r\n\r\n", request("GET /", "X: " + "y" * (1 << 17))):
        for _ in range(10):
            assert talk(server.port, head, 4, chunked=False) == 400


def test_a_message_above_the_limit_is_told_so(server: Serving) -> None:
    """The code 1009 arrives, however much is sent behind."""
    frame = bytes([0x81, 0x80 | 127]) + struct.pack(">Q", 8 * MIB) + bytes(4)
    for _ in range(10):
        with socket.create_connection(("127.0.0.1", server.port), timeout=20) as own:
            own.sendall(HANDSHAKE + f"Authorization: Bearer {TOKEN}\r\n\r\n".encode())
            assert own.recv(20_000).startswith(b"HTTP/1.1 101 ")
            own.sendall(frame)
            for _ in range(8):
                own.sendall(b"x" * MIB)
            answer = b""
            while piece := own.recv(20_000):
                answer += piece
        assert struct.pack(">H", 1009) in answer


def test_a_connection_that_was_refused_goes_on_with_its_next_request(server: Serving) -> None:
    with socket.create_connection(("127.0.0.1", server.port), timeout=20) as own:
        for _ in range(5):
            own.sendall(request("PUT /v1/files/a.txt", f"Content-Length: {4 * MIB}"))
            own.sendall(b"x" * 4 * MIB)
            assert told(own) == 413
            own.sendall(request("GET /health"))
            assert told(own) == 200


@pytest.mark.parametrize("ends", [False, True], ids=["kept", "closed"])
def test_who_sends_without_end_is_told_and_cut_off(server: Serving, ends: bool) -> None:
    """The answer is there, `discard_bytes` and what lies in the sockets are taken, and the seconds have an end."""
    head = request(
        "PUT /v1/files/a.txt", f"Content-Length: {1 << 40}", *(["Connection: close"] if ends else [])
    )
    before = resident_bytes()
    with socket.create_connection(("127.0.0.1", server.port)) as own:
        own.sendall(head)
        own.settimeout(0.2)
        assert told(own) == 413
        began, sent = time.monotonic(), 0
        while time.monotonic() - began < 20:
            try:
                sent += own.send(b"x" * MIB)
            except TimeoutError:
                continue
            except OSError:
                break
        assert 3 < time.monotonic() - began < 12
    assert 32 * MIB < sent < 64 * MIB
    assert resident_bytes() - before < 16 * MIB
    assert server.ask("GET", "/health")[0] == 200


def test_a_broken_body_behind_its_answer_fails_nothing(
    server: Serving, caplog: pytest.LogCaptureFixture
) -> None:
    with socket.create_connection(("127.0.0.1", server.port), timeout=20) as own:
        own.sendall(request("PUT /v1/files/a.txt", "Transfer-Encoding: chunked"))
        for _ in range(3):
            own.sendall(b"%x\r\n%s\r\n" % (MIB, b"x" * MIB))
        assert told(own) == 413
        own.sendall(b"no length\r\n")
        while own.recv(20_000):
            pass
    time.sleep(0.1)
    assert server.ask("GET", "/health")[0] == 200
    assert not [record for record in caplog.records if record.levelname == "ERROR"]
