"""What was shown on the axis of `congru inspect`: thumbnails of a clip, or the path of a track, with the answer under it.

One SVG text without scripts; pictures are inside it.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from congru.report import png
from congru.report.markup import escape
from congru.tasks.video.clips import Clip

_MOST, _SIDE, _GAP, _LINE = 8, 46, 2, 60  # legible on a phone
_INK, _GREY, _CURVE = "#222", "#999", "#d9731a"


def film(clip: Clip, probabilities: NDArray[np.float64], classes: Sequence[str]) -> str:
    """An SVG: frames of a clip [T, C, H, W] or [T, I] from left to right; below them the probability of the last answer.

    `probabilities` [T, K] after every frame, or [1, K] where the model reads both ways.
    """
    shown = np.unique(np.linspace(0, len(clip) - 1, min(_MOST, len(clip))).round().astype(int)).tolist()
    width = len(shown) * (_SIDE + _GAP) + _GAP
    draw = _picture if clip.ndim == 4 else _path
    parts = [draw(clip, frame, _GAP + k * (_SIDE + _GAP)) for k, frame in enumerate(shown)]
    parts += [
        _text(_GAP + k * (_SIDE + _GAP) + _SIDE / 2, _SIDE + 14, str(frame + 1))
        for k, frame in enumerate(shown)
    ]
    best = int(probabilities[-1].argmax())
    if len(probabilities) > 1:
        parts.append(_curve(probabilities[:, best], shown))
    answer = f"{classes[best]} {probabilities[-1, best]:.1%}"
    parts.append(_text(_GAP, _SIDE + 34 + _LINE, answer, "start"))
    height = _SIDE + 40 + _LINE
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}"'
        f' font-family="sans-serif" font-size="10">{"".join(parts)}</svg>'
    )


def thumbnail(clip: Clip, frame: int) -> str:
    """One frame of a clip [T, C, H, W] as a picture, or the path [T, I] up to it, as an SVG."""
    draw = _picture if clip.ndim == 4 else _path
    return f'<svg viewBox="0 0 {_SIDE} {_SIDE}" color="#808080">{draw(clip, frame, 0).replace(_INK, "currentColor")}</svg>'


def _picture(clip: Clip, frame: int, left: float) -> str:
    colour = np.ascontiguousarray(np.broadcast_to(clip[frame], (3, *clip.shape[2:])).transpose(1, 2, 0))
    source = png.data_uri(colour.astype(np.uint8))
    return f'<image href="{source}" x="{left:.1f}" y="0" width="{_SIDE}" height="{_SIDE}"/>'


def _path(clip: Clip, frame: int, left: float) -> str:
    """The first two numbers of every frame so far as a line, the newest as a dot (one number: over time)."""
    track = clip if clip.shape[1] > 1 else np.stack([np.arange(len(clip)), clip[:, 0]], 1)
    low, high = track[:, :2].min(0), track[:, :2].max(0)
    points = (track[: frame + 1, :2] - low) / np.maximum(high - low, 1e-9) * (_SIDE - 8) + 4
    words = " ".join(f"{left + x:.1f},{_SIDE - y:.1f}" for x, y in points.tolist())
    x, y = points[-1].tolist()
    return (
        f'<rect x="{left:.1f}" y="0" width="{_SIDE}" height="{_SIDE}" fill="none" stroke="{_GREY}"/>'
        f'<polyline points="{words}" fill="none" stroke="{_INK}"/>'
        f'<circle cx="{left + x:.1f}" cy="{_SIDE - y:.1f}" r="2.5" fill="{_CURVE}"/>'
    )


def _curve(p: NDArray[np.float64], shown: Sequence[int]) -> str:
    """The probability of the last answer after the frames shown, from 0 at the bottom line to 1 at the top one."""
    top, bottom = _SIDE + 22, _SIDE + 22 + _LINE
    xs = [_GAP + k * (_SIDE + _GAP) + _SIDE / 2 for k in range(len(shown))]
    words = " ".join(f"{x:.1f},{bottom - _LINE * p[frame]:.1f}" for x, frame in zip(xs, shown))
    lines = "".join(
        f'<line x1="{xs[0]:.1f}" x2="{xs[-1]:.1f}" y1="{y}" y2="{y}" stroke="{_GREY}" stroke-dasharray="2 3"/>'
        for y in (top, bottom)
    )
    return f'{lines}<polyline points="{words}" fill="none" stroke="{_CURVE}" stroke-width="2"/>'


def _text(x: float, y: float, words: str, anchor: str = "middle") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="{_INK}">{escape(words)}</text>'
