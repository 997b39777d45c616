"""The doors of the server: the written protocol, sessions over both of them, and what is refused."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from congru.errors import SettingsError
from congru.runtime.folder import load
from congru.serve import protocol
from congru.serve.options import Limits, Options
from runtime_models import save, save_text, vector_config
from serve_cases import Serving, serving


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    save_text(folder / "words")
    save(folder / "curve", vector_config("lstm", {"type": "linear", "name": "head", "in": 6, "out": 2}))
    save(folder / "both", vector_config(bidirectional=True))
    return folder


@pytest.fixture(scope="module")
def server(folder: Path) -> Iterator[Serving]:
    with serving(folder) as running:
        yield running


def test_the_list_names_every_model(server: Serving) -> None:
    status, answer = server.ask("GET", "/v1/models")
    assert status == 200
    assert {(entry["id"], entry["task"]) for entry in answer["data"]} == {
        ("words", "text"),
        ("curve", "text"),
        ("both", "text"),
    }
    status, one = server.ask("GET", "/v1/models/both")
    assert one["networks"]["main"]["streams"] is False
    assert "both ways" in one["networks"]["main"]["why_not"] or one["networks"]["main"]["why_not"]


def test_a_session_over_the_socket_says_what_the_library_says(server: Serving, folder: Path) -> None:
    own = load(folder / "words").session(seed=3).feed("abc")
    with server.socket() as client:
        key = client.open("words", seed=3)
        fed = client.ask(type="feed", session=key, text="abc", id="x")
        assert fed["id"] == "x"
        np.testing.assert_array_equal(np.float32(fed["outputs"]["head"]), own.last)
        stepped = client.ask(type="step", session=key, values=4)
        np.testing.assert_array_equal(np.float32(stepped["outputs"]["head"]), own.step(4))
        twin = client.ask(type="fork", session=key)["session"]
        expected = "".join(own.fork().generate(30, temperature=0.9))
        for name in (key, twin):  # the fork draws the same
            client.send(type="generate", session=name, n=30, temperature=0.9, id=7)
            pieces, answer = "", client.receive()
            while answer["type"] == "piece":
                pieces, answer = pieces + answer["text"], client.receive()
            assert answer == {"type": "generated", "id": 7, "reason": "length", "tokens": 30}
            assert pieces == expected
        assert client.ask(type="close", session=key)["type"] == "closed"
        assert client.ask(type="step", session=key, values=1)["code"] == "session"


def test_vectors_constants_and_several_inputs_are_checked(server: Serving, folder: Path) -> None:
    own = load(folder / "curve").session()
    with server.socket() as client:
        key = client.open("curve")
        answer = client.ask(type="step", session=key, values=[0.1, -0.2, 0.3])
        np.testing.assert_array_equal(
            np.float32(answer["outputs"]["head"]), own.step(np.float32([0.1, -0.2, 0.3]))
        )
        wrong = client.ask(type="step", session=key, values=[0.1])
        assert (wrong["type"], wrong["code"]) == ("error", "input")
        assert "expected" in wrong["message"]
        assert client.ask(type="feed", session=key, text="abc")["message"].startswith(
            "this model has no tokenizer"
        )
        refused = client.ask(type="open", model="both")
        assert "cannot stream this model" in refused["message"]


def test_sessions_over_http_and_saved_ones_outlive_the_server(folder: Path, tmp_path: Path) -> None:
    with serving(tmp_path, folder) as first:
        status, opened = first.ask("POST", "/v1/sessions", {"model": "words", "seed": 5})
        assert status == 201
        path = f"/v1/sessions/{opened['session']}"
        assert first.ask("POST", f"{path}/feed", {"text": "ab"})[0] == 200
        status, forked = first.ask("POST", f"{path}/fork", {})
        before = first.ask("POST", f"{path}/save", {"name": "here"})
        assert before == (200, {"name": "here"})
        generated = first.ask("POST", f"{path}/generate", {"n": 20})[1]["text"]
        assert (
            generated == first.ask("POST", f"/v1/sessions/{forked['session']}/generate", {"n": 20})[1]["text"]
        )
        assert first.ask("DELETE", path)[0] == 200
        assert first.ask("POST", f"{path}/step", {"values": 1})[0] == 404
    with serving(tmp_path, folder) as second:
        assert second.ask("GET", "/v1/models/words")[1]["saved"][0]["name"] == "here"
        status, opened = second.ask("POST", "/v1/sessions", {"model": "words", "restore": "here"})
        again = second.ask("POST", f"/v1/sessions/{opened['session']}/generate", {"n": 20})[1]["text"]
        assert again == generated
        assert second.ask("POST", "/v1/sessions", {"model": "curve", "restore": "here"})[0] == 404


@pytest.mark.parametrize(
    "text",
    [
        "",
        "no json",
        "[1]",
        '{"type": "fly"}',
        '{"type": "step", "session": 5, "values": 1}',
        '{"type": "step", "session": "x", "values": NaN}',
        '{"type": "open", "model": "words", "surplus": 1}',
        '{"type": "generate", "session": "x", "n": 1e9}',
        "[" * 100_000,
        b"\xff\x00",
    ],
)
def test_a_malformed_message_costs_one_line(server: Serving, text: Any) -> None:
    with server.socket() as client:
        key = client.open("words")
        client.raw.send(text)
        answer = client.receive()
        assert answer["type"] == "error"
        assert answer["code"] in ("message", "session")
        assert "\n" not in answer["message"]
        assert len(answer["message"]) < 500
        assert client.ask(type="step", session=key, values=1)["type"] == "stepped"


def test_no_session_is_reached_from_another_connection(server: Serving) -> None:
    with server.socket() as one, server.socket() as other:
        key = one.open("words")
        for message in (
            {"type": "feed", "text": "a"},
            {"type": "step", "values": 1},
            {"type": "fork"},
            {"type": "close"},
        ):
            assert other.ask(session=key, **message)["code"] == "session"
        assert server.ask("POST", f"/v1/sessions/{key}/step", {"values": 1})[0] == 404
        assert one.ask(type="step", session=key, values=1)["type"] == "stepped"


def test_a_client_that_vanishes_leaves_nothing(server: Serving) -> None:
    before = len(server.desk.sessions)
    raw = socket.create_connection(("127.0.0.1", server.port))
    raw.close()  # half a handshake
    with server.socket() as client:
        key = client.open("words")
        client.ask(type="fork", session=key)
        client.ask(type="feed", session=key, text="a")
        client.send(type="generate", session=key, n=100_000)
        client.receive()
        client.raw.socket.shutdown(socket.SHUT_RDWR)  # no goodbye
        until = time.monotonic() + 5
        while len(server.desk.sessions) > before and time.monotonic() < until:
            time.sleep(0.01)
    assert len(server.desk.sessions) == before


@pytest.mark.parametrize(
    "path",
    ["/../pyproject.toml", "/..%2f..%2fetc/passwd", "/%2e%2e/app.py", "/static/../app.py", "//etc/passwd"],
)
def test_the_page_gives_its_own_files_only(server: Serving, path: str) -> None:
    status, answer = server.ask("GET", path)
    assert status in (400, 404)
    assert set(answer) == {"error"}


@pytest.mark.parametrize("name", ["..", "../x", "a/b", ".hidden", "", "x" * 65, "a\0b", "C:\\x"])
def test_names_of_saved_sessions_stay_inside(server: Serving, name: str) -> None:
    with server.socket() as client:
        key = client.open("words")
        assert client.ask(type="save", session=key, name=name)["code"] == "name"
        assert client.ask(type="open", model="words", restore=name)["code"] == "name"


@pytest.mark.parametrize("path", ["../secret", "/etc/passwd", "a/../../x"])
def test_training_reads_below_the_data_folder_only(server: Serving, path: str) -> None:
    status, answer = server.ask("POST", "/v1/runs", {"task": "text", "data": [path], "settings": {}})
    assert status == 403
    assert "--data" in answer["error"]["message"]


def test_uploads_have_plain_names_and_a_largest_size(folder: Path, tmp_path: Path) -> None:
    with serving(tmp_path, folder, limits=Limits(body_bytes=1000)) as server:
        assert server.ask("PUT", "/v1/files/a.txt", b"abc")[0] == 201
        assert server.ask("PUT", "/v1/files/..%2fa.txt", b"abc")[0] in (400, 404)
        assert server.ask("PUT", "/v1/files/.a", b"abc")[0] == 400
        assert server.ask("PUT", "/v1/files/b.txt", b"x" * 1001)[0] == 413
        chunks = (b"x" * 400 for _ in range(5))  # without a length
        import http.client

        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=20)
        connection.request("PUT", "/v1/files/c.txt", chunks, encode_chunked=True)
        assert connection.getresponse().status == 413
        connection.close()
        assert [path.name for path in (tmp_path / "runs" / "uploads").iterdir()] == ["a.txt"]


def test_a_message_above_the_limit_ends_its_connection_alone(folder: Path, tmp_path: Path) -> None:
    from websockets.exceptions import ConnectionClosed

    with serving(tmp_path, folder, limits=Limits(message_bytes=2000)) as server, server.socket() as other:
        with server.socket() as client:
            client.raw.send("x" * 3000)
            with pytest.raises(ConnectionClosed) as caught:
                client.receive()
            assert caught.value.rcvd.code == 1009
        assert other.ask(type="ping")["type"] == "pong"


def test_sessions_are_limited_and_idle_ones_are_closed(folder: Path, tmp_path: Path) -> None:
    with (
        serving(tmp_path, folder, limits=Limits(sessions=2, idle_seconds=50)) as server,
        server.socket() as client,
    ):
        key = client.open("words")
        client.open("words")
        assert client.ask(type="open", model="words")["code"] == "full"
        now = time.monotonic()
        server.desk.sessions.now = lambda: now + 49
        client.ask(type="step", session=key, values=1)
        server.desk.sessions.now = lambda: now + 60
        assert server.desk.sessions.evict() == 1
        assert client.ask(type="step", session=key, values=1)["type"] == "stepped"
        client.open("words")


def test_one_address_has_a_rate(folder: Path, tmp_path: Path) -> None:
    with serving(tmp_path, folder, limits=Limits(requests_per_second=2)) as server:
        statuses = [server.ask("GET", "/health")[0] for _ in range(8)]
    assert statuses[:4] == [200] * 4
    assert 429 in statuses[4:]


def test_without_a_token_only_this_machine_and_this_page(server: Serving) -> None:
    assert server.ask("GET", "/v1/models", headers={"host": "evil.example"})[0] == 421
    assert server.ask("GET", "/v1/models", headers={"host": f"localhost:{server.port}"})[0] == 200
    wrong = {"origin": "http://evil.example"}
    assert server.ask("POST", "/v1/sessions", {"model": "words"}, headers=wrong)[0] == 403
    with pytest.raises(Exception, match="403"), server.socket(origin="http://evil.example"):
        pass
    for host in ("0.0.0.0", "192.168.1.7", "example.org"):
        with pytest.raises(SettingsError, match="add --token"):
            Options(host=host).check()
    with pytest.raises(SettingsError, match="at least 16"):
        Options(token="short").check()
    with pytest.raises(SettingsError, match="pass --certificate and --key"):
        Options(key=Path("key.pem")).check()
    with pytest.raises(SettingsError, match="expected more than 0"):
        Limits(sessions=0)


def test_a_token_opens_every_door_and_nothing_else_does(folder: Path, tmp_path: Path) -> None:
    token = "a-token-of-this-test"
    with serving(tmp_path, folder, token=token) as server:
        assert server.ask("GET", "/v1/models")[0] == 401
        assert server.ask("GET", "/health")[0] == 200
        assert server.ask("GET", "/metrics")[0] == 401
        assert server.ask("GET", "/v1/models", headers={"authorization": "Bearer wrong"})[0] == 401
        assert server.ask("GET", "/v1/models", headers={"authorization": f"Bearer {token}"})[0] == 200
        assert server.ask("GET", "/v1/models", headers={"cookie": f"congru_token={token}"})[0] == 200
        assert server.ask("GET", f"/v1/models?token={token}")[0] == 401
        with pytest.raises(Exception, match="403"), server.socket():
            pass
        with server.socket(additional_headers={"authorization": f"Bearer {token}"}) as client:
            client.open("words")


def test_the_protocol_is_written_down(server: Serving) -> None:
    document = server.ask("GET", "/v1/openapi.json")[1]
    assert {
        "/v1/models",
        "/v1/sessions",
        "/v1/sessions/{session}/step",
        "/v1/runs",
        "/v1/completions",
    } <= set(document["paths"])
    schema = server.ask("GET", "/v1/messages.json")[1]
    assert schema == json.loads(json.dumps(protocol.schema()))
    assert set(schema["request"]["discriminator"]["mapping"]) == {
        "open", "feed", "step", "generate", "fork", "save", "close", "stop", "watch", "ping",
    }  # fmt: skip
    with server.socket() as client:
        key = client.open("words")
        for answer in (
            client.ask(type="ping"),
            client.ask(type="step", session=key, values=0),
            client.ask(type="step", session="x", values=0),
            client.ask(type="close", session=key),
        ):
            protocol.ANSWERS.validate_python(answer)


def test_metrics_are_prometheus_text(server: Serving) -> None:
    with server.socket() as client:
        key = client.open("words")
        client.ask(type="step", session=key, values=1)
        status, text = server.ask("GET", "/metrics")
    assert status == 200
    values = {}
    for line in text.splitlines():
        if not line.startswith("#"):
            name, value = line.rsplit(" ", 1)
            values[name] = float(value)
    assert values["congru_steps_total"] >= 1
    assert values["congru_connections"] == 1
    assert values["congru_sessions"] >= 1
    assert values['congru_step_seconds_bucket{le="+Inf"}'] == values["congru_step_seconds_count"]
    assert values['congru_messages_total{type="step"}'] >= 1
    assert values["congru_resident_bytes"] > 1e6


def test_a_failure_inside_is_told_without_its_insides(
    server: Serving, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any) -> None:
        raise RuntimeError("secret")

    with server.socket() as client:
        key = client.open("words")
        monkeypatch.setattr(server.desk, "feed", fail)
        answer = client.ask(type="feed", session=key, text="a")
        assert (answer["code"], "secret" in answer["message"]) == ("server", False)
        assert client.ask(type="step", session=key, values=1)["type"] == "stepped"
