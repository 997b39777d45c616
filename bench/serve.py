"""What does a thousand sessions at once cost a server, and what does a flood of nonsense leave behind?

A server of one text model (GRU, 256 units, random weights) in a process of its own; the clients are in this one, on the same
cores, over loopback. Correctness first: the outputs of every session are those of the session alone, bit for bit.

    sessions   1,000 on 50 WebSocket connections, each in a closed loop: it sends a step when the last is answered. Milliseconds
               from sending to the answer, with 1, 100 and 1,000 at work, and how many steps went into one call.
    flood      100,000 malformed messages on 8 connections, while one session steps on: all refused, its latency, and what the
               process of the server grew by after the first tenth.
    attacks    50 readers that do not read, 200 half-open connections, 88 paths that lead outside, 40 bodies and messages above
               the limit (`bench.serve_attacks`): refused or cut off, with the same session beside them.

    python -m bench.serve [--steps 30] [--messages 100000]
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path
from typing import Any

import numpy as np
from websockets.asyncio.client import connect

from bench.record import ROOT, write_result
from bench.serve_attacks import SECRET, attacks
from congru.runtime.folder import load, save_model
from congru.runtime.golden import make_golden
from congru.runtime.graph import Graph
from congru.runtime.network import Network

NUM_TOKENS, HIDDEN, PER_CONNECTION = 65, 256, 20
CROWDS = (1, 100, 1000)
NONSENSE = (
    '{"type":"step"',
    "null",
    "[1,2]",
    '{"type":"fly","id":1}',
    '{"type":"step","session":"x","values":1}',
    '{"type":"step","session":5,"values":NaN}',
    '{"type":"open","model":"' + "x" * 400 + '"}',
    "\\u0000" * 50,
)


def make_model(folder: Path) -> Path:
    """A text model with random weights."""
    config = {
        "inputs": {"text": {"tokens": NUM_TOKENS}},
        "nodes": [
            {"type": "embedding", "name": "embed", "size": 64},
            {"type": "gru", "name": "rnn", "hidden_size": HIDDEN},
            {"type": "linear", "name": "head", "size": NUM_TOKENS},
        ],
        "outputs": ["head"],
    }
    rng = np.random.default_rng(0)
    shapes = Graph(config).weight_shapes
    weights = {name: (0.1 * rng.standard_normal(shape)).astype(np.float32) for name, shape in shapes.items()}
    save_model(
        folder / "words",
        config={"task": "text", "cell": "gru", "networks": {"main": config}},
        weights={"main": weights},
        golden={"main": make_golden(config, Network(config, weights).run)},
        files={},
        card="# made up\n",
    )
    return folder / "words"


def metric(port: int, name: str) -> float:
    """One value of the server's /metrics."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics") as answer:
        lines = answer.read().decode().splitlines()
    return sum(float(line.rsplit(" ", 1)[1]) for line in lines if line.split("{")[0].split(" ")[0] == name)


class Client:
    """One connection with several sessions; answers find their session by the id of the message."""

    def __init__(self, raw: Any) -> None:
        self.raw, self.keys = raw, list[str]()
        self.waiting: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self.reader = asyncio.create_task(self._read())
        self.count = 0

    async def _read(self) -> None:
        async for text in self.raw:
            answer = json.loads(text)
            if answer.get("id") in self.waiting:
                self.waiting.pop(answer["id"]).set_result(answer)

    async def ask(self, **message: Any) -> dict[str, Any]:
        self.count += 1
        answer = self.waiting[self.count] = asyncio.get_running_loop().create_future()
        await self.raw.send(json.dumps({**message, "id": self.count}))
        return await answer


