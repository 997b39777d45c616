"""Tunes in ABC text (the standard 2.1, what collections of folk tunes use): notes in time, repeats and endings played.

Read: X, T, M, L, Q, K (also within a line, in brackets), accidentals and those of the key, octaves, lengths, broken rhythm,
tuplets, chords, ties, rests, repeats, first and second endings, voices one after the other by V. Skipped: grace notes,
ornaments, chord names, words, slurs, comments. Legend: a bar here is what stands between two bar lines.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

from congru.errors import DataError
from congru.tasks.music.abc_keys import accidentals_of_key
from congru.tasks.music.abc_playback import Section, Sound, played
from congru.tasks.music.pieces import Piece

_STEPS = {"C": 0, "D": 2, "E": 4, "F": 5, "G": 7, "A": 9, "B": 11}
_FIELD = re.compile(r"^([A-Za-z+]):(.*)$")
_TOKEN = re.compile(
    r"""
    (?P<skip>"[^"\n]*"|![^!\n|]*!|\+[^+\n|]*\+|\{[^}\n]*\}|[`\\\s~.HJLMOPRSTuvy$*]|\((?!\d)|\))
  | \[(?P<inline>[A-Za-z]):(?P<value>[^\]\n]*)\]
  | (?P<tuplet>\((?P<p>\d)(?::(?P<q>\d?))?(?::(?P<r>\d?))?)
  | (?P<ending>(?P<before>:*\|*)\[?(?<=[|\[\s])(?P<number>[12](?:[,\-]\d)*)(?![/\d]))
  | (?P<bar>:+\|\]?|:*\|*\[?\|+:*|\|+\]|\[\||\|+:*|:{2,})
  | (?P<chord>\[(?=[\^_=A-Ga-g]))
  | (?P<end_chord>\])
  | (?P<note>(?P<accidental>\^{1,2}|_{1,2}|=)?(?P<letter>[A-Ga-g])(?P<octave>[,']*))
  | (?P<rest>[zxZX])
  | (?P<broken><+|>+)
  | (?P<tie>-)
    """,
    re.VERBOSE,
)
_LENGTH = re.compile(r"(\d*)(/*)(\d*)")
_TUPLETS = {2: 3, 3: 2, 4: 3, 6: 2, 8: 3}


@dataclass(frozen=True)
class Tune:
    """A tune: the piece as played, and how many notes stand in its text."""

    piece: Piece
    written: int


def read_abc(path: Path, content: bytes, skipped: list[str] | None = None) -> list[Tune]:
    """The tunes of a file; with `skipped`, a tune that cannot be read adds its line there instead of being raised.

    Raises:
        DataError: no tune, a tune without notes, or a field that cannot be read, with the line.
    """
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = content.decode("latin-1")
    blocks, block = list[list[tuple[int, str]]](), list[tuple[int, str]]()
    for number, line in enumerate(text.splitlines(), 1):
        if line.startswith("X:"):
            block = [(number, line)]
            blocks.append(block)
        elif not line.strip():
            block = []
        elif block:
            block.append((number, line))
    if not blocks:
        raise DataError(
            f"{path} holds no tune (no line begins with X:), expected ABC text: choose another file"
        )
    tunes = []
    for lines in blocks:
        try:
            tunes.append(_Reader(path, lines).tune())
        except DataError as error:
            if skipped is None:
                raise
            skipped.append(str(error))
    return tunes


class _Reader:
    """Reads the lines of one tune."""

    def __init__(self, path: Path, lines: list[tuple[int, str]]) -> None:
        self.path, self.lines, self.line = path, lines, lines[0][0]
        self.number, self.titles = "", list[str]()
        self.meter, self.unit = Fraction(1), Fraction(0)
        self.tempo: float | None = None
        self.key: dict[str, int] = {}
        self.written, self.unknown = 0, 0
        self.sections = [Section()]
        self.voices: dict[str, list[Section]] = {"": self.sections}
        self.bar: dict[tuple[str, int], int] = {}
        self.broken, self.tuplet = Fraction(1), (Fraction(1), 0)
        self.chord: list[int] | None = None

    def tune(self) -> Tune:
        """The whole tune."""
        in_body = False
        for number, text in self.lines:
            self.line = number
            line = re.sub(r"(?<!\\)%.*", "", text)
            match = _FIELD.match(line)
            if match and (not in_body or match[1] in "IKLMNOPQRSTVWw+"):
                self._field(match[1], match[2].strip())
                in_body = in_body or match[1] == "K"
            elif in_body:
                self._music(line)
        voices = [sections for sections in self.voices.values() if any(one.sounds for one in sections)]
        notes = tuple(sorted(note for voice, own in enumerate(voices) for note in played(own, voice)))
        name = f"{self.path.stem} {self.number} {self.titles[0] if self.titles else ''}".strip()
        if not notes:
            raise DataError(
                f"{self.path} line {self.lines[0][0]}: tune {self.number} has no note, expected some: leave it out"
            )
        tempo = self.tempo or 120.0
        end = max(note.start + note.length for note in notes)
        told = (f"{self.unknown} signs that are not ABC left out",) if self.unknown else ()
        bar = float(4 * self.meter)
        piece = Piece(name, notes, bar=bar, tempo=tempo, seconds=end * 60 / tempo, remarks=told)
        return Tune(piece, self.written)

    def _field(self, name: str, value: str) -> None:
        if name == "X":
            self.number = value
        elif name == "T":
            self.titles.append(value)
        elif name == "M":
            self.meter = self._meter(value)
        elif name == "L":
            self.unit = self._fraction(value, "L")
        elif name == "Q":
            self.tempo = self._tempo(value)
        elif name == "K":
            key = accidentals_of_key(value)
            if key is None:
                raise self._error(f"K: is {value!r}", "a key such as G, Em or D dorian")
            self.key = key
        elif name == "V":
            self.sections = self.voices.setdefault(value.split()[0] if value else "", [Section()])

    def _meter(self, value: str) -> Fraction:
        if value in ("C", "C|"):
            return Fraction(1)
        if value.lower() in ("none", ""):
            return Fraction(1)
        top, _, bottom = value.partition("/")
        if re.fullmatch(r"\(?\d+(\+\d+)*\)?", top.strip()) and bottom.strip().isdigit() and int(bottom):
            beats = sum(map(int, re.findall(r"\d+", top)))
            if beats:
                return Fraction(beats, int(bottom))
        raise self._error(f"M: is {value!r}", "a meter such as 6/8 or C")

    def _fraction(self, value: str, name: str) -> Fraction:
        match = re.fullmatch(r"(\d+)\s*/\s*(\d+)|1", value)
        if not match or (match[2] and not int(match[2])) or match[1] == "0":
            raise self._error(f"{name}: is {value!r}", "a length such as 1/8")
        return Fraction(int(match[1] or 1), int(match[2] or 1))

    def _tempo(self, value: str) -> float | None:
        """Quarter notes a minute; None where only words stand."""
        match = re.search(r"(\d+)\s*/\s*(\d+)\s*=\s*(\d+)", value)
        if match and int(match[2]) and int(match[3]):
            return float(4 * Fraction(int(match[1]), int(match[2])) * int(match[3]))
        bare = re.fullmatch(r"(?:C\s*=\s*)?(\d+)", value)
        return float(4 * self._unit() * int(bare[1])) if bare and int(bare[1]) else None

    def _unit(self) -> Fraction:
        return self.unit or (Fraction(1, 16) if self.meter < Fraction(3, 4) else Fraction(1, 8))

    def _error(self, what: str, expected: str) -> DataError:
        return DataError(
            f"{self.path} line {self.line}: {what}, expected {expected}: correct it, or pass --bad skip"
        )

    def _music(self, line: str) -> None:
        position = 0
        while position < len(line):
            match = _TOKEN.match(line, position)
            if match is None:
                self.unknown += 1
                position += 1
                continue
            position = match.end()
            if match["note"] or match["rest"] or match["end_chord"]:
                position = self._sound(match, line, position)
            elif match["inline"]:
                self._field(match["inline"], match["value"].strip())
            elif match["tuplet"]:
                p = int(match["p"])
                compound = self.meter.numerator % 3 == 0 and self.meter.numerator > 3
                q = int(match["q"] or _TUPLETS.get(p, 3 if compound else 2))
                self.tuplet = Fraction(q, max(p, 1)), int(match["r"] or p)
            elif match["ending"]:
                self._bar(match["before"])
                self._section(ending=match["number"])
            elif match["bar"]:
                self._bar(match["bar"])
            elif match["chord"]:
                self.chord = []
            elif match["broken"]:
                self._break(match["broken"])
            elif match["tie"]:
                self._tie()

    def _sound(self, match: re.Match[str], line: str, position: int) -> int:
        """A note, a rest or the end of a chord, with the length behind it."""
        length = _LENGTH.match(line, position)
        assert length is not None
        whole, slashes, below = length.groups()
        times = Fraction(int(whole or 1)) / (int(below) if below and int(below) else 2 ** len(slashes))
        if match["note"]:
            self.written += 1
            pitch = self._pitch(match["accidental"], match["letter"], match["octave"])
            if self.chord is not None:
                self.chord.append(pitch)
                return length.end()
            pitches = [pitch]
        elif match["rest"]:
            pitches = []
            if match["rest"] in "ZX":
                times = times * self.meter / self._unit()
        else:
            pitches, self.chord = self.chord or [], None
        factor, left = self.tuplet
        spelled = self._unit() * times * self.broken * (factor if left else 1)
        self.tuplet, self.broken = (factor, left - 1 if left else 0), Fraction(1)
        self.sections[-1].sounds.append(Sound(spelled, pitches))
        return length.end()

    def _pitch(self, accidental: str | None, letter: str, octave: str) -> int:
        height = octave.count("'") - octave.count(",") + letter.islower()
        name = letter.upper()
        if accidental is not None:
            shift = {"=": 0, "^": 1, "^^": 2, "_": -1, "__": -2}[accidental]
            self.bar[name, height] = shift
        else:
            shift = self.bar.get((name, height), self.key.get(name, 0))
        return min(127, max(0, 60 + 12 * height + _STEPS[name] + shift))

    def _section(self, ending: str = "") -> None:
        if self.sections[-1].sounds:
            self.sections.append(Section(ending=ending))
        else:
            self.sections[-1].ending = ending

    def _bar(self, sign: str) -> None:
        self.bar = {}
        if sign.startswith(":"):
            self.sections[-1].times = 2
        if ":" in sign or "||" in sign or "]" in sign:
            self._section()

    def _break(self, sign: str) -> None:
        """a>b: a longer, b shorter by half; >> by three quarters."""
        part = Fraction(1, 2 ** len(sign))
        sounds = self.sections[-1].sounds
        longer = sign[0] == ">"
        if sounds:
            sounds[-1].length *= 2 - part if longer else part
        self.broken = part if longer else 2 - part

    def _tie(self) -> None:
        if self.sections[-1].sounds:
            self.sections[-1].sounds[-1].tied = True
