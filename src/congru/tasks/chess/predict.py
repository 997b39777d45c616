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
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from congru.errors import DataError, ModelFolderError
from congru.runtime.answer import Arrays
from congru.runtime.decoding.scores import log_softmax
from congru.runtime.instead import outputs_instead
from congru.runtime.model import Model
from congru.runtime.run import State
from congru.tasks.chess.archive import ARCHIVE, Archive
from congru.tasks.chess.attacks import Ints
from congru.tasks.chess.games import Game, Games, collect
from congru.tasks.chess.keys import FoldedKeys
from congru.tasks.chess.moves import MOVE_INDEX, NUM_MOVES
from congru.tasks.chess.plies import START_TOKEN
from congru.tasks.chess.positions import Board, position_of, relative
from congru.tasks.chess.reading import Context, Inputs, Reader, inputs_of
from congru.tasks.chess.recall import Choices, Recall
from congru.tasks.chess.scoring import legal_log_softmax
from congru.tasks.chess.streams import game_batches, plies_of
from congru.tasks.loading import fitting, load_model

PLAYERS = "players.json"
RECURRENT = "rnn"  # the last recurrent layer of "main", and what it puts out
Floats = NDArray[np.floating]
_PLIES_AT_ONCE = 2048


@dataclass(frozen=True)
class Predicted:
    """What a model says of plies [T] of a game, or of one position (T = 1).

    `side` [T]: who is to move, 0 white, 1 black; `row`, `code`, `log_p` [C]: the legal moves as codes, and log p of each;
    `result` [T, 3]: log p that the side to move loses, draws, wins; `state` [T, H]: the recurrent output; `tracked`
    [T, H]: of a network that reads moves only, the output of the layer that tracks the board (else `state`); `legal_mass`,
    `free_legal` [T]: of such a network, the probability of all legal moves before others are ruled out, and whether the most
    probable of all moves is legal (else 1 and True); `time` [T, 13]: log p of the classes of the time that the move takes, None
    where the training games had no clocks.
    """

    game: int
    side: Ints
    row: Ints
    code: Ints
    log_p: Floats
    result: Floats
    state: Floats
    tracked: Floats
    legal_mass: Floats
    free_legal: NDArray[np.bool_]
    time: Floats | None = None

    def best(self, count: int = 5, ply: int = 0) -> list[tuple[int, float]]:
        """The most probable moves of a ply as (code, probability), the first first."""
        begin, end = np.searchsorted(self.row, [ply, ply + 1])
        order = np.argsort(-self.log_p[begin:end], kind="stable")[:count]
        return [(int(self.code[begin + k]), float(np.exp(self.log_p[begin + k]))) for k in order]


