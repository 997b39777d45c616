"""From plies of a set of games to the arrays that the networks read.

A ply is an index into the moves of all games; the ply at which a game begins is read with its first position. Games are
what `congru.tasks.chess.games` makes of files.

Legend: N plies in any order, C legal moves of all of them.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from congru.tasks.chess.attacks import Ints, attacks_of
from congru.tasks.chess.features import BOARD_FEATURES, MOVE_TOKENS, Floats, board_features, move_tokens
from congru.tasks.chess.games import UNKNOWN, Games
from congru.tasks.chess.moves import MOVE_INDEX
from congru.tasks.chess.plies import move_token, moved_tokens, ply_tokens, time_class
from congru.tasks.chess.positions import Positions, Segment, positions_of, relative
from congru.tasks.chess.rules import Position

NO_RESULT = -1


class Context(NamedTuple):
    """What is known of N plies beside the board: numbers of both players, ratings, the mover's clock; all [N]."""

    own: Ints
    their: Ints
    own_elo: Ints
    their_elo: Ints
    clock: NDArray[np.floating]


class Inputs(NamedTuple):
    """What the networks read of N plies.

    `ply` [N, 8], `last` [N] the last move with its colour, `moved` [N, 3] what it changed, `own`, `their` [N] numbers of
    players; `row` [C] and relative `code` [C] of the legal moves; for a network with the board `board` [N, 1221] and `tokens`
    [C, 7], else empty.
    """

    ply: Ints
    last: Ints
    moved: Ints
    own: Ints
    their: Ints
    row: Ints
    code: Ints
    board: Floats
    tokens: Ints


def inputs_of(positions: Positions, context: Context, with_board: bool) -> Inputs:
    """The arrays of positions and what is known beside them."""
    row, code = positions.row, positions.code
    board, tokens = np.zeros((0, BOARD_FEATURES), np.float32), np.zeros((0, len(MOVE_TOKENS)), np.int64)
    if with_board:
        attacks = attacks_of(positions.board)
        board = board_features(positions.board, positions.rights, positions.past, attacks)
        squares = (code & 63, code >> 6 & 63, code >> 12)
        tokens = move_tokens(positions.board, positions.past, attacks, row, *squares, MOVE_INDEX[code])
    return Inputs(
        ply_tokens(positions.side, positions.last, context.own_elo, context.their_elo, context.clock),
        move_token(positions.last[:, 0], positions.side),
        moved_tokens(positions.last, positions.side),
        context.own,
        context.their,
        row,
        code,
        board,
        tokens,
    )


class Reader:
    """Reads plies of games. `numbers` [players of the games]: the model's number of each, 0 where it is unknown."""

    def __init__(self, games: Games, numbers: Ints) -> None:
        self.games, self.numbers = games, numbers
        turns = np.array([*(Position(fen).turn for fen in games.fens), 0], np.int64)
        self._first = turns[games.start]  # whose turn it is at the first ply of each game

    def positions(self, plies: Ints) -> Positions:
        """The positions before these plies [N], in their order; runs of a game are replayed together."""
        game = self.game_of(plies)
        breaks = np.flatnonzero((np.diff(plies) != 1) | (np.diff(game) != 0)) + 1
        offsets, segments = self.games.offsets, []
        for run in np.split(plies, breaks):
            if len(run):
                number = int(np.searchsorted(offsets, run[0], side="right")) - 1
                start = int(offsets[number])
                moves = self.games.moves[start : int(run[-1]) + 1]
                fen = self.games.fens[self.games.start[number]] if self.games.start[number] >= 0 else None
                segments.append(Segment(moves, int(run[0]) - start, int(run[-1]) - start + 1, fen))
        return positions_of(segments)

    def game_of(self, plies: Ints) -> Ints:
        """The game of each ply [N]."""
        return np.searchsorted(self.games.offsets, plies, side="right") - 1

    def side_of(self, plies: Ints, game: Ints | None = None) -> Ints:
        """Whose turn it is at each ply [N]: 0 white, 1 black; `game` [N] where it is known."""
        number = self.game_of(plies) if game is None else game
        return (plies - self.games.offsets[number] + self._first[number]) & 1

    def context(self, plies: Ints, unknown: Ints | None = None) -> Context:
        """What is known of plies [N]; `unknown` [N] hides players: 1 white, 2 black, 3 both."""
        games, game = self.games, self.game_of(plies)
        side = self.side_of(plies, game)
        players = self.numbers[np.stack([games.white[game], games.black[game]], axis=1)]
        if unknown is not None:
            players = np.where(unknown[:, None] >> np.array([0, 1]) & 1, 0, players)
        own = np.arange(len(plies)), side
        other = np.arange(len(plies)), 1 - side
        elo = games.elo[game].astype(np.int64)
        return Context(players[own], players[other], elo[own], elo[other], self._clock(plies, game))

    def _clock(self, plies: Ints, game: Ints) -> NDArray[np.floating]:
        """What the mover's clock showed after the own move before, in seconds; NaN where that is not known."""
        clocks = self.games.clocks
        if clocks is None:
            return np.full(len(plies), np.nan)
        before = plies - 2
        seconds = clocks[np.maximum(before, 0)].astype(np.float64)
        return np.where((before >= self.games.offsets[game]) & (seconds >= 0), seconds, np.nan)

    def times(self, plies: Ints) -> Ints:
        """The class of the time that each move took, [N]: see :func:`congru.tasks.chess.plies.time_class`."""
        if self.games.clocks is None:
            return np.full(len(plies), -1)
        after = self.games.clocks[plies].astype(np.float64)
        spent = self._clock(plies, self.game_of(plies)) - np.where(after >= 0, after, np.nan)
        return time_class(spent)

    def inputs(self, plies: Ints, with_board: bool, unknown: Ints | None = None) -> Inputs:
        """What the networks read of plies [N]."""
        return self.inputs_at(self.positions(plies), plies, with_board, unknown)

    def inputs_at(
        self, positions: Positions, plies: Ints, with_board: bool, unknown: Ints | None = None
    ) -> Inputs:
        """What the networks read of plies [N] whose positions are known."""
        return inputs_of(positions, self.context(plies, unknown), with_board)

    def played(self, plies: Ints) -> Ints:
        """The relative code of the move that was played at each ply, [N]."""
        return relative(self.games.moves[plies], self.side_of(plies))

    def results(self, plies: Ints) -> Ints:
        """0 lost, 1 drawn, 2 won by the side to move, [N]; NO_RESULT where the game has none."""
        game = self.game_of(plies)
        result = self.games.result[game].astype(np.int64)
        return np.where(
            result == UNKNOWN, NO_RESULT, 1 + np.where(self.side_of(plies, game) == 1, -result, result)
        )


def chosen(row: Ints, code: Ints, played: Ints) -> Ints:
    """Where the played move [N] of every position stands among the legal moves [C], [N]."""
    indices = np.flatnonzero(code == played[row])
    assert len(indices) == len(played), "a played move is not among the legal ones"
    return indices
