"""Files that say when what is said: Praat TextGrid, SubRip (.srt), NIST .stm and .ctm. Lines end in LF, CR LF; nothing else."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from congru.errors import DataError


class Segment(NamedTuple):
    """A stretch of time in seconds, and its text."""

    start: float
    end: float
    text: str


@dataclass(frozen=True)
class Tier:
    """A tier of a TextGrid; a point has equal start and end. Tiers may share a name."""

    name: str
    segments: list[Segment]


# A string in quotes ("" stands for a quote), a flag, or a number that stands by itself.
_PIECE = re.compile(
    r'"((?:[^"]|"")*)"|<(exists|absent)>|(?<![\w"\[])(-?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?)(?![\w\]])'
)


def read_textgrid(text: str, name: str) -> list[Tier]:
    """The tiers of a TextGrid in the long or the short form, in order.

    Raises:
        DataError: another kind of file, or one that ends too early.
    """
    pieces = [
        ("text", match[1].replace('""', '"'))
        if match[1] is not None
        else ("flag" if match[2] else "number", match[0])
        for match in _PIECE.finditer(text)
    ]
    reader = _Pieces(pieces, name)
    if reader.take("text") != "ooTextFile" or reader.take("text") != "TextGrid":
        raise DataError(
            f"{name} is no TextGrid, expected a file that begins with ooTextFile: save it in Praat"
        )
    reader.take("number"), reader.take("number")
    reader.take("flag")
    tiers = []
    for _ in range(int(reader.take("number"))):
        kind, title = reader.take("text"), reader.take("text")
        reader.take("number"), reader.take("number")
        segments = []
        for _ in range(int(reader.take("number"))):
            start = float(reader.take("number")) + 0.0  # -0.0 becomes 0.0
            end = float(reader.take("number")) + 0.0 if kind == "IntervalTier" else start
            segments.append(Segment(start, end, reader.take("text")))
        tiers.append(Tier(title, segments))
    return tiers


class _Pieces:
    """The strings, flags and numbers of a TextGrid, one after the other."""

    def __init__(self, pieces: list[tuple[str, str]], name: str) -> None:
        self._pieces, self._name, self._at = pieces, name, 0

    def take(self, kind: str) -> str:
        while self._at < len(self._pieces):
            piece_kind, value = self._pieces[self._at]
            self._at += 1
            if piece_kind == kind:
                return value
        raise DataError(f"{self._name} ends within a TextGrid, expected another {kind}: save it again")


_SRT_TIME = re.compile(r"(\d+):(\d+):(\d+)[,.](\d+)\s*-->\s*(\d+):(\d+):(\d+)[,.](\d+)")


def read_srt(text: str, name: str) -> list[Segment]:
    """The subtitles in order; numbers may start anywhere, `00:00:5,000` is five seconds.

    Raises:
        DataError: no subtitle in it.
    """
    segments: list[Segment] = []
    lines = text.replace("\r\n", "\n").split("\n")
    for number, line in enumerate(lines):
        match = _SRT_TIME.search(line)
        if not match:
            continue
        h, m, s, ms, h2, m2, s2, ms2 = match.groups()
        start, end = (
            3600 * int(a) + 60 * int(b) + int(c) + int(d) / 10 ** len(d)
            for a, b, c, d in ((h, m, s, ms), (h2, m2, s2, ms2))
        )
        text_lines = []
        for following in lines[number + 1 :]:
            if not following.strip():
                break
            text_lines.append(following.strip())
        segments.append(Segment(start, end, " ".join(text_lines)))
    if not segments:
        raise DataError(
            f"{name} has no subtitle (00:00:01,000 --> 00:00:02,000), expected some: check the file"
        )
    return segments


def read_stm(text: str, name: str) -> Iterator[tuple[int, str, str, Segment]]:
    """(line, audio, speaker, segment) of every line that is no comment; a gap between segments has no text.

    Raises:
        DataError: a line with fewer than five fields, or times that are no numbers.
    """
    for number, line in enumerate(text.replace("\r\n", "\n").split("\n"), 1):
        if not line.strip() or line.startswith(";;"):
            continue
        fields = line.split(maxsplit=5)
        try:
            start, end = float(fields[3]), float(fields[4])
        except (IndexError, ValueError):
            raise DataError(
                f"{name} line {number} is {line[:40]!r}, expected audio, channel, speaker, start, end, text: correct it"
            ) from None
        transcript = fields[5] if len(fields) > 5 else ""
        transcript = re.sub(r"^<[^>]*>\s*", "", transcript)  # labels such as <o,f0,male>
        transcript = " ".join(word for word in transcript.split() if not word.startswith("(%"))
        silent = transcript.upper() in ("IGNORE_TIME_SEGMENT_IN_SCORING", "INTER_SEGMENT_GAP")
        yield number, fields[0], fields[2], Segment(start, end, "" if silent else transcript)


_NUMBER = re.compile(r"\d*\.\d+")


class CtmWord(NamedTuple):
    """A word of a CTM file with its times in seconds."""

    audio: str
    start: float
    end: float
    word: str


def read_ctm(text: str, name: str) -> tuple[list[CtmWord], list[str]]:
    """The words with times, and one line for each line that has none or cannot be read; `;;` begins a comment."""
    words, faults = [], []
    for number, line in enumerate(text.replace("\r\n", "\n").split("\n"), 1):
        if not line.strip() or line.lstrip().startswith(";;"):
            continue
        fields = line.split()
        try:
            start, length, word = float(fields[2]), float(fields[3]), fields[4]
            if _NUMBER.fullmatch(word):  # a confidence: the word is missing
                raise ValueError(word)
            words.append(CtmWord(fields[0], start, start + length, word))
        except (IndexError, ValueError):
            faults.append(
                f"{name} line {number} is {line.strip()[:40]!r}, expected audio, channel, start, length, word"
            )
    return words, faults
