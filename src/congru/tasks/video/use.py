"""What a user does with a classifier of clips, without torch: answers for clips, frame by frame where it streams, scores."""

from __future__ import annotations

import io
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, BinaryIO, Literal

import numpy as np
from cyclopts import Parameter
from numpy.typing import NDArray

from congru.errors import DataError, SettingsError
from congru.report.table import text_table
from congru.runtime import plain_json
from congru.runtime.answer import Arrays
from congru.runtime.model import Model
from congru.tasks.class_scores import (
    accuracy_verdict,
    calibration_error,
    confusion,
    confusion_table,
    scores_of,
    scores_with_calibration,
)
from congru.tasks.loading import load_model
from congru.tasks.parts import Part
from congru.tasks.video import early, predictor
from congru.tasks.video.classifier import Classifier, neighbours_of, stored_clip
from congru.tasks.video.classifier import reply as classifier_reply
from congru.tasks.video.clips import Clip, ReadReport, load_clips
from congru.tasks.video.data import add_notes, as_set, chosen_part
from congru.tasks.video.frames import read_frames
from congru.tasks.video.listing import list_clips
from congru.tasks.video.moving_digits import DigitClips, holds_digits
from congru.tasks.video.prediction import evaluate_frames, run_frames
from congru.tasks.video.thumbnails import film

RISING = ("accuracy",)  # scores of which more is better
_BARS = 30
_MADE = 1000  # clips of moving digits that are scored


def run(
    model: Path,
    /,
    *clips: Annotated[Path, Parameter(allow_leading_hyphen=True)],
    stream: bool = False,
    strip: Path | None = None,
    json_lines: Annotated[bool, Parameter(name="--json", negative=())] = False,
    weight_dtype: Literal["float32", "bfloat16"] = "float32",
) -> int:
    """Say the class of clips; with --stream after every frame, and when the decision falls. Or: how clips go on.

    Parameters
    ----------
    model:
        A model folder.
    clips:
        Videos, folders of pictures, or arrays; - reads a video from the standard input. Without any, the clip that the
        model folder holds as its example.
    stream:
        Print the most probable class after every frame; for models trained with --streaming.
    strip:
        Models that predict frames: write the truth and the prediction as one picture (.png).
    json_lines:
        Print one JSON object per clip, with --stream per frame.
    weight_dtype:
        bfloat16 halves the bytes that a recurrent step reads; its matrices are rounded to 8 bits.
    """
    loaded = _load(model, weight_dtype)
    if predicts_frames(loaded):
        if stream:
            raise SettingsError(
                "stream is asked of a model that predicts frames, expected --strip FILE.png: leave it out"
            )
        run_frames(loaded, clips, strip, json_lines)
        return 0
    if strip is not None:
        raise SettingsError(
            f"strip is '{strip}', expected a model trained with --predict frames: leave it out for this one"
        )
    classifier = Classifier.of(loaded)
    if stream:
        for name, frames in _frames(loaded, classifier, clips):
            _stream(classifier, name, frames, json_lines)
        return 0
    for name, clip in _clips(loaded, classifier, clips):
        steps = classifier.soften(classifier.step_logits([clip])[0])
        _say(classifier, name, len(clip), steps, json_lines)
    return 0


def _load(path: Path, weight_dtype: str) -> Model:
    """A model of this task, of either kind; its whole answer is replayed."""
    return load_model(path, "video", reply, weight_dtype)


def reply(model: Model, inputs: Arrays) -> Arrays:
    """What training stored, by the kind of the model."""
    return predictor.reply(model, inputs) if predicts_frames(model) else classifier_reply(model, inputs)


def predicts_frames(model: Model) -> bool:
    """Whether a model tells how clips go on, rather than what they show."""
    return bool(model.task_config.get("predict") == "frames")


def _clips(model: Model, classifier: Classifier, paths: tuple[Path, ...]) -> Iterator[tuple[str, Clip]]:
    if not paths:
        yield "example of the model", stored_clip(model)
    for path in paths:
        if str(path) == "-":
            yield "standard input", np.stack(list(_standard_input(classifier)))
        else:
            yield str(path), classifier.read(path)


def _frames(
    model: Model, classifier: Classifier, paths: tuple[Path, ...]
) -> Iterator[tuple[str, Iterator[NDArray[Any]]]]:
    """The frames of clips as they are decoded."""
    if not paths or len(classifier.shape) == 1:
        yield from ((name, iter(clip)) for name, clip in _clips(model, classifier, paths))
        return
    for path in paths:
        if str(path) == "-":
            yield "standard input", _standard_input(classifier)
        else:
            yield str(path), _pictures(classifier, path, str(path))


