"""The memory map: signed bars under the tokens. What does this prediction stand on, and how far can the bars be trusted?"""

from __future__ import annotations

from typing import Any

import numpy as np

from congru.gates.memory import Memory
from congru.gates.sensitivity import trust_sentence
from congru.gates.weights import Array
from congru.report.steps import Columns, columns_of, label_axis, named, total
from congru.report.style import BLUE, GREY, INK, ORANGE, PALE, WIDTH, Picture, new_figure, styled

QUESTION = "What does this prediction stand on?"
LIMIT = (
    "A bar means written at that step, not caused by it: the candidate already holds older context, read "
    "through U and the reset gate. Bars, start and bias sum exactly to the output. Low trust: the truth "
    "took other paths."
)


def memory_map(memory: Memory, *, width: float = WIDTH, steps: str = "steps") -> Picture:
    """Contributions per step (summed within a column of a long input), the trust share of each step below.

    Where the last steps hold 99.5 % of all shares in size, only those are drawn, and the rest is one number.
    """
    begin, end = window(memory)
    tokens = memory.tokens[begin:end]
    columns = columns_of(end - begin)
    bars = total(memory.contributions[begin:end], columns)
    with styled() as matplotlib:
        figure = new_figure(matplotlib, width, 3.9)
        upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=[3, 1])
        _bars(upper, bars, memory.at - begin, columns)
        _trust(lower, memory.trust[begin:end], columns)
        name = name_of(memory.target)
        gap = "\n" if len(name) > 18 else " "  # a title must fit above its picture
        title = f"shares in {name}:{gap}orange for, blue against"
        if begin:
            title += f"\nthe {begin} {steps} before together {memory.contributions[:begin].sum():+.3f}"
        upper.set_title(title)
        lower.set_xlim(-0.5, len(bars) - 0.5)
        label_axis(lower, tokens, columns, int(width * 11), steps=steps)
        if begin:
            lower.set_xlabel(f"{steps} {begin + 1} to {end}")
    share = f"trust share {memory.share:.2f}: {trust_sentence(memory.share)}"
    return Picture("memory", figure, f"{QUESTION} {_sum(memory)}", f"{share}. {LIMIT}")


def window(memory: Memory) -> tuple[int, int]:
    """The steps worth drawing, [begin, end): all, or the last ones where they hold 99.5 % of a much longer input."""
    size = np.abs(memory.contributions)
    written = np.flatnonzero(size)
    end = max(memory.at, int(written[-1]) if len(written) else 0) + 1
    held = np.cumsum(size[end - 1 :: -1])
    needed = int(np.searchsorted(held, 0.995 * held[-1])) + 1
    shown = max(24, needed + needed // 4)
    return (end - shown if shown < end / 2 else 0), end


def name_of(target: str) -> str:
    """An output's name; spaces are marked where one would not see them: of a token such as " the", not of a name.

    A single letter or sign stands in quotation marks, that nobody reads it as part of the sentence.

    >>> name_of(" the"), name_of("\\n"), name_of("output 0"), name_of("l")
    ('␣the', '↵', 'output 0', '“l”')
    """
    name = named(target)
    return f"“{name}”" if len(target) == 1 and target.isprintable() and not target.isspace() else name


def _sum(memory: Memory) -> str:
    written = float(memory.contributions.sum())
    return (
        f"{name_of(memory.target)} = {memory.output:+.3f}: written {written:+.3f}, start "
        f"{memory.start:+.3f}, bias {memory.bias:+.3f}"
    )


def _bars(axes: Any, bars: Array, at: int, columns: Columns) -> None:
    axes.bar(np.arange(len(bars)), bars, width=0.85, color=np.where(bars >= 0, ORANGE, BLUE))
    axes.axhline(0, color=INK, linewidth=0.6)
    axes.axvline(at / columns.per_column, color=GREY, linewidth=0.8, linestyle=":", zorder=0)
    axes.set_ylabel("share")
    low, high = min(0.0, float(bars.min())), max(0.0, float(bars.max()))
    span = (high - low) or 1.0
    axes.set_ylim(low - 0.12 * span * (low < 0) - 0.02 * span, high + 0.12 * span * (high > 0) + 0.02 * span)
    decimals = max(2, 2 - int(np.floor(np.log10(max(high, -low, 1e-9)))))
    for bar in _tellable(bars):
        side = "bottom" if bars[bar] > 0 else "top"
        axes.annotate(
            f"{bars[bar]:+.{decimals}f}", (bar, bars[bar]), ha="center", va=side, fontsize=7, color=INK
        )


def _tellable(bars: Array) -> list[int]:
    """Up to five of the largest bars, far enough apart for their numbers."""
    gap = max(1, len(bars) // 25)
    chosen: list[int] = []
    for bar in np.argsort(-np.abs(bars), kind="stable"):
        apart = all(abs(int(bar) - other) > gap for other in chosen)
        if len(chosen) < 5 and apart and abs(bars[bar]) > 0.05 * np.abs(bars).max() > 0:
            chosen.append(int(bar))
    return chosen


def _trust(axes: Any, trust: Array, columns: Columns) -> None:
    columns_at = np.arange(len(trust)) / columns.per_column
    axes.axhspan(0.7, 1.3, color=PALE, alpha=0.6, linewidth=0)
    axes.plot(
        columns_at,
        np.clip(trust, -0.2, 2.0),
        color=INK,
        linewidth=1.2,
        marker="." if len(trust) < 80 else None,
    )
    axes.set_ylim(-0.25, 2.05)
    axes.set_yticks([0, 1, 2], ["0", "1", "2+"])
    axes.set_title("trust share (grey band: a clean conveyor)")
