"""The opening book and the n-gram, counted by hand on a few games."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from chess_cases import games_of
from congru.tasks.chess.baselines import NO_MOVE, BookAndNgrams, share_of_hits
from congru.tasks.chess.data import baseline_rows
from congru.tasks.chess.games import Games
from congru.tasks.chess.moves import name_of
from congru.tasks.chess.sources import read_games
from shared_files import DATA, needs

SET = DATA / "chess" / "pgnmentor20" / "games.tsv.gz"


def names(row: np.ndarray) -> list[str]:
    return [name_of(code) for code in row if code != NO_MOVE]


TRAIN = games_of("e4 e5 Nf3 Nc6", "e4 e5 Nf3 Nf6", "e4 e5 Nf3 Nf6", "e4 c5", "d4 d5 c4", "c4 e5 Nc3 Nf6")


def random_legal(games: Games) -> float:
    rows = baseline_rows(games, np.zeros(0, np.int64), np.arange(len(games)))
    return rows["random legal move"]["top1"]


def test_the_book_offers_what_was_played_most_often_from_the_same_opening() -> None:
    offered = BookAndNgrams(TRAIN).top(games_of("e4 e5 Nf3 Nf6"), 3)
    assert names(offered[0])[0] == "e2e4"
    assert names(offered[1])[:2] == ["e7e5", "c7c5"]
    assert names(offered[3])[:2] == ["g8f6", "b8c6"]


def test_after_an_unknown_opening_the_last_moves_decide_and_illegal_ones_are_passed_over() -> None:
    offered = BookAndNgrams(TRAIN).top(games_of("h4 e5 Nf3", "a4 e5 Nc3 Nf6"), 3)
    assert names(offered[2])[0] == "g1f3"  # after ... e5, two of three times
    assert names(offered[6])[0] == "g8f6"
    later = BookAndNgrams(TRAIN).top(games_of("e4 Nf6 e5 Nd5 Nf3"), 5)
    for row in later:
        assert len(names(row)) == len(set(names(row)))
    assert "e2e4" not in names(later[4])  # the pawn has left


def test_shares_are_counted() -> None:
    offered = np.array([[1, 2], [3, NO_MOVE]], np.uint16)
    assert share_of_hits(offered, np.array([2, 3], np.uint16), 1).tolist() == [False, True]
    assert share_of_hits(offered, np.array([2, 3], np.uint16), 2).tolist() == [True, True]
    assert random_legal(games_of("e4")) == pytest.approx(1 / 20)


@needs(SET)
def test_a_file_of_the_set_is_read_in_part(tmp_path: Path) -> None:
    import gzip
    import itertools

    with gzip.open(SET) as whole:
        (tmp_path / "part.tsv").write_bytes(b"".join(itertools.islice(whole, 301)))
    games, report = read_games(tmp_path)
    assert (len(games), report.counts.total()) == (300, 0)
    half = np.arange(300) % 2 == 0
    train, rest = games.select(half), games.select(~half)
    offered = BookAndNgrams(train).top(rest)
    top1, top5 = (float(share_of_hits(offered, rest.moves, most).mean()) for most in (1, 5))
    assert random_legal(rest) < top1 < top5
