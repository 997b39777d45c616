"""A fit of a minute says how far it is, can be ended, and leaves nothing behind when nobody waits for it."""

from __future__ import annotations

import http.client
import json
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from congru.serve import fitting
from congru.serve.subjects import players
from congru.tasks.chess.sources import read_games
from serve_cases import Serving, serving


@pytest.fixture
def server(chess: Path, tmp_path: Path) -> Iterator[Serving]:
    with serving(tmp_path, chess / "chess") as running:
        yield running


@pytest.fixture
def slow(monkeypatch: pytest.MonkeyPatch) -> threading.Event:
    """Rounds that take a tenth of a second until the event is set."""
    quickly, fit = threading.Event(), players.fit_named

    def fit_slowly(*arguments: Any, progress: Any, **options: Any) -> Any:
        def told(done: int, of: int) -> None:
            progress(done, of)
            quickly.wait(0.1)

        return fit(*arguments, progress=told, **options)

    monkeypatch.setattr(players, "fit_named", fit_slowly)
    return quickly


def body_of(chess: Path, **options: Any) -> dict[str, Any]:
    path = chess / "data" / "chess" / "games.pgn"
    name = read_games(str(path))[0].players[0]
    return {"player": name, "pgn": path.read_text(), "games": 4, **options}


class Stream:
    """A request whose answer comes event by event."""

    def __init__(self, server: Serving, body: dict[str, Any]) -> None:
        self.connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
        text = json.dumps({**body, "stream": True})
        self.connection.request("POST", "/v1/models/chess/adapt", text, {"content-type": "application/json"})
        self.answer = self.connection.getresponse()
        assert self.answer.status == 200

    def event(self) -> dict[str, Any]:
        line = self.answer.readline()
        assert line.startswith(b"data: ")
        assert self.answer.readline() == b"\n"
        event: dict[str, Any] = json.loads(line[6:])
        return event

    def until(self, **wanted: Any) -> dict[str, Any]:
        while True:
            event = self.event()
            if wanted.items() <= event.items() or "error" in event:
                return event
            assert event["type"] == "progress", event

    def close(self) -> None:
        self.answer.close()
        self.connection.close()


Begin = Callable[[dict[str, Any]], Stream]


@pytest.fixture
def stream(server: Serving) -> Iterator[Begin]:
    """Opens streams that are closed at the end."""
    opened: list[Stream] = []

    def begin(body: dict[str, Any]) -> Stream:
        opened.append(Stream(server, body))
        return opened[-1]

    yield begin
    for one in opened:
        one.close()


def wait_for_an_empty_line(server: Serving) -> None:
    until = time.monotonic() + 20
    while server.desk.fits._line or server.desk.fits._pool._work_queue.qsize():
        assert time.monotonic() < until
        time.sleep(0.01)


def test_it_says_how_far_it_is(server: Serving, stream: Begin, chess: Path) -> None:
    events: list[dict[str, Any]] = []
    asked = stream(body_of(chess))
    while not events or events[-1]["type"] == "progress":
        events.append(asked.event())
    assert asked.answer.read() == b""
    *told, last = events
    assert told[0] == {"type": "progress", "phase": "reading", "done": 0, "of": 60, "seconds_left": None}
    passes = [event["done"] for event in told if event["phase"] == "fitting"]
    assert passes == list(range(players._ROUNDS + 1))
    assert told[-1]["seconds_left"] == 0
    left = [event["seconds_left"] for event in told if event["phase"] == "fitting"]
    assert left[0] is None
    assert all(seconds >= 0 for seconds in left[1:])
    assert last["type"] == "adapted"
    assert last["after"] < last["before"]
    schema = server.ask("GET", "/v1/openapi.json")[1]["paths"]["/v1/models/{name}/adapt"]["post"]
    kinds = schema["responses"]["200"]["content"]["text/event-stream"]["schema"]["anyOf"]
    for event in events:
        kind = next(
            kind for kind in kinds if kind["properties"].get("type", {}).get("const") == event["type"]
        )
        assert set(event) == set(kind["properties"])


def test_who_goes_away_ends_it_and_nothing_is_left(
    server: Serving, stream: Begin, chess: Path, slow: threading.Event, tmp_path: Path
) -> None:
    before = {path.name for path in Path(tempfile.gettempdir()).glob("congru-*")}
    for streams in (True, False):
        if streams:
            asked = stream(body_of(chess))
            asked.until(phase="fitting", done=2)
            asked.close()
        else:
            connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
            text = json.dumps(body_of(chess))
            connection.request("POST", "/v1/models/chess/adapt", text, {"content-type": "application/json"})
            time.sleep(0.5)
            connection.close()
        began = time.monotonic()
        wait_for_an_empty_line(server)
        assert time.monotonic() - began < 2  # thirty rounds would take three seconds
    slow.set()
    assert not (tmp_path / "runs").exists()
    assert [entry["id"] for entry in server.ask("GET", "/v1/models")[1]["data"]] == ["chess"]
    assert {path.name for path in Path(tempfile.gettempdir()).glob("congru-*")} <= before
    assert stream(body_of(chess)).until(type="adapted")["model"] == "chess-players"


def test_one_is_fitted_after_the_other_and_the_server_goes_on(
    server: Serving, stream: Begin, chess: Path, slow: threading.Event
) -> None:
    streams = [stream(body_of(chess)) for _ in range(fitting.MOST_WAITING)]
    streams[0].until(phase="fitting", done=1)
    for number, one in enumerate(streams[1:], 1):
        assert one.event() == {
            "type": "progress", "phase": "waiting", "done": 0, "of": number, "seconds_left": None,
        }  # fmt: skip
    assert stream(body_of(chess)).event()["error"]["code"] == "full"
    began = time.monotonic()
    assert server.ask("POST", "/v1/models/chess/game", {"moves": ["e4"]})[0] == 200  # threads are free
    assert time.monotonic() - began < 3
    for one in streams[2:]:
        one.close()
    slow.set()
    assert streams[0].until(type="adapted")["model"] == "chess-players"
    assert streams[1].until(type="adapted")["model"] == "chess-players"
    wait_for_an_empty_line(server)


def test_a_fault_is_an_event_and_a_status(server: Serving, stream: Begin, chess: Path) -> None:
    for change, words in (({"player": "Nobody"}, "Nobody"), ({"pgn": "no games"}, "pgn has no game")):
        body = body_of(chess, **change)
        asked = stream(body)
        asked.until(phase="reading")
        assert words in asked.until(type="none")["error"]["message"]
        status, answer = server.ask("POST", "/v1/models/chess/adapt", body)
        assert status == 400
        assert words in answer["error"]["message"]
        assert "/" not in answer["error"]["message"].replace("1/2", "")  # no path of this machine


def test_a_failure_inside_is_told_without_its_insides(
    server: Serving,
    stream: Begin,
    chess: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise RuntimeError("secret")

    monkeypatch.setattr(players, "fit_named", fail)
    asked = stream(body_of(chess))
    asked.event()
    error = asked.event()["error"]
    assert (error["code"], "secret" in error["message"]) == ("server", False)
    assert "secret" in caplog.text
