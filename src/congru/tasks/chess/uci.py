"""The model as an engine of the Universal Chess Interface: any chess program can play against it.

It does not search: it plays what a person of the chosen strength or name is likely to play. Spoken are uci, debug, isready,
setoption, ucinewgame, position, go, stop, ponderhit, quit; what is not known is answered by one line and changes nothing.
"""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from congru.errors import CongruError
from congru.runtime.decoding.sampling import Sampling, probabilities
from congru.tasks.chess.players import one_person
from congru.tasks.chess.positions import Board
from congru.tasks.chess.predict import LiveGame, Predictor
from congru.tasks.chess.recalls import recall_of
from congru.version import __version__

_CENTIPAWNS = 400  # 400 log10(p / (1 - p)): the Elo difference that the expected score stands for
_MOST_LINES = 500


@dataclass
class Options:
    """What a program may set."""

    multi_pv: int = 1
    elo: int = 0
    temperature: float = 0.0
    top_p: float = 1.0
    player: str = ""
    opponent: str = ""
    seed: int = 0
    chess960: bool = False
    recall: bool = True
    show_wdl: bool = False


@dataclass
class Engine:
    """A conversation with a chess program; `say` gets every line of the answers."""

    predictor: Predictor
    say: Callable[[str], None]
    options: Options = field(default_factory=Options)
    _start: str | None = None
    _moves: list[str] = field(default_factory=list)
    _live: LiveGame | None = None
    _waiting: str | None = None

    def __post_init__(self) -> None:
        self._rng = np.random.default_rng(self.options.seed)

    def hear(self, line: str) -> bool:
        """Answer a line; False after quit."""
        words = line.split()
        while (
            words and words[0] not in _COMMANDS
        ):  # the protocol: pass over what is unknown, take what follows
            if len(words) == 1 or not set(words[1:]) & set(_COMMANDS):
                self.say(f"info string unknown command: {line.strip()}")
                return True
            words = words[1:]
        if not words:
            return True
        if words[0] == "quit":
            self._stop()
            return False
        try:
            _COMMANDS[words[0]](self, words[1:])
        except CongruError as error:
            self.say(f"info string {error}")
        return True

    def _uci(self, words: list[str]) -> None:
        self.say(f"id name congru {__version__} ({self.predictor.model.config['cell']})")
        self.say("id author the congru authors")
        for line in (
            f"MultiPV type spin default 1 min 1 max {_MOST_LINES}",
            "UCI_Chess960 type check default false",
            "UCI_ShowWDL type check default false",
            "Elo type spin default 0 min 0 max 4000",
            "Temperature type string default 0",
            "TopP type string default 1",
            "Player type string default <empty>",
            "Opponent type string default <empty>",
            "Recall type check default true",
            "Seed type spin default 0 min 0 max 2147483647",
        ):
            self.say(f"option name {line}")
        self.say("uciok")

    def _ready(self, words: list[str]) -> None:
        self.say("readyok")

    def _debug(self, words: list[str]) -> None:
        """Nothing more is said in debug mode."""

    def _setoption(self, words: list[str]) -> None:
        text = " ".join(words)
        name, _, value = text.removeprefix("name ").partition(" value ")
        name, value = name.strip(), value.strip()
        set_option = _OPTIONS.get(name.lower())
        if set_option is None:
            self.say(f"info string unknown option: {name}, expected one of {', '.join(_OPTION_NAMES)}")
            return
        try:
            set_option(self, "" if value == "<empty>" else value)
        except ValueError as error:
            self.say(f"info string option {name} has the value {value!r}, which is not taken: {error}")
        self._live = None

    def _new_game(self, words: list[str]) -> None:
        self._start, self._moves, self._live = None, [], None
        self._rng = np.random.default_rng(self.options.seed)

    def _position(self, words: list[str]) -> None:
        before, _, after = " ".join(words).partition("moves")
        kind, *rest = before.split() or [""]
        if kind not in ("startpos", "fen"):
            self.say(f"info string position {' '.join(words)!r}, expected startpos or fen, then moves")
            return
        start = " ".join(rest) if kind == "fen" else None
        moves = after.split()
        self._live = self._reach(start, moves)
        self._start, self._moves = start, moves

    def _reach(self, start: str | None, moves: list[str]) -> LiveGame:
        """The game after moves, going on from the game that is known; an illegal move leaves that as it was."""
        live, known = self._live, len(self._moves)
        turned = (len(moves) - known) % 2 and (self.options.player or self.options.opponent)
        if live is None or turned or start != self._start or moves[:known] != self._moves:
            live, known = self._new(start, len(moves)), 0
        else:
            live = live.fork()
        for move in moves[known:]:
            live.play(live.board.rules.read_uci(move))
        return live

    def _new(self, start: str | None, plies: int) -> LiveGame:
        """A game that begins; `player` is whoever is to move after so many plies."""
        options, names = self.options, self.predictor.players
        board = Board(start, options.chess960)
        pair = [one_person(name, names)[0] if name else None for name in (options.player, options.opponent)]
        white, black = pair if (board.side + plies) % 2 == 0 else reversed(pair)
        recall = recall_of(self.predictor, (white, black), archive=options.recall)
        return self.predictor.follow(white, black, elo=(options.elo, options.elo), board=board, recall=recall)

    def _go(self, words: list[str]) -> None:
        begin = time.perf_counter()
        live = self._live = self._reach(self._start, self._moves)
        rules = live.board.rules
        prediction = live.prediction()
        allowed = self._allowed(words, prediction.code.tolist())
        if not len(prediction.code) or not allowed.any():
            best = "(none)"
            self.say(f"info depth 0 score {'mate 0' if rules.in_check else 'cp 0'}")
        else:
            log_p = np.where(allowed, prediction.log_p, -np.inf)
            for number, choice in enumerate(np.argsort(-log_p, kind="stable")[: self.options.multi_pv], 1):
                if allowed[choice]:
                    self.say(self._line(live, int(prediction.code[choice]), number, begin))
            best = rules.uci(int(prediction.code[self._draw(log_p)]))
        if "infinite" in words or "ponder" in words:
            self._waiting = best
        else:
            self.say(f"bestmove {best}")

    def _allowed(self, words: list[str], codes: list[int]) -> NDArray[np.bool_]:
        """Which legal moves `searchmoves` leaves."""
        if "searchmoves" not in words:
            return np.ones(len(codes), bool)
        assert self._live is not None
        rules = self._live.board.rules
        named = [word for word in words[words.index("searchmoves") + 1 :] if word[:1] in "abcdefgh"]
        return np.array([rules.uci(code) in named for code in codes], bool)

    def _draw(self, log_p: NDArray[np.floating]) -> int:
        options = self.options
        if options.temperature == 0:
            return int(log_p.argmax())
        chances = probabilities(log_p, Sampling(options.temperature, None, options.top_p))
        return int(self._rng.choice(len(chances), p=chances))

    def _line(self, live: LiveGame, code: int, number: int, begin: float) -> str:
        after = live.fork()
        after.play(code)
        prediction = after.prediction()
        moves = [live.board.rules.uci(code)]
        if len(prediction.code):
            moves.append(after.board.rules.uci(prediction.best(1)[0][0]))
        won, drawn, _ = np.exp(
            prediction.result[0]
        ).tolist()  # the opponent moves next: what is lost there is won here
        score = min(max(won + drawn / 2, 1e-4), 1 - 1e-4)
        centipawns = round(_CENTIPAWNS * math.log10(score / (1 - score)))
        shares = [round(1000 * part) for part in (won, drawn)]
        wdl = f" wdl {shares[0]} {shares[1]} {1000 - sum(shares)}" if self.options.show_wdl else ""
        milliseconds = round(1000 * (time.perf_counter() - begin))
        return (
            f"info depth 1 seldepth 2 multipv {number} score cp {centipawns}{wdl} nodes {number} "
            f"time {milliseconds} pv {' '.join(moves)}"
        )

    def _stop(self, words: Iterable[str] = ()) -> None:
        if self._waiting is not None:
            self.say(f"bestmove {self._waiting}")
            self._waiting = None


