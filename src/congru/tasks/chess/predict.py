"""A chess model without torch: the probabilities of every legal move, over whole games and move by move.

    predictor = Predictor.load("run")
    for game in predictor.predict(games):          # whole games, many at a time
        game.log_p, game.row, game.code
    live = predictor.follow(white="Fischer, Robert J.")
    live.prediction().best(5); live.play(code)     # the same numbers, one move after the other

Legend: T plies of a game, C legal moves of all of them, `row` [C] the ply of each.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from congru.errors import ModelFolderError
from congru.runtime.answer import Arrays
from congru.runtime.decoding.scores import log_softmax
from congru.runtime.model import Model
from congru.runtime.session import Session
from congru.tasks.chess.attacks import Ints
from congru.tasks.chess.features import NUM_MOVES
from congru.tasks.chess.games import Game, Games, collect
from congru.tasks.chess.moves import MOVE_INDEX
from congru.tasks.chess.plies import START_TOKEN
from congru.tasks.chess.positions import Board, position_of, relative
from congru.tasks.chess.reading import Context, Inputs, Reader, inputs_of
from congru.tasks.chess.scoring import legal_log_softmax
from congru.tasks.chess.streams import game_batches, plies_of
from congru.tasks.loading import load_model

PLAYERS = "players.json"
Floats = NDArray[np.floating]
_PLIES_AT_ONCE = 2048


@dataclass(frozen=True)
class Predicted:
    """What a model says of plies [T] of a game, or of one position (T = 1).

    `side` [T]: who is to move, 0 white, 1 black; `row`, `code`, `log_p` [C]: the legal moves as codes, and log p of each;
    `result` [T, 3]: log p that the side to move loses, draws, wins; `state` [T, H]: the recurrent output; `legal_mass`,
    `free_legal` [T]: of a network that reads moves only, the probability of all legal moves before others are ruled out,
    and whether the most probable of all moves is legal (else 1 and True).
    """

    game: int
    side: Ints
    row: Ints
    code: Ints
    log_p: Floats
    result: Floats
    state: Floats
    legal_mass: Floats
    free_legal: NDArray[np.bool_]

    def best(self, count: int = 5, ply: int = 0) -> list[tuple[int, float]]:
        """The most probable moves of a ply as (code, probability), the first first."""
        begin, end = np.searchsorted(self.row, [ply, ply + 1])
        order = np.argsort(-self.log_p[begin:end], kind="stable")[:count]
        return [(int(self.code[begin + k]), float(np.exp(self.log_p[begin + k]))) for k in order]


class Predictor:
    """A loaded model. `players` are the names it has vectors for, in the order of their numbers 1, 2, ..."""

    def __init__(self, model: Model) -> None:
        self.model = model
        self.players = _players(model)
        self.with_board = model.task_config["variant"] == "b"
        self.main = model.networks["main"]
        self.vectors: NDArray[np.float32] = model.networks["player"].weights["vector.weight"]
        self._numbers = {name: number for number, name in enumerate(self.players, 1)}
        if self.with_board:
            pieces = model.networks["board"].weights
            self._pieces = np.ascontiguousarray(pieces["pieces.weight"].T)
            self._bias = pieces["pieces.bias"]

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Predictor:
        """Load a model folder or run folder of this task, its stored answer replayed."""
        return cls(load_model(path, "chess", reply))

    def number_of(self, name: str | None) -> int:
        """The number of a player by the exact name; 0, unknown, for any other."""
        return self._numbers.get(name or "", 0)

    def numbers_in(self, games: Games) -> Ints:
        """The number of every player of some games."""
        return np.array([self.number_of(name) for name in games.players], np.int64)

    def predict(
        self,
        games: Games,
        chosen: Ints | None = None,
        *,
        numbers: Ints | None = None,
        vectors: NDArray[np.float32] | None = None,
    ) -> Iterator[Predicted]:
        """What the model says of every ply of games (default: all of them), long games first.

        `numbers` [players of the games] replaces the model's own numbering, `vectors` [.., player size] its vectors.
        """
        reader = Reader(games, self.numbers_in(games) if numbers is None else numbers)
        table = self.vectors if vectors is None else vectors
        wanted = np.arange(len(games.offsets) - 1) if chosen is None else np.asarray(chosen, np.int64)
        lengths = np.diff(games.offsets)
        for group in game_batches(games.offsets, wanted[lengths[wanted] > 0], _PLIES_AT_ONCE):
            inputs = reader.inputs(plies_of(games.offsets, group), self.with_board)
            yield from self._group(group, lengths[group], inputs, table)

    def _group(
        self, group: Ints, lengths: Ints, inputs: Inputs, vectors: NDArray[np.float32]
    ) -> Iterator[Predicted]:
        """Some games side by side, padded at their ends."""
        inside = np.arange(int(lengths.max())) < lengths[:, None]

        def padded(values: NDArray[Any]) -> NDArray[Any]:
            out = np.zeros((*inside.shape, *values.shape[1:]), values.dtype)
            out[inside] = values
            return out

        x: dict[str, NDArray[Any]] = {
            "ply": inputs.ply,
            "own": vectors[inputs.own],
            "their": vectors[inputs.their],
        }
        if self.with_board:
            x["board"] = self.model.networks["board"].run(inputs.board[None])[0][0]
        else:
            x["last"] = inputs.last
        out, _ = self.main.run({name: padded(values) for name, values in x.items()}, lengths=lengths)
        flat = {name: values[inside] for name, values in out.items()}
        whole = self._predicted(0, flat, inputs)
        plies, moves = np.cumsum(lengths), np.searchsorted(inputs.row, np.cumsum(lengths))
        for k, number in enumerate(group.tolist()):
            first, begin = int(plies[k] - lengths[k]), int(moves[k - 1]) if k else 0
            ply, move = slice(first, int(plies[k])), slice(begin, int(moves[k]))
            yield Predicted(
                number,
                whole.side[ply],
                whole.row[move] - first,
                whole.code[move],
                whole.log_p[move],
                whole.result[ply],
                whole.state[ply],
                whole.legal_mass[ply],
                whole.free_legal[ply],
            )

    def _predicted(self, game: int, out: Mapping[str, Floats], inputs: Inputs) -> Predicted:
        """The outputs of plies [T, ...] as probabilities of legal moves."""
        count, row = len(inputs.ply), inputs.row
        side = inputs.ply[:, 4]
        code = relative(inputs.code, side[row])
        legal_mass, free_legal = np.ones(count), np.ones(count, np.bool_)
        scores: Floats = np.zeros(0)
        if len(row) and self.with_board:
            keys = self.model.networks["move"].run(inputs.tokens[None])[0][0]
            scores = np.einsum("ck,ck->c", out["query"][row], keys) / np.sqrt(keys.shape[-1])
        elif len(row):  # where there is none the game is over
            free = out["move"][:, :START_TOKEN].reshape(count, 2, NUM_MOVES)[np.arange(count), side]
            place = MOVE_INDEX[code]
            scores = free[row, place]
            total = np.zeros(count)
            np.add.at(total, row, np.exp(log_softmax(free)[row, place]))
            legal_mass, free_legal = total, np.zeros(count, np.bool_)
            free_legal[row[place == free.argmax(axis=1)[row]]] = True
        log_p = legal_log_softmax(scores, row, count)
        return Predicted(
            game, side, row, code, log_p, log_softmax(out["result"]), out["rnn"], legal_mass, free_legal
        )

    def follow(
        self,
        white: str | None = None,
        black: str | None = None,
        *,
        elo: tuple[int, int] = (0, 0),
        vectors: tuple[NDArray[np.float32] | None, NDArray[np.float32] | None] = (None, None),
        board: Board | None = None,
    ) -> LiveGame:
        """A game to be followed move by move, from the usual first position or that of `board`.

        A vector replaces that of a player's name. `elo` are White's and Black's ratings, 0 where unknown.
        """
        pair = [
            self.vectors[self.number_of(name)] if vector is None else vector
            for name, vector in zip((white, black), vectors)
        ]
        return LiveGame(self, pair, elo, board)

    def board_vector(self, board: NDArray[np.float32]) -> NDArray[np.float32]:
        """The output of the network "board" for features [1, F] of zeros and ones, [1, H]: the sum of the rows in use."""
        rows = np.flatnonzero(board[0])
        vector: NDArray[np.float32] = self._pieces[rows].sum(axis=0, keepdims=True) + self._bias
        return vector


class LiveGame:
    """A game in progress: O(1) per move, the games before it live in the state alone."""

    def __init__(
        self,
        predictor: Predictor,
        vectors: list[NDArray[np.float32]],
        elo: tuple[int, int] = (0, 0),
        board: Board | None = None,
    ) -> None:
        self.predictor, self.vectors, self.elo = predictor, vectors, elo
        self.board, self.moves = board or Board(), list[int]()
        self.clocks = [float("nan"), float("nan")]
        self._session: Session = predictor.model.session(network="main")
        self._said: Predicted | None = None
        self._numbers = np.zeros(1, np.int64)

    @property
    def side(self) -> int:
        """Whose turn it is: 0 white, 1 black."""
        return self.board.side

    def prediction(self) -> Predicted:
        """What the model says of the next move; raises nothing at the end of a game: then there is no legal move."""
        if self._said is None:
            self._said = self._read()
        return self._said

    def play(self, code: int) -> LiveGame:
        """Make a legal move; returns the game."""
        self.prediction()  # the state takes in every position
        self.board.play(code)
        self.moves.append(code)
        self._said = None
        return self

    def fork(self) -> LiveGame:
        """An independent copy, to look ahead with."""
        twin = object.__new__(LiveGame)
        twin.__dict__.update(self.__dict__)
        twin.moves, twin.clocks = list(self.moves), list(self.clocks)
        twin.board, twin._session = self.board.copy(), self._session.fork()
        return twin

    def again(self) -> LiveGame:
        """The next game of the same players: from the first position, the state stays."""
        self.prediction()
        self.board, self.moves, self._said = Board(), [], None
        return self

    def inputs(self) -> dict[str, Any]:
        """What the network "main" reads of the position on the board, one step."""
        return self._inputs(self._plain())

    def _plain(self) -> Inputs:
        side, elo = self.side, np.array(self.elo)
        clock = np.array([self.clocks[side]])
        context = Context(self._numbers, self._numbers, elo[[side]], elo[[1 - side]], clock)
        return inputs_of(position_of(self.board), context, self.predictor.with_board)

    def _inputs(self, plain: Inputs) -> dict[str, Any]:
        side = self.side
        x: dict[str, Any] = {"ply": plain.ply[0], "own": self.vectors[side], "their": self.vectors[1 - side]}
        if self.predictor.with_board:
            x["board"] = self.predictor.board_vector(plain.board)[0]
        else:
            x["last"] = plain.last[0]
        return x

    def _read(self) -> Predicted:
        plain = self._plain()
        out = self._session.step(self._inputs(plain))
        return self.predictor._predicted(0, {name: value[None] for name, value in out.items()}, plain)


def _players(model: Model) -> list[str]:
    """The names in players.json."""
    try:
        names = json.loads(model.files[PLAYERS])
    except (KeyError, ValueError):
        names = None
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise ModelFolderError(
            f"{model.folder / PLAYERS} is missing or no JSON list of names, expected one: copy the folder again"
        )
    return names


def reply(model: Model, inputs: Arrays) -> Arrays:
    """The stored answer: log p of every legal move [C], and of the results [T, 3], of a game."""
    moves = inputs["moves"]
    game = replace(collect([Game(moves.astype(np.uint16), "white", "black")]), elo=inputs["elo"])
    said = next(Predictor(model).predict(game, numbers=inputs["players"]))
    return {"log_p": said.log_p, "result": said.result}