async def crowd(port: int, size: int, steps: int, model: Path) -> dict[str, Any]:
    """`size` sessions that step side by side; their outputs are held against sessions alone."""
    url, alone = f"ws://127.0.0.1:{port}/v1/socket", load(model)
    raws = [await connect(url) for _ in range(-(-size // PER_CONNECTION))]
    clients = [Client(raw) for raw in raws]
    sessions = []
    for number in range(size):
        client = clients[number // PER_CONNECTION]
        sessions.append((client, (await client.ask(type="open", model="words"))["session"], number))
    seconds: list[float] = []
    tokens = np.random.default_rng(1).integers(0, NUM_TOKENS, (size, steps)).tolist()
    last: dict[int, list[float]] = {}

    async def run(client: Client, key: str, number: int) -> None:
        for token in tokens[number]:
            began = time.perf_counter()
            answer = await client.ask(type="step", session=key, values=token)
            seconds.append(time.perf_counter() - began)
            last[number] = answer["outputs"]["head"]

    calls, taken = metric(port, "congru_batches_total"), metric(port, "congru_steps_total")
    began = time.perf_counter()
    await asyncio.gather(*(run(*session) for session in sessions))
    whole = time.perf_counter() - began
    calls, taken = metric(port, "congru_batches_total") - calls, metric(port, "congru_steps_total") - taken
    for number, output in last.items():
        own = alone.session()
        for token in tokens[number]:
            expected = own.step(token)
        if not np.array_equal(np.float32(output), expected):
            raise SystemExit(f"session {number} of {size} has other bits than alone")
    for client in clients:
        client.reader.cancel()
        await client.raw.close()
    milliseconds = 1e3 * np.quantile(seconds, (0.5, 0.99))
    return {
        "sessions": size,
        "p50_ms": round(float(milliseconds[0]), 2),
        "p99_ms": round(float(milliseconds[1]), 2),
        "steps_per_second": round(size * steps / whole),
        "steps_a_call": round(taken / calls, 1),
    }


async def flood(port: int, messages: int) -> dict[str, Any]:
    """Malformed messages from several connections, a session beside them, and the memory of the server."""
    url, rng, refused = f"ws://127.0.0.1:{port}/v1/socket", random.Random(0), 0
    seconds: list[float] = []
    done = asyncio.Event()

    async def beside() -> None:
        client = Client(await connect(url))
        key = (await client.ask(type="open", model="words"))["session"]
        while not done.is_set():
            began = time.perf_counter()
            answer = await client.ask(type="step", session=key, values=1)
            if answer["type"] != "stepped":
                raise SystemExit(f"the session beside the flood was told {answer}")
            seconds.append(time.perf_counter() - began)
            await asyncio.sleep(0.005)
        client.reader.cancel()
        await client.raw.close()

    async def noise(count: int) -> None:
        nonlocal refused
        async with connect(url) as raw:
            await raw.recv()
            for begin in range(0, count, 50):
                size = min(50, count - begin)
                for _ in range(size):
                    await raw.send(rng.choice(NONSENSE))
                for _ in range(size):
                    answer = json.loads(await raw.recv())
                    refused += answer["type"] == "error"

    watcher = asyncio.create_task(beside())
    await asyncio.gather(*(noise(messages // 80) for _ in range(8)))
    before = metric(port, "congru_resident_bytes")
    began = time.perf_counter()
    await asyncio.gather(*(noise(messages * 9 // 80) for _ in range(8)))
    whole = time.perf_counter() - began
    grown = metric(port, "congru_resident_bytes") - before
    done.set()
    await watcher
    return {
        "messages": 8 * (messages // 80 + messages * 9 // 80),
        "refused": refused,
        "messages_per_second": round(8 * (messages * 9 // 80) / whole),
        "grown_mb": round(grown / 1e6, 2),
        "beside_p99_ms": round(1e3 * float(np.quantile(seconds, 0.99)), 2),
        "sessions_left": metric(port, "congru_sessions"),
    }


def main() -> int:
    """Measure and write results/serve.json."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=30)
    parser.add_argument("--messages", type=int, default=100_000)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        model = make_model(Path(folder))
        command = [
            sys.executable,
            "-m",
            "congru",
            "serve",
            str(model),
            "--port",
            "0",
            "--runs",
            f"{folder}/runs",
            "--data",
            f"{folder}/data",
        ]
        (Path(folder) / "data").mkdir()
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT) as server:
            try:
                assert server.stdout is not None
                port = int(server.stdout.readline().rsplit(":", 1)[1].split("/")[0])
                asyncio.run(crowd(port, 20, 5, model))  # warm-up
                crowds = [asyncio.run(crowd(port, size, arguments.steps, model)) for size in CROWDS]
                for row in crowds:
                    print(row, flush=True)
                noise = asyncio.run(flood(port, arguments.messages))
                print(noise, flush=True)
                (Path(folder) / "secret.txt").write_text(SECRET)
                attacked = asyncio.run(attacks(port, Path(folder) / "secret.txt", metric))
            finally:
                server.terminate()
    write_result(
        "serve",
        command="python -m bench.serve",
        repetitions=arguments.steps,
        figures={
            "crowds": crowds,
            "flood": noise,
            "attacks": attacked,
            "load_average": round(os.getloadavg()[0], 1),
        },
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
