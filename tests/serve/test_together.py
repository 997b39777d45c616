"""Many clients at once: each session has the bits it has alone, floods leave nothing, a slow reader holds up nobody."""

from __future__ import annotations

import asyncio
import json
import random
import socket as sockets
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from websockets.asyncio.client import connect

from congru.errors import ShapeError
from congru.runtime.folder import load
from congru.serve.batcher import Batcher
from congru.serve.meters import resident_bytes
from congru.serve.options import Limits
from runtime_models import SYMBOLS, save_text
from serve_cases import Serving, serving


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    folder = tmp_path_factory.mktemp("models")
    save_text(folder / "words", hidden_size=16)
    save_text(folder / "lstm", "lstm")
    with serving(folder) as running:
        yield running


async def _stream(port: int, model: str, seed: int, steps: int) -> tuple[list[int], list[Any]]:
    """One client: random tokens, a fork on the way that goes its own way, and what came out."""
    rng = random.Random(seed)
    tokens = [rng.randrange(len(SYMBOLS)) for _ in range(steps)]
    outputs = []
    async with connect(f"ws://127.0.0.1:{port}/v1/socket") as raw:

        async def ask(**message: Any) -> dict[str, Any]:
            await raw.send(json.dumps(message))
            answer: dict[str, Any] = json.loads(await raw.recv())
            return answer

        await raw.recv()
        key = (await ask(type="open", model=model))["session"]
        twin = (await ask(type="fork", session=key))["session"]
        for token in tokens:
            outputs.append((await ask(type="step", session=key, values=token))["outputs"]["head"])
            await ask(type="step", session=twin, values=rng.randrange(len(SYMBOLS)))
    return tokens, outputs


def test_sessions_side_by_side_have_the_bits_of_each_alone(server: Serving) -> None:
    async def all_of_them() -> list[tuple[list[int], list[Any]]]:
        names = ("words", "lstm")
        return await asyncio.gather(*(_stream(server.port, names[k % 2], k, 12) for k in range(40)))

    batches = server.desk.meters._counts["batches_total", ""]
    told = asyncio.run(all_of_them())
    calls = server.desk.meters._counts["batches_total", ""] - batches
    assert calls < 40 * 24, "steps were never put together"
    models = [load(server.desk.library.find(name).path) for name in ("words", "lstm")]
    for k, (tokens, outputs) in enumerate(told):
        alone = models[k % 2].session()
        for token, output in zip(tokens, outputs):
            np.testing.assert_array_equal(np.float32(output), alone.step(token))
    assert len(server.desk.sessions) == 0


def test_a_wrong_step_spares_those_beside_it(server: Serving) -> None:
    model = load(server.desk.library.find("words").path)

    async def mixed() -> list[Any]:
        with ThreadPoolExecutor(1) as pool:
            batcher = Batcher(model.network, pool, lambda count, seconds: None)
            steps = [batcher.step(model.session(), token) for token in (1, 99, 2)]
            return list(await asyncio.gather(*steps, return_exceptions=True))

    first, wrong, last = asyncio.run(mixed())
    assert isinstance(wrong, ShapeError)
    np.testing.assert_array_equal(first["head"], model.session().step(1))
    np.testing.assert_array_equal(last["head"], model.session().step(2))


