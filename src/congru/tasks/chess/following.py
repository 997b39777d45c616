"""A game followed move by move: what both players are likely to do, how surprising each move was, what a prediction stands on.

One move costs the same at any time: the game lives in the state of the network. Whoever shows it (a terminal, an engine
protocol, a page) takes a :class:`View`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from congru.errors import DataError
from congru.runtime.run import State
from congru.tasks.chess.memory import MoveMemory
from congru.tasks.chess.moves import name_of
from congru.tasks.chess.plies import seconds_of
from congru.tasks.chess.predict import LiveGame, Predictor
from congru.tasks.chess.rules import Position
from congru.tasks.chess.san import read_move, write_san

OpeningName = Callable[[Position], str | None]


class Choice(NamedTuple):
    """A move that may be played next: its code, SAN, UCI, probability, and the likeliest reply with its own."""

    code: int
    san: str
    uci: str
    probability: float
    reply: str = ""
    reply_probability: float = 0.0


class Played(NamedTuple):
    """A move that was played: SAN, its probability before, the surprise in bits, its rank among the legal moves from 1."""

    san: str
    probability: float
    bits: float
    rank: int


class Source(NamedTuple):
    """How much of a prediction stands on an earlier move: what log p would lose, in bits, without what was written there."""

    move: str
    bits: float


@dataclass(frozen=True)
class View:
    """What is known before a move. `white_wins`, `draws`, `black_wins` sum to 1; `sources` the earlier moves that count most.

    `seconds`: how long the player is likely to think, None where the model learnt from games without clocks. `chosen`: what
    the player chose here in earlier games, as (SAN, how often), the most frequent first.
    """

    ply: int
    turn: int
    choices: tuple[Choice, ...]
    white_wins: float
    draws: float
    black_wins: float
    opening: str | None
    outcome: str | None
    sources: tuple[Source, ...]
    seconds: float | None = None
    chosen: tuple[tuple[str, int], ...] = ()


@dataclass
class Followed:
    """A game in progress. `names` gives the name of an opening by the position, where there are names."""

    predictor: Predictor
    live: LiveGame
    names: OpeningName = lambda position: None
    history: list[Played] = field(default_factory=list)
    _before: list[tuple[LiveGame, MoveMemory | None, State, str | None]] = field(default_factory=list)
    _opening: str | None = None

    def __post_init__(self) -> None:
        self._state = self.live.state()
        self._memory = MoveMemory.of(self.live, self._state)
        self._read: MoveMemory | None = None

    @property
    def position(self) -> Position:
        """The rules' view of the board."""
        position: Position = self.live.board.rules
        return position

    @property
    def opening(self) -> str | None:
        """The name of the opening so far."""
        return self._opening

    def number(self, ply: int) -> str:
        """How a ply, counted from 0, is written: ``12.`` for White, ``12...`` for Black."""
        first = (self.position.turn + len(self.history)) % 2
        return f"{(ply + first) // 2 + 1}{'...' if (ply + first) % 2 else '.'}"

    def view(self, most: int = 5, sources: int = 3) -> View:
        """What may be played next, the `most` likeliest first, each with the reply that would follow."""
        prediction = self.live.prediction()
        choices = tuple(self._choice(code, p) for code, p in prediction.best(most))
        lost, drawn, won = np.exp(prediction.result[0]).tolist()
        white, black = (won, lost) if prediction.side[0] == 0 else (lost, won)
        return View(
            ply=len(self.history),
            turn=int(prediction.side[0]) if len(prediction.side) else self.position.turn,
            choices=choices,
            white_wins=white,
            draws=drawn,
            black_wins=black,
            opening=self.opening,
            outcome=self.position.outcome(),
            sources=self._sources(choices, sources),
            seconds=None if prediction.time is None else seconds_of(prediction.time[0]),
            chosen=self._chosen(),
        )

    def _chosen(self) -> tuple[tuple[str, int], ...]:
        """What the player to move chose in this position in earlier games."""
        recall, position = self.live.recall, self.position
        if recall is None:
            return ()
        return tuple((write_san(position, code), n) for code, n in recall.chosen(position).most_common())

    def play(self, move: str | int, clock: float = math.nan) -> Played:
        """Play a move in SAN or UCI, or a code; `clock`: the seconds that the player has left after it, where known.

        Raises :class:`DataError` where it is not legal; nothing has changed then.
        """
        code = read_move(self.position, move) if isinstance(move, str) else move
        if not self.position.is_legal(code):
            raise DataError(f"move is {name_of(code)}, which is not legal in {self.position.fen}")
        prediction = self.live.prediction()
        chances = np.exp(prediction.log_p)
        chance = float(chances[prediction.code == code][0])
        played = Played(
            write_san(self.position, code),
            chance,
            -math.log2(max(chance, 1e-12)),
            int((chances > chance).sum()) + 1,
        )
        self._before.append((self.live.fork(), self._memory, self._state, self._opening))
        self._memory, self._read = self._memory_here(), None
        mover = self.live.side
        self.live.play(code)
        self.live.clocks[mover] = clock
        self._state = self.live.state()
        self.history.append(played)
        self._opening = self.names(self.position) or self._opening
        return played

    def undo(self) -> None:
        """Take the last move back. Raises :class:`DataError` where there is none."""
        if not self._before:
            raise DataError("undo has no move to take back, expected one that was played: type a move first")
        self.live, self._memory, self._state, self._opening = self._before.pop()
        self._read = None
        self.history.pop()

    def _memory_here(self) -> MoveMemory | None:
        """The memory with the position on the board, read once."""
        if self._read is None and self._memory is not None:
            self._read = self._memory.after(self.live, self._state)
        return self._read

    def _choice(self, code: int, probability: float) -> Choice:
        position = self.position
        san, uci = write_san(position, code), position.uci(code)
        after = self.live.fork()
        after.play(code)
        replies = after.prediction().best(1) if after.board.rules.outcome() is None else []
        if not replies:
            return Choice(code, san, uci, probability)
        reply, chance = replies[0]
        return Choice(code, san, uci, probability, write_san(after.board.rules, reply), chance)

    def _sources(self, choices: tuple[Choice, ...], most: int) -> tuple[Source, ...]:
        """The earlier moves that the likeliest move stands on."""
        memory = self._memory_here() if choices and most > 0 else None
        if memory is None:
            return ()
        bits = memory.shares(self.live, choices[0].code)
        order = np.argsort(-bits, kind="stable")[:most]
        return tuple(
            Source(
                f"{self.number(ply - 1)} {self.history[ply - 1].san}" if ply else "the start",
                float(bits[ply]),
            )
            for ply in order.tolist()
            if bits[ply] > 0
        )
