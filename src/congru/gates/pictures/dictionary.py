"""The unit dictionary as a picture: on what is each unit high, on what low?"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from congru.gates.units import Entry, Snippet
from congru.report.steps import printable
from congru.report.style import BLUE, GREY, INK, ORANGE, Picture, new_figure, styled

QUESTION = "What does each unit go with?"
LIMIT = (
    "The highest and lowest moments of a unit over this corpus, at least a snippet apart. They show "
    "company, not purpose: hold the unit with clamp() to see what depends on it."
)


def dictionary(entries: Sequence[Entry], *, width: float = 10.0) -> Picture:
    """One block per unit: highest moments on the left (orange), lowest on the right (blue), the token in brackets."""
    lines = max((max(len(entry.high), len(entry.low)) for entry in entries), default=1)
    with styled() as matplotlib:
        figure = new_figure(matplotlib, width, 0.5 + len(entries) * (0.42 + 0.19 * lines))
        every = figure.subplots(len(entries), 1, squeeze=False)[:, 0]
        for axes, entry in zip(every, entries):
            axes.set_axis_off()
            axes.set_xlim(0, 1)
            axes.set_ylim(lines, -0.3)
            axes.set_title(f"unit {entry.unit}   (its state spans {entry.span:.2f})")
            _column(axes, 0.0, entry.high, ORANGE)
            _column(axes, 0.5, entry.low, BLUE)
    return Picture("dictionary", figure, QUESTION, LIMIT)


def _column(axes: Any, left: float, snippets: Sequence[Snippet], color: str) -> None:
    for line, snippet in enumerate(snippets):
        before, after = _text(snippet.before)[-22:], _text(snippet.after)[:12]
        axes.text(left, line, f"{snippet.value:+.2f}", color=color, fontsize=8, family="monospace", va="top")
        axes.text(
            left + 0.25, line, f"{before}[", color=GREY, fontsize=8, family="monospace", va="top", ha="right"
        )
        token = printable(snippet.token)[:12]
        axes.text(
            left + 0.25, line, token, color=INK, fontsize=8, family="monospace", va="top", weight="bold"
        )
        shift = 0.0085 * len(token)
        axes.text(
            left + 0.25 + shift, line, f"]{after}", color=GREY, fontsize=8, family="monospace", va="top"
        )


def _text(tokens: Sequence[str]) -> str:
    joined = "".join if all(len(token) <= 1 for token in tokens) else " ".join
    return joined(token if token == " " else printable(token) for token in tokens)
