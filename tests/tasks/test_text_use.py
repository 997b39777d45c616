"""`congru run` and `congru eval` with a text model, and what `congru inspect` reads; no training needed."""

from __future__ import annotations

import io
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from congru.cli.main import main
from congru.errors import DataError, ModelFolderError, SettingsError
from congru.runtime.folder import load, save_model
from congru.runtime.golden import make_golden
from congru.runtime.network import Network
from congru.tasks.text.scoring import load_text_model, nats_of
from congru.tasks.text.tokens import char_file
from congru.tasks.text.unknown import CODE_POINTS, nats_of_unknown
from congru.tasks.text.use import evaluate, inspect_inputs, run

SYMBOLS = "\n abcdé"
Make = Callable[..., Path]


@pytest.fixture
def make(tmp_path: Path) -> Make:
    """Writes a model folder with random weights; ``symbols`` and ``task`` can be changed."""

    def write(symbols: str = SYMBOLS, task: str = "text", head: float = 1.0) -> Path:
        size = len(set(symbols))
        config: dict[str, Any] = {
            "layers": [
                {"type": "embedding", "name": "embed", "num_embeddings": size, "size": 4},
                {"type": "gru", "name": "rnn", "input_size": 4, "hidden_size": 8},
                {"type": "linear", "name": "head", "in": 8, "out": size},
            ]
        }
        rng = np.random.default_rng(0)
        shapes = {
            "embed.weight": (size, 4),
            "rnn.weight_ih_l0": (24, 4),
            "rnn.weight_hh_l0": (24, 8),
            "rnn.bias_ih_l0": (24,),
            "rnn.bias_hh_l0": (24,),
            "head.weight": (size, 8),
            "head.bias": (size,),
        }
        weights = {name: rng.standard_normal(shape).astype(np.float32) for name, shape in shapes.items()}
        for name in ("head.weight", "head.bias"):
            weights[name] *= head
        folder = tmp_path / f"model-{task}-{size}-{head}"
        save_model(
            folder,
            config={
                "task": task,
                "cell": "gru",
                "networks": {"main": config},
                "task_config": {"tokens": "char", "validation": 0.25},
            },
            weights={"main": weights},
            golden={"main": make_golden(config, Network(config, weights).run)},
            files={"tokenizer.json": char_file(symbols)},
            card="",
        )
        return folder

    return write


