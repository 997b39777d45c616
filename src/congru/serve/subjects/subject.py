"""A task as the explorer sees it: a source becomes an input with a label for each step, outputs become an outcome to look at."""

from __future__ import annotations

import os
from typing import Any, Protocol

import numpy as np

from congru.errors import DataError
from congru.runtime.decoding.scores import log_softmax
from congru.runtime.model import Model
from congru.serve.edits import Edited
from congru.serve.explorer import MOST_STEPS, Explored
from congru.serve.library import Shelf
from congru.serve.protocol import WhatIfBody
from congru.serve.source import Source
from congru.tasks.registry import find_task

OF_FILES = ("music", "speech", "video")  # tasks whose inputs are no texts


class Subject(Protocol):
    """What a task gives the explorer."""

    def source(self, shelf: Shelf, text: str | None) -> Source: ...
    def outcome(self, explored: Explored, edited: Edited, body: WhatIfBody) -> dict[str, Any]: ...


class AnyTask:
    """A task read as `congru inspect` reads it: its `inspect_reading`, and its outputs as choices or numbers."""

    def source(self, shelf: Shelf, text: str | None) -> Source:
        """The input that `congru inspect` takes, never a file."""
        if text and shelf.model().task in OF_FILES:
            raise DataError(
                f"text is {text!r:.80}, expected none: this model reads files, whose gates congru inspect MODEL FILE shows"
            )
        if text is not None and (os.path.exists(text) or os.path.exists(text.strip())):
            raise DataError(f"text is {text!r:.80}, the name of a file, expected an input itself: write it")
        model = shelf.model()
        reading = find_task(model.task).reading(model, text or None)
        return Source(*_shortened(reading.x, list(reading.tokens)), reading)

    def outcome(self, explored: Explored, edited: Edited, body: WhatIfBody) -> dict[str, Any]:
        """The last outputs: as probabilities where they have names."""
        output = next(iter(edited.outputs.values()))
        last = np.asarray(output[-1] if output.ndim > 1 else output, np.float64).ravel()
        by_task = explored.reading.outputs if explored.reading else ()
        for names in (by_task, explored.model.labels or ()):
            if len(names) != len(last):
                continue
            return choices(zip(names, np.exp(log_softmax(last)).tolist()))
        return {
            "kind": "numbers",
            "values": [round(float(value), 5) for value in last[:12]],
            "count": len(last),
        }


def of_task(model: Model, task: str) -> Model:
    """The model itself. Raises :class:`DataError` for one of another task."""
    if model.task != task:
        raise DataError(f"model is of the task {model.task!r}, expected {task!r}: choose another")
    return model


def choices(items: Any, most: int = 8) -> dict[str, Any]:
    """Named probabilities, the largest first."""
    ordered = sorted(items, key=lambda item: -item[1])[:most]
    return {"kind": "choices", "items": [[str(name), round(float(p), 5)] for name, p in ordered]}


def _shortened(x: Any, labels: list[str]) -> tuple[Any, list[str], None, int]:
    """The first steps, where there are too many."""
    cut = max(0, len(labels) - MOST_STEPS)
    if not cut:
        return x, labels, None, 0
    if isinstance(x, dict):
        x = {
            k: v[:, :MOST_STEPS] if np.ndim(v) > 1 and np.shape(v)[1] == len(labels) else v
            for k, v in x.items()
        }
    else:
        x = x[:, :MOST_STEPS]
    return x, labels[:MOST_STEPS], None, cut
