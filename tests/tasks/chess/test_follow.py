"""A game followed move by move: probabilities, replies, surprise, what a prediction stands on; undo; wrong moves."""

from __future__ import annotations

import io
import json
import math
from pathlib import Path

import numpy as np
import pytest

from chess_cases import games_of
from congru.errors import DataError
from congru.tasks.chess import follow
from congru.tasks.chess.following import Followed
from congru.tasks.chess.memory import MoveMemory
from congru.tasks.chess.predict import Predictor
from congru.tasks.chess.recall import WEIGHT
from congru.tasks.chess.rules import Position
from congru.tasks.chess.terminal import board_lines, view_lines

MOVES = ["e4", "c5", "Nf3", "d6", "d4", "cxd4", "Nxd4", "Nf6", "Nc3", "a6"]


@pytest.fixture
def predictor(model: Path) -> Predictor:
    return Predictor.load(model)


def test_a_view_says_what_whole_games_say(predictor: Predictor) -> None:
    game = follow.begin(predictor)
    whole = next(predictor.predict(games_of(" ".join(MOVES))))
    for ply, (_, view) in zip(range(len(MOVES)), follow.follow_moves(game, MOVES, 40, 0)):
        begin, end = np.searchsorted(whole.row, [ply, ply + 1])
        order = np.argsort(-whole.log_p[begin:end], kind="stable")[: len(view.choices)]
        assert [choice.code for choice in view.choices] == whole.code[begin:end][order].tolist()
        np.testing.assert_allclose(
            [choice.probability for choice in view.choices], np.exp(whole.log_p[begin:end][order]), rtol=1e-4
        )
        assert view.white_wins + view.draws + view.black_wins == pytest.approx(1)
        assert sum(choice.probability for choice in view.choices) <= 1 + 1e-6
        assert view.turn == ply % 2


def test_a_played_move_is_measured_by_what_was_expected(predictor: Predictor) -> None:
    game = follow.begin(predictor)
    before = game.view(40, 0)
    played = game.play("e4")
    chance = next(choice.probability for choice in before.choices if choice.san == "e4")
    assert played.san == "e4"
    assert played.probability == pytest.approx(chance)
    assert played.bits == pytest.approx(-math.log2(chance))
    assert played.rank == [choice.san for choice in before.choices].index("e4") + 1
    reply = next(choice for choice in before.choices if choice.san == "e4")
    expected = game.view(1, 0).choices[0]
    assert (reply.reply, reply.reply_probability) == (expected.san, expected.probability)


def test_what_the_moves_left_sums_to_the_state(predictor: Predictor) -> None:
    game = follow.begin(predictor)
    for move in MOVES:
        game.play(move)
    assert isinstance(game._memory, MoveMemory)
    now = game._memory.after(game.live, game._state)
    assert now.parts.shape == (len(MOVES) + 2, predictor.main.graph.recurrent[0].hidden_size)
    np.testing.assert_allclose(now.parts.sum(axis=0), game.live.prediction().state[0], atol=2e-6)


def test_sources_are_what_would_be_lost_without_a_move(predictor: Predictor) -> None:
    game = follow.begin(predictor)
    for move in MOVES:
        game.play(move)
    prediction, memory = game.live.prediction(), game._memory
    assert memory is not None
    code = prediction.best(1)[0][0]
    bits = memory.after(game.live, game._state).shares(game.live, code)
    assert bits.shape == (len(MOVES) + 1,)
    x = {name: np.asarray(value)[None, None] for name, value in game.live.inputs().items()}
    states = prediction.state[:1].astype(np.float32)
    at_state = predictor.log_p_at(game.live.plain(), x, game._state, states)[0]
    np.testing.assert_allclose(
        at_state, prediction.log_p, atol=2e-5
    )  # the part above the layer is the network's own
    assert np.abs(bits).max() > 0
    view = game.view(1, len(MOVES) + 1)
    named = {source.move: source.bits for source in view.sources}
    for ply in range(1, len(MOVES) + 1):
        name = f"{game.number(ply - 1)} {MOVES[ply - 1]}"
        assert (name in named) == (bits[ply] > 0)
        if name in named:
            assert named[name] == pytest.approx(bits[ply])


def test_undo_goes_back_to_the_same_numbers(predictor: Predictor) -> None:
    game = follow.begin(predictor)
    views = [game.view(3, 3)]
    for move in MOVES:
        game.play(move)
        views.append(game.view(3, 3))
    for view in reversed(views[:-1]):
        game.undo()
        assert game.view(3, 3) == view
    with pytest.raises(DataError, match="undo has no move to take back, expected one that was played"):
        game.undo()


