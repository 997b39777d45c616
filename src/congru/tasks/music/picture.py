"""A piano roll as an SVG picture, with the gates of the most varied units under it, on the same time; no plotting library."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from congru.report.colors import color
from congru.report.markup import escape
from congru.report.png import data_uri
from congru.tasks.music.pieces import Piece, pitch_name

_LEFT, _ROW, _STRIP, _GAP, _FOOT = 44, 6, 72, 12, 40
_UNITS = 24  # shown of every gate
_COLUMNS = 2000
_WIDEST, _NARROWEST = 4000, 480
_INK, _PALE, _PRIMER = "#1f4e79", "#d9d9d4", "#b5893a"


class Strip(NamedTuple):
    """A gate at some times [N] in quarter notes: values [N, U] from 0 to 1, a column per unit."""

    name: str
    times: NDArray[np.float64]
    values: NDArray[np.float64]


def draw(piece: Piece, strips: Sequence[Strip] = (), primed: float = 0.0) -> str:
    """The roll of a piece; notes that begin before `primed` quarter notes were given and stand in another colour."""
    end = max((note.start + note.length for note in piece.notes), default=piece.bar)
    low = min((note.pitch for note in piece.notes), default=60) - 2
    high = max((note.pitch for note in piece.notes), default=60) + 2
    quarter = max(min(40.0, _WIDEST / end), _NARROWEST / end)
    width, roll = _LEFT + end * quarter + 8, (high - low + 1) * _ROW
    height = 8 + roll + len(strips) * (_STRIP + _GAP) + _FOOT
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:.0f}" height="{height:.0f}"'
        f' viewBox="0 0 {width:.0f} {height:.0f}" font-family="sans-serif" font-size="10">',
        f"<title>{escape(piece.name)}</title>",
        f'<rect width="{width:.0f}" height="{height:.0f}" fill="#ffffff"/>',
    ]
    bottom = 8 + roll + len(strips) * (_STRIP + _GAP)
    for bar in range(int(end / piece.bar) + 1):
        x = _LEFT + bar * piece.bar * quarter
        parts.append(f'<line x1="{x:.1f}" x2="{x:.1f}" y1="8" y2="{bottom}" stroke="{_PALE}"/>')
        parts.append(f'<text x="{x + 2:.1f}" y="{bottom + 14}" fill="#555">{bar + 1}</text>')
    for pitch in range(low, high + 1):
        if pitch % 12 == 0:
            y = 8 + (high - pitch + 1) * _ROW
            parts.append(f'<line x1="{_LEFT}" x2="{width - 8:.1f}" y1="{y}" y2="{y}" stroke="{_PALE}"/>')
            parts.append(
                f'<text x="{_LEFT - 6}" y="{y}" text-anchor="end" fill="#555">{pitch_name(pitch)}</text>'
            )
    for note in piece.notes:
        x, y = _LEFT + note.start * quarter, 8 + (high - note.pitch) * _ROW
        fill = _PRIMER if note.start < primed else _INK
        parts.append(
            f'<rect x="{x:.1f}" y="{y}" width="{max(note.length * quarter - 1, 1):.1f}" height="{_ROW - 1}" fill="{fill}"'
            f"><title>{pitch_name(note.pitch)}</title></rect>"
        )
    for number, strip in enumerate(strips):
        parts += _strip(strip, 8 + roll + _GAP + number * (_STRIP + _GAP), quarter, end)
    if strips:
        words = f"gates of the {_UNITS} most varied units, from dark (0) to yellow (1)"
        parts.append(f'<text x="{_LEFT}" y="{bottom + 30}" fill="#555">{words}</text>')
    return "\n".join([*parts, "</svg>", ""])


def _strip(strip: Strip, top: float, quarter: float, end: float) -> list[str]:
    """A row of colours for each unit, that with the largest mean at the head."""
    columns = min(_COLUMNS, max(1, round(4 * end)))
    known = np.searchsorted(strip.times, np.arange(columns) * end / columns, side="right") - 1
    units = np.argsort(-strip.values.std(0), kind="stable")[:_UNITS]
    units = units[np.argsort(-strip.values[:, units].mean(0), kind="stable")]
    pixels = color(strip.values[np.maximum(known, 0)][:, units].T, signed=False)
    return [
        f'<text x="{_LEFT - 6}" y="{top + 10}" text-anchor="end" fill="#555">{escape(strip.name)}</text>',
        f'<image x="{_LEFT}" y="{top}" width="{end * quarter:.1f}" height="{_STRIP}" preserveAspectRatio="none"'
        f' style="image-rendering:pixelated" href="{data_uri(pixels)}"/>',
    ]