def test_the_prompt_is_continued(make: Make, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(make(), prompt="ab", n=30, seed=3) == 0
    first = capsys.readouterr().out
    assert first.startswith("ab")
    assert len(first) == 2 + 30 + 1
    run(make(), prompt="ab", n=30, seed=3)
    assert capsys.readouterr().out == first
    run(make(), prompt="ab", n=30, seed=4)
    assert capsys.readouterr().out != first


def test_it_writes_what_the_session_generates(make: Make, capsys: pytest.CaptureFixture[str]) -> None:
    options: dict[str, Any] = {"temperature": 0.5, "top_p": 0.7, "top_k": 3}
    run(make(), prompt="ab", n=20, seed=3, **options)
    session = load(make()).session(seed=3).feed("ab")
    assert capsys.readouterr().out == "ab" + "".join(session.generate(20, **options)) + "\n"


def test_it_writes_and_scores_on_bfloat16_weights(
    make: Make, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run(make(), prompt="ab", n=40, seed=3, weight_dtype="bfloat16")
    session = load(make(), weight_dtype="bfloat16").session(seed=3).feed("ab")
    assert capsys.readouterr().out == "ab" + "".join(session.generate(40, temperature=0.8)) + "\n"
    path = tmp_path / "t.txt"
    path.write_text("abcd" * 30)
    exact, coarse = (
        evaluate(make(), str(path), quiet=True, weight_dtype=kind)["model"]["nats_per_char"]  # type: ignore[arg-type]
        for kind in ("float32", "bfloat16")
    )
    assert coarse != exact
    assert coarse == pytest.approx(exact, abs=0.1)


def test_without_a_prompt_a_line_begins(make: Make, capsys: pytest.CaptureFixture[str]) -> None:
    run(make(), n=5, seed=0)
    assert capsys.readouterr().out.startswith("\n")
    run(make("xyz"), n=5, seed=0)
    assert capsys.readouterr().out.startswith("x")


def test_it_stops_where_it_is_told(make: Make, capsys: pytest.CaptureFixture[str]) -> None:
    run(make(), prompt="a", n=200, seed=1)
    whole = capsys.readouterr().out[1:-1]
    run(make(), prompt="a", n=200, seed=1, stop=("b",))
    assert capsys.readouterr().out[1:-1] == whole[: whole.index("b")]


def test_an_empty_prompt_and_an_unknown_symbol(make: Make) -> None:
    with pytest.raises(
        SettingsError, match=r"^prompt is empty, expected at least one character: leave it out"
    ):
        run(make(), prompt="")
    with pytest.raises(
        DataError, match=r"^text holds 'x' at position 2, expected one of the model's 7 symbols"
    ):
        run(make(), prompt="abx")


def test_the_command_prints_one_line_for_an_unknown_symbol(
    make: Make, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["run", str(make()), "-p", "abx", "-n", "10"])
    assert caught.value.code == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("congru: text holds 'x' at position 2")
    assert err.count("\n") == 1


def test_a_symbol_that_the_model_lacks_is_named_and_paid_for(
    make: Make, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, text = make(), "abcd" * 30
    (tmp_path / "known.txt").write_text(text)
    (tmp_path / "more.txt").write_text(text[:60] + "ñ" + text[60:] + "ñ%")
    known = evaluate(folder, str(tmp_path / "known.txt"), part="all", segments=1)["model"]["nats_per_char"]
    assert "unknown" not in capsys.readouterr().out
    more = evaluate(folder, str(tmp_path / "more.txt"), part="all", segments=1)["model"]["nats_per_char"]
    assert more * 122 == pytest.approx(known * 119 + nats_of_unknown(3, 122), rel=1e-6)
    assert nats_of_unknown(3, 122) > 3 * np.log(0x110000)
    assert (
        "unknown to the model: 3 of 122 symbols ('ñ' 2 times, '%' once), each left out"
        in capsys.readouterr().out
    )
    (tmp_path / "none.txt").write_text("ñ%" * 20)
    with pytest.raises(DataError, match="has none of the model's symbols, expected some"):
        evaluate(folder, str(tmp_path / "none.txt"))


def test_the_cost_of_unknown_symbols_is_a_code() -> None:
    """The flags' probabilities over all texts of a length sum to one, each drawn from what came before."""
    for length in (1, 2, 5):
        total = sum(
            math.comb(length, k) * math.exp(k * math.log(CODE_POINTS) - nats_of_unknown(k, length))
            for k in range(1, length + 1)
        )
        none = math.prod((i + 0.5) / (i + 1) for i in range(length))  # a text that has none pays nothing here
        assert total == pytest.approx(1 - none)


def test_a_prompt_may_begin_with_a_dash(make: Make, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["run", str(make()), "-p", "- item", "-n", "10"])
    assert capsys.readouterr().err.startswith("congru: text holds '-' at position 0")


def test_the_command_takes_the_short_flags(make: Make, capsys: pytest.CaptureFixture[str]) -> None:
    line = ["-p", "ab", "--temperature", "0.8", "--top-p", "0.9", "-n", "12", "--seed", "1"]
    with pytest.raises(SystemExit) as caught:
        main(["run", str(make()), *line, "--stop", "éé", "--stop", "dd"])
    assert caught.value.code == 0
    assert capsys.readouterr().out.startswith("ab")


def talk(monkeypatch: pytest.MonkeyPatch, lines: str) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(lines))


def test_interactive_keeps_the_state(
    make: Make, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    talk(monkeypatch, "ab\ncd\n")
    assert run(make(), interactive=True, n=6, seed=2) == 0
    out = capsys.readouterr().out
    session = load(make()).session(seed=2)
    expected = []
    for line in ("ab\n", "cd\n"):
        expected.append("".join(session.feed(line).generate(6, temperature=0.8)))
    assert out.partition("\n")[2] == f"> {expected[0]}\n> {expected[1]}\n> \n"


def test_interactive_survives_an_unknown_symbol_forgets_and_ends(
    make: Make, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    talk(monkeypatch, "ab\n/reset\nxx\nab\n/quit\nnever\n")
    run(make(), prompt="dd", interactive=True, n=9, temperature=0.0)
    out = capsys.readouterr().out
    session = load(make()).session()
    with_prompt = "".join(session.feed("dd").feed("ab\n").generate(9, temperature=0))
    fresh = "".join(session.reset().feed("ab\n").generate(9, temperature=0))
    head, _, rest = out.partition("> ")
    assert "/reset" in head
    assert rest.startswith(f"{with_prompt}\n> > text holds 'x' at position 0")
    assert rest.endswith(f"\n> {fresh}\n> ")
    assert "never" not in out


def test_another_task_is_refused(make: Make) -> None:
    with pytest.raises(
        ModelFolderError, match=r"is a model of the task 'chess', expected 'text': choose another"
    ):
        load_text_model(make(task="chess"))


def test_scores_stand_beside_the_baselines(
    make: Make, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "t.txt"
    path.write_text("abcd" * 30)
    rows = evaluate(make(head=0.0), str(path))  # all symbols equally probable
    assert rows["model"]["nats_per_char"] == pytest.approx(np.log(7))
    assert rows["model"]["bits_per_char"] == pytest.approx(np.log2(7))
    assert list(rows) == ["model", "5-gram", "unigram"]
    out = capsys.readouterr().out
    assert f"{path}: 30 of 120 characters scored with gru" in out
    assert "the model does NOT beat 5-gram" in out
    assert evaluate(make(head=0.0), str(path), quiet=True) == rows
    assert capsys.readouterr().out == ""


def test_large_scores_do_not_overflow() -> None:
    logits = np.array([[1000.0, 0.0], [0.0, 1000.0]], np.float32)
    assert nats_of(logits, np.array([0, 0])).tolist() == [0.0, 1000.0]


def test_segments_and_one_pass_agree(make: Make, tmp_path: Path) -> None:
    path = tmp_path / "t.txt"
    path.write_text("".join(np.random.default_rng(0).choice(list(SYMBOLS), 12_000)))
    one, many = (evaluate(make(), str(path), segments=k, quiet=True)["model"] for k in (1, 4))
    assert many["nats_per_char"] == pytest.approx(one["nats_per_char"], abs=1e-6)


def test_the_whole_text_has_no_counted_baseline(make: Make, tmp_path: Path) -> None:
    path = tmp_path / "t.txt"
    path.write_text("abcd" * 30)
    rows = evaluate(make(head=0.0), str(path), part="all", quiet=True)
    assert rows["model"]["nats_per_char"] == pytest.approx(np.log(7))
    assert rows["uniform"]["nats_per_char"] == pytest.approx(np.log(4))
    path.write_text("a")
    with pytest.raises(DataError, match=r"t\.txt has one character, expected at least two"):
        evaluate(make(), str(path), part="all", quiet=True)


def test_what_inspect_reads(make: Make, tmp_path: Path) -> None:
    model = load(make())
    x, labels = inspect_inputs(model, "a b\né")
    assert x.tolist() == [model.tokenizer.encode("a b\né")]  # type: ignore[union-attr]
    assert labels == ["a", "␣", "b", "⏎", "é"]
    path = tmp_path / "t.txt"
    path.write_text("ab" * 500)
    x, labels = inspect_inputs(model, str(path), limit=7)
    assert x.shape == (1, 7)
    assert "".join(labels) == "abababa"
    x, labels = inspect_inputs(model)
    written = "".join(model.session(seed=0).feed("\n").generate(200, temperature=0.8))
    assert "".join(labels).replace("⏎", "\n").replace("␣", " ") == "\n" + written
    with pytest.raises(DataError, match=r"^source is empty, expected a text or the path of a file"):
        inspect_inputs(model, "")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty, expected text"),
        (b"caf\xe9", "line 1, byte 3: b'\\xe9' is not UTF-8, expected UTF-8 text"),
        (b"aaaaaaaa", "holds one distinct character ('a'), expected at least two"),
        (b"abababab", "has 7 training characters, expected at least batch_size * chunk = 4 * 8 = 32"),
    ],
)
def test_the_train_command_prints_one_line_for_an_unusable_text(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], content: bytes, message: str
) -> None:
    path = tmp_path / "t.txt"
    path.write_bytes(content)
    with pytest.raises(SystemExit) as caught:
        main(
            ["train", "text", str(path), "--batch-size", "4", "--chunk", "8", "--out", str(tmp_path / "run")]
        )
    assert caught.value.code == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith(f"congru: {path} {message}")
    assert err.count("\n") == 1
    assert not (tmp_path / "run").exists()
