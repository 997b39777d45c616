"""Trainings over the protocol: their rows as they come, stop and resume, and what a folder says when nobody trains in it."""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from congru.serve.runs import read_rows, tasks
from congru.tasks.registry import TASKS
from serve_cases import serving

# Stands for `congru train`: the run folder of a training, without the training, which other tests try.
PROGRAM = """
import signal, sys, time
signal.signal(signal.SIGTERM, signal.default_int_handler)
from pathlib import Path
from congru.train.folder import Metric, RunFolder
out = Path(sys.argv[sys.argv.index("--out") + 1])
folder = RunFolder(out)
folder.write_text("config.yaml", "hidden_size: 8  # flag\\n")
folder.write_json("data.json", {"source": sys.argv[3]})
folder.set_status(state="running", task="text")
try:
    for step in range(1, 10_000):
        folder.append_metrics([Metric(step, step / 100, "train", "loss", 1 / step)])
        time.sleep(0.01)
except KeyboardInterrupt:
    folder.set_status(state="interrupted", step=step)
    sys.exit(130)
"""


def test_a_training_is_started_followed_stopped_and_continued(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("congru.serve.runs.PROGRAM", [sys.executable, "-c", PROGRAM])
    with serving(tmp_path) as server:
        sent = server.ask("PUT", "/v1/files/poem.txt", b"the fog comes on little cat feet. " * 40)[1]
        body = {"task": "text", "data": [sent["path"]], "settings": {"steps": 4, "hidden_size": 8}}
        status, answer = server.ask("POST", "/v1/runs", body)
        assert status == 201
        assert answer["command"].startswith(
            f"congru train text {sent['path']} --steps 4 --hidden-size 8 --out "
        )
        name = answer["name"]
        with server.socket() as client:
            client.send(type="watch", run=name, id=1)
            rows: list[Any] = []
            while len(rows) < 20:
                news = client.receive()
                assert news["type"] == "metrics", news
                assert news["status"]["state"] in ("starting", "running"), news
                rows += news["rows"]
            assert server.ask("POST", f"/v1/runs/{name}/resume", {})[0] == 409
            monkeypatch.setattr("congru.serve.runs.MOST_RUNNING", 1)
            assert server.ask("POST", "/v1/runs", body)[0] == 503
            assert server.ask("POST", f"/v1/runs/{name}/stop", {})[0] == 200
            while news["status"]["state"] in ("starting", "running"):
                news = client.receive()
                rows += news["rows"]
        assert news["status"]["state"] == "interrupted"
        assert [tuple(row) for row in rows] == read_rows(tmp_path / "runs" / name / "metrics.csv", 0)[0]
        run = server.ask("GET", f"/v1/runs/{name}")[1]
        assert run["settings"]["hidden_size"] == 8
        assert run["command"].endswith(f"--out {tmp_path / 'runs' / name} --resume")
        launched: list[Any] = []
        monkeypatch.setattr(server.runs, "_launch", lambda out, words: launched.append((out, words)))
        assert server.ask("POST", f"/v1/runs/{name}/resume", {})[0] == 200
    ((out, words),) = launched
    assert out == tmp_path / "runs" / name
    assert shlex.split(run["command"])[1:] == words[:-1]


def test_two_requests_at_once_continue_a_run_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ignores = "import signal, time; signal.signal(signal.SIGINT, signal.SIG_IGN); time.sleep(60)"
    sleeper = [sys.executable, "-c", ignores]  # as what a script starts in the background does
    monkeypatch.setattr("congru.serve.runs.PROGRAM", sleeper)
    folder = tmp_path / "runs" / "text-1"
    folder.mkdir(parents=True)
    (folder / "status.json").write_text('{"state": "interrupted", "task": "text"}')
    (folder / "metrics.csv").touch()
    with serving(tmp_path, tmp_path / "runs") as server:
        plain = server.runs.status

        def slowly(shelf: Any) -> dict[str, Any]:
            state = plain(shelf)
            time.sleep(0.3)  # as long as the other request needs to come here
            return state

        monkeypatch.setattr(server.runs, "status", slowly)
        with ThreadPoolExecutor(2) as pool:
            answers = list(pool.map(lambda _: server.ask("POST", "/v1/runs/text-1/resume", {})[0], range(2)))
        assert sorted(answers) == [200, 409]


def test_wrong_settings_are_told_before_anything_runs(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("abc")
    with serving(tmp_path) as server:
        for change, words in (
            ({"task": "txt"}, "did you mean text"),
            ({"settings": {"hidden_size": 0}}, "hidden_size is 0, expected at least 1"),
            ({"settings": {"hiden": 1}}, "did you mean hidden_size"),
            ({"settings": {"out": "/tmp/x"}}, "the server chooses it"),
            ({"data": ["none.txt"]}, "check the path"),
        ):
            body = {"task": "text", "data": ["a.txt"], "settings": {}, **change}
            status, answer = server.ask("POST", "/v1/runs", body)
            assert status == 400
            assert words in answer["error"]["message"]
        assert not (tmp_path / "runs").exists()


def test_a_run_whose_process_is_gone_no_longer_runs(tmp_path: Path) -> None:
    run = tmp_path / "text-1"
    run.mkdir()
    (run / "status.json").write_text(json.dumps({"state": "running", "task": "text"}))
    (run / "log.txt").write_text("")
    hold = f"import fcntl; f = open({str(run / 'log.txt')!r}, 'a'); fcntl.flock(f, fcntl.LOCK_EX); print(1, flush=True); input()"
    with serving(tmp_path) as server:
        with subprocess.Popen(
            [sys.executable, "-c", hold], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        ) as other:
            assert other.stdout is not None
            other.stdout.readline()
            assert server.ask("GET", "/v1/runs/text-1")[1]["status"]["state"] == "running"
            assert server.ask("POST", "/v1/runs/text-1/stop", {})[0] == 409  # not started here
            other.communicate(b"\n")
        assert server.ask("GET", "/v1/runs/text-1")[1]["status"]["state"] == "interrupted"


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"a: &b [1]\nc: *b", "line 2: a reference"),
        (b"a: [1", "line 1"),
        (b"seed: !!python/object/apply:os.getcwd []", "could not determine a constructor"),
        (b"\xff\xfe\x00", "no UTF-8"),
        (b"- 1\n- 2", "is a list, expected settings by name"),
    ],
)
def test_settings_that_are_none_are_told_in_one_line(tmp_path: Path, content: bytes, words: str) -> None:
    run = tmp_path / "text-1"
    run.mkdir()
    (run / "config.yaml").write_bytes(content)
    with serving(tmp_path) as server:
        status, answer = server.ask("GET", "/v1/runs/text-1")
        assert status == 400
        line = answer["error"]["message"]
        assert line.startswith("text-1/config.yaml")
        assert words in line
        assert "\n" not in line
        (run / "config.yaml").write_bytes(b"")
        assert server.ask("GET", "/v1/runs/text-1")[1]["settings"] == {}