def _standard_input(classifier: Classifier) -> Iterator[NDArray[Any]]:
    """The frames of a video from the standard input; a container whose index stands at its end must be read whole."""
    if len(classifier.shape) == 1:
        raise DataError(
            f"clip is '-', a video from the standard input, expected a file of {classifier.shape[0]} numbers per frame:"
            " name a track"
        )
    return _pictures(classifier, io.BytesIO(sys.stdin.buffer.read()), "standard input")


def _pictures(classifier: Classifier, source: Path | BinaryIO, name: str) -> Iterator[NDArray[Any]]:
    yield from (frame.pixels for frame in read_frames(source, classifier.look, name))


def _say(
    classifier: Classifier, name: str, frames: int, steps: NDArray[np.float64], json_lines: bool
) -> None:
    p = steps[-1]
    order = np.argsort(-p, kind="stable")
    decided = early.decide(steps, classifier.rule)
    if json_lines:
        answer: dict[str, Any] = {
            "clip": name,
            "frames": frames,
            "class": classifier.classes[int(order[0])],
            "probabilities": dict(zip(classifier.classes, p.round(6).tolist())),
        }
        if classifier.streams:
            answer["early"] = decided and {"class": classifier.classes[decided[0]], "frame": decided[1] + 1}
        print(plain_json.as_json(answer))
        return
    best = ", ".join(f"{classifier.classes[int(k)]} {p[k]:.1%}" for k in order[:3])
    print(f"{name}: {best}")
    if not classifier.streams:
        return
    if decided is None:
        print(f"  no early decision within {frames} frames: {classifier.rule.in_words()}")
    else:
        label, frame = decided
        print(f"  early decision: {classifier.classes[label]} after frame {frame + 1} of {frames}")


def _stream(classifier: Classifier, name: str, frames: Iterator[NDArray[Any]], json_lines: bool) -> None:
    """One line per frame: its number, the most probable class, its probability as number and bar, the decision."""
    told = False
    if not json_lines:
        print(name)
    for moment in classifier.stream(frames):
        best = int(moment.probabilities.argmax())
        p = float(moment.probabilities[best])
        falls, told = moment.decided and not told, moment.decided
        if json_lines:
            line = {
                "clip": name,
                "frame": moment.frame + 1,
                "class": classifier.classes[best],
                "probability": round(p, 6),
            }
            print(plain_json.as_json({**line, "decided": moment.decided}), flush=True)
            continue
        mark = "  <- decided" if falls else ""
        print(
            f"{moment.frame + 1:>5} {classifier.classes[best]:<16} {p:6.1%} {'#' * round(_BARS * p)}{mark}",
            flush=True,
        )


def evaluate(
    model: Path,
    data: str,
    /,
    *,
    part: Part = "auto",
    bad: Literal["stop", "skip"] = "stop",
    decoders: int = 2,
    quiet: bool = False,
    weight_dtype: Literal["float32", "bfloat16"] = "float32",
) -> dict[str, dict[str, float]]:
    """Score labelled clips: accuracy, macro F1, nats and calibration beside the nearest training clips; early decisions.

    Parameters
    ----------
    model:
        A model folder.
    data:
        A folder, table or .npz as for training.
    part:
        auto: the test part where there is one, else the validation part; all: everything, for data that training has not read.
        The groups left out in training are a test part.
    bad:
        A clip that cannot be used: stop with one line, or leave it out and count it.
    decoders:
        Processes that decode clips; 0: all in this one.
    quiet:
        Print nothing.
    weight_dtype:
        bfloat16 halves the bytes that a recurrent step reads; its matrices are rounded to 8 bits.
    """
    loaded = _load(model, weight_dtype)
    if predicts_frames(loaded):
        return evaluate_frames(loaded, data, part=part, bad=bad, decoders=decoders, made=_MADE, quiet=quiet)
    classifier = Classifier.of(loaded)
    name, clips, labels, notes = _read_part(classifier, data, part, bad, decoders)
    steps = [classifier.soften(own) for own in classifier.step_logits(clips)]
    ends = np.log(np.maximum(np.stack([own[-1] for own in steps]), 1e-12))
    rows = {"model": {**scores_of(ends, labels), "calibration": calibration_error(np.exp(ends), labels)}}
    if classifier.streams:
        rows.update(_on_the_way(classifier, steps, labels))
        notes["early decisions"] = classifier.rule.in_words()
    for title, scores in neighbours_of(loaded).scores(clips).items():
        rows[title] = scores_with_calibration(scores, labels)
    if not quiet:
        _print_scores(f"{data}, {name}: {len(clips)} clips", notes, rows)
        matrix = confusion(ends.argmax(1), labels, len(classifier.classes))
        print(confusion_table(matrix, classifier.classes))
        print(accuracy_verdict(rows, f"{len(clips):,} clips"))
    return rows


