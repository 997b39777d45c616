"""MIDI files: chunks read and checked here, the events of every track by mido; notes written as a file of format 1.

mido alone takes a time division in frames of film for ticks, 65,535 announced tracks for none, and refuses chunks that it
does not know; so header and chunks are read here. Of overlapping notes of one pitch the one struck first ends first; a note
that never ends lasts until it is struck again, or as long as its track; channel 10 is drums. Format 2 (independent patterns)
is read one track after another.
"""

from __future__ import annotations

import io
import struct
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from congru.errors import DataError, require
from congru.tasks.music.pieces import Note, Piece

_DRUMS = 9
_TEMPO = 500_000  # microseconds a quarter note where a file says none
_WRITTEN_TICKS = 480
_FILM_RATES = (24, 25, 29, 30)


class Division(NamedTuple):
    """How ticks measure time: ticks a quarter note, and ticks a second where the file counts frames of film (else None)."""

    ticks: float
    per_second: float | None


@dataclass
class _Track:
    """The contents of one track, times in ticks."""

    notes: list[tuple[int, int, int, int, int]] = field(
        default_factory=list
    )  # start, end, pitch, velocity, channel
    tempi: list[tuple[int, int]] = field(default_factory=list)
    bars: list[tuple[int, float]] = field(default_factory=list)
    end: int = 0
    restruck: int = 0
    unended: int = 0


def read_midi(path: Path, content: bytes) -> Piece:
    """The notes of a MIDI file.

    Raises:
        DataError: no MIDI file, cut short, damaged, or a division or track count that cannot be.
    """
    form, division, chunks, remarks = _chunks(path, content)
    tracks = [_read_track(path, number, chunk) for number, chunk in enumerate(chunks, 1)]
    starts = [0] * len(tracks)
    if form == 2 and len(tracks) > 1:
        remarks.append("format 2: its tracks are read one after the other")
        for k in range(1, len(tracks)):
            starts[k] = starts[k - 1] + tracks[k - 1].end
    for what, count in (
        ("struck again while sounding", sum(track.restruck for track in tracks)),
        (
            "without an end, ended by the next strike or with their track",
            sum(track.unended for track in tracks),
        ),
    ):
        if count:
            remarks.append(f"{count} notes {what}")
    notes, drums = [], 0
    for voice, (track, shift) in enumerate(zip(tracks, starts)):
        for start, end, pitch, velocity, channel in track.notes:
            if channel == _DRUMS:
                drums += 1
                continue
            begin, length = (start + shift) / division.ticks, (end - start) / division.ticks
            notes.append(Note(begin, length, pitch, velocity, voice))
    end = max((shift + track.end for track, shift in zip(tracks, starts)), default=0)
    tempi = sorted(
        (tick + shift, tempo) for track, shift in zip(tracks, starts) for tick, tempo in track.tempi
    )
    bars = sorted(bar for track in tracks for bar in track.bars)
    first = next((tempo for tick, tempo in tempi if tick == 0), _TEMPO)
    return Piece(
        path.stem,
        tuple(sorted(notes)),
        bar=bars[0][1] if bars else 4.0,
        tempo=60e6 / max(first, 1),
        seconds=_seconds(end, division, tempi),
        drums=drums,
        remarks=tuple(remarks),
    )


def _seconds(end: int, division: Division, tempi: Sequence[tuple[int, int]]) -> float:
    """When tick `end` sounds, through all changes of tempo."""
    if division.per_second is not None:
        return end / division.per_second
    total, tick, tempo = 0.0, 0, _TEMPO
    for at, changed in [*tempi, (end, 0)]:
        at = min(at, end)
        total += (at - tick) / division.ticks * tempo / 1e6
        tick, tempo = at, changed
    return total


def _chunks(path: Path, content: bytes) -> tuple[int, Division, list[bytes], list[str]]:
    """Format, division and the tracks of a file; chunks of other kinds are skipped."""
    if not content:
        raise DataError(f"{path} is empty (0 bytes), expected a MIDI file: copy it again")
    if content[:4] == b"RIFF" and content[8:12] == b"RMID":
        content = content[20:]
    if content[:4] != b"MThd" or len(content) < 14:
        raise DataError(
            f"{path} is not a MIDI file (it does not begin with MThd), expected one: choose another"
        )
    size, form, announced = struct.unpack_from(">IHH", content, 4)
    division = _division(path, content[12:14])
    position, chunks, skipped = 8 + size, list[bytes](), 0
    while position + 8 <= len(content):
        kind = content[position : position + 4]
        (length,) = struct.unpack_from(">I", content, position + 4)
        data = content[position + 8 : position + 8 + length]
        if len(data) < length:
            raise DataError(
                f"{path} ends inside chunk {len(chunks) + skipped + 1} ({len(data):,} of {length:,} bytes; {len(chunks)} of"
                f" {announced} tracks are whole), expected a whole file: copy it again, or pass --bad skip"
            )
        if kind == b"MTrk":
            chunks.append(data)
        else:
            skipped += 1
        position += 8 + length
    remarks = [f"{skipped} chunks of another kind skipped"] if skipped else []
    if not chunks:
        raise DataError(f"{path} has no track, expected {announced} as its header says: copy it again")
    if announced != len(chunks):
        remarks.append(f"its header promises {announced:,} tracks, {len(chunks)} follow")
    return form, division, chunks, remarks