class Predictor:
    """A loaded model. `players` are the names it has vectors for, in the order of their numbers 1, 2, ..."""

    @fitting(variant=("b", "m"))
    def __init__(self, model: Model) -> None:
        self.model = model
        self.players = _players(model)
        self.with_board = model.task_config["variant"] == "b"
        self.main = model.networks["main"]
        self.vectors: NDArray[np.float32] = model.networks["player"].weights["vector.weight"]
        self._numbers = {name: number for number, name in enumerate(self.players, 1)}
        self._choices: dict[tuple[int, int], Choices] = {}
        if self.with_board:
            pieces = model.networks["board"].weights
            self._pieces = np.ascontiguousarray(pieces["pieces.weight"].T)
            self._bias = pieces["pieces.bias"]
            self.keys = FoldedKeys(model.networks["move"])

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

    @cached_property
    def archive(self) -> Archive:
        """How the games of the players began whom it knows; empty for the folder of an earlier version."""
        content = self.model.files.get(ARCHIVE)
        if content is None:
            return Archive.empty()
        return Archive.parse(content, len(self.players), str(self.model.folder / ARCHIVE))

    def choices(self, number: int, side: int) -> Choices:
        """What a player chose with White (0) or Black (1) in the games of the archive, counted once."""
        if (number, side) not in self._choices:
            try:
                made = Choices(self.archive, self.archive.games_of(number, side), side)
            except DataError as error:
                raise ModelFolderError(
                    f"{self.model.folder / ARCHIVE}: {error}: copy the folder again"
                ) from None
            self._choices[number, side] = made
        return self._choices[number, side]

    def predict(
        self,
        games: Games,
        chosen: Ints | None = None,
        *,
        numbers: Ints | None = None,
        vectors: NDArray[np.float32] | None = None,
        blocks: list[Ints] | None = None,
    ) -> Iterator[Predicted]:
        """What the model says of every ply of games (default: all of them), long games first.

        `numbers` [players of the games] replaces the model's own numbering, `vectors` [.., player size] its vectors. `blocks`
        instead of `chosen`: games that are read one after the other, each from the state that the one before left.
        """
        reader = Reader(games, self.numbers_in(games) if numbers is None else numbers)
        table = self.vectors if vectors is None else vectors
        if blocks is None:
            wanted = np.arange(len(games)) if chosen is None else np.asarray(chosen, np.int64)
            blocks = [wanted[k : k + 1] for k in np.flatnonzero(games.lengths[wanted])]
        totals = np.cumsum([0, *(int(games.lengths[block].sum()) for block in blocks)])
        for group in game_batches(totals, np.arange(len(blocks)), _PLIES_AT_ONCE):
            members = [blocks[number] for number in group]
            inputs = reader.inputs(plies_of(games.offsets, np.concatenate(members)), self.with_board)
            yield from self._group(games, members, inputs, table)

    def _group(
        self, games: Games, blocks: list[Ints], inputs: Inputs, vectors: NDArray[np.float32]
    ) -> Iterator[Predicted]:
        """Some blocks of games side by side, padded at their ends."""
        rows = np.array([int(games.lengths[block].sum()) for block in blocks], np.int64)
        inside = np.arange(int(rows.max())) < rows[:, None]

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
            x["last"], x["moved"] = inputs.last, inputs.moved
        out, _ = self.main.run({name: padded(values) for name, values in x.items()}, lengths=rows)
        flat = {name: values[inside] for name, values in out.items()}
        whole = self._predicted(0, flat, inputs)
        group = np.concatenate(blocks)
        lengths = games.lengths[group]
        plies = np.cumsum(lengths)
        moves = np.searchsorted(inputs.row, plies)
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
                whole.tracked[ply],
                whole.legal_mass[ply],
                whole.free_legal[ply],
                None if whole.time is None else whole.time[ply],
            )

    def _predicted(self, game: int, out: Mapping[str, Floats], inputs: Inputs) -> Predicted:
        """The outputs of plies [T, ...] as probabilities of legal moves."""
        if not self.with_board:
            return self.of_all_moves(game, out, inputs)
        keys = self.model.networks["move"].run(inputs.tokens[None])[0][0]
        scores = np.einsum("ck,ck->c", out["query"][inputs.row], keys) / np.sqrt(keys.shape[-1])
        return self.of_scores(game, scores, out, inputs)

    def of_scores(self, game: int, scores: Floats, out: Mapping[str, Floats], inputs: Inputs) -> Predicted:
        """Scores of the legal moves [C], and the other outputs, as probabilities."""
        count, row, side = len(inputs.ply), inputs.row, inputs.ply[:, 4]
        code = relative(inputs.code, side[row])
        log_p = legal_log_softmax(scores, row, count)
        ones, state = np.ones(count), out["rnn"]
        result, tracked = log_softmax(out["result"]), out.get("tracker", state)
        time = log_softmax(out["time"]) if "time" in out else None
        return Predicted(game, side, row, code, log_p, result, state, tracked, ones, ones > 0, time)

    def of_all_moves(self, game: int, out: Mapping[str, Floats], inputs: Inputs) -> Predicted:
        """The logits of all moves as probabilities of the legal ones."""
        count, row, side = len(inputs.ply), inputs.row, inputs.ply[:, 4]
        free = out["move"][:, :START_TOKEN].reshape(count, 2, NUM_MOVES)[np.arange(count), side]
        index = MOVE_INDEX[relative(inputs.code, side[row])]
        predicted = self.of_scores(game, free[row, index], out, inputs)
        mass = np.bincount(row, weights=np.exp(log_softmax(free)[row, index]), minlength=count)
        legal = np.zeros(count, np.bool_)
        legal[row[index == free.argmax(axis=1)[row]]] = True
        return replace(predicted, legal_mass=mass.astype(np.float64), free_legal=legal)

    def log_p_at(
        self, plain: Inputs, x: Mapping[str, NDArray[Any]], state: State, states: NDArray[np.float32]
    ) -> Floats:
        """log p [K, C] of the legal moves of one position, had the last recurrent layer come to each of `states` [K, H].

        `x` is what "main" reads of the position, [1, 1, ...] by input, and `state` the one before it: for "what if" questions.
        """
        instead = outputs_instead(self.main, x, state, RECURRENT, states[:, None])
        out = {name: value[:, 0] for name, value in instead.items()}
        if self.with_board:
            keys = self.model.networks["move"].run(plain.tokens[None])[0][0]
            return log_softmax(out["query"] @ keys.T / np.sqrt(keys.shape[-1]))
        side = int(plain.ply[0, 4])
        return log_softmax(out["move"][:, NUM_MOVES * side + MOVE_INDEX[relative(plain.code, side)]])

    def follow(
        self,
        white: str | None = None,
        black: str | None = None,
        *,
        elo: tuple[int, int] = (0, 0),
        vectors: tuple[NDArray[np.float32] | None, NDArray[np.float32] | None] = (None, None),
        board: Board | None = None,
        recall: Recall | None = None,
    ) -> LiveGame:
        """A game to be followed move by move, from the usual first position or that of `board`.

        A vector replaces that of a player's name. `elo` are White's and Black's ratings, 0 where unknown. `recall`: what the
        players chose in earlier games, which goes into every prediction.
        """
        pair = [
            self.vectors[self.number_of(name)] if vector is None else vector
            for name, vector in zip((white, black), vectors)
        ]
        return LiveGame(self, pair, elo, board, recall)

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
        recall: Recall | None = None,
    ) -> None:
        self.predictor, self.vectors = predictor, vectors
        self.board, self.moves = board or Board(), list[int]()
        self.clocks = [float("nan"), float("nan")]
        self._elo = np.array(elo, np.int64)[:, None]
        self._steps = predictor.main.steps()
        self._steps.write(predictor.main.initial_state())
        self._start = self.board.copy(), self._steps.copy()
        self.recall = recall
        self._prediction: Predicted | None = None

    @property
    def side(self) -> int:
        """Whose turn it is: 0 white, 1 black."""
        return self.board.side

    def prediction(self) -> Predicted:
        """What the model says of the next move; raises nothing at the end of a game: then there is no legal move."""
        if self._prediction is None:
            plain = self.plain()
            predicted = self.read(plain, self.rows(plain))
            if self.recall is not None:
                log_p = self.recall.mixed(self.board.rules, predicted.code, predicted.log_p)
                predicted = replace(predicted, log_p=log_p)
            self._prediction = predicted
        return self._prediction

    def play(self, code: int) -> LiveGame:
        """Make a legal move; returns the game."""
        self.prediction()  # the state takes in every position
        self.board.play(code)
        self.moves.append(code)
        self._prediction = None
        return self

    def fork(self) -> LiveGame:
        """An independent copy, to look ahead with."""
        twin = object.__new__(LiveGame)
        twin.__dict__.update(self.__dict__)
        twin.moves, twin.clocks = list(self.moves), list(self.clocks)
        twin.board, twin._steps = self.board.copy(), self._steps.copy()
        return twin

    def again(self) -> LiveGame:
        """The next game of the same players: the first position, and the state of the last move (as games follow in training)."""
        if (
            self._prediction is not None
        ):  # the last position was looked at: go through the game again, up to its last move
            moves, self.moves, self._prediction = self.moves, [], None
            self.board, self._steps = self._start[0].copy(), self._start[1].copy()
            for code in moves:
                self.play(code)
        self.board, self.moves = Board(), []
        self._start = self.board.copy(), self._steps.copy()
        return self

    def state(self) -> State:
        """The state after all positions that were read: before :meth:`prediction`, without the one on the board."""
        return self._steps.read()

    def inputs(self) -> dict[str, Any]:
        """What the network "main" reads of the position on the board, one step."""
        names = self.predictor.main.graph.step_inputs
        return {name: row[0] for name, row in zip(names, self.rows(self.plain()))}

    def plain(self) -> Inputs:
        """The position on the board as arrays, N = 1."""
        side = self.side
        context = Context(
            _NOBODY, _NOBODY, self._elo[side], self._elo[1 - side], np.array([self.clocks[side]])
        )
        return inputs_of(position_of(self.board), context, self.predictor.with_board)

    def rows(self, plain: Inputs) -> list[NDArray[Any]]:
        """The inputs [1, ...] of "main" in its order, of :meth:`plain`."""
        own, their = self.vectors[self.side][None], self.vectors[1 - self.side][None]
        if self.predictor.with_board:
            return [plain.ply, own, their, self.predictor.board_vector(plain.board)]
        return [plain.last, plain.moved, plain.ply, own, their]

    def read(self, plain: Inputs, rows: list[NDArray[Any]]) -> Predicted:
        """One step of the network and the softmax: what :meth:`prediction` does once for every position."""
        out = self._steps.step(rows)
        kept: dict[str, Floats] = {name: out[name].copy() for name in ("rnn", "tracker") if name in out}
        out = {**out, **kept}  # the others are read at once
        if not self.predictor.with_board:
            return self.predictor.of_all_moves(0, out, plain)
        scores = self.predictor.keys.scores(out["query"][0], plain.tokens)
        return self.predictor.of_scores(0, scores, out, plain)


_NOBODY = np.zeros(1, np.int64)


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
    """The stored answer: log p of every legal move [C], of the results [T, 3], and of the times [T, 13], of a game."""
    moves = inputs["moves"].astype(np.uint16)
    game = collect([Game(moves, "white", "black", clocks=inputs.get("clocks"))])
    predicted = next(Predictor(model).predict(replace(game, elo=inputs["elo"]), numbers=inputs["players"]))
    out = {"log_p": predicted.log_p, "result": predicted.result}
    return out if predicted.time is None else {**out, "time": predicted.time}