def _read_part(
    classifier: Classifier, data: str, part: str, bad: str, decoders: int
) -> tuple[str, list[Clip], NDArray[np.int64], dict[str, Any]]:
    """The clips of a part with their labels, and notes on what is odd about them."""
    kind = classifier.config.get("moving_digits")
    if kind and holds_digits(Path(data)):
        name = "test" if part == "auto" else part
        made = DigitClips(Path(data), kind, name, _MADE, classifier.look)
        return (
            name,
            [made.clip(row) for row in range(len(made))],
            made.labels,
            {"clips": "made of the part's digits"},
        )
    listing = list_clips(data)
    name, entries = chosen_part(listing, part, classifier.config)
    report, notes = ReadReport(list(listing.faults)), dict[str, Any]()
    good, clips, lengths = load_clips(
        entries, classifier.look, processes=decoders, memory_bytes=2**40, report=report
    )
    add_notes(report, notes, len(entries) + len(listing.faults), bad, data)
    if not good:
        raise DataError(
            f"{data} has no clip that can be used in part {name!r}, expected some: choose with --part"
        )
    labelled = as_set(good, clips, lengths, classifier.classes, classifier.look)
    whole = [classifier.check(labelled.clip(row), good[row].location) for row in range(len(labelled))]
    return name, whole, labelled.labels, notes


def _on_the_way(
    classifier: Classifier, steps: list[NDArray[np.float64]], labels: NDArray[np.int64]
) -> dict[str, dict[str, float]]:
    """After 60 % of the frames, and with early decisions."""
    part_way = np.stack([own[max(1, round(0.6 * len(own))) - 1] for own in steps])
    early_scores = early.score(steps, labels, classifier.rule)
    return {
        "model after 60 % of the frames": {
            **scores_of(np.log(np.maximum(part_way, 1e-12)), labels),
            "calibration": calibration_error(part_way, labels),
        },
        "model, early decisions": {"accuracy": early_scores.accuracy, "frames_saved": early_scores.saved},
    }


def _print_scores(title: str, notes: dict[str, Any], rows: dict[str, dict[str, float]]) -> None:
    print(title)
    for what, words in notes.items():
        print(f"{what}: {words}")
    names = list(dict.fromkeys(name for row in rows.values() for name in row))
    best = {name: "max" for name in names if name in ("accuracy", "macro_f1")}
    print(text_table([(t, *(row.get(n) for n in names)) for t, row in rows.items()], ("", *names), best=best))


def inspect_inputs(model: Model, source: str | None = None) -> tuple[NDArray[np.float32], list[str]]:
    """The steps of a clip as x [1, T, ...] for ``model.run``; a label for each.

    Without ``source`` the first clip of the model's stored answer is read.

    Raises:
        DataError: nothing that can be read.
    """
    classifier, clip = clip_of(model, source)
    return classifier.preparation(clip)[None], [str(number + 1) for number in range(len(clip))]


def inspect_extra(model: Model, source: str | None = None) -> list[tuple[str, str, str]]:
    """The first chapter of the page about gates: title, sentence, and the frames of the clip as an SVG text."""
    classifier, clip = clip_of(model, source)
    probabilities = classifier.soften(classifier.step_logits([clip])[0])
    curve = ", and below them the probability of the last answer after each" if classifier.streams else ""
    sentence = f"Frames of the clip by their numbers, which label the steps of every view{curve}."
    return [("The clip", sentence, film(clip, probabilities, classifier.classes))]


def clip_of(model: Model, source: str | None) -> tuple[Classifier, Clip]:
    """A clip by its path, or the stored one, and the classifier that reads it."""
    if predicts_frames(model):
        raise SettingsError(
            f"{model.folder} predicts frames with a convolutional GRU, expected a model of classes: its gates are pictures"
        )
    classifier = Classifier.of(model)
    return classifier, stored_clip(model) if source is None else classifier.read(Path(source))
