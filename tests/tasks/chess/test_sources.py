"""Files of games: every awkward one with what must come out, and what is left out is counted."""

from __future__ import annotations

import bz2
import gzip
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zstandard

import shared_files
from congru.errors import DataError
from congru.tasks.chess import sources
from congru.tasks.chess.games import BLACK_WINS, DRAW, UNKNOWN, WHITE_WINS, Games, concatenate
from congru.tasks.chess.pgn import Pgn, read_pgn
from congru.tasks.chess.players import matches, people
from congru.tasks.chess.replay import Skipped, replay
from congru.tasks.chess.sources import read_games

CASES = shared_files.CASES / "chess"
real = shared_files.needs(CASES)

GAME = b'[White "Ann"]\n[Black "Bob"]\n[Result "1-0"]\n\n1. e4 e5 2. Nf3 1-0\n\n'

# file -> games, plies of main lines, and other counts of :class:`Pgn`
WHOLE: dict[str, dict[str, Any]] = {
    "clk_eval_one_comment.pgn": dict(games=1, plies=26, commented=26, marks=7, clocks=26, evaluations=26),
    "nested_variations.pgn": dict(
        games=1, plies=41, nodes=153, commented=41, marks=15, variations=15, clocks=41, evaluations=40
    ),
    "study_three_chapters.pgn": dict(games=3, plies=52, nodes=73, commented=8, variations=7),
    "study_black_to_move.pgn": dict(games=5, plies=33, nodes=37, variations=2),
    "aborted_no_moves.pgn": dict(games=1, plies=0),
    "no_tags_no_result.pgn": dict(games=1, plies=4),
    "comment_glued_to_move.pgn": dict(games=1, plies=6, commented=1),
    "ep_suffix_result_after_blank.pgn": dict(games=1, plies=164),
    "bom_crlf_211_games.pgn": dict(games=211, plies=13835),
    "bom_zero_moves.pgn": dict(games=2, plies=0),
    "latin1_names.pgn": dict(games=5, plies=33, nodes=37, variations=2),
    "empty_line_in_tags.pgn": dict(games=1, plies=134),
    "moves_in_uci.pgn": dict(games=1, plies=113),
    "longest_17697_plies.pgn": dict(games=1, plies=17697),
    "269_moves_crlf.pgn": dict(games=1, plies=538),
    "same_game_three_times.pgn": dict(games=3, plies=189, commented=189, clocks=189),
    "engine_output_in_comments.pgn": dict(games=1, plies=165, commented=166),
    "semicolon_comments.pgn": dict(games=1, plies=85),
    "percent_line.pgn": dict(games=1, plies=106),
    "unicode_result.pgn": dict(games=1, plies=0),
    "unicode_dash_result.pgn": dict(games=1, plies=0),
    "nonbreaking_hyphen_castling.pgn": dict(games=1, plies=74),
    "bom_masked_names.pgn": dict(games=1, plies=19, nodes=109, commented=5, marks=1, variations=3),
    "bbcode_around.pgn": dict(games=1, plies=33),
    "unclosed_quote_in_tag.pgn": dict(games=1, plies=35),
    "comments_but_no_moves.pgn": dict(games=1, plies=0, commented=1),
    "bare_san.pgn": dict(games=1, plies=118),
    "headers_only_45_boards.pgn": dict(games=45, plies=0),
    "chess_com_variations.pgn": dict(games=1, plies=62, nodes=85, commented=5, marks=9, variations=5),
    "one_player_three_spellings.pgn": dict(games=3, plies=301),
    "empty.pgn": dict(games=0, plies=0),
}
# file -> the reason, and a part of the line that names the place
LEFT_OUT = {
    "null_move.pgn": ("null move", "game 1, line 1: ply 82 is the null move 'Z0'"),
    "backslash_quote_in_tag.pgn": ("null move", "ply 58 is the null move 'Z0'"),
    "illegal_move.pgn": ("illegal move", "game 1, line 1: ply 92: move 'Kg2' is not legal in"),
    "chess960_engines.pgn": ("another variant", "Variant is 'fischerandom', expected standard chess"),
    "crazyhouse.pgn": ("another variant", "Variant is 'Crazyhouse', expected standard chess"),
    "crazyhouse_undeclared.pgn": ("illegal move", "ply 9: move 'N@e3' is no move"),
    "cut_in_last_game.pgn": ("broken off", "the moves end after ply 40, the tag Result is '1-0'"),
    "aborted_no_moves.pgn": ("no moves", "a game without moves"),
}


