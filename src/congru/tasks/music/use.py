"""What a user does with a music model, without torch: compose, harmonise, score, look inside."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from cyclopts import Parameter

from congru.report.table import text_table
from congru.report.verdict import verdict
from congru.runtime.answer import ANSWER
from congru.runtime.model import Model
from congru.runtime.tensors import parse_tensors
from congru.tasks.music.baselines import event_baselines, frame_baselines
from congru.tasks.music.composer import Composer
from congru.tasks.music.composer import reply as reply
from congru.tasks.music.data import EVENT_METRIC, FRAME_METRIC, make_events, make_rolls
from congru.tasks.music.events import NUM_EVENTS, encode, event_name
from congru.tasks.music.performance import (
    WRITERS,
    Request,
    check_names,
    only_piece,
    originality_of,
    perform,
)
from congru.tasks.music.pieces import Piece, frame_name, to_roll
from congru.tasks.music.sources import first_lines, read_source, split
from congru.tasks.parts import ALL, Part, part_to_score


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
    transpose: int = 0,
    sound_font: Path | None = None,
    beside: str | None = None,
    seed: int = 0,
) -> int:
    """Compose: from nothing, after a primer, or around locked voices; prints the piece, writes what --out names.

    Parameters
    ----------
    model:
        A model folder.
    out:
        Where to write it: .mid; .wav, sound; .svg, the piano roll with the gates under it; may be given several times.
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
        Quarter notes a minute in the files; default: the middle of the training pieces.
    transpose:
        Write the files so many half tones higher.
    sound_font:
        Let fluidsynth play the .wav with this sound font.
    beside:
        The training pieces: also say how much of the piece is copied from them.
    seed:
        The same seed writes the same piece.
    """
    composer = Composer.load(model)
    check_names(out)
    request = Request(
        bars, primer, primer_bars, lock, temperature, voices, candidates, tempo, transpose, seed
    )
    made = perform(composer, request, Path(model).name)
    print(made.words)
    for line in originality_of(composer, made, beside) if beside else ():
        print(line)
    for path in out:
        path.write_bytes(WRITERS[path.suffix.lower()](made, sound_font))
        print(f"wrote {path}")
    return 0


def evaluate(
    model: Path,
    data: str,
    /,
    *,
    part: Part = "auto",
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
        auto: the test part where there is one, else the validation part; all: everything, for data that training has not read.
    bad:
        A file that cannot be read: stop with one line, or leave it out and count it.
    quiet:
        Print nothing.
    """
    composer = Composer.load(model)
    source = read_source(data, bad)
    if part == ALL:
        train = scored = [piece for pieces in source.parts.values() for piece in pieces]
        name: str = ALL
    else:
        own, _ = split(source, float(composer.config["validation"]))
        parts = {"train": own["train"], "validation": own["valid"], "test": own["test"]}
        name = part_to_score(part, [title for title, pieces in parts.items() if pieces], data)
        train, scored = parts["train"], parts[name]
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
            verdict(
                metric.replace("_", " "),
                rows["model"][metric],
                baselines,
                minimize=True,
                split="scored",
                windows=words,
            )
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
        roll = stored["input.roll"] if source is None else to_roll(only_piece(Path(source)), composer.grid)
        piece = composer.read(roll[:limit])
        return composer.inputs(piece.past), ["start", *map(frame_name, piece.roll[:-1])]
    tokens = (
        stored["input.events"] if source is None else encode(only_piece(Path(source)), composer.grid).tokens
    )
    return tokens[None, :limit], [event_name(token) for token in tokens[:limit].tolist()]
