"""What `congru run` makes of a music model: a piece with its gates, and the files it is written to."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from congru.errors import DataError, SettingsError
from congru.report.table import Cell, text_table
from congru.tasks.music import originality
from congru.tasks.music.composer import Composer
from congru.tasks.music.composition import Wishes, compose, compose_events
from congru.tasks.music.data import make_rolls
from congru.tasks.music.events import LENGTH, START, WAIT, decode, encode, event_name
from congru.tasks.music.midi import write_midi
from congru.tasks.music.picture import Strip, draw
from congru.tasks.music.pieces import Note, Piece, Roll, frame_name, from_roll, to_roll
from congru.tasks.music.sound import render, write_wav
from congru.tasks.music.sources import read_source, split
from congru.tasks.music.voices import line_of

_SHOWN = 64  # frames on the screen
_ROLL_GRID = 4  # frames a quarter note in which a piece of events is compared


@dataclass(frozen=True)
class Performance:
    """A piece that was composed, its words for the screen, its gates, and up to which quarter note it was given."""

    piece: Piece
    words: str
    roll: Roll
    strips: list[Strip] = field(default_factory=list)
    primed: float = 0.0


@dataclass(frozen=True)
class Request:
    """How long, after what, around which voices: the flags of `congru run`."""

    bars: int
    primer: Path | None
    primer_bars: int
    locks: Sequence[str]
    temperature: Sequence[float]
    voices: int | None
    candidates: int
    tempo: float | None
    transpose: int
    seed: int

    def check(self) -> Request:
        """Itself; raises :class:`SettingsError` for a value that cannot be."""
        for name, value in (("bars", self.bars), ("primer_bars", self.primer_bars)):
            if value < 1:
                raise SettingsError(f"{name} is {value}, expected at least 1: try 8")
        if self.tempo is not None and not 4 <= self.tempo <= 1000:
            raise SettingsError(f"tempo is {self.tempo}, expected 4 to 1000 quarter notes a minute: try 100")
        if not -48 <= self.transpose <= 48:
            raise SettingsError(f"transpose is {self.transpose}, expected -48 to 48 half tones: try -12")
        return self


def perform(composer: Composer, request: Request, name: str) -> Performance:
    """Compose as asked.

    Raises:
        SettingsError: a request that cannot be, or not for this kind of model.
        DataError: a primer or locked voice that cannot be read.
    """
    request.check()
    tempo = request.tempo or float(composer.config["tempo"])
    bar, grid = float(composer.config["bar"]), composer.grid
    steps, primed = round(request.bars * bar * grid), round(request.primer_bars * bar * grid)
    first = only_piece(request.primer) if request.primer else None
    make = _frames if composer.reads_frames else _events
    made = make(composer, request, steps, primed, first)
    notes = tuple(_moved(note, request.transpose) for note in made.piece.notes)
    piece = replace(made.piece, name=name, notes=notes, tempo=tempo, bar=bar)
    return replace(made, piece=piece)


def _moved(note: Note, steps: int) -> Note:
    return note._replace(pitch=min(127, max(0, note.pitch + steps)))


def _frames(
    composer: Composer, request: Request, steps: int, primed: int, first: Piece | None
) -> Performance:
    locked = read_locks(request.locks, composer.grid)
    lines = {voice: lock.line for voice, lock in locked.items()}
    if lines:
        steps = min(steps, max(map(len, lines.values())))
    start = to_roll(first, composer.grid)[:primed] if first else None
    wishes = Wishes(request.temperature, lines, request.voices, request.candidates)
    roll = compose(composer, steps, wishes, request.seed, start)
    nats = composer.nats(roll)
    shown: list[tuple[Cell, ...]] = [
        (t, frame_name(frame), float(nats[t])) for t, frame in enumerate(roll[:_SHOWN])
    ]
    more = f"and {len(roll) - _SHOWN} frames more\n" if len(roll) > _SHOWN else ""
    table = text_table(shown, ("frame", "notes", "nats"), decimals=2)
    words = f"{table}\n{more}{len(roll)} frames, {nats.mean():.2f} nats a frame"
    times = np.arange(len(roll)) / composer.grid
    strips = [
        Strip(gate, times, values)
        for gate, values in composer.gates(composer.inputs(composer.read(roll).past))
    ]
    primer_frames = 0 if start is None else len(start)
    piece = as_sung(roll, list(locked.values()), primer_frames, composer.grid)
    return Performance(piece, words, roll, strips, primer_frames / composer.grid)


def _events(
    composer: Composer, request: Request, steps: int, primed: int, first: Piece | None
) -> Performance:
    if request.locks or request.voices:
        raise SettingsError(
            "lock and voices are for models of frames, expected none: train with --unit frames"
        )
    if len(request.temperature) != 1:
        raise SettingsError(
            f"temperature is {list(request.temperature)}, expected one number: voices are told apart with --unit frames"
        )
    tokens = np.array([START], np.int64)
    if first is not None:
        notes = tuple(note for note in first.notes if round(note.start * composer.grid) < primed)
        if not notes:
            raise DataError(
                f"{request.primer} has no note in its first {request.primer_bars} bars, expected some: raise --primer-bars"
            )
        tokens = encode(Piece(first.name, notes), composer.grid).tokens[:-1]
    written = compose_events(composer, steps, request.temperature[0], request.seed, tokens)
    piece = decode(written, composer.grid)
    waits = np.where((written >= WAIT) & (written < LENGTH), written - WAIT + 1, 0)
    times = waits.cumsum() / composer.grid
    strips = [Strip(gate, times, values) for gate, values in composer.gates(written[None])]
    words = " ".join(map(event_name, written.tolist()))
    primer_quarters = primed / composer.grid if first is not None else 0.0
    return Performance(
        piece, f"{words}\n{len(piece.notes)} notes", to_roll(piece, _ROLL_GRID), strips, primer_quarters
    )


def only_piece(path: Path) -> Piece:
    """The first piece of a file."""
    return next(piece for pieces in read_source(str(path)).parts.values() for piece in pieces)


class Locked(NamedTuple):
    """A voice that stays: its key [T] in every frame, and its notes where its file holds one voice alone."""

    line: NDArray[np.int64]
    notes: tuple[Note, ...] = ()


def read_locks(locks: Sequence[str], grid: int) -> dict[str, Locked]:
    """voice=FILE by voice.

    Raises:
        SettingsError: not of that form, no such voice, or a voice twice.
    """
    known: dict[str, Locked] = {}
    for lock in locks:
        voice, sign, path = lock.partition("=")
        if not sign or not path:
            raise SettingsError(f"lock is {lock!r}, expected voice=FILE: for example soprano=melody.mid")
        if voice in known:
            raise SettingsError(f"lock names {voice!r} twice, expected every voice once: leave one out")
        piece = only_piece(Path(path))
        roll = to_roll(piece, grid)
        alone = piece.roll is None and int(roll.sum(1).max(initial=0)) == 1
        known[voice] = Locked(line_of(roll, voice), piece.notes if alone else ())
    return known


def as_sung(roll: Roll, locked: Sequence[Locked], primer_frames: int, grid: int) -> Piece:
    """The notes of a roll, each locked voice a track of its own, with its notes as they were struck where these are known.

    `primer_frames`: how many frames stand before the first that was drawn.
    """
    rest, end = roll.copy(), (len(roll) - primer_frames) / grid
    notes: list[Note] = []
    for voice, lock in enumerate(locked, 1):
        own, sung = np.zeros_like(roll), min(len(lock.line), len(roll) - primer_frames)
        frames = np.flatnonzero(lock.line[:sung] >= 0)
        rest[primer_frames + frames, lock.line[frames]] = 0
        own[primer_frames + frames, lock.line[frames]] = 1
        struck = lock.notes or from_roll(own[primer_frames:], grid).notes
        notes += [
            note._replace(
                start=note.start + primer_frames / grid,
                length=min(note.length, end - note.start),
                voice=voice,
            )
            for note in struck
            if note.start < end
        ]
    return Piece("piece", tuple(sorted([*notes, *from_roll(rest, grid).notes])))


Writer = Callable[[Performance, Path | None], bytes]

WRITERS: dict[str, Writer] = {
    ".mid": lambda made, font: write_midi(made.piece),
    ".wav": lambda made, font: write_wav(made.piece) if font is None else render(made.piece, font),
    ".svg": lambda made, font: draw(made.piece, made.strips, made.primed).encode(),
}


def check_names(paths: Sequence[Path]) -> None:
    """Refuse a name whose ending says no kind of file that is written."""
    for path in paths:
        if path.suffix.lower() not in WRITERS:
            raise SettingsError(
                f"out is '{path}', expected a name that ends in {', '.join(WRITERS)}: rename it"
            )


def originality_of(composer: Composer, made: Performance, data: str) -> list[str]:
    """What the piece shares with the training pieces in `data`, beside what the validation pieces there do."""
    grid = composer.grid if composer.reads_frames else _ROLL_GRID
    parts, _ = split(read_source(data), float(composer.config["validation"]))
    rolls = {
        name: [piece.roll for piece in make_rolls(pieces, grid, data, recall=False)]
        for name, pieces in parts.items()
        if pieces
    }
    new = made.roll[round(made.primed * grid) :]
    comparison = originality.compare(new, rolls["train"])
    names = [piece.name for piece in parts["train"]]
    return originality.report(comparison, originality.usual(rolls["valid"], rolls["train"]), names)
