"""A picture of what was heard: the features over time, the words under them, as an SVG that needs nothing else."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from congru.report.colors import color
from congru.report.markup import escape
from congru.report.png import data_uri
from congru.tasks.speech.frames import SHIFT_SECONDS
from congru.tasks.speech.words import Word

_LEFT, _HEIGHT, _FRAME, _INK, _GREY = 40, 160, 3, "#1a1a1a", "#666666"


def spectrogram(frames: NDArray[np.float32], words: Sequence[Word], name: str) -> str:
    """The SVG of frames [n, F], low frequencies below, with the words at their times.

    Every feature is scaled to the range of its values, from dark to bright.
    """
    low, high = frames.min(0), frames.max(0)
    scaled = (frames - low) / np.maximum(high - low, 1e-6)
    width = len(frames) * _FRAME
    pixels = color(np.ascontiguousarray(scaled.T[::-1]), signed=False)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{_LEFT + width + 8}" height="{_HEIGHT + 60}"'
        f' viewBox="0 0 {_LEFT + width + 8} {_HEIGHT + 60}" font-family="sans-serif" font-size="11">',
        f"<title>{escape(name)}</title>",
        f'<image x="{_LEFT}" y="8" width="{width}" height="{_HEIGHT}" preserveAspectRatio="none"'
        f' style="image-rendering:pixelated" href="{data_uri(pixels)}"/>',
    ]
    for tenth in range(0, int(len(frames) * SHIFT_SECONDS * 10) + 1, 5):
        x = _LEFT + tenth / 10 / SHIFT_SECONDS * _FRAME
        parts.append(f'<text x="{x:.0f}" y="{_HEIGHT + 22}" fill="{_GREY}">{tenth / 10:.1f} s</text>')
    for word in words:
        begin, end = (_LEFT + at / SHIFT_SECONDS * _FRAME for at in (word.start, word.end))
        y = _HEIGHT + 32
        parts.append(
            f'<line x1="{begin:.0f}" x2="{end:.0f}" y1="{y}" y2="{y}" stroke="{_INK}" stroke-width="2"/>'
        )
        parts.append(f'<text x="{begin:.0f}" y="{y + 16}" fill="{_INK}">{escape(word.text)}</text>')
    return "\n".join([*parts, "</svg>", ""])