def test_a_flood_of_malformed_messages_is_refused_and_leaves_no_memory(server: Serving) -> None:
    rng = random.Random(0)
    words = [
        '{"type":"step"',
        "null",
        '{"type":"open","model":"' + "x" * 500 + '"}',
        '{"id":{}}',
        "\x00",
        '{"type":"step","session":"a","values":[[[]]]}',
    ]
    with server.socket() as client:
        key = client.open("words")

        def flood(count: int) -> None:
            for _ in range(count // 20):
                for _ in range(20):
                    client.raw.send(rng.choice(words))
                for _ in range(20):
                    assert client.receive()["type"] == "error"

        flood(200)
        before = resident_bytes()
        flood(800)
        assert resident_bytes() - before < 4e6
        assert client.ask(type="step", session=key, values=1)["type"] == "stepped"


def test_a_reader_that_does_not_read_is_cut_off_and_holds_up_nobody(server: Serving, tmp_path: Path) -> None:
    folder = server.desk.library.find("words").path
    with serving(tmp_path, folder, limits=Limits(send_seconds=0.3)) as own, own.socket() as quick:
        slow = sockets.socket()
        slow.setsockopt(sockets.SOL_SOCKET, sockets.SO_RCVBUF, 2048)
        slow.connect(("127.0.0.1", own.port))
        slow.sendall(
            b"GET /v1/socket HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        )
        assert b"101 Switching" in slow.recv(400)
        slow.settimeout(0.05)
        key, longest, until, sent = quick.open("words"), 0.0, time.monotonic() + 10, 0
        ping = _frame(b'{"type":"ping","id":"' + b"y" * 60_000 + b'"}')
        while len(own.desk.sessions) == 1 and time.monotonic() < until:
            try:  # asks, and never reads an answer
                sent += slow.send(ping)
            except TimeoutError:  # its messages wait, too: nothing grows
                pass
            except OSError:
                break  # cut off
            began = time.monotonic()
            assert quick.ask(type="step", session=key, values=1)["type"] == "stepped"
            longest = max(longest, time.monotonic() - began)
        assert time.monotonic() < until
        assert longest < 2
        assert sent < 50e6
        slow.close()
        assert quick.ask(type="step", session=key, values=1)["type"] == "stepped"


def _frame(payload: bytes) -> bytes:
    """A masked text frame of a WebSocket, with a mask of zeros."""
    assert 126 <= len(payload) < 65536
    return bytes([0x81, 0x80 | 126]) + len(payload).to_bytes(2, "big") + bytes(4) + payload


def test_completions_speak_as_openai_does(server: Serving) -> None:
    model = load(server.desk.library.find("words").path)
    ask = {"model": "words", "prompt": "abc", "max_tokens": 12, "temperature": 0.9, "seed": 4}
    status, answer = server.ask("POST", "/v1/completions", ask)
    assert status == 200
    completion = "".join(model.session(seed=4).feed("abc").generate(12, temperature=0.9))
    assert answer["choices"] == [
        {"index": 0, "text": completion, "logprobs": None, "finish_reason": "length"}
    ]
    assert answer["usage"] == {"prompt_tokens": 3, "completion_tokens": 12, "total_tokens": 15}
    assert answer["object"] == "text_completion"
    _, text = server.ask("POST", "/v1/completions", {**ask, "stream": True, "echo": True})
    events = [line.removeprefix("data: ") for line in text.split("\n\n") if line]
    assert events[-1] == "[DONE]"
    chunks = [json.loads(event)["choices"][0] for event in events[:-1]]
    assert "".join(chunk["text"] for chunk in chunks) == "abc" + completion
    assert chunks[-1]["finish_reason"] == "length"
    _, stopped = server.ask(
        "POST", "/v1/completions", {**ask, "stop": [completion[4]], "n": 2, "prompt": ["abc", "a"]}
    )
    assert stopped["choices"][0]["text"] == completion[: completion.index(completion[4])]
    assert stopped["choices"][0]["finish_reason"] == "stop"
    assert [choice["index"] for choice in stopped["choices"]] == [0, 1, 2, 3]
    for wrong in (
        {"max_tokens": -1},
        {"logprobs": 3},
        {"prompt": ""},
        {"model": "none"},
        {"colour": 1},
        {"prompt": "Z"},
    ):
        status, answer = server.ask("POST", "/v1/completions", {**ask, **wrong})
        assert status in (400, 404, 422)
        assert set(answer["error"]) == {"message", "type", "param", "code"}
    assert len(server.desk.sessions) == 0
