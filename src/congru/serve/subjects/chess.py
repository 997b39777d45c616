"""Chess models: a game in the explorer, and the game itself: both players' predictions, surprise, tendencies, PGN in and out."""

from __future__ import annotations

import threading
from collections import OrderedDict
from typing import Any

import numpy as np

from congru.errors import DataError
from congru.gates.predictions import percent
from congru.runtime.model import Model
from congru.serve.edits import Edited
from congru.serve.explorer import Explored
from congru.serve.library import Shelf
from congru.serve.protocol import GameBody, WhatIfBody
from congru.serve.source import Source
from congru.serve.subjects.subject import choices
from congru.tasks.chess.follow import begin
from congru.tasks.chess.following import Followed
from congru.tasks.chess.inspection import inspect_reading
from congru.tasks.chess.openings import openings_or_none
from congru.tasks.chess.pgn import read_pgn
from congru.tasks.chess.predict import LiveGame, Predictor
from congru.tasks.chess.san import read_move, write_san
from congru.tasks.chess.use import IMMORTAL

KEPT = 48  # games that wait for their next move
_SIDES = ("white", "black")


class ChessSubject:
    """Moves are steps."""

    def source(self, shelf: Shelf, text: str | None) -> Source:
        """The positions of a game, given as moves or PGN; without one the Immortal Game."""
        live, moves = predictor_of(shelf).follow(), list[str]()
        for word in words_of(text or IMMORTAL):
            code = read_move(live.board.rules, word)
            moves.append(write_san(live.board.rules, code))
            live.play(code)
        reading = inspect_reading(shelf.model(), " ".join(moves) or None)
        return Source(reading.x, ["start", *moves], reading=reading)

    def outcome(self, explored: Explored, edited: Edited, body: WhatIfBody) -> dict[str, Any]:
        """The likeliest next moves, and who wins."""
        predictor = predictor_of(explored.shelf)
        live = predictor.follow()
        for label in explored.labels[1:]:
            live.play(read_move(live.board.rules, label))
        plain = live.plain()
        if len(plain.code) == 0:
            return {"kind": "choices", "items": [], "note": "the game is over"}
        out = {name: value[-1:] for name, value in edited.outputs.items()}
        if predictor.with_board:
            prediction = predictor.of_scores(
                0, predictor.keys.scores(out["query"][0], plain.tokens), out, plain
            )
        else:
            prediction = predictor.of_all_moves(0, out, plain)
        lost, drawn, won = np.exp(prediction.result[0]).tolist()
        mover = _SIDES[live.side]
        told = choices((write_san(live.board.rules, code), p) for code, p in prediction.best(8))
        return {
            **told,
            "note": f"{mover} to move wins {percent(won)}, draws {percent(drawn)}, loses {percent(lost)}",
        }


def predictor_of(shelf: Shelf) -> Predictor:
    """The predictor of a model, made once. Raises :class:`DataError` for a model of another task."""
    return shelf.made("chess", make_predictor)


def make_predictor(model: Model) -> Predictor:
    """The predictor of a model. Raises :class:`DataError` for one of another task."""
    if model.task != "chess":
        raise DataError(f"model is of the task {model.task!r}, expected 'chess': choose another")
    return Predictor(model)


def words_of(text: str) -> list[str]:
    """The moves of a text: PGN with or without tags, or moves alone."""
    games = list(read_pgn(text.encode().splitlines(keepends=True)))
    return [] if not games else games[0].moves


class Games:
    """Games in progress by model, players and moves, so that the next move of each costs one move, not all."""

    def __init__(self) -> None:
        self._games: OrderedDict[Any, Followed] = OrderedDict()
        self._lock = threading.Lock()

    def ask(self, shelf: Shelf, body: GameBody) -> dict[str, Any]:
        """The game after its moves: who may play what, how surprising each move was, who is likely to win.

        Raises:
            DataError: a move that is not legal, or several players of one name.
        """
        predictor = predictor_of(shelf)
        key: tuple[Any, ...] = (id(predictor), body.white, body.black, body.fen, body.recall)
        moves = tuple(body.moves)
        game, played = self._take(key, moves)
        if game is None:
            game, played = self._begin(predictor, body), 0
        try:
            for word in moves[played:]:
                game.play(word)
        except DataError:
            self._put(key, moves[: len(game.history)], game)
            raise
        answer = told(game, predictor, body)
        self._put(key, moves, game)
        return answer

    def _begin(self, predictor: Predictor, body: GameBody) -> Followed:
        openings = openings_or_none()
        names = openings.name if openings else lambda position: None
        return begin(
            predictor, white=body.white, black=body.black, fen=body.fen, recall=body.recall, names=names
        )

    def _take(self, key: tuple[Any, ...], moves: tuple[str, ...]) -> tuple[Followed | None, int]:
        """The longest game that these moves go on from, taken out; or the one a move longer, taken back."""
        with self._lock:
            for length in range(len(moves), -1, -1):
                game = self._games.pop((*key, moves[:length]), None)
                if game is not None:
                    return game, length
        return None, 0

    def _put(self, key: tuple[Any, ...], moves: tuple[str, ...], game: Followed) -> None:
        with self._lock:
            self._games[(*key, moves)] = game
            while len(self._games) > KEPT:
                self._games.popitem(last=False)


