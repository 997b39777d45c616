"""`congru demo TASK`: every line can be typed as it is printed, its flags exist, and the smallest demo runs to its end."""

from __future__ import annotations

import importlib
import inspect
import re
import shlex
from pathlib import Path

import pytest

from congru.cli.demo import DEMOS, lines_of, run_line
from congru.cli.main import main
from congru.data.public_sets import SETS
from congru.data.registry import VARIABLE
from congru.tasks.registry import TASKS, find_task


@pytest.fixture
def sets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Folders of the public sets with nothing in them."""
    for entry in SETS:
        (tmp_path / "sets" / entry.folder).mkdir(parents=True, exist_ok=True)
    monkeypatch.setenv(VARIABLE, str(tmp_path / "sets"))
    return tmp_path / "sets"


def known_flags(task: str, command: str) -> set[str]:
    if command == "train":
        names = set(find_task(task).settings.model_fields)
    elif command == "inspect":
        return {"--out", "-o", "--layer"}
    else:
        part = {"eval": "evaluate"}.get(command, command)
        names = set(inspect.signature(find_task(task).use(part)).parameters)
    return {f"--{name.replace('_', '-')}" for name in names} | {"-o"}


def test_every_task_has_a_demo() -> None:
    assert {"forecast", *DEMOS} == set(TASKS)


@pytest.mark.parametrize("task", DEMOS)
def test_every_line_of_a_demo_can_be_typed(task: str, sets: Path, tmp_path: Path) -> None:
    out = tmp_path / "a folder"
    for line in lines_of(DEMOS[task], out, 90):
        program, *words = shlex.split(line)
        if program == "python":
            assert words[0] == "-m"
            assert callable(importlib.import_module(words[1]).main)
            continue
        assert program == "congru"
        flags = {word for word in words if word.startswith("-")}
        assert flags <= known_flags(task, words[0]), line
        if words[0] == "train":
            assert words[1] == task
            assert words[words.index("--minutes") + 1] == "1.5"
            assert words[words.index("--out") + 1] == str(out / "model")


def test_the_smallest_demo_from_end_to_end(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(["demo", "assistant", "--seconds", "2", "--out", str(tmp_path / "demo")])
    assert stopped.value.code == 0
    printed = capsys.readouterr().out
    assert printed.startswith("Five intents in 40 invented sentences.")
    assert printed.count("\n$ congru ") == 5
    assert re.search(r"On the validation data \(\d+ sentences\)", printed)
    assert "intent  " in printed
    assert {"gates.html", "model", "requests.txt"} <= {path.name for path in (tmp_path / "demo").iterdir()}
    with pytest.raises(SystemExit) as stopped:
        main(["demo", "assistant", "--out", str(tmp_path / "demo")])
    assert stopped.value.code == 2
    assert "which is not empty, expected a new folder: name another" in capsys.readouterr().err


def test_a_demo_stops_where_a_line_fails(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_line(f"congru run {tmp_path / 'nowhere'}") == 2
    assert "nowhere" in capsys.readouterr().err
    (tmp_path / "something").touch()
    assert run_line(f"python -m congru.tasks.speech.voices {tmp_path}") == 2
    assert "voices: " in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main(["demo", "chess", "--out", str(tmp_path)])
    assert "which is not empty" in capsys.readouterr().err
