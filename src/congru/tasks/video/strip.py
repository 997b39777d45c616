"""A picture strip of prediction beside truth: for each clip one row of the true frames and one of the predicted ones.

The frames that were seen stand on the left, those that were predicted on the right of a line.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from congru.report import png
from congru.tasks.video.clips import Clip
from congru.tasks.video.predictor import Predictor

_SEEN, _ZOOM, _GAP = 4, 3, 2
_GREY, _LINE = 90, (230, 120, 30)


def encode(predictor: Predictor, clips: Sequence[Clip]) -> bytes:
    """A PNG file: the last frames seen and all that follow, of each clip; its lower row is the prediction."""
    return png.encode(pixels(predictor, clips))


def pixels(predictor: Predictor, clips: Sequence[Clip]) -> NDArray[np.uint8]:
    """[rows, columns, 3]: two rows of pictures for each clip."""
    seen, needed = predictor.observed, predictor.needed
    first = max(0, seen - _SEEN)
    rows = []
    for clip in clips:
        predicted = predictor.predict(clip[None, :seen])[0]
        own = np.rint(255 * predicted).astype(np.uint8)
        rows.append(_row(clip[first:needed], seen - first))
        rows.append(_row(np.concatenate([np.full_like(clip[first:seen], _GREY), own]), seen - first))
    return np.concatenate(rows)


def _row(frames: NDArray[Any], before_line: int) -> NDArray[np.uint8]:
    """Frames [T, C, H, W] side by side, larger, with gaps; a coloured line after those seen."""
    parts = []
    for number, frame in enumerate(frames):
        colour = np.broadcast_to(frame, (3, *frame.shape[1:])).transpose(1, 2, 0)
        big = np.kron(colour, np.ones((_ZOOM, _ZOOM, 1), np.uint8)).astype(np.uint8)
        gap = np.full((len(big), _GAP, 3), _LINE if number == before_line - 1 else (_GREY,) * 3, np.uint8)
        parts += [big, gap]
    row = np.concatenate(parts, 1)
    return np.concatenate([row, np.full((_GAP, row.shape[1], 3), _GREY, np.uint8)])