def told(game: Followed, predictor: Predictor, body: GameBody) -> dict[str, Any]:
    """A game in progress as plain values."""
    view = game.view(body.top, body.sources)
    position = game.position
    legal = [position.uci(code) for code in position.legal()] if view.outcome is None else []
    items = []
    for choice in view.choices:
        entry = choice._asdict()
        entry["arrow"] = _arrow(position.uci(entry.pop("code")))
        entry["reply_uci"] = _reply_uci(game.live, choice.code)
        items.append(entry)
    return {
        "ply": view.ply,
        "fen": position.fen,
        "turn": _SIDES[view.turn],
        "legal": legal,
        "choices": items,
        "result": {"white": view.white_wins, "draw": view.draws, "black": view.black_wins},
        "opening": view.opening,
        "outcome": view.outcome,
        "seconds": view.seconds,
        "chosen": [{"san": san, "count": count} for san, count in view.chosen],
        "sources": [source._asdict() for source in view.sources],
        "history": [{**played._asdict(), "number": game.number(k)} for k, played in enumerate(game.history)],
        "players": predictor.players if body.players else None,
    }


def _reply_uci(live: LiveGame, code: int) -> str | None:
    """The likeliest answer to a move, as squares."""
    after = live.fork()
    after.play(code)
    if after.board.rules.outcome() is not None:
        return None
    best = after.prediction().best(1)
    return after.board.rules.uci(best[0][0]) if best else None


def _arrow(uci: str) -> list[str]:
    return [uci[:2], uci[2:4]]


def as_pgn(body: GameBody) -> str:
    """The moves of a game as PGN. Raises :class:`DataError` for a move that is not legal."""
    from congru.tasks.chess.rules import Position

    position, words, number = Position(body.fen) if body.fen else Position(), list[str](), 1
    first = position.turn
    for ply, word in enumerate(body.moves):
        code = read_move(position, word)
        if (ply + first) % 2 == 0:
            words.append(f"{number}.")
        elif ply == 0:
            words.append(f"{number}...")
        number += (ply + first) % 2
        words.append(write_san(position, code))
        position.play(code)
    ended = position.outcome()
    result = (
        "*"
        if ended is None
        else "1/2-1/2"
        if ended != "checkmate"
        else ("0-1" if position.turn == 0 else "1-0")
    )
    tags = {"White": body.white or "White", "Black": body.black or "Black", "Result": result}
    if body.fen:
        tags |= {"SetUp": "1", "FEN": body.fen}
    quoted = [f'[{name} "{_quoted(value)}"]' for name, value in tags.items()]
    return "\n".join([*quoted, "", _wrapped([*words, result]), ""])


def _quoted(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"')


def _wrapped(words: list[str], width: int = 80) -> str:
    lines = [""]
    for word in words:
        if lines[-1] and len(lines[-1]) + 1 + len(word) > width:
            lines.append("")
        lines[-1] += (" " if lines[-1] else "") + word
    return "\n".join(lines)


def checked_moves(text: str) -> dict[str, Any]:
    """The first game of a PGN as squares, with its players. Raises :class:`DataError` for a move that is not legal."""
    from congru.tasks.chess.rules import Position

    games = list(read_pgn(text.encode().splitlines(keepends=True)))
    if not games or not games[0].moves:
        raise DataError("text holds no game, expected PGN or moves such as 1. e4 e5: paste some")
    game = games[0]
    fen = game.tags.get("FEN")
    position, moves = Position(fen) if fen else Position(), list[str]()
    for word in game.moves:
        code = read_move(position, word)
        moves.append(position.uci(code))
        position.play(code)
    return {"moves": moves, "white": game.tags.get("White"), "black": game.tags.get("Black"), "fen": fen}
