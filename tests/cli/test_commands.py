"""The program as a user meets it: every command, one line for wrong input, the exit status."""

from __future__ import annotations

import inspect
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from congru.cli.main import COMMANDS, main
from congru.tasks.registry import TASKS
from printed import type_next

TEXT = "the cat sat on the mat. the dog sat on the log. a bat and a rat sat on a hat.\n" * 40


@pytest.fixture(scope="module")
def text_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run folder of a small text model, made by the command itself."""
    folder = tmp_path_factory.mktemp("text")
    (folder / "cats.txt").write_text(TEXT)
    words = ["--steps", "12", "--hidden-size", "12", "--batch-size", "4", "--chunk", "16", "--quiet"]
    assert run("train", "text", str(folder / "cats.txt"), "--out", str(folder / "run"), *words) == 0
    return folder / "run"


def run(*words: str) -> int:
    with pytest.raises(SystemExit) as stop:
        main(words)
    assert isinstance(stop.value.code, int)
    return stop.value.code


def refused(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    """The one line that wrong input gives, exit status 2."""
    assert run(*words) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.count("\n") == 1
    return printed.err.removeprefix("congru: ").strip()


def test_help_names_every_command(capsys):
    assert run("--help") == 0
    shown = capsys.readouterr().out
    for name, (_, summary) in COMMANDS.items():
        assert f" {name} " in shown
        assert summary.split(":")[0] in shown


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help(name, capsys):
    assert run(name, "--help") == 0
    assert COMMANDS[name][1].split()[0] in capsys.readouterr().out


def test_help_of_a_training_begins_with_what_most_people_need(capsys):
    assert run("train", "text", "--help") == 0
    shown = capsys.readouterr().out
    titles = re.findall(r"^╭─ (.+?) ─", shown, re.MULTILINE)
    assert titles[:3] == ["Arguments", "The eight most used", "Of this task"]
    first = shown[shown.index("The eight") : shown.index("Of this task")]
    flags = set(re.findall(r"│ (--[\w-]+)", first))
    wanted = {"minutes", "epochs", "cell", "hidden-size", "learning-rate", "batch-size", "out", "resume"}
    assert flags == {f"--{name}" for name in wanted}
    every = set(re.findall(r"(--[\w-]+)", shown))
    names = {f"--{name.replace('_', '-')}" for name in TASKS["text"].settings.model_fields}
    assert names <= every


@pytest.mark.parametrize("command", ["run", "eval"])
def test_help_without_a_model_shows_the_flags_of_every_task(command, capsys):
    part = {"run": "run", "eval": "evaluate"}[command]
    assert run(command, "--help") == 0
    shown = capsys.readouterr().out
    for name, task in TASKS.items():
        section = re.search(rf"^{name}: .*\n((?:    .*\n)+)", shown, re.MULTILINE)
        assert section is not None, name
        keywords = inspect.signature(task.use(part)).parameters.values()
        count = sum(keyword.kind is keyword.KEYWORD_ONLY for keyword in keywords)
        assert len(re.findall(r"(?<= )--[a-z][\w-]*(?=[ \n])", section[1])) >= count, name
    assert f"What each flag means: congru {command} " in shown


def test_help_of_a_task_needs_no_model(capsys):
    assert run("run", "text", "--help") == 0
    assert "What to continue; default: the beginning of a line." in " ".join(capsys.readouterr().out.split())
    assert "text has no command 'uci'" in refused(capsys, "uci", "text", "--help")


def test_version(capsys):
    assert run("--version") == 0
    assert capsys.readouterr().out.strip() == "0.1.0"
    module = subprocess.run(
        [sys.executable, "-m", "congru", "--version"], capture_output=True, text=True, check=True
    )
    assert module.stdout.strip() == "0.1.0"


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["trian"], 'Unknown command "trian"'),
        (["train", "text", "x.txt", "--minuts", "2"], "Unknown option: --minuts. Did you mean --minutes"),
        (["train", "text", "x.txt", "--cell", "gro"], "cell is 'gro', expected 'gru'"),
        (["train", "text", "x.txt", "--epochs", "0"], "epochs is"),
        (["train", "text", "x.txt", "--epochs", "1", "--minutes", "2"], "expected one budget"),
        (["train", "text", "no-such-file.txt"], "no-such-file.txt cannot be read"),
        (["train", "forecast", "no-such-file.csv"], "no-such-file.csv"),
        (["run", "no-such-folder"], "model is 'no-such-folder', expected a model folder"),
        (["eval", "no-such-folder", "x"], "model is 'no-such-folder', expected a model folder"),
        (["inspect", "no-such-folder"], "model is 'no-such-folder', expected a model folder"),
        (["inspect", "net.onnx", "x.txt"], "input of net.onnx is 'x.txt', expected a .npy file"),
        (["data", "get", "tinyshakespear"], "tinyshakespear"),
        (["compare", "text", "x.txt", "--cells", "gru,gru"], "cells is ['gru', 'gru'], expected"),
    ],
)
def test_wrong_input_is_one_line(words, line, capsys):
    assert line in refused(capsys, *words)


def test_debug_shows_where_it_happened():
    with pytest.raises(ValueError, match="expected a model folder"):
        main(["run", "no-such-folder", "--debug"])


def test_config_that_is_no_json(tmp_path, capsys):
    (tmp_path / "config.json").write_text("{")
    assert "config.json is not JSON" in refused(capsys, "run", str(tmp_path))
    (tmp_path / "config.json").write_text('{"task": "poetry"}')
    assert "task is 'poetry', expected one of" in refused(capsys, "run", str(tmp_path))


def test_run_writes_the_same_text_for_the_same_seed(text_run, capsys):
    texts = []
    for _ in range(2):
        assert run("run", str(text_run), "-p", "the ", "-n", "20", "--seed", "3") == 0
        texts.append(capsys.readouterr().out)
    assert texts[0] == texts[1]
    assert texts[0].startswith("the ")
    assert len(texts[0]) == len("the ") + 20 + 1
    assert "text holds 'Z'" in refused(capsys, "run", str(text_run), "-p", "Z")


def test_eval_prints_the_baselines_beside_the_model(text_run, capsys):
    assert run("eval", str(text_run), str(text_run.parent / "cats.txt")) == 0
    shown = capsys.readouterr().out
    for name in ("model", "5-gram", "unigram", "nats per char"):
        assert name in shown


def test_inspect_writes_one_offline_page(text_run, tmp_path, capsys):
    page = tmp_path / "gates.html"
    assert run("inspect", str(text_run), "the cat sat", "-o", str(page)) == 0
    shown = capsys.readouterr().out
    assert "T=11, H=12" in shown
    assert "keep: 1 = the old state stays" in shown
    assert "the␣cat␣sat" in shown
    assert str(page) in shown
    html = page.read_text()
    assert "Gate film" in html
    assert not re.search(
        r"""(src|href|action)\s*=\s*["']?(https?:)?//|url\(["']?(https?:)?//|@import""", html
    )
    assert run("inspect", str(text_run), "-o", str(page)) == 0
    capsys.readouterr()
    assert "source is empty, expected a text" in refused(capsys, "inspect", str(text_run), "")