def pgns(name: str) -> list[Pgn]:
    return list(read_pgn((CASES / name).read_bytes().splitlines(keepends=True)))


@real
@pytest.mark.parametrize("name", WHOLE)
def test_an_awkward_file_is_read(name: str) -> None:
    games, expected = pgns(name), dict(WHOLE[name])
    assert len(games) == expected.pop("games")
    assert sum(len(game.moves) for game in games) == expected.pop("plies")
    for count, value in expected.items():
        parts = [getattr(game, count) for game in games]
        assert sum(part if isinstance(part, int) else len(part) for part in parts) == value, count
    for game in games:
        played = replay(game)
        if game.moves:
            assert not isinstance(played, Skipped), played
            assert len(played.moves) == len(game.moves)


@real
@pytest.mark.parametrize("name", LEFT_OUT)
def test_what_cannot_be_followed_is_left_out_and_its_place_named(name: str) -> None:
    reason, location = LEFT_OUT[name]
    outcomes = [outcome for _, outcome in sources._outcomes(CASES / name, 1, False)]
    left_out = [outcome for outcome in outcomes if isinstance(outcome, Skipped)]
    assert {outcome.reason for outcome in left_out} == {reason}
    assert len(left_out) == {"chess960_engines.pgn": 4}.get(name, 1)
    assert location.split(": ", 1)[-1] in left_out[0].detail
    with pytest.raises(DataError) as caught:
        read_games(CASES / name, bad="stop")
    assert "\n" not in str(caught.value)
    assert location in str(caught.value)
    assert str(caught.value).endswith("mend the game or pass --bad skip")
    if len(left_out) == len(outcomes):
        with pytest.raises(DataError, match=f"has no game that can be followed.*left out .: {reason}"):
            read_games(CASES / name)


@real
@pytest.mark.parametrize("name", ["lasker_trap.bin", "book.bin", "book_odd_size.bin"])
def test_an_opening_book_is_no_set_of_games(name: str) -> None:
    with pytest.raises(DataError, match=rf"{name} looks like a polyglot opening book, which holds no games"):
        read_games(CASES / name)


def test_a_large_file_says_how_far_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sources, "_REPORTED_EVERY", 2)
    file = tmp_path / "five.pgn"
    file.write_bytes(GAME * 5)
    read_games(file, say=sources.tell)
    printed = capsys.readouterr()
    assert (printed.out, printed.err) == ("", "five.pgn: 2 games read\nfive.pgn: 4 games read\n")


