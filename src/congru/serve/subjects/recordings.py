"""Recordings that are sent: speech to words with their times, and clips frame by frame."""

from __future__ import annotations

import secrets
import tempfile
import threading
import time
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from congru.errors import DataError
from congru.runtime.model import Model
from congru.serve.faults import Refused
from congru.serve.library import Shelf
from congru.serve.subjects.subject import of_task

if TYPE_CHECKING:
    from congru.tasks.speech.recognizer import Listener
    from congru.tasks.speech.words import Word

MOST_FRAMES = 2000
MOST_LISTENERS = 32


def hear(shelf: Shelf, name: str, content: bytes) -> dict[str, Any]:
    """The words of an audio file, with times and confidence, and how long it took.

    Raises:
        DataError: no audio that can be read.
    """
    recognizer = _recognizer(shelf)
    with _as_file(name, content, ".wav") as path:
        began = time.perf_counter()
        words = recognizer.transcribe(path)
        seconds = time.perf_counter() - began
    return {
        "words": _words(words),
        "seconds": seconds,
        "streams": recognizer.streams,
        "latency_seconds": recognizer.latency_seconds if recognizer.streams else None,
    }


@dataclass
class _Heard:
    """A stream that is listened to, and how much of it came."""

    listener: Listener
    rate_hz: int
    samples: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)


class Listeners:
    """Streams of sound by name; the one that was silent longest gives way where there are too many."""

    def __init__(self) -> None:
        self._heard: OrderedDict[str, _Heard] = OrderedDict()
        self._lock = threading.Lock()

    def open(self, shelf: Shelf, rate_hz: int) -> dict[str, Any]:
        """A new stream of samples at `rate_hz`; `stream` is None where the model reads both ways, and so recordings only."""
        recognizer = _recognizer(shelf)
        if not recognizer.streams:
            return {"stream": None, "latency_seconds": None}
        heard = _Heard(recognizer.listen(rate_hz), rate_hz)
        with self._lock:
            key = secrets.token_urlsafe(9)
            self._heard[key] = heard
            while len(self._heard) > MOST_LISTENERS:
                self._heard.popitem(last=False)
        return {"stream": key, "latency_seconds": recognizer.latency_seconds}

    def feed(self, key: str, content: bytes, last: bool) -> dict[str, Any]:
        """Go on with samples as float32 in -1 .. 1, little endian; the words that settled. `last` ends the stream.

        Raises:
            Refused: (404) no such stream.
            DataError: bytes that are no samples.
        """
        with self._lock:
            heard = self._heard.get(key)
            if heard is None:
                raise Refused("stream", 404, f"stream is {key!r:.40}, expected an open one: open one first")
            self._heard.move_to_end(key)
            if last:
                del self._heard[key]
        if len(content) % 4 or not np.isfinite(samples := np.frombuffer(content, "<f4")).all():
            raise DataError(
                f"samples have {len(content)} bytes, expected float32 numbers in -1 .. 1: send them as such"
            )
        with heard.lock:
            began = time.perf_counter()
            words = heard.listener.feed(samples.astype(np.float32)) if len(samples) else []
            words = [*words, *(heard.listener.finish() if last else [])]
            heard.samples += len(samples)
            seconds = time.perf_counter() - began
        return {"words": _words(words), "heard_seconds": heard.samples / heard.rate_hz, "seconds": seconds}


def _recognizer(shelf: Shelf) -> Any:
    from congru.tasks.speech.recognizer import Recognizer

    return shelf.made("speech", lambda model: Recognizer.of(of_task(model, "speech")))


def _words(words: Sequence[Word]) -> list[dict[str, Any]]:
    return [
        {"text": word.text, "start": word.start, "end": word.end, "confidence": word.confidence}
        for word in words
    ]


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
    decided = early.decide(steps, classifier.rule) if classifier.streams else None
    return {
        "classes": classifier.classes,
        "steps": np.round(steps[:MOST_FRAMES], 5).tolist(),
        "streams": classifier.streams,
        "threshold": classifier.rule.threshold,
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