def test_rows_come_whole_and_from_the_start_when_a_file_was_cut_back(tmp_path: Path) -> None:
    path = tmp_path / "metrics.csv"
    assert read_rows(path, 0) == ([], 0)
    path.write_text("step,time,split,name,value\n1,0.5,train,loss,2.5\n2,0.6,train,lo")
    rows, after = read_rows(path, 0)
    assert rows == [(1, 0.5, "train", "loss", 2.5)]
    path.write_text(path.read_text() + "ss,nan\n")
    assert read_rows(path, after)[0] == [(2, 0.6, "train", "loss", None)]
    path.write_text("step,time,split,name,value\n1,0.5,train,loss,2.5\n")
    assert read_rows(path, 10_000)[0] == rows


def test_every_task_has_a_form() -> None:
    told = tasks()
    assert [entry["name"] for entry in told] == sorted(TASKS)
    for entry in told:
        properties = entry["schema"]["properties"]
        assert "hidden_size" in properties
        assert not {"out", "resume", "quiet", "device"} & set(properties)
        assert all("description" in field for field in properties.values())


@pytest.mark.parametrize(("value", "words"), [("0.0.0.0", "add --token"), ("::", "add --token")])
def test_the_command_refuses_an_open_door(value: str, words: str, capsys: pytest.CaptureFixture[str]) -> None:
    from congru.cli.main import main

    with pytest.raises(SystemExit) as caught:
        main(["serve", "--host", value])
    assert caught.value.code == 2
    assert words in capsys.readouterr().err
