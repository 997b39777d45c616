"""What a person would try first: the nearest training clip by its average frame, or by its whole path; the most frequent class.

frame average   nearest neighbour of mean_t x_t: what is seen, without order or motion
whole path      nearest neighbour of the track at 32 moments, for tracks
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from congru.runtime.tensors import format_arrays, parse_tensors
from congru.tasks.video.clips import Clip

FILE = "neighbours.safetensors"
_MOMENTS = 32
_SURE = 3.0  # the logit of what a neighbour says

Floats = NDArray[np.float32]


def frame_average(clip: Clip) -> Floats:
    """mean_t x_t, flat.

    >>> frame_average(np.array([[0.0, 2.0], [2.0, 4.0]])).tolist()
    [1.0, 3.0]
    """
    return np.asarray(clip.mean(0, dtype=np.float64).ravel(), np.float32)


def whole_path(clip: Clip) -> Floats:
    """A track at 32 moments, linear in between, flat."""
    at = np.linspace(0, len(clip) - 1, _MOMENTS)
    columns = [np.interp(at, np.arange(len(clip)), column) for column in clip.T]
    return np.asarray(np.stack(columns, 1).ravel(), np.float32)


def views(shape: Sequence[int]) -> dict[str, Callable[[Clip], Floats]]:
    """Name -> what is compared, for clips of frames of `shape`."""
    average: dict[str, Callable[[Clip], Floats]] = {"frame average": frame_average}
    return average if len(shape) == 3 else {**average, "whole path": whole_path}


class Neighbours:
    """The training clips as vectors, by what is compared: name -> [N, F] of float16, and their labels [N]."""

    def __init__(
        self, vectors: Mapping[str, NDArray[np.float16]], labels: NDArray[np.int64], num_classes: int
    ) -> None:
        self.vectors, self.labels, self.num_classes = dict(vectors), labels, num_classes

    @classmethod
    def fit(cls, clips: Iterable[Clip], labels: NDArray[np.int64], num_classes: int) -> Neighbours:
        """From training clips and their labels, as many."""
        vectors = {name: rows.astype(np.float16) for name, rows in vectors_of(clips).items()}
        return cls(vectors, labels, num_classes)

    @classmethod
    def from_bytes(cls, content: bytes, num_classes: int) -> Neighbours:
        """From the side file of a model folder."""
        arrays: dict[str, Any] = parse_tensors(content)
        labels = arrays.pop("labels")
        return cls({name.replace("_", " "): value for name, value in arrays.items()}, labels, num_classes)

    def to_bytes(self) -> bytes:
        """The side file."""
        named = {name.replace(" ", "_"): value for name, value in self.vectors.items()}
        return format_arrays({**named, "labels": self.labels})

    def scores(self, clips: Iterable[Clip]) -> dict[str, Floats]:
        """Logits [N, K] of every baseline; clips are read one after the other."""
        out: dict[str, Floats] = {}
        asked, number = vectors_of(clips), 0
        for name, vectors in self.vectors.items():
            known, number = vectors.astype(np.float32), len(asked[name])
            nearest = [int(np.square(known - vector).sum(1).argmin()) for vector in asked[name]]
            out[name] = np.zeros((number, self.num_classes), np.float32)
            out[name][np.arange(number), self.labels[nearest]] = _SURE
        counts = np.bincount(self.labels, minlength=self.num_classes)
        out["most frequent class"] = np.tile(np.log(counts + 1.0).astype(np.float32), (number, 1))
        return out


def vectors_of(clips: Iterable[Clip]) -> dict[str, Floats]:
    """What is compared of clips: name -> [N, F]."""
    rows: dict[str, list[Floats]] = {}
    for clip in clips:
        for name, view in views(clip.shape[1:]).items():
            rows.setdefault(name, []).append(view(clip))
    return {name: np.stack(own) for name, own in rows.items()}