MODELS = """
import torch


class Reader(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.encoder = torch.nn.GRU(3, 5, batch_first=True)
        self.decoder = torch.nn.LSTMCell(5, 4)

    def forward(self, x, steps=None):
        y, _ = self.encoder(x)
        state = None
        for t in range(3):
            state = self.decoder(y[:, t], state)
        return state[0]


reader, sizes = Reader(), [3, 5]
"""


def test_inspect_takes_a_torch_model_from_a_python_file(tmp_path, capsys):
    (tmp_path / "models.py").write_text(MODELS)
    model, page = f"{tmp_path / 'models.py'}:reader", str(tmp_path / "gates.html")
    x = np.ones((2, 6, 3), np.float32)
    np.save(tmp_path / "x.npy", x)
    np.savez(tmp_path / "x.npz", x=x)
    assert run("inspect", model, str(tmp_path / "x.npy"), "-o", page) == 0
    shown = capsys.readouterr().out
    assert "decoder (LSTM), L=1, D=1, B=2, T=3, H=4" in shown
    assert "recurrent layers: encoder, decoder (choose one with --layer)" in shown
    assert run("inspect", model, str(tmp_path / "x.npz"), "--layer", "encoder", "-o", page) == 0
    assert "encoder (GRU), L=1, D=1, B=2, T=6, H=5" in capsys.readouterr().out
    for words, line in (
        ([model], "input of"),
        ([model, page], "expected a .npy file: save the array with numpy.save (several inputs: numpy.savez"),
        ([f"{tmp_path / 'models.py'}"], "expected a torch model of that file: models.py:reader"),
        (
            [f"{tmp_path / 'models.py'}:sizes"],
            "model is 'models.py:sizes', expected a torch model of that file",
        ),
        ([f"{tmp_path / 'none.py'}:m"], "expected a Python file"),
        ([model, str(tmp_path / "no.npy")], "no.npy' ("),
    ):
        words = words if len(words) > 1 or "input of" in line else [*words, str(tmp_path / "x.npy")]
        assert line in refused(capsys, "inspect", *words)


def test_compare_gives_a_row_per_cell(text_run, tmp_path, capsys, monkeypatch):
    words = ["--steps", "3", "--hidden-size", "8", "--batch-size", "4", "--chunk", "16", "--seeds", "0", "1"]
    out = tmp_path / "the compared"
    source = str(text_run.parent / "cats.txt")
    assert run("compare", "text", source, "--cells", "gru,rnn", "--out", str(out), *words) == 0
    shown = capsys.readouterr().out
    assert "rnn seed 1: nats_per_char" in shown
    rows = json.loads((out / "compare.json").read_text())["rows"]
    assert [row["cell"] for row in rows] == ["gru", "rnn"]
    assert abs(rows[0]["num_parameters"] - rows[1]["num_parameters"]) < 0.05 * rows[0]["num_parameters"]
    assert len(rows[0]["values"]) == 2
    monkeypatch.chdir(tmp_path)
    type_next(shown, 3)


def test_doctor_checks_the_unit_against_the_equations(capsys, monkeypatch):
    assert run("doctor") == 0
    assert "all good" in capsys.readouterr().out
    from congru import ops

    real = ops.sequence

    def wrong(*arguments, **options):
        y, state, gates = real(*arguments, **options)
        return np.roll(y, 1, axis=1), state, gates

    monkeypatch.setattr(ops, "sequence", wrong)
    assert run("doctor") == 1
    assert "WRONG" in capsys.readouterr().out


def test_data_lists_the_public_sets(capsys):
    assert run("data", "list") == 0
    assert "tinyshakespeare" in capsys.readouterr().out


def test_a_reader_that_leaves_ends_the_command_as_other_programs_end():
    reader, writer = os.pipe()
    os.close(reader)
    ended = subprocess.run(
        [sys.executable, "-c", "from congru.cli.main import main; main(['data', 'list'])"],
        stdout=writer,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )
    os.close(writer)
    assert (ended.returncode, ended.stderr) == (141, "")