@real
def test_results_and_names_of_real_files() -> None:
    games, report = read_games(CASES / "bom_crlf_211_games.pgn")
    counts = {result: int((games.result == result).sum()) for result in (BLACK_WINS, WHITE_WINS, DRAW)}
    assert counts == {BLACK_WINS: 58, WHITE_WINS: 135, DRAW: 18}
    assert not report.counts
    assert (games.date // 10000).min() >= 1848
    assert pgns("latin1_names.pgn")[0].tags["Opening"] == "Caro-Kann Defense: Maróczy Variation"
    ep, _ = read_games(CASES / "ep_suffix_result_after_blank.pgn")
    assert (ep.result.tolist(), ep.elo.tolist()) == ([WHITE_WINS], [[0, 0]])
    assert [game.result for game in pgns("unicode_result.pgn")] == ["1/2-1/2"]
    assert [game.result for game in pgns("unicode_dash_result.pgn")] == ["1-0"]
    cut, report = read_games(CASES / "cut_in_last_game.pgn")
    assert (len(cut), dict(report.counts)) == (20, {"broken off": 1})
    chess960, _ = read_games(CASES / "chess960_engines.pgn", chess960=True)
    assert (len(chess960), len(chess960.moves), len(chess960.fens)) == (4, 396, 4)
    same, _ = read_games(CASES / "same_game_three_times.pgn")
    assert (len(same), len(same.distinct())) == (3, 1)
    assert same.clocks is not None
    assert np.isfinite(same.clocks).all()


@real
@pytest.mark.parametrize("suffix", ["zst", "bz2"])
def test_compressed_files(suffix: str) -> None:
    games, _ = read_games(CASES / f"tournament.pgn.{suffix}")
    assert (len(games), len(games.moves), int(games.lengths.max())) == (30, 2661, 157)
    assert [int((games.result == result).sum()) for result in (BLACK_WINS, WHITE_WINS, DRAW)] == [4, 12, 14]


@real
def test_a_compressed_file_cut_in_the_middle_is_one_line() -> None:
    with pytest.raises(DataError) as caught:
        read_games(CASES / "tournament_truncated.pgn.zst")
    assert "is incomplete or damaged after line" in str(caught.value)
    assert "(the last frame is not complete), expected a whole file: copy it again" in str(caught.value)


@pytest.mark.parametrize(
    ("suffix", "compress"),
    [(".gz", gzip.compress), (".bz2", bz2.compress), (".zst", zstandard.ZstdCompressor().compress)],
)
def test_every_compression_whole_and_cut(suffix: str, compress: Any, tmp_path: Path) -> None:
    path = tmp_path / f"games.pgn{suffix}"
    whole = compress(GAME * 300)
    path.write_bytes(whole)
    assert len(read_games(path)[0]) == 300
    if suffix == ".zst":
        path.write_bytes(whole + whole)  # several frames
        assert len(read_games(path)[0]) == 600
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DataError, match="is incomplete or damaged after line"):
        read_games(path)
    path.write_bytes(GAME)
    with pytest.raises(DataError, match="is incomplete or damaged after line 0"):
        read_games(path)


