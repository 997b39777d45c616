"""The engine: full games through python-chess' engine client, every command and option, wrong lines."""

from __future__ import annotations

import sys
from pathlib import Path

import chess
import chess.engine
import pytest

from congru.tasks.chess.predict import Predictor
from congru.tasks.chess.uci import Engine
from shared_files import CASES, needs

CASE = CASES / "chess" / "uci_multipv.log"


@pytest.fixture
def predictor(model: Path) -> Predictor:
    return Predictor.load(model)


def talk(predictor: Predictor, *lines: str) -> list[str]:
    """The answers to some lines."""
    answers: list[str] = []
    engine = Engine(predictor, answers.append)
    for line in lines:
        engine.hear(line)
    return answers


def test_a_program_plays_whole_games(model: Path) -> None:
    code = (
        "import sys; from congru.tasks.chess.predict import Predictor; from congru.tasks.chess.uci import converse;"
        f"sys.exit(converse(Predictor.load({str(model)!r})))"
    )
    with chess.engine.SimpleEngine.popen_uci([sys.executable, "-c", code], timeout=30) as engine:
        assert engine.id["name"].startswith("congru ")
        engine.configure(
            {"Temperature": "1", "Seed": 3, "Elo": 2400, "Player": Predictor.load(model).players[0]}
        )
        for _ in range(2):
            board, plies = chess.Board(), 0
            while not board.is_game_over(claim_draw=True) and plies < 60:
                result = engine.play(board, chess.engine.Limit(time=0.01), info=chess.engine.INFO_ALL)
                assert result.move in board.legal_moves
                board.push(result.move)
                plies += 1
            assert plies > 4
        lines = engine.analyse(chess.Board(), chess.engine.Limit(depth=1), multipv=4)
        assert len(lines) == 4
        assert len({line["pv"][0] for line in lines}) == 4
        assert all(line["pv"][0] in chess.Board().legal_moves for line in lines)


def test_a_position_that_goes_on_equals_one_from_the_start(predictor: Predictor) -> None:
    moves = "e2e4 c7c5 g1f3 d7d6 d2d4"
    options = ["setoption name MultiPV value 5", "setoption name UCI_ShowWDL value true"]
    step_by_step = [f"position startpos moves {' '.join(moves.split()[:n])}" for n in range(6)]
    after = talk(predictor, *options, *step_by_step, "go")
    at_once = talk(predictor, *options, step_by_step[-1], "go")
    other_first = talk(predictor, *options, "position startpos moves d2d4", "go", step_by_step[-1], "go")[-6:]
    strip = [
        [line.partition(" time ")[0] + line.partition(" pv ")[2] for line in part]
        for part in (after, at_once, other_first)
    ]
    assert strip[0] == strip[1] == strip[2]
    assert len(at_once) == 6
    for line in at_once[:5]:
        won, drawn, lost = map(int, line.partition(" wdl ")[2].split()[:3])
        assert won + drawn + lost == 1000


def test_options_change_what_is_played(predictor: Predictor) -> None:
    go = ("position startpos moves e2e4", "go")
    drawn = {
        talk(
            predictor,
            "setoption name Temperature value 3",
            f"setoption name Seed value {seed}",
            "ucinewgame",
            *go,
        )[-1]
        for seed in range(12)
    }
    assert len(drawn) > 3
    same = {talk(predictor, *go)[-1] for _ in range(3)}
    assert len(same) == 1
    narrow = {
        talk(
            predictor,
            "setoption name Temperature value 3",
            "setoption name TopP value 1e-6",
            f"setoption name Seed value {seed}",
            "ucinewgame",
            *go,
        )[-1]
        for seed in range(4)
    }
    assert narrow == same
    kept = talk(predictor, "position startpos moves e2e4", "setoption name MultiPV value 1", "go")
    assert kept[-1] in same  # an option keeps the position


def test_player_opponent_and_rating_reach_the_network(predictor: Predictor) -> None:
    engine = Engine(predictor, [].append)
    first, second = predictor.players[:2]
    for line in (f"Player value {first.lower()}", f"Opponent value {second}", "Elo value 2500"):
        engine.hear(f"setoption name {line}")
    engine.hear("position startpos moves e2e4")
    live = engine._live
    assert live is not None
    assert [int(elo[0]) for elo in live._elo] == [2500, 2500]
    white, black = live.vectors  # the engine is to move: it plays Black
    assert (black == predictor.vectors[predictor.number_of(first)]).all()
    assert (white == predictor.vectors[predictor.number_of(second)]).all()
    engine.hear("position startpos moves e2e4 e7e5")  # now it is White's turn: the roles change
    assert engine._live is not None
    assert (engine._live.vectors[0] == predictor.vectors[predictor.number_of(first)]).all()