_COMMANDS: dict[str, Callable[[Engine, list[str]], None]] = {
    "uci": Engine._uci,
    "debug": Engine._debug,
    "isready": Engine._ready,
    "setoption": Engine._setoption,
    "ucinewgame": Engine._new_game,
    "position": Engine._position,
    "go": Engine._go,
    "stop": Engine._stop,
    "ponderhit": Engine._stop,
    "quit": Engine._stop,
}


def _whole(name: str, least: int, most: int) -> Callable[[Engine, str], None]:
    def set_option(engine: Engine, value: str) -> None:
        number = int(value) if value.lstrip("-").isdecimal() else least - 1
        if not least <= number <= most:
            raise ValueError(f"expected a whole number from {least} to {most}")
        setattr(engine.options, name, number)

    return set_option


def _real(name: str, least: float, most: float) -> Callable[[Engine, str], None]:
    def set_option(engine: Engine, value: str) -> None:
        try:
            number = float(value)
        except ValueError:
            number = math.nan
        if not least <= number <= most:
            raise ValueError(f"expected a number from {least:g} to {most:g}")
        setattr(engine.options, name, number)

    return set_option


def _flag(name: str) -> Callable[[Engine, str], None]:
    def set_option(engine: Engine, value: str) -> None:
        if value.lower() not in ("true", "false"):
            raise ValueError("expected true or false")
        setattr(engine.options, name, value.lower() == "true")

    return set_option


def _player(name: str) -> Callable[[Engine, str], None]:
    def set_option(engine: Engine, value: str) -> None:
        if value:
            one_person(value, engine.predictor.players)
        setattr(engine.options, name, value)

    return set_option


_OPTION_NAMES: dict[str, Callable[[Engine, str], None]] = {
    "MultiPV": _whole("multi_pv", 1, _MOST_LINES),
    "UCI_Chess960": _flag("chess960"),
    "UCI_ShowWDL": _flag("show_wdl"),
    "Elo": _whole("elo", 0, 4000),
    "Temperature": _real("temperature", 0, 100),
    "TopP": _real("top_p", 1e-6, 1),
    "Player": _player("player"),
    "Opponent": _player("opponent"),
    "Recall": _flag("recall"),
    "Seed": _whole("seed", 0, 2**31 - 1),
}
_OPTIONS = {name.lower(): function for name, function in _OPTION_NAMES.items()}


def converse(predictor: Predictor) -> int:
    """Speak with the program on standard input and output until it says quit or leaves."""
    engine = Engine(predictor, lambda line: print(line, flush=True))
    for line in sys.stdin:
        if not engine.hear(line):
            return 0
    return 0
