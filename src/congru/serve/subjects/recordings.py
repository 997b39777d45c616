"""Recordings that are sent: speech to words with their times, and clips frame by frame."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from congru.errors import DataError
from congru.runtime.model import Model
from congru.serve.library import Shelf
from congru.serve.subjects.language import of_task

MOST_FRAMES = 2000


def hear(shelf: Shelf, name: str, content: bytes) -> dict[str, Any]:
    """The words of an audio file, with times and confidence, and how long it took.

    Raises:
        DataError: no audio that can be read.
    """
    from congru.tasks.speech.recognizer import Recognizer

    recognizer = shelf.made("speech", lambda model: Recognizer.of(of_task(model, "speech")))
    with _as_file(name, content, ".wav") as path:
        began = time.perf_counter()
        words = recognizer.transcribe(path)
        seconds = time.perf_counter() - began
    return {
        "words": [
            {"text": word.text, "start": word.start, "end": word.end, "confidence": word.confidence}
            for word in words
        ],
        "seconds": seconds,
        "streams": recognizer.streams,
        "latency_seconds": recognizer.latency_seconds if recognizer.streams else None,
    }


def watch(shelf: Shelf, name: str, content: bytes) -> dict[str, Any]:
    """The classes of a clip or track after every frame, and when the decision fell.

    Raises:
        DataError: no clip that can be read, or a model that predicts frames instead of classes.
    """
    from congru.tasks.video import early
    from congru.tasks.video.classifier import Classifier
    from congru.tasks.video.use import predicts_frames

    def make(model: Model) -> Classifier:
        if predicts_frames(of_task(model, "video")):
            raise DataError("model predicts the next frames, expected one of classes: choose another")
        return Classifier.of(model)

    classifier = shelf.made("video", make)
    with _as_file(name, content, ".mp4") as path:
        clip = classifier.read(path)
    steps = classifier.soften(classifier.step_logits([clip])[0])
    decided = early.decide(steps, classifier.threshold) if classifier.streams else None
    return {
        "classes": classifier.classes,
        "steps": np.round(steps[:MOST_FRAMES], 5).tolist(),
        "streams": classifier.streams,
        "threshold": classifier.threshold,
        "decided": None
        if decided is None
        else {"class": classifier.classes[decided[0]], "frame": decided[1]},
    }


@contextmanager
def _as_file(name: str, content: bytes, ending: str) -> Iterator[Path]:
    """The bytes as a file of their own, with the ending of their name, gone afterwards."""
    if not content:
        raise DataError("file is empty, expected a recording: choose another")
    suffix = Path(name).suffix.lower()
    plain = suffix if suffix[1:].isalnum() and len(suffix) <= 6 else ending
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"recording{plain}"
        path.write_bytes(content)
        yield path
