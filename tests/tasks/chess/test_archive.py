"""The archive of a model folder: exact round trips, one game once, damaged files, who fills it and who reads it."""

from __future__ import annotations

import zlib
from pathlib import Path

import numpy as np
import pytest

import congru
from chess_cases import PLAYERS, games_of, write_games
from congru.errors import ModelFolderError
from congru.runtime.folder import save_again
from congru.runtime.tensors import format_arrays, parse_tensors
from congru.tasks.chess.archive import ARCHIVE, PLIES, Archive
from congru.tasks.chess.data import TRAIN, split_games
from congru.tasks.chess.predict import Predictor
from congru.tasks.chess.sources import read_games
from congru.tasks.chess.uci import Engine
from congru.tasks.chess.use import adapt, evaluate, run

COLUMNS = ("moves", "white", "black", "date")


def same(one: Archive, other: Archive) -> bool:
    return all(np.array_equal(getattr(one, name), getattr(other, name)) for name in COLUMNS)


def without_archive(model: Path, out: Path) -> Path:
    """The folder of an earlier version."""
    loaded = congru.load(model)
    save_again(
        loaded,
        out,
        {name: value for name, value in loaded.files.items() if name not in (ARCHIVE, "config.json")},
    )
    return out


def test_a_round_trip_is_exact(tmp_path: Path) -> None:
    write_games(tmp_path / "games.pgn", 30, plies=60)
    games = read_games(tmp_path / "games.pgn")[0]
    archive = Archive.of(games, np.arange(30), np.array([1, 2, 0]))
    again = Archive.parse(archive.to_bytes(), 2)
    assert same(archive, again)
    assert all(getattr(again, name).dtype == getattr(archive, name).dtype for name in COLUMNS)
    begun = {tuple(games.of(game)[:PLIES].tolist()) for game in range(30)}
    assert {tuple(again.played(game)) for game in range(len(again))} == begun
    assert len(archive) == 30
    empty = Archive.parse(Archive.empty().to_bytes(), 0)
    assert same(empty, Archive.empty())
    nobody = Archive.of(games, np.arange(30), np.zeros(3, np.int64))
    assert len(nobody) == 0


def test_the_same_game_is_there_once_with_the_players_that_are_known() -> None:
    games = games_of("e4 e5", "e4 e5", "d4")
    father = Archive.of(games, np.arange(3), np.array([1, 0]))
    son = Archive.of(games, np.arange(3), np.array([0, 2]))
    both = father.merged(son)
    assert (len(father), len(both)) == (2, 2)
    assert (both.white.tolist(), both.black.tolist()) == ([1, 1], [2, 2])
    others = father.merged(Archive.of(games, np.arange(3), np.array([3, 2])))
    assert sorted(others.white.tolist()) == [1, 1, 3, 3], "other players, other games"


def test_training_fills_it_with_training_games_alone(model: Path, games: Path) -> None:
    predictor = Predictor.load(model)
    read, _ = split_games(read_games(games)[0], "auto")
    train = np.flatnonzero(read.split == TRAIN)
    begun = {read.of(game)[:PLIES].tobytes() for game in train.tolist()}
    assert {
        np.array(predictor.archive.played(k), np.uint16).tobytes() for k in range(len(predictor.archive))
    } == begun
    assert len(congru.load(model).files[ARCHIVE]) < 16 * PLIES * len(begun)


def test_adapt_remembers_the_games_and_run_says_so(
    model: Path, games: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    new = tmp_path / "new.pgn"
    new.write_text(games.read_text().replace("Block, Bert", "Block, Bertha"))
    old = without_archive(model, tmp_path / "old")
    assert len(Predictor.load(old).archive) == 0
    adapt(old, str(new), player="bertha", out=tmp_path / "out", most=8, rounds=1)
    known = Predictor.load(tmp_path / "out")
    number = known.number_of("Block, Bertha")
    assert sum(len(known.archive.games_of(number, side)) for side in (0, 1)) == 8
    adapt(model, str(new), player="bertha", out=tmp_path / "more", most=8, rounds=1)
    more, before = (Predictor.load(path).archive for path in (tmp_path / "more", model))
    assert len(more) > len(before) > 8, "the training games are still there"
    capsys.readouterr()
    line = "  chosen here in earlier games: d4"
    run(tmp_path / "out", moves="d4", white="bertha")
    assert line in capsys.readouterr().out
    run(tmp_path / "out", moves="d4", white="bertha", recall=False)
    assert "chosen here" not in capsys.readouterr().out
    run(old, moves="d4", white=PLAYERS[1])
    assert "chosen here" not in capsys.readouterr().out


def test_eval_recalls_unless_it_is_told_not_to(model: Path, games: Path, tmp_path: Path) -> None:
    plain = evaluate(model, str(games), recall=False, quiet=True)["model"]
    known = evaluate(model, str(games), quiet=True)["model"]
    old = evaluate(without_archive(model, tmp_path / "old"), str(games), quiet=True)["model"]
    assert old == plain
    assert known["bits_per_move"] < plain["bits_per_move"] - 0.01, "each player has an own first move"


def test_an_engine_plays_what_its_player_chose(model: Path) -> None:
    lines: list[str] = []
    engine = Engine(Predictor.load(model), lines.append)
    best = {}
    for recall in ("true", "false"):
        for line in (
            f"setoption name Recall value {recall}",
            f"setoption name Player value {PLAYERS[1]}",
            "go",
        ):
            engine.hear(line)
        best[recall] = lines[-1]
        assert engine._live is not None
        assert (engine._live.recall is not None) == (recall == "true")
    assert best["true"].startswith("bestmove d2d4"), "Bert's first move"


@pytest.mark.parametrize("damage", ["cut", "bomb", "players", "moves", "text", "illegal"])
def test_a_damaged_file_is_one_line(model: Path, tmp_path: Path, damage: str) -> None:
    loaded = congru.load(model)
    content = loaded.files[ARCHIVE]
    arrays = parse_tensors(zlib.decompress(content))
    if damage == "players":
        arrays["white"] = arrays["white"] + 900
    if damage == "moves":
        arrays["rest"][:] = 255
    if damage == "illegal":  # e2e5 is a move of the vocabulary
        arrays["rest"].view("<u2")[0] = 12 | 36 << 6
    bad = {
        "cut": content[:-9],
        "bomb": content + b"more",
        "text": b"no archive",
    }.get(damage) or zlib.compress(format_arrays(arrays))
    files = {name: value for name, value in loaded.files.items() if name != "config.json"}
    save_again(loaded, tmp_path / "bad", {**files, ARCHIVE: bad})
    predictor = Predictor.load(tmp_path / "bad")
    with pytest.raises(ModelFolderError, match=r"bad/earlier.bin.*: copy the folder again") as caught:
        [predictor.choices(number, 0) for number in range(1, 4)]
    assert "\n" not in str(caught.value)


def test_a_changed_file_is_refused_when_the_folder_is_read(model: Path, tmp_path: Path) -> None:
    loaded = congru.load(model)
    save_again(loaded, tmp_path / "bad", {n: v for n, v in loaded.files.items() if n != "config.json"})
    path = tmp_path / "bad" / ARCHIVE
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    with pytest.raises(ModelFolderError, match=r"earlier\.bin is not the file that was saved"):
        Predictor.load(tmp_path / "bad")
