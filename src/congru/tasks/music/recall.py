"""What came after the longest earlier match: the memory of a piece for itself, as compressors use it.

At step t the frames before t are looked up among those before them: of all s < t whose preceding frames equal those before t
longest, the latest one is taken, and frame s is what is recalled. Nothing of frame t or later is seen.
Legend: T frames, K keys, L length of a match.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from congru.tasks.music.pieces import KEYS, Roll

LONGEST = 64
"""Longer matches count as this long."""
LOOKBACK = 8192
"""Frames that are searched, the latest ones: a frame costs no more in a long piece."""
LENGTHS = 8
"""Classes of the match's length: 0, 1, 2-3, 4-7, ..., 64."""


class Recall:
    """The lookup, frame by frame.

    >>> recall = Recall()
    >>> for symbol in (b"a", b"b", b"c", b"a", b"b"):
    ...     recall.add(symbol)
    >>> recall.frame, recall.length
    (2, 2)
    """

    def __init__(self) -> None:
        self._known: dict[bytes, int] = {}
        self._symbols = np.zeros(64, np.int64)
        self._matches = np.zeros(65, np.int64)  # [s]: how many frames before s equal those before now
        self._count = 0
        self.frame, self.length = 0, 0

    def add(self, frame: bytes) -> None:
        """Go one frame on; then `frame` is the number of the recalled frame and `length` that of its match, 0 for none."""
        symbol, count = self._known.setdefault(frame, len(self._known)), self._count
        if count + 1 >= len(self._symbols):
            self._symbols = np.concatenate([self._symbols, np.zeros_like(self._symbols)])
            self._matches = np.concatenate([self._matches, np.zeros_like(self._matches)])
        begin = max(0, count - LOOKBACK)
        same = self._symbols[begin:count] == symbol
        longer = np.minimum(self._matches[begin:count] + 1, LONGEST)
        self._matches[begin + 1 : count + 1] = np.where(same, longer, 0)
        self._symbols[count] = symbol
        self._count = count + 1
        known = self._matches[begin + 1 : count + 1]
        if count:
            last = count - 1 - int(known[::-1].argmax())
            self.frame, self.length = last + 1, int(known[last - begin])


def recalled(roll: Roll) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Frames [T, K] that are recalled (silent where none is), and the classes [T] of the matches' lengths."""
    frames, lengths = np.zeros((len(roll), KEYS), np.uint8), np.zeros(len(roll), np.int64)
    recall = Recall()
    for t in range(1, len(roll)):
        recall.add(roll[t - 1].tobytes())
        if recall.length:
            frames[t], lengths[t] = roll[recall.frame], length_class(recall.length)
    return frames, lengths


def length_class(length: int) -> int:
    """The class of a match's length.

    >>> [length_class(length) for length in (0, 1, 3, 4, 64)]
    [0, 1, 2, 3, 7]
    """
    return min(length.bit_length(), LENGTHS - 1)
