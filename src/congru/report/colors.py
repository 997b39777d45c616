"""The two colour scales of every view, as stops and as 8-bit colours; needs no plotting library.

Shares from 0 to 1: cividis (Nuñez, Anderton & Renslow 2018), dark blue to yellow, even for colour-blind
eyes. Signed values: blue for negative, orange for positive, light at zero.
"""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

Array: TypeAlias = npt.NDArray[np.floating[Any]]
Pixels: TypeAlias = npt.NDArray[np.uint8]

SHARE = ("#00224e", "#123570", "#3b496c", "#575d6d", "#707173", "#8a8678", "#a59c74", "#c3b369", "#fee838")
SIGNED = ("#0b3c6f", "#2f78b7", "#a9cce3", "#f5f5f2", "#f6c58f", "#d9731a", "#7f3200")


def color(values: Array, signed: bool, reach: float = 1.0) -> Pixels:
    """Colours [..., 3] of shares in 0..1, or of signed values in -reach..reach; what lies beyond is clipped.

    >>> color(np.array([0.0, 1.0]), signed=False).tolist()
    [[0, 34, 78], [254, 232, 56]]
    """
    stops = np.array(
        [[int(stop[k : k + 2], 16) for k in (1, 3, 5)] for stop in (SIGNED if signed else SHARE)]
    )
    shares = (np.asarray(values) / reach + 1) / 2 if signed else np.asarray(values)
    along = np.clip(np.nan_to_num(shares), 0, 1) * (len(stops) - 1)
    channels: list[Any] = [np.interp(along, np.arange(len(stops)), stops[:, k]) for k in range(3)]
    return np.round(np.stack(channels, axis=-1)).astype(np.uint8)


def reach_of(values: Array) -> float:
    """The size that signed colours span: the 99.5 % quantile of |values|, so that one outlier pales nothing."""
    return max(1e-6, float(np.quantile(np.abs(values), 0.995))) if np.size(values) else 1.0
