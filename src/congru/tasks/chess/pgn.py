"""PGN as people have it: a stream of games with tags, main line, clocks, and how often it is commented.

Read are byte order marks, Latin-1, any line ends, comments in braces or after a semicolon, nested variations, ``%`` lines, empty
lines among the tags, quotes that never close, forum wrappers, games without tags or result. The moves stay words here;
:mod:`congru.tasks.chess.replay` plays them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

_TAG = re.compile(r'\[\s*(\w+)\s+"((?:[^"\\]|\\.)*)"\s*\]')
_BROKEN_TAG = re.compile(r'\s*\[\s*(\w+)\s+"(.*?)"?\s*\]?\s*$')
_TOKEN = re.compile(r"\{|;.*|\(|\)|\$\d+|<[^>]*>|[^\s{}();$<]+")
_RESULT = {"1-0": "1-0", "0-1": "0-1", "1/2-1/2": "1/2-1/2", "½-½": "1/2-1/2", "1/2": "1/2-1/2", "*": "*"}
_NUMBER = re.compile(r"\d+\.*(?:…)?|\.+|…")
_GLUED = re.compile(r"\d+(?:\.+|…)\s*(?=\D)|(?:\.\.+|…)")
_MARKS = re.compile(r"[!?]{1,2}$|[!?]{1,2}(?=[+#]$)")
_CLOCK = re.compile(r"\[%clk\s+(\d+):(\d+):(\d+(?:\.\d+)?)\s*\]")
_WRAPPER = re.compile(r"\[/?pgn\]", re.IGNORECASE)
_DASHES = str.maketrans(dict.fromkeys("‐‑‒–—−", "-"))
_ASIDE = frozenset({"ep", "e.p.", "e.p", "+-", "-+", "=", "+/-", "-/+", "+=", "=+", "N", "D", "mate", "ch"})


@dataclass
class Pgn:
    """One game as it is written. `line` is where it begins; `clocks` seconds left after plies, by their number.

    `result` is the one after the moves, "" where there is none.
    """

    line: int = 1
    tags: dict[str, str] = field(default_factory=dict)
    moves: list[str] = field(default_factory=list)
    result: str = ""
    clocks: dict[int, float] = field(default_factory=dict)
    commented: set[int] = field(default_factory=set)
    marks: int = 0
    variations: int = 0
    evaluations: int = 0
    nodes: int = 0

    @property
    def started(self) -> bool:
        """Whether anything of the game was read."""
        return bool(self.tags or self.moves or self.result or self.commented)

    @property
    def broken_off(self) -> bool:
        """Whether no result stands after the moves although the tags say how the game ended."""
        return not self.result and self.tags.get("Result", "*").translate(_DASHES) in (
            "1-0",
            "0-1",
            "1/2-1/2",
        )


class _Reader:
    """Reads line by line; `finished` holds the games that are complete."""

    def __init__(self) -> None:
        self.game = Pgn()
        self.finished: list[Pgn] = []
        self.comment: list[str] | None = None
        self.depth = 0

    def feed(self, number: int, line: str) -> None:
        if self.comment is not None:
            if not line.startswith('[Event "'):  # a comment that never closes ends with its game
                line = self._end_comment(line)
            else:
                self.comment = None
        elif line.startswith("%"):
            return
        if self.comment is None and line.lstrip().startswith("[") and self._tags(number, line):
            return
        self._moves(number, _WRAPPER.sub(" ", line))

    def end(self) -> None:
        self._next(0)

    def _next(self, number: int) -> None:
        if self.game.started:
            self.finished.append(self.game)
        self.game, self.depth, self.comment = Pgn(line=number), 0, None

    def _tags(self, number: int, line: str) -> bool:
        pairs = _TAG.findall(line)
        if not pairs:
            broken = _BROKEN_TAG.match(line)
            pairs = [broken.groups()] if broken else []
        for name, value in pairs:
            if self.game.moves or self.game.result or name in self.game.tags:
                self._next(number)
            elif not self.game.started:
                self.game.line = number
            self.game.tags[name] = re.sub(r'\\(["\\])', r"\1", value).strip()
        return bool(pairs)

    def _moves(self, number: int, line: str) -> None:
        at = 0
        while match := _TOKEN.search(line, at):
            token, at = match[0], match.end()
            if token == "{":
                self.comment = []
                line, at = self._end_comment(line[at:]), 0
            elif token[0] == ";":
                self.game.commented.add(self.game.nodes)
            elif token == "(":
                self.depth += 1
                self.game.variations += 1
            elif token == ")":
                self.depth = max(0, self.depth - 1)
            elif token[0] == "$":
                self.game.marks += 1
            elif token[0] != "<":
                self._word(number, token)

    def _word(self, number: int, token: str) -> None:
        word = token.translate(_DASHES)
        if word in _RESULT:
            again = self.game.result or (not self.game.started and self.finished)
            if self.depth == 0 and not again:
                self.game.result = _RESULT[word]
            return
        if _NUMBER.fullmatch(word) or word in _ASIDE:
            return
        word = _GLUED.sub("", word, count=1)
        if not word or word in _ASIDE:
            return
        if _MARKS.search(word):
            self.game.marks += 1
            word = _MARKS.sub("", word)
            if not word:
                return
        if self.depth == 0 and self.game.result:
            self._next(number)
        if not self.game.started:
            self.game.line = number
        self.game.nodes += 1
        if self.depth == 0:
            self.game.moves.append(word)

    def _end_comment(self, line: str) -> str:
        """What follows a comment on its line; the empty text where it goes on."""
        assert self.comment is not None
        text, closed, rest = line.partition("}")
        self.comment.append(text)
        if not closed:
            return ""
        text, self.comment = " ".join(self.comment), None
        game = self.game
        game.commented.add(game.nodes)
        game.evaluations += "[%eval" in text
        clock = _CLOCK.search(text)
        if clock and self.depth == 0 and game.moves:
            hours, minutes, seconds = clock.groups()
            game.clocks[len(game.moves) - 1] = 3600 * int(hours) + 60 * int(minutes) + float(seconds)
        return rest


def read_pgn(lines: Iterable[bytes]) -> Iterator[Pgn]:
    """The games of a file's lines, each as soon as it is complete; lines that are not UTF-8 are read as Windows-1252.

    >>> [game.moves for game in read_pgn([b"1. e4 (1. d4) e5 {best} 1-0", b"1. c4 *"])]
    [['e4', 'e5'], ['c4']]
    """
    reader = _Reader()
    for number, raw in enumerate(lines, 1):
        try:
            line = raw.decode("utf-8")
        except UnicodeDecodeError:
            line = raw.decode("cp1252", "replace")
        reader.feed(number, line.replace("\ufeff", "").rstrip("\r\n"))
        if reader.finished:
            yield from reader.finished
            reader.finished = []
    reader.end()
    yield from reader.finished
