"""Boards as SVG pictures: 64 squares, simple shapes for the pieces, the squares of a move marked, arrows for others.

The shapes are this project's own; a page holds them once (:data:`SHAPES`), and every board refers to them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from congru.tasks.chess.moves import origin, target
from congru.tasks.chess.rules import PIECES, Position

_CELL = 45
_BASE = '<path d="M11 39h23v-4.5h-23z"/>'
_DRAWN = {  # in a square of 45 x 45
    "P": '<path d="M14 35h17c0-6-4-9-5.5-13h-6c-1.5 4-5.5 7-5.5 13z"/><circle cx="22.5" cy="16" r="5.5"/>',
    "R": '<path d="M14 35l1.5-16h14l1.5 16z"/><path d="M12 9h5v3.5h3v-3.5h5v3.5h3v-3.5h5v8.5l-3.5 2.5h-14l-3.5-2.5z"/>',
    "N": '<path d="M13 35c0-9 9-11 8-17l-6.5 4.5c-2 1.3-4.5-1-3.3-3l5.3-8.5 1-4.5 4 3.5c8 1 12 8 11.5 25z"/>'
    '<circle cx="19" cy="15" r="1.2" class="eye"/>',
    "B": '<path d="M15 35c0-4 3-4 3-7h9c0 3 3 3 3 7z"/>'
    '<path d="M22.5 10c5 4 8 8 8 12.5 0 3-3 5.5-8 5.5s-8-2.5-8-5.5c0-4.5 3-8.5 8-12.5z"/>'
    '<circle cx="22.5" cy="8" r="2.5"/><path d="M22.5 16v7M19 19.5h7" class="line"/>',
    "Q": '<path d="M13 35l-4.5-19 7 8 1.5-13 5.5 12 5.5-12 1.5 13 7-8-4.5 19z"/>'
    '<circle cx="8.5" cy="14" r="2.2"/><circle cx="17" cy="9.5" r="2.2"/>'
    '<circle cx="28" cy="9.5" r="2.2"/><circle cx="36.5" cy="14" r="2.2"/>',
    "K": '<path d="M14 35c-2-3-6-7-6-11.5 0-6 9-8 14.5-1 5.5-7 14.5-5 14.5 1 0 4.5-4 8.5-6 11.5z"/>'
    '<path d="M21 20v-6h-4v-3.5h4v-4h3v4h4v3.5h-4v6z"/>',
}
SHAPES = (
    '<svg class="shapes" width="0" height="0" aria-hidden="true"><defs>'
    + "".join(
        f'<g id="piece-{color}{letter}" class="{color}">{_BASE}{shape}</g>'
        for color in "wb"
        for letter, shape in _DRAWN.items()
    )
    + "</defs></svg>"
)
STYLE = """
.shapes { position: absolute; }
.board { display: block; width: 100%; max-width: 17rem; height: auto; border-radius: .3rem; }
.board .light { fill: #efe3cc; } .board .dark { fill: #b58c64; }
.board .moved { fill: #d9a521; fill-opacity: .62; }
.board text { font: 9px system-ui, sans-serif; fill: #4a3620; }
.board .arrow { stroke: #1f5f9f; fill: #1f5f9f; stroke-width: 5; stroke-opacity: .85; fill-opacity: .85; }
g.w, g.b { stroke-width: 1.5; stroke-linejoin: round; stroke-linecap: round; }
g.w { fill: #fffdf8; stroke: #222; } g.b { fill: #33312f; stroke: #0d0d0d; }
g.w .line { fill: none; stroke: #222; } g.b .line { fill: none; stroke: #efe9df; }
g.w .eye { fill: #222; stroke: none; } g.b .eye { fill: #efe9df; stroke: none; }
"""


def board(
    position: Position, *, moved: int | None = None, arrows: Sequence[int] = (), from_black: bool = False
) -> str:
    """A position as an SVG picture.

    Args:
        position: the pieces.
        moved: a move (code) whose two squares are marked.
        arrows: moves drawn as arrows.
        from_black: Black's side is below.
    """
    parts = []
    marked = {origin(moved), target(moved)} if moved is not None else set()
    pieces = position.pieces()
    for square in range(64):
        x, y = _corner(square, from_black)
        kind = "light" if (square + square // 8) % 2 else "dark"
        parts.append(f'<rect x="{x}" y="{y}" width="{_CELL}" height="{_CELL}" class="{kind}"/>')
        if square in marked:
            parts.append(f'<rect x="{x}" y="{y}" width="{_CELL}" height="{_CELL}" class="moved"/>')
        piece = PIECES[pieces[square]]
        if piece != " ":
            name = ("w" if piece.isupper() else "b") + piece.upper()
            parts.append(f'<use href="#piece-{name}" x="{x}" y="{y}"/>')
    parts += [_arrow(code, from_black) for code in arrows]
    for k in range(8):
        file, rank = "abcdefgh"[7 - k if from_black else k], k + 1 if from_black else 8 - k
        parts.append(f'<text x="{k * _CELL + 37}" y="357">{file}</text>')
        parts.append(f'<text x="2" y="{k * _CELL + 10}">{rank}</text>')
    side = ("White", "Black")[position.turn]
    return (
        f'<svg class="board" viewBox="0 0 360 360" role="img" aria-label="{side} to move: {position.fen}">'
        f"{''.join(parts)}</svg>"
    )


def _corner(square: int, from_black: bool) -> tuple[int, int]:
    file, rank = square & 7, square >> 3
    return ((7 - file) * _CELL, rank * _CELL) if from_black else (file * _CELL, (7 - rank) * _CELL)


def _arrow(code: int, from_black: bool) -> str:
    """An arrow from the middle of one square to the middle of another."""
    (x0, y0), (x1, y1) = (
        (x + _CELL / 2, y + _CELL / 2)
        for x, y in (_corner(origin(code), from_black), _corner(target(code), from_black))
    )
    length = math.hypot(x1 - x0, y1 - y0) or 1.0
    dx, dy = (x1 - x0) / length, (y1 - y0) / length
    bx, by = x1 - 14 * dx, y1 - 14 * dy
    head = f"{x1:.1f},{y1:.1f} {bx - 8 * dy:.1f},{by + 8 * dx:.1f} {bx + 8 * dy:.1f},{by - 8 * dx:.1f}"
    return (
        f'<line class="arrow" x1="{x0:.1f}" y1="{y0:.1f}" x2="{bx:.1f}" y2="{by:.1f}"/>'
        f'<polygon points="{head}" class="arrow" style="stroke:none"/>'
    )
