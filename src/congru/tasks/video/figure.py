"""The figure of a picture: what differs from the colour of its border; cut out, so that it fills the picture.

    ground   the median of the pixels at the border, by channel
    figure   the smallest box that holds every pixel with max over channels |pixel - ground| > 48
    scaling  out = R p C^T,  R[i, j] in proportion to max(0, 1 - |j + 1/2 - (i + 1/2) s| / max(s, 1)),  s = rows / out rows

Every picture is looked at by itself, so a stream and a file give the same. It suits silhouettes, masks, and figures before an
even ground, not the open street. Where nothing differs the whole picture stays.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

_LEAST = 48  # of 255: more than compression changes an even ground


def figure(picture: NDArray[np.uint8], height: int, width: int) -> NDArray[np.uint8]:
    """The figure of a picture [H, W, C] as a picture [C, height, width], its proportions kept.

    >>> picture = np.zeros((9, 9, 1), np.uint8)
    >>> picture[2:4, 6:8] = 200
    >>> figure(picture, 2, 4)[0].tolist()
    [[0, 200, 200, 0], [0, 200, 200, 0]]
    """
    cut = cut_out(picture, height, width).transpose(2, 0, 1).astype(np.float32)
    small = _scaling(cut.shape[1], height) @ cut @ _scaling(cut.shape[2], width).T
    return np.rint(small).astype(np.uint8)


def cut_out(picture: NDArray[np.uint8], height: int, width: int) -> NDArray[np.uint8]:
    """The figure of a picture [H, W, C] in a window [h, w, C] with h : w = height : width; beyond the picture is ground."""
    ground = np.median(np.concatenate([picture[0], picture[-1], picture[:, 0], picture[:, -1]]), axis=0)
    differs = np.abs(picture - ground).max(-1) > _LEAST
    row, rows = _extent(differs.any(1))
    column, columns = _extent(differs.any(0))
    size = max(rows / height, columns / width)
    shape = math.ceil(size * height), math.ceil(size * width)
    out = np.empty((*shape, picture.shape[2]), np.uint8)
    out[:] = ground.astype(np.uint8)
    down, to_row = _overlap(row - (shape[0] - rows) // 2, shape[0], picture.shape[0])
    across, to_column = _overlap(column - (shape[1] - columns) // 2, shape[1], picture.shape[1])
    out[to_row, to_column] = picture[down, across]
    return out


def _extent(marked: NDArray[Any]) -> tuple[int, int]:
    """The first marked index and how many up to the last; all of them where none is."""
    indices = np.flatnonzero(marked)
    return (int(indices[0]), int(indices[-1] - indices[0]) + 1) if len(indices) else (0, len(marked))


def _overlap(begin: int, size: int, whole: int) -> tuple[slice, slice]:
    """The part of a window at `begin` that lies within 0 .. whole: where it is there, and where in the window."""
    first, last = max(begin, 0), min(begin + size, whole)
    return slice(first, last), slice(first - begin, last - begin)


@lru_cache(maxsize=512)
def _scaling(rows: int, out_rows: int) -> NDArray[np.float32]:
    """The matrix [out_rows, rows] that scales rows; see above."""
    scale = rows / out_rows
    centres = (np.arange(out_rows)[:, None] + 0.5) * scale
    weights = np.maximum(0, 1 - np.abs(np.arange(rows) + 0.5 - centres) / max(scale, 1.0))
    return np.asarray(weights / weights.sum(1, keepdims=True), np.float32)