def test_a_wrong_move_changes_nothing(predictor: Predictor) -> None:
    game = follow.begin(predictor)
    game.play("e4")
    before = game.view()
    for move in ("e5xd4", "Ke8", "e2e4"):
        with pytest.raises(DataError):
            game.play(move)
    with pytest.raises(DataError, match="move is e2e4, which is not legal in"):
        game.play(12 | 28 << 6)
    assert game.view() == before


def test_the_end_of_a_game_is_told(predictor: Predictor) -> None:
    game = follow.begin(predictor)
    for move in ("f3", "e5", "g4", "Qh4#"):
        game.play(move)
    view = game.view()
    assert (view.outcome, view.choices) == ("checkmate", ())
    assert game.history[-1].san == "Qh4#"


def test_earlier_games_go_into_the_predictions_and_unknown_names_do_not(predictor: Predictor) -> None:
    plain = follow.begin(predictor).view(40, 0)
    game = follow.begin(predictor, earlier=games_of(" ".join(MOVES), "e4 e5 Nf3", "d4 d5", "d4 d5"))
    known = game.view(40, 0)
    assert known.chosen == (("e4", 2), ("d4", 1))
    assert "  chosen here in earlier games: e4 2, d4 1" in view_lines(game, known)
    before, now = ({choice.san: choice.probability for choice in view.choices} for view in (plain, known))
    for san, p in before.items():  # the model counts as one game, the same game twice as one
        assert now[san] == pytest.approx(
            (dict(known.chosen).get(san, 0) + WEIGHT * p) / (3 + WEIGHT), rel=1e-5
        )
    game.play("h4")
    assert game.view(40, 0).chosen == ()
    game.undo()
    assert game.view(40, 0) == known
    assert follow.begin(predictor, white="Nobody").view(40, 0) == plain
    name = predictor.players[0]
    assert follow.known_player(predictor, name.lower()) == name
    assert follow.known_player(predictor, "Nobody") is None
    assert follow.begin(predictor, white=name).view(40, 0).choices != plain.choices


def test_numbers_of_plies_follow_the_position() -> None:
    class Fixed(Followed):
        def __init__(self, turn: int, plies: int) -> None:
            self._turn, self.history = turn, [None] * plies  # type: ignore[list-item]

        @property
        def position(self) -> Position:  # type: ignore[override]
            return Position("8/8/8/8/8/8/8/K1k5 " + "wb"[self._turn] + " - - 0 1")

    assert [Fixed(0, 4).number(ply) for ply in range(4)] == ["1.", "1...", "2.", "2..."]
    assert [Fixed(1, 4).number(ply) for ply in range(4)] == ["1...", "2.", "2...", "3."]  # Black began


def test_moves_are_typed_one_by_one(predictor: Predictor, capsys: pytest.CaptureFixture[str]) -> None:
    typed = "e4\nKe8\nc7c5\nundo\ne5\nundo\nundo\nundo\nnew\nhelp\nboard\nd4\nquit\ne4\n"
    follow.talk(lambda: follow.begin(predictor), 2, 1, io.StringIO(typed))
    out = capsys.readouterr().out
    assert "1. e4: expected with" in out
    assert "move 'Ke8' is not legal in" in out
    assert "1... c5: expected with" in out
    assert "undo has no move to take back" in out
    assert out.rstrip().splitlines()[-1].startswith("White: ")
    assert "3. " not in out


def test_a_game_as_json(predictor: Predictor, capsys: pytest.CaptureFixture[str]) -> None:
    follow.show_json(follow.begin(predictor), ["e4", "c5"], 2, 2)
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line["ply"] for line in lines] == [0, 1, 2]
    assert lines[0]["played"] is None
    assert lines[1]["played"]["san"] == "e4"
    assert set(lines[1]["choices"][0]) == {"san", "uci", "probability", "reply", "reply_probability"}


def test_a_board_is_drawn_from_either_side() -> None:
    position = Position()
    position.play(12 | 28 << 6)
    white, black = board_lines(position), board_lines(position, figures=False, turned=True)
    assert white[4] == "4  · · · · ♙ · · ·"
    assert white[-1] == "   a b c d e f g h"
    assert black[3] == "4  · · · P · · · ·"
    assert black[-1] == "   h g f e d c b a"


def test_shown_text_ends_with_how_well_the_sides_were_predicted(
    predictor: Predictor, capsys: pytest.CaptureFixture[str]
) -> None:
    follow.show(follow.begin(predictor), MOVES, 5, 3, False)
    out = capsys.readouterr().out.splitlines()
    assert out[0] == "1. White is likely to play"
    assert out[-2].startswith("White: ")
    assert " of 5 moves predicted, " in out[-1]