def _division(path: Path, field_: bytes) -> Division:
    """The time division: ticks a quarter note, or minus the frames of film a second and the ticks of one."""
    high, low = struct.unpack(">bB", field_)
    if high >= 0:
        ticks = 256 * high + low
        if ticks == 0:
            raise DataError(
                f"{path} has time division 0, expected ticks a quarter note: repair or leave out the file"
            )
        return Division(ticks, None)
    if -high not in _FILM_RATES or low == 0:
        raise DataError(
            f"{path} has time division {-high} frames a second with {low} ticks each, expected {_FILM_RATES} frames:"
            " repair or leave out the file"
        )
    rate = (30_000 / 1001 if high == -29 else -high) * low
    return Division(rate * _TEMPO / 1e6, rate)


def _read_track(path: Path, number: int, chunk: bytes) -> _Track:
    mido: Any = require("mido", "music")
    header = b"MThd" + struct.pack(">IHHH", 6, 0, 1, 96)
    file = io.BytesIO(header + b"MTrk" + struct.pack(">I", len(chunk)) + chunk)
    try:
        messages = mido.MidiFile(file=file, clip=True).tracks[0]
    except (OSError, EOFError, ValueError, LookupError, mido.KeySignatureError) as error:
        reason = str(error) or "its data end inside an event"
        raise DataError(
            f"{path} track {number} is damaged ({reason}), expected MIDI events: repair it, or pass --bad skip"
        ) from None
    track, tick = _Track(), 0
    open_notes: dict[tuple[int, int], list[tuple[int, int]]] = {}
    for message in messages:
        tick += message.time
        if message.type == "note_on" and message.velocity:
            waiting = open_notes.setdefault((message.channel, message.note), [])
            track.restruck += bool(waiting)
            waiting.append((tick, message.velocity))
        elif message.type in ("note_on", "note_off"):
            waiting = open_notes.get((message.channel, message.note), [])
            if waiting:
                start, velocity = waiting.pop(0)
                track.notes.append((start, tick, message.note, velocity, message.channel))
        elif message.type == "set_tempo":
            track.tempi.append((tick, message.tempo))
        elif message.type == "time_signature":
            track.bars.append((tick, 4 * message.numerator / message.denominator))
    track.end = tick
    for (channel, pitch), waiting in open_notes.items():
        track.unended += len(waiting)
        ends = [start for start, _ in waiting[1:]] + [tick]
        for (start, velocity), end in zip(waiting, ends):
            track.notes.append((start, end, pitch, velocity, channel))
    return track


def write_midi(piece: Piece) -> bytes:
    """A file of format 1: tempo and meter first, then a track for every voice; loads no other package."""
    eighths = max(1, round(piece.bar * 2))
    meter = (eighths // 2, 2) if eighths % 2 == 0 else (eighths, 3)
    tempo = round(60e6 / piece.tempo).to_bytes(3, "big")
    first = [
        (0, b"\xff\x51\x03" + tempo),
        (0, b"\xff\x58\x04" + bytes([min(meter[0], 255), meter[1], 24, 8])),
    ]
    tracks = [_track_bytes(first)]
    for voice in sorted({note.voice for note in piece.notes}):
        channel = voice % 16 if voice % 16 != _DRUMS else _DRUMS + 1
        events = []
        for note in piece.notes:
            if note.voice == voice:
                begin = round(note.start * _WRITTEN_TICKS)
                end = max(begin + 1, round((note.start + note.length) * _WRITTEN_TICKS))
                events.append((begin, bytes([0x90 | channel, note.pitch, note.velocity])))
                events.append((end, bytes([0x80 | channel, note.pitch, 0])))
        tracks.append(
            _track_bytes(sorted(events))
        )  # at one tick the ends (0x80) come before the beginnings (0x90)
    return b"MThd" + struct.pack(">IHHH", 6, 1, len(tracks), _WRITTEN_TICKS) + b"".join(tracks)


def _track_bytes(events: Sequence[tuple[int, bytes]]) -> bytes:
    data, now = b"", 0
    for tick, event in [*events, (max((tick for tick, _ in events), default=0), b"\xff\x2f\x00")]:
        data += _variable_length(tick - now) + event
        now = tick
    return b"MTrk" + struct.pack(">I", len(data)) + data


def _variable_length(value: int) -> bytes:
    """7 bits a byte, the highest first, all but the last with their top bit set.

    >>> _variable_length(200).hex()
    '8148'
    """
    groups = [value & 0x7F]
    while value := value >> 7:
        groups.insert(0, 0x80 | (value & 0x7F))
    return bytes(groups)
