"""What a user does with a music model, without torch: compose, harmonise, score, look inside."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from cyclopts import Parameter
from numpy.typing import NDArray

from congru.errors import DataError, SettingsError
from congru.report.table import text_table
from congru.report.verdict import verdict
from congru.runtime.answer import ANSWER
from congru.runtime.model import Model
from congru.runtime.tensors import parse_tensors
from congru.tasks.music.baselines import event_baselines, frame_baselines
from congru.tasks.music.composer import Composer
from congru.tasks.music.composition import Wishes, compose, compose_events
from congru.tasks.music.data import EVENT_METRIC, FRAME_METRIC, make_events, make_rolls
from congru.tasks.music.events import NUM_EVENTS, decode, encode, event_name
from congru.tasks.music.midi import write_midi
from congru.tasks.music.pieces import Piece, Roll, frame_name, from_roll, to_roll
from congru.tasks.music.sources import first_lines, read_source, split
from congru.tasks.music.voices import line_of

_SHOWN = 64  # frames on the screen


def run(
    model: Path,
    /,
    *,
    out: Annotated[tuple[Path, ...], Parameter(alias="-o", negative=())] = (),
    bars: int = 8,
    primer: Path | None = None,
    primer_bars: int = 2,
    lock: Annotated[tuple[str, ...], Parameter(negative=())] = (),
    temperature: Annotated[tuple[float, ...], Parameter(negative=())] = (1.0,),
    voices: int | None = None,
    candidates: int = 16,
    tempo: float | None = None,
    seed: int = 0,
) -> int:
    """Compose: from nothing, after a primer, or around locked voices; prints the frames, writes what --out names.

    Parameters
    ----------
    model:
        A model folder.
    out:
        Where to write it: .mid; may be given several times.
    bars:
        How many bars to write; with locked voices at most as long as they are.
    primer:
        A piece to go on from.
    primer_bars:
        How many of its first bars are taken.
    lock:
        A voice that stays as it is: soprano=FILE, alto=FILE, tenor=FILE or bass=FILE; may be given several times.
    temperature:
        1 draws as the model believes, less is safer; several: from the lowest voice up.
    voices:
        Just so many notes in every frame.
    candidates:
        Frames drawn for one that holds the locked voices.
    tempo:
        Quarter notes a minute in the file; default: the middle of the training pieces.
    seed:
        The same seed writes the same piece.
    """
    composer = Composer.load(model)
    for path in out:
        if path.suffix.lower() not in _WRITERS:
            raise SettingsError(
                f"out is '{path}', expected a name that ends in {', '.join(_WRITERS)}: rename it"
            )
    if bars < 1:
        raise SettingsError(f"bars is {bars}, expected at least 1: try 8")
    pace = tempo or float(composer.config["tempo"])
    frames = round(bars * float(composer.config["bar"]) * composer.grid)
    first = primer and _only_piece(primer)
    primed = round(primer_bars * float(composer.config["bar"]) * composer.grid)
    if composer.reads_frames:
        lines = _lines(lock, composer.grid)
        if lines:
            frames = min(frames, max(map(len, lines.values())))
        wishes = Wishes(temperature, lines, voices, candidates)
        start = to_roll(first, composer.grid)[:primed] if first else None
        roll = compose(composer, frames, wishes, seed, start)
        piece = from_roll(roll, composer.grid, Path(model).name, tempo=pace)
        _print_roll(composer, roll)
    else:
        if lock or voices:
            raise SettingsError(
                "lock and voices are for models of frames, expected none: train with --unit frames"
            )
        tokens = _primer_events(first, primed, composer.grid) if first else None
        written = compose_events(composer, frames, temperature[0], seed, tokens)
        piece = decode(written, composer.grid, pace, Path(model).name)
        print(" ".join(map(event_name, written.tolist())))
    for path in out:
        path.write_bytes(_WRITERS[path.suffix.lower()](piece))
        print(f"wrote {path}")
    return 0


_WRITERS = {".mid": write_midi}


def _only_piece(path: Path) -> Piece:
    """The first piece of a file."""
    source = read_source(str(path))
    return next(piece for pieces in source.parts.values() for piece in pieces)


def _primer_events(piece: Piece, steps: int, grid: int) -> NDArray[np.int64]:
    notes = tuple(note for note in piece.notes if round(note.start * grid) < steps)
    if not notes:
        raise DataError(
            f"{piece.name} has no note in its first bars, expected some: pass a larger --primer-bars"
        )
    return encode(Piece(piece.name, notes), grid).tokens[:-1]


def _lines(locks: tuple[str, ...], grid: int) -> dict[str, NDArray[np.int64]]:
    """voice=FILE as lines of keys."""
    lines = {}
    for lock in locks:
        voice, sign, path = lock.partition("=")
        if not sign or not path:
            raise SettingsError(f"lock is {lock!r}, expected voice=FILE: for example soprano=melody.mid")
        lines[voice] = line_of(to_roll(_only_piece(Path(path)), grid), voice)
    return lines


def _print_roll(composer: Composer, roll: Roll) -> None:
    nats = composer.nats(roll)
    shown = [(t, frame_name(frame), float(nats[t])) for t, frame in enumerate(roll[:_SHOWN])]
    print(text_table(shown, ("frame", "notes", "nats"), decimals=2))
    if len(roll) > _SHOWN:
        print(f"and {len(roll) - _SHOWN} frames more")
    print(f"{len(roll)} frames, {nats.mean() if len(nats) else 0:.2f} nats a frame")


def evaluate(
    model: Path,
    data: str,
    /,
    *,
    part: Literal["auto", "all", "train", "validation", "test"] = "auto",
    bad: Literal["stop", "skip"] = "stop",
    quiet: bool = False,
) -> dict[str, dict[str, float]]:
    """Score pieces: nats per frame (of events: per note) over all of them, beside the baselines.

    The baselines are counted on the training part of the data; with ``--part all`` on the scored pieces themselves.

    Parameters
    ----------
    model:
        A model folder.
    data:
        A file or folder as for training.
    part:
        auto: the test part where the data has one, else the pieces that training keeps for validation; all: every piece.
    bad:
        A file that cannot be read: stop with one line, or leave it out and count it.
    quiet:
        Print nothing.
    """
    composer = Composer.load(model)
    source = read_source(data, bad)
    if part == "all":
        train = scored = [piece for pieces in source.parts.values() for piece in pieces]
        name = "all"
    else:
        parts, _ = split(source, float(composer.config["validation"]))
        name = {"validation": "valid", "auto": "test" if parts["test"] else "valid"}.get(part, part)
        train, scored = parts["train"], parts[name]
    if not scored:
        raise DataError(f"{data} has no {name} part, expected one: pass --part all")
    rows, words = (_score_frames if composer.reads_frames else _score_events)(composer, train, scored, data)
    if not quiet:
        metric = next(iter(rows["model"]))
        print(f"{data}, {name}: {words}, {composer.cell}")
        if source.skipped:
            print(f"skipped {len(source.skipped)}: {first_lines(source.skipped)}")
        columns = list(rows["model"])
        lines = [(title, *(row.get(column) for column in columns)) for title, row in rows.items()]
        print(text_table(lines, ("", *(column.replace("_", " ") for column in columns)), best=None))
        baselines = {title: row[metric] for title, row in rows.items() if title != "model"}
        print(
            verdict(metric.replace("_", " "), rows["model"][metric], baselines, minimize=True, split="scored")
        )
    return rows


def _score_frames(
    composer: Composer, train: list[Piece], scored: list[Piece], data: str
) -> tuple[dict[str, dict[str, float]], str]:
    known, rolls = (
        [piece.roll for piece in make_rolls(pieces, composer.grid, data, recall=False)]
        for pieces in (train, scored)
    )
    frames = sum(map(len, rolls))
    nats = sum(float(composer.nats(roll).sum()) for roll in rolls)
    rows = {"model": {FRAME_METRIC: nats / frames}}
    for name, value in frame_baselines(known, rolls).items():
        rows[name] = {FRAME_METRIC: value}
    return rows, f"{len(rolls)} pieces, {frames:,} frames"


def _score_events(
    composer: Composer, train: list[Piece], scored: list[Piece], data: str
) -> tuple[dict[str, dict[str, float]], str]:
    known, pieces = make_events(train, composer.grid), make_events(scored, composer.grid)
    notes = sum(events.num_notes for events in pieces)
    steps = sum(len(events.tokens) - 1 for events in pieces)
    nats = {"model": sum(float(composer.event_nats(events.tokens).sum()) for events in pieces)}
    nats |= event_baselines([one.tokens for one in known], [one.tokens for one in pieces], NUM_EVENTS)
    rows = {
        name: {EVENT_METRIC: total / notes, "nats_per_event": total / steps} for name, total in nats.items()
    }
    return rows, f"{len(pieces)} pieces, {notes:,} notes"


def inspect_inputs(model: Model, source: str | None = None, *, limit: int = 400) -> tuple[Any, list[str]]:
    """What the main network reads of a piece, and a label for each step: the notes of the frame before, or the event.

    `source`: a file, of which the first piece is taken; without it the piece of the model's stored answer.

    Raises:
        DataError: nothing to read.
    """
    composer = Composer.of(model)
    stored = parse_tensors(model.files[ANSWER]) if source is None else {}
    if composer.reads_frames:
        roll = stored["input.roll"] if source is None else to_roll(_only_piece(Path(source)), composer.grid)
        piece = composer.read(roll[:limit])
        return composer.inputs(piece.past), ["start", *map(frame_name, piece.roll[:-1])]
    tokens = (
        stored["input.events"] if source is None else encode(_only_piece(Path(source)), composer.grid).tokens
    )
    return tokens[None, :limit], [event_name(token) for token in tokens[:limit].tolist()]
