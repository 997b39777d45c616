"""Scores in MusicXML (.musicxml, .xml, and .mxl, which is a zip with one inside): the notes of every part in time.

Within a bar a note moves on by its duration, a note of a chord starts with the one before, `backup` and `forward` move without
sound; the next bar begins where the longest voice ended. Tied notes are joined, grace notes and unpitched notes left out,
transposing instruments read as they sound. Repeats are not played. Entities, which could grow without end, are refused.
"""

from __future__ import annotations

import io
import struct
import xml.etree.ElementTree as xml
import zipfile
import zlib
from fractions import Fraction
from pathlib import Path

from congru.errors import DataError
from congru.tasks.music.pieces import Note, Piece

_STEPS = {"C": 0, "D": 2, "E": 4, "F": 5, "G": 7, "A": 9, "B": 11}
_LARGEST = 64 * 2**20  # bytes of a score, unpacked

Key = tuple[int, int]  # voice (part), pitch


def read_musicxml(path: Path, content: bytes) -> Piece:
    """The notes of a score.

    Raises:
        DataError: no such file, damaged, or a score by bars instead of by parts.
    """
    text = _unpack(path, content) if content[:2] == b"PK" else content
    if b"<!ENTITY" in text:
        raise DataError(f"{path} declares entities, expected a score without: export it again")
    try:
        root = xml.fromstring(text)
    except xml.ParseError as error:
        raise DataError(f"{path} is not whole XML ({error}), expected MusicXML: export it again") from None
    if root.tag != "score-partwise":
        raise DataError(
            f"{path} has the root <{root.tag}>, expected <score-partwise>: export it as MusicXML by parts"
        )
    reader = _Reader(path)
    for voice, part in enumerate(root.findall("part")):
        reader.part(part, voice)
    notes = tuple(sorted(reader.notes))
    end = max((note.start + note.length for note in notes), default=0.0)
    remarks = (f"{reader.repeats} repeats, not played",) if reader.repeats else ()
    return Piece(
        path.stem,
        notes,
        bar=reader.bar or 4.0,
        tempo=reader.tempo or 120.0,
        seconds=end * 60 / (reader.tempo or 120.0),
        drums=reader.unpitched,
        remarks=remarks,
    )


def _unpack(path: Path, content: bytes) -> bytes:
    """The score inside an .mxl."""
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as packed:
            names = [
                info
                for info in packed.infolist()
                if info.filename.lower().endswith((".xml", ".musicxml"))
                and not info.filename.startswith("META-INF")
            ]
            if not names:
                raise DataError(f"{path} holds no score, expected an .xml inside: export it again")
            if names[0].file_size > _LARGEST:
                raise DataError(
                    f"{path} unpacks to {names[0].file_size:,} bytes, expected at most {_LARGEST:,}: leave it out"
                )
            return packed.read(names[0])
    except DataError:
        raise
    except (
        zipfile.BadZipFile,
        zlib.error,
        struct.error,
        ValueError,
        OSError,
        EOFError,
        RuntimeError,
        NotImplementedError,
    ) as error:
        raise DataError(
            f"{path} is not a whole zip ({error}), expected compressed MusicXML: copy it again"
        ) from None


class _Reader:
    """Notes of all parts."""

    def __init__(self, path: Path) -> None:
        self.path, self.notes = path, list[Note]()
        self.bar: float | None = None
        self.tempo: float | None = None
        self.unpitched, self.repeats, self.written = 0, 0, 0

    def part(self, part: xml.Element, voice: int) -> None:
        """The bars of one part."""
        now, divisions, transpose = Fraction(0), Fraction(1), 0
        tied: dict[int, tuple[Fraction, Fraction]] = {}  # pitch -> start and end of a note that goes on
        for bar in part.findall("measure"):
            position = longest = last = now
            for item in bar:
                if item.tag == "attributes":
                    divisions = self._number(item.findtext("divisions"), divisions, bar)
                    transpose = int(float(item.findtext("transpose/chromatic") or transpose))
                    self._meter(item)
                elif item.tag in ("backup", "forward"):
                    step = self._number(item.findtext("duration"), Fraction(0), bar) / divisions
                    position = max(now, position - step) if item.tag == "backup" else position + step
                elif item.tag == "note":
                    length = self._number(item.findtext("duration"), Fraction(0), bar) / divisions
                    start = last if item.find("chord") is not None else position
                    self._note(item, start, length, voice, transpose, tied, bar)
                    if item.find("chord") is None:
                        last, position = position, position + length
                elif item.tag in ("sound", "direction") and self.tempo is None:
                    sound = item if item.tag == "sound" else item.find("sound")
                    stated = None if sound is None else sound.get("tempo")
                    self.tempo = float(self._number(stated, Fraction(0), bar)) or None
                elif item.tag == "barline" and item.find("repeat") is not None:
                    self.repeats += voice == 0
                longest = max(longest, position)
            now = longest
        for pitch, (start, end) in tied.items():
            self._add(start, end, pitch, voice)

    def _note(
        self,
        item: xml.Element,
        start: Fraction,
        length: Fraction,
        voice: int,
        transpose: int,
        tied: dict[int, tuple[Fraction, Fraction]],
        bar: xml.Element,
    ) -> None:
        if item.find("rest") is not None or item.find("grace") is not None:
            return
        if item.find("unpitched") is not None:
            self.unpitched += 1
            return
        self.written += 1
        step, octave = item.findtext("pitch/step"), item.findtext("pitch/octave")
        if step not in _STEPS or octave is None:
            raise self._error("a note has no pitch", "step and octave", bar)
        alter = round(float(self._number(item.findtext("pitch/alter"), Fraction(0), bar)))
        pitch = 12 * int(self._number(octave, Fraction(4), bar)) + 12 + _STEPS[step] + alter + transpose
        if not 0 <= pitch <= 127:
            raise self._error(f"a note has the pitch {pitch}", "0 to 127", bar)
        ties = {tie.get("type") for tie in item.findall("tie")}
        known = tied.pop(pitch, None)
        if known is not None and (known[1] != start or "stop" not in ties):
            self._add(*known, pitch, voice)
            known = None
        begin = start if known is None else known[0]
        if "start" in ties:
            tied[pitch] = (begin, start + length)
        else:
            self._add(begin, start + length, pitch, voice)

    def _add(self, start: Fraction, end: Fraction, pitch: int, voice: int) -> None:
        self.notes.append(Note(float(start), float(end - start), pitch, 80, voice))

    def _meter(self, attributes: xml.Element) -> None:
        beats, kind = attributes.findtext("time/beats"), attributes.findtext("time/beat-type")
        if (
            self.bar is None
            and beats
            and kind
            and beats.isdigit()
            and kind.isdigit()
            and int(beats)
            and int(kind)
        ):
            self.bar = 4 * int(beats) / int(kind)

    def _number(self, text: str | None, otherwise: Fraction, bar: xml.Element) -> Fraction:
        if text is None:
            return otherwise
        try:
            number = Fraction(text.strip())
        except (ValueError, ZeroDivisionError):
            raise self._error(f"{text.strip()!r} is no number", "one", bar) from None
        if number < -1000 or number > 10**9:
            raise self._error(f"{text.strip()} is out of range", "a sensible number", bar)
        return number

    def _error(self, what: str, expected: str, bar: xml.Element) -> DataError:
        return DataError(f"{self.path} bar {bar.get('number')}: {what}, expected {expected}: export it again")
