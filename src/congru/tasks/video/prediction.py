"""What a user does with a predictor of frames, without torch: a strip of prediction beside truth, errors beside the copy's."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from congru.errors import DataError
from congru.report.table import text_table
from congru.report.verdict import verdict
from congru.runtime.answer import ANSWER
from congru.runtime.model import Model
from congru.runtime.tensors import parse_tensors
from congru.tasks.video import strip
from congru.tasks.video.clips import Clip, ReadReport, load_clips, read_clip
from congru.tasks.video.data import add_notes, chosen_part
from congru.tasks.video.listing import list_clips
from congru.tasks.video.moving_digits import DigitClips, holds_digits
from congru.tasks.video.predictor import Predictor


def run_frames(model: Model, paths: Sequence[Path], strip_file: Path | None, json_lines: bool) -> None:
    """Say how well the next frames of clips are foreseen; write the strip."""
    predictor = Predictor.of(model)
    clips = [_read(predictor, path) for path in paths]
    names = [str(path) for path in paths]
    if not paths:
        clips, names = _example(model, predictor), ["example of the model"]
    for name, clip in zip(names, clips):
        errors = {what: values.tolist() for what, values in predictor.errors([clip]).items()}
        if json_lines:
            print(json.dumps({"clip": name, "mse": errors}))
            continue
        print(f"{name}: {predictor.observed} frames seen, mean squared error of the next ones")
        rows = [(what, *values) for what, values in errors.items()]
        print(text_table(rows, ("", *_headings(predictor)), decimals=5))
    if strip_file is not None:
        strip_file.write_bytes(strip.encode(predictor, clips))
        print(f"wrote {strip_file}: above the truth, below the prediction")


def _read(predictor: Predictor, path: Path) -> Clip:
    clip = read_clip(path, predictor.look).clip
    assert clip is not None
    return predictor.check(clip, str(path))


def _example(model: Model, predictor: Predictor) -> list[Clip]:
    return [predictor.check(parse_tensors(model.files[ANSWER])["input.frames"][0], "the example")]


def _headings(predictor: Predictor) -> list[str]:
    return [f"{k + 1} ahead" for k in range(predictor.ahead)]


def evaluate_frames(
    model: Model, data: str, *, part: str, bad: str, decoders: int, made: int, quiet: bool
) -> dict[str, dict[str, float]]:
    """Mean squared errors 1, 2, .. frames ahead, of the predictor and of the copy of the last frame seen.

    Raises:
        DataError: clips that cannot be used, or that are too short.
    """
    predictor = Predictor.of(model)
    name, clips, notes = _clips(predictor, data, part, bad, decoders, made)
    errors = predictor.errors(clips)
    rows = {
        what: {f"mse_{k + 1}_ahead": float(value) for k, value in enumerate(values)}
        for what, values in errors.items()
    }
    if not quiet:
        print(f"{data}, {name}: {len(clips)} clips, {predictor.observed} frames seen")
        for what, words in notes.items():
            print(f"{what}: {words}")
        table = [(what, *values.tolist()) for what, values in errors.items()]
        print(text_table(table, ("", *_headings(predictor)), decimals=5))
        beside = {what: row["mse_1_ahead"] for what, row in rows.items() if what != "model"}
        print(
            verdict(
                "mse_1_ahead",
                rows["model"]["mse_1_ahead"],
                beside,
                minimize=True,
                split="scored",
                windows=f"{len(clips):,} clips",
            )
        )
    return rows


def _clips(
    predictor: Predictor, data: str, part: str, bad: str, decoders: int, made: int
) -> tuple[str, list[Clip], dict[str, Any]]:
    kind = predictor.config["moving_digits"]
    if kind and holds_digits(Path(data)):
        name = "test" if part == "auto" else part
        digits = DigitClips(Path(data), kind, name, made, predictor.look)
        return name, [digits.clip(row) for row in range(made)], {"clips": "made of the part's digits"}
    listing = list_clips(data, labelled=False)
    name, entries = chosen_part(listing, part, predictor.config)
    report, notes = ReadReport(list(listing.faults)), dict[str, Any]()
    good, clips, _ = load_clips(
        entries, predictor.look, processes=decoders, memory_bytes=2**40, report=report
    )
    add_notes(report, notes, len(entries) + len(listing.faults), bad, data)
    if not good:
        raise DataError(
            f"{data} has no clip that can be used in part {name!r}, expected some: choose with --part"
        )
    whole = [predictor.check(clip, entry.location) for clip, entry in zip(clips, good) if clip is not None]
    return name, whole, notes