def test_chess960_is_spoken(predictor: Predictor) -> None:
    fen = "r3k2r/pppppppp/8/8/8/8/PPPPPPPP/R3K2R w KQkq - 0 1"
    plain = talk(predictor, f"position fen {fen} moves e1g1", "go", "setoption name MultiPV value 500", "go")
    assert any(" pv e8g8" in line for line in plain)
    other = talk(
        predictor,
        "setoption name UCI_Chess960 value true",
        "setoption name MultiPV value 500",
        f"position fen {fen} moves e1h1",
        "go",
    )
    assert any(" pv e8h8" in line for line in other)
    assert not any(" pv e8g8" in line for line in other)


NOT_TAKEN = "info string option {} has the value {!r}, which is not taken: "


@pytest.mark.parametrize(
    ("line", "answer"),
    [
        ("hello", "info string unknown command: hello"),
        (
            "setoption name Hash value 16",
            "info string unknown option: Hash, expected one of MultiPV, UCI_Chess960",
        ),
        (
            "setoption name MultiPV value many",
            NOT_TAKEN.format("MultiPV", "many") + "expected a whole number from 1 to 500",
        ),
        (
            "setoption name MultiPV value 0",
            NOT_TAKEN.format("MultiPV", "0") + "expected a whole number from 1 to 500",
        ),
        (
            "setoption name TopP value 2",
            NOT_TAKEN.format("TopP", "2") + "expected a number from 1e-06 to 1",
        ),
        (
            "setoption name UCI_ShowWDL value yes",
            NOT_TAKEN.format("UCI_ShowWDL", "yes") + "expected true or false",
        ),
        (
            "setoption name Player value Zzz",
            NOT_TAKEN.format("Player", "Zzz") + "player 'Zzz' is in none of the games",
        ),
        ("position startpos moves e2e5", "info string move is 'e2e5', which is not legal in"),
        ("position startpos moves e2e4 xx", "info string move is 'xx', expected UCI such as e2e4"),
        ("position fen nonsense", "info string fen is 'nonsense', which is no legal position"),
        ("position", "info string position '', expected startpos or fen, then moves"),
        ("isready", "readyok"),
    ],
)
def test_a_line_is_answered_and_the_position_stays(predictor: Predictor, line: str, answer: str) -> None:
    answers = talk(predictor, "position startpos moves e2e4", line, "go")
    assert answers[0].startswith(answer)
    assert answers[-1] == talk(predictor, "position startpos moves e2e4", "go")[-1]


def test_a_name_of_two_players_is_not_taken(predictor: Predictor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(predictor, "players", ["Polgar, Judit", "Polgar, Susan"])
    answers = talk(
        predictor, "setoption name Player value Polgar", "setoption name Player value Polgar, Judit"
    )
    assert answers == [
        NOT_TAKEN.format("Player", "Polgar")
        + "player is 'Polgar', which is Polgar, Judit and Polgar, Susan: give a longer name"
    ]


def test_a_finished_game_has_no_move(predictor: Predictor) -> None:
    stalemate = talk(predictor, "position fen 7k/5Q2/6K1/8/8/8/8/8 b - - 0 1", "go")
    assert stalemate == ["info depth 0 score cp 0", "bestmove (none)"]
    mate = talk(predictor, "position startpos moves f2f3 e7e5 g2g4 d8h4", "go")
    assert mate == ["info depth 0 score mate 0", "bestmove (none)"]


def test_infinite_waits_for_stop_and_unknown_words_are_passed_over(predictor: Predictor) -> None:
    answers = talk(predictor, "position startpos", "go infinite")
    assert not any(line.startswith("bestmove") for line in answers)
    answers = talk(predictor, "position startpos", "go infinite", "stop", "stop")
    assert sum(line.startswith("bestmove") for line in answers) == 1
    assert talk(predictor, "please isready") == ["readyok"]
    engine = Engine(predictor, [].append)
    assert engine.hear("")
    assert not engine.hear("quit")


def test_searchmoves_narrows_the_choice(predictor: Predictor) -> None:
    answers = talk(
        predictor, "setoption name MultiPV value 9", "position startpos", "go searchmoves a2a3 h2h3 e2e5"
    )
    assert [line.split(" pv ")[1].split()[0] in ("a2a3", "h2h3") for line in answers[:-1]] == [True, True]
    assert answers[-1] in ("bestmove a2a3", "bestmove h2h3")


@needs(CASE)
def test_a_recorded_conversation_is_held(predictor: Predictor) -> None:
    commands = [line[2:] for line in CASE.read_text().splitlines() if line.startswith("> ")]
    answers = talk(predictor, *commands)
    assert len(commands) == 16
    best = [line for line in answers if line.startswith("bestmove")]
    assert len(best) == 4
    assert best.count("bestmove (none)") == 2