def test_workers_and_cache_give_the_same_games(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(sources, "_FEW", 400)
    path = tmp_path / "many.pgn"
    bad = GAME.replace(b"Nf3", b"Nf4")
    path.write_bytes((GAME + bad) * 2200)
    lines: list[str] = []
    games, report = read_games(path, workers=2, say=lines.append)
    assert (len(games), dict(report.counts)) == (2200, {"illegal move": 2200})
    assert report.lines() == [
        "left out 2,200: illegal move (many.pgn game 2, line 7: ply 3: move 'Nf4' is not legal in "
        "rnbqkbnr/pppp1ppp/8/4p3/4P3/8/PPPP1PPP/RNBQKBNR w KQkq e6 0 2)"
    ]
    again, counted = read_games(path)
    assert (again.moves == games.moves).all()
    assert (again.players, counted.lines()) == (games.players, report.lines())
    monkeypatch.setattr(sources, "_outcomes", lambda *_: pytest.fail("parsed again"))
    assert len(read_games(path)[0]) == 2200
    path.write_bytes(path.read_bytes() + GAME)  # another file is not in the cache
    with pytest.raises(pytest.fail.Exception, match="parsed again"):
        read_games(path)


def test_the_table_of_a_data_set(tmp_path: Path) -> None:
    header = "split\twkey\tbkey\twhite\tblack\tresult\tdate\twhite_elo\tblack_elo\teco\tmoves"
    rows = [
        "train\tfischer_r\tspassky_b\tFischer, R\tSpassky, B\t1-0\t1972.07.23\t2785\t2660\tD59\tc4 e6 Nf3",
        "test\tspassky_b\tfischer_r\tSpassky\tFischer, Robert\t1/2-1/2\t1972.??.??\t\t\t\te4 c5",
    ]
    path = tmp_path / "games.tsv"
    path.write_text("\n".join([header, *rows]) + "\n")
    games, _ = read_games(path)
    assert games.players == ("Fischer, R", "Spassky, B")
    assert (games.white.tolist(), games.black.tolist()) == ([0, 1], [1, 0])
    assert (games.split.tolist(), games.date.tolist()) == ([0, 2], [19720723, 19720000])
    assert (games.elo.tolist(), games.eco) == ([[2785, 2660], [0, 0]], ("D59", ""))
    path.write_text("\n".join([header, rows[0], "train\tx"]) + "\n")
    with pytest.raises(DataError, match=r"games.tsv line 3 has 2 columns, expected 11: mend the line"):
        read_games(path)


def test_missing_and_empty_sources_are_one_line(tmp_path: Path) -> None:
    (tmp_path / "empty.pgn").write_bytes(b"")
    with pytest.raises(DataError, match=r"empty.pgn has no game that can be followed.*the file is empty"):
        read_games(tmp_path / "empty.pgn")
    with pytest.raises(DataError, match=r"none.pgn does not exist, expected a PGN file or a folder of them"):
        read_games(tmp_path / "none.pgn")
    (tmp_path / "empty.pgn").rename(tmp_path / "notes.txt")
    with pytest.raises(DataError, match=r"has no games, expected files such as games.pgn"):
        read_games(tmp_path)


def test_games_are_chosen_joined_and_kept(tmp_path: Path) -> None:
    text = GAME + GAME.replace(b"Ann", b"Cid").replace(b"1-0", b"0-1") + GAME
    (tmp_path / "a.pgn").write_bytes(
        text.replace(b"[White", b'[Date "1999.01.02"]\n[WhiteElo "2100"]\n[White')
    )
    games, _ = read_games(tmp_path)
    assert (len(games), len(games.distinct()), games.players) == (3, 2, ("Ann", "Bob", "Cid"))
    assert len(games.where(player="cid")) == 1
    assert len(games.where(player="bob", result="0-1")) == 1
    assert len(games.where(years=(2000, 2010))) == 0
    assert len(games.where(elo=(2000, 2200))) == 0  # Black's is unknown
    with pytest.raises(DataError, match="result is 'won', expected one of 1-0, 1/2-1/2, 0-1"):
        games.where(result="won")
    both = concatenate([games, games.select(np.array([1]))])
    assert (len(both), both.white.tolist(), both.players) == (4, [0, 2, 0, 2], games.players)
    assert both.of(3).tolist() == games.of(1).tolist()
    both.save(tmp_path / "kept")
    loaded = Games.load(tmp_path / "kept")
    assert loaded.players == both.players
    for name in ("moves", "offsets", "white", "black", "elo", "result", "date", "split", "start"):
        assert (getattr(loaded, name) == getattr(both, name)).all()
    assert loaded.clocks is None
    assert (both.result == UNKNOWN).sum() == 0


@real
def test_one_player_in_three_spellings_is_offered() -> None:
    games, _ = read_games(CASES / "one_player_three_spellings.pgn")
    spellings = ["Kasparov, Garry", "Garry Kasparov", "KASPAROV,G"]
    assert sorted(matches("kasparov", games.players)) == sorted(spellings)
    assert next(group for group in people(games.players) if len(group) > 1) == [
        name for name in games.players if name in spellings
    ]
    assert len(games.where(player="kasparov")) == 3


def test_a_player_that_nobody_is_called_gets_names_like_it() -> None:
    with pytest.raises(
        DataError, match=r"player 'Kasparow' is in none of the games.*names like it: Kasparov, Garry"
    ):
        matches("Kasparow", ["Kasparov, Garry", "Short, Nigel"])
    with pytest.raises(DataError, match=r"player 'Zzz' is in none of the games.*there are 1 players"):
        matches("Zzz", ["Short, Nigel"])
    with pytest.raises(DataError, match="player is '', expected a name such as"):
        matches("", ["Short, Nigel"])


def test_games_are_counted_as_they_are_read(tmp_path: Path) -> None:
    file = tmp_path / "games.pgn"
    file.write_text(250 * '[White "A"]\n[Black "B"]\n\n1. e4 e5 *\n\n')
    counts: list[int] = []
    assert len(read_games(file, count=counts.append)[0]) == 250
    assert counts == [100, 200]

    def stop(number: int) -> None:
        raise KeyboardInterrupt(str(number))

    with pytest.raises(KeyboardInterrupt, match="100"):
        read_games(file, count=stop)
