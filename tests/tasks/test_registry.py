"""A folder with four files is a task: found, trained with several paths, and with a command of its own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from congru.cli import run as run_module
from congru.cli import train as train_module
from congru.cli.main import build_app, main
from congru.errors import SettingsError
from congru.tasks import registry
from congru.tasks.registry import TASKS, Task, find_task, find_tasks, own_commands

FILES = {
    "__init__": '"""Says things."""\nSUMMARY = "Says what it was told."\nCOMMANDS = {"shout": "Say it loudly."}\n',
    "settings": (
        '"""Settings."""\nfrom congru.train.settings import ModelSettings\n'
        'class Settings(ModelSettings, title="settings of echo"):\n    volume: int = 1\n'
    ),
    "data": '"""Data."""\n',
    "inspection": '"""How it is said."""\ndef inspect_reading(model, source=None):\n    return model, source\n',
    "learner": (
        '"""Learner."""\ndef make_learner(words, answers, /, *, settings):\n'
        '    raise SystemExit(f"{words} {answers} {settings.volume}")\n'
    ),
    "use": (
        '"""Use."""\n'
        'def run(model, /, *, times: int = 1):\n    """Say it again."""\n'
        "def evaluate(model, words, answers, /, *, quiet: bool = False):\n"
        '    """Count right answers."""\n'
        'def shout(model: str, /, *, times: int = 1) -> int:\n    """Say it loudly."""\n'
        '    print("HEY " * times, end="")\n    return 0\n'
        'COMMANDS = {"shout": shout}\n'
    ),
}


@pytest.fixture
def echo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Task:
    """A task of its own package, among the others."""
    folder = tmp_path / "invented_tasks" / "echo"
    folder.mkdir(parents=True)
    for name, content in FILES.items():
        (folder / f"{name}.py").write_text(content)
    (tmp_path / "invented_tasks" / "unfinished").mkdir()
    (tmp_path / "invented_tasks" / "unfinished" / "__init__.py").write_text("")
    monkeypatch.syspath_prepend(tmp_path)
    tasks = find_tasks(tmp_path / "invented_tasks", "invented_tasks")
    assert list(tasks) == ["echo"]
    monkeypatch.setitem(registry.TASKS, "echo", tasks["echo"])
    yield tasks["echo"]
    for name in [name for name in sys.modules if name.startswith("invented_tasks")]:
        del sys.modules[name]


def test_a_folder_is_a_task(echo: Task) -> None:
    assert find_task("echo") is echo
    assert echo.summary == "Says what it was told."
    assert echo.settings(volume=3).volume == 3
    assert own_commands([echo]) == {"shout": {"echo": "Say it loudly."}}
    assert own_commands(TASKS.values()).items() >= own_commands([echo]).items()


def test_training_takes_as_many_paths_as_the_learner(echo: Task) -> None:
    with pytest.raises(SystemExit, match="words answers 5"):
        echo.train("words", "answers", settings={"volume": 5})
    with pytest.raises(SystemExit, match="words answers 2"):
        train_module.echo(["words", "answers", "--volume", "2"], exit_on_error=False)
    with pytest.raises(SettingsError) as caught:
        echo.train("a.txt", settings={})
    assert str(caught.value) == "echo got 1 paths, expected 2: congru train echo WORDS ANSWERS"


def test_an_own_command_is_in_the_overview_and_runs(
    echo: Task, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def command(*words: str) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as stop:
            main(words)
        printed = capsys.readouterr()
        return int(stop.value.code), printed.out, printed.err  # type: ignore[arg-type]

    model = tmp_path / "model"
    model.mkdir()
    (model / "config.json").write_text('{"task": "echo"}')
    assert "Say it loudly." in command("--help")[1]
    assert command("shout", str(model), "--times", "2")[:2] == (0, "HEY HEY ")
    assert "--times" in command("shout", str(model), "--help")[1]
    assert "echo: Say it loudly." in command("shout", "--help")[1]
    (model / "config.json").write_text('{"task": "text"}')
    status, _, error = command("shout", str(model))
    assert status == 2
    assert error == (
        f"congru: {model} is a model of the task 'text', which has no command 'shout', expected one of echo:"
        " choose another model\n"
    )
    with pytest.raises(AttributeError, match="has no attribute 'whisper'"):
        run_module.whisper  # noqa: B018


@pytest.mark.usefixtures("echo")
def test_run_and_eval_say_what_there_is_for_every_task(capsys: pytest.CaptureFixture[str]) -> None:
    for command, line in (("run", "echo: Say it again."), ("eval", "echo: Count right answers.")):
        with pytest.raises(SystemExit):
            main([command, "--help"])
        shown = capsys.readouterr().out
        assert line in shown
        assert "text: " in shown
    assert "congru eval MODEL WORDS ANSWERS" in shown
    assert build_app() is not None


def test_the_overview_imports_no_part_of_a_task() -> None:
    code = (
        "import sys\nfrom congru.cli.main import main\ntry:\n    main(['--help'])\nexcept SystemExit: pass\n"
        "bad = [m for m in sys.modules if m.startswith('congru.tasks.') and m.count('.') > 2 or m == 'torch']\n"
        "assert not bad, bad"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_a_task_says_how_its_inputs_are_called(echo: Task) -> None:
    assert echo.reading("model", "words") == ("model", "words")
