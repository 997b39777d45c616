"""A real server in a thread over small model folders, and plain clients for it: http.client and websockets."""

from __future__ import annotations

import contextlib
import http.client
import json
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import uvicorn
from websockets.sync.client import connect

from congru.serve.app import make_app, make_config
from congru.serve.options import Options


class Serving:
    """A server that listens on a free port of this machine."""

    def __init__(self, options: Options, port: int = 0) -> None:
        self.app = make_app(options)
        self.desk, self.runs = self.app.state.desk, self.app.state.runs
        self._socket = socket.socket()
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._socket.bind(("127.0.0.1", port))
        self.port: int = self._socket.getsockname()[1]
        self._server = uvicorn.Server(make_config(self.app, options))
        self._thread = threading.Thread(
            target=self._server.run, kwargs={"sockets": [self._socket]}, daemon=True
        )
        self._thread.start()
        while not self._server.started:
            assert self._thread.is_alive(), "the server did not start"
            time.sleep(0.005)

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def ask(
        self, method: str, path: str, body: Any = None, headers: dict[str, str] | None = None
    ) -> tuple[int, Any]:
        """Status and JSON (or text) of an answer; bytes go as they are."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            content = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
            kind = {} if content is None or isinstance(body, bytes) else {"content-type": "application/json"}
            connection.request(method, path, content, {**kind, **(headers or {})})
            answer = connection.getresponse()
            text = answer.read().decode()
            is_json = answer.headers.get("content-type", "").startswith("application/json")
            return answer.status, json.loads(text) if is_json else text
        finally:
            connection.close()

    @contextlib.contextmanager
    def socket(self, **options: Any) -> Iterator[Client]:
        with connect(f"ws://127.0.0.1:{self.port}/v1/socket", **options) as raw:
            client = Client(raw)
            assert client.receive()["type"] == "hello"
            yield client

    def close(self) -> None:
        self._server.should_exit = True
        self._thread.join(20)
        assert not self._thread.is_alive()
        self._socket.close()


class Client:
    """A WebSocket client that speaks JSON."""

    def __init__(self, raw: Any) -> None:
        self.raw = raw

    def send(self, **message: Any) -> None:
        self.raw.send(json.dumps(message))

    def receive(self) -> dict[str, Any]:
        answer: dict[str, Any] = json.loads(self.raw.recv(timeout=60))
        return answer

    def ask(self, **message: Any) -> dict[str, Any]:
        self.send(**message)
        return self.receive()

    def open(self, model: str, **options: Any) -> str:
        answer = self.ask(type="open", model=model, **options)
        assert answer["type"] == "opened", answer
        return str(answer["session"])


def make_certificate(folder: Path) -> tuple[Path, Path]:
    """A certificate of 127.0.0.1 for a day, and its key."""
    certificate, key = folder / "cert.pem", folder / "key.pem"
    made = ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "1"]
    names = ["-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1"]
    files = ["-keyout", str(key), "-out", str(certificate)]
    subprocess.run(["openssl", *made, *names, *files], check=True, capture_output=True)
    return certificate, key


@contextlib.contextmanager
def serving(folder: Path, *models: Path, **options: Any) -> Iterator[Serving]:
    """A server over some model folders; everything it writes lies below `folder`."""
    server = Serving(
        Options(
            folders=models or (folder,),
            data=folder,
            runs=folder / "runs",
            saves=folder / "runs" / "sessions",
            **options,
        )
    )
    try:
        yield server
    finally:
        server.close()
