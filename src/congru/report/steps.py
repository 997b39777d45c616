"""The axis of steps: the input's own tokens, as many as fit, and long inputs aggregated into equal parts.

Above 200 steps neighbouring steps are averaged into at most 200 columns, so that a column is a mean of
whole steps and nothing is smeared over a border between pixels.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

Array: TypeAlias = npt.NDArray[np.floating[Any]]
MAX_COLUMNS = 200
_SHOWN = {" ": "␣", "\n": "↵", "\t": "⇥", "\r": "↵"}


class Columns(NamedTuple):
    """Where each column begins, [C] steps, and the number of steps; column c holds begins[c] .. begins[c+1] - 1."""

    begins: npt.NDArray[np.int64]
    num_steps: int

    @property
    def per_column(self) -> float:
        """Steps in a column, on average."""
        return self.num_steps / len(self.begins)


def columns_of(num_steps: int, most: int = MAX_COLUMNS) -> Columns:
    """Equal parts of num_steps steps: one each up to `most`, else the fewest steps per part that fit.

    >>> columns_of(5, 2).begins.tolist()
    [0, 3]
    """
    size = -(-num_steps // most)
    return Columns(np.arange(0, num_steps, size), num_steps)


def average(values: Array, columns: Columns) -> Array:
    """The mean of each column along the first axis, [T, ...] -> [C, ...]."""
    counts = np.diff(np.append(columns.begins, columns.num_steps))
    sums = np.add.reduceat(np.asarray(values, np.float64), columns.begins, axis=0)
    result: Array = sums / counts.reshape(-1, *[1] * (sums.ndim - 1))
    return result


def total(values: Array, columns: Columns) -> Array:
    """The sum of each column along the first axis, [T, ...] -> [C, ...]."""
    result: Array = np.add.reduceat(np.asarray(values, np.float64), columns.begins, axis=0)
    return result


def printable(token: str) -> str:
    """A token as one can see it: spaces and line ends by their signs, other control characters by their number.

    >>> printable(" a"), printable("\\n"), printable("\\x00")
    ('␣a', '↵', '\\\\x00')
    """
    shown = "".join(
        _SHOWN.get(letter, letter if letter.isprintable() else ascii(letter)[1:-1]) for letter in token
    )
    return shown or "∅"


def named(token: str) -> str:
    """A token as a name: with its signs only where blanks begin or end it, so that "24 Dec" stays as it is.

    >>> named("24 Dec"), named(" the"), named("\\n")
    ('24 Dec', '␣the', '↵')
    """
    return token if token == token.strip() and token.isprintable() and token else printable(token)


def shorten(text: str, most: int) -> str:
    """A text of at most that many characters, its cut marked.

    >>> shorten("Fri 30 Oct", 12), shorten("a long label", 7)
    ('Fri 30 Oct', 'a long…')
    """
    return text if len(text) <= most else text[: most - 1].rstrip() + "…"


def tick_labels(tokens: Sequence[str], room: int) -> tuple[list[int], list[str], bool]:
    """Which steps to label, with what, and whether upright; `room` is how many narrow characters fit side by side.

    Every token where they fit; single characters of a longer text as snippets that can be read; else every k-th.

    >>> tick_labels(["mon", "tue"], 20), tick_labels(list("the quick brown fox"), 24)
    (([0, 1], ['mon', 'tue'], False), ([0, 10], ['the quick', 'brown fox'], False))
    """
    count = len(tokens)
    shown = [named(token) for token in tokens]
    widest = max(map(len, shown), default=1)
    if count * (widest + 0.6) <= room:
        return list(range(count)), shown, False
    if all(len(token) <= 1 for token in tokens):
        stride = _nice(max(4, -(-count * 10 // room)))
        width = max(3, int(room * stride / count) - 1)
        labelled = [step for step in range(0, count, stride) if step == 0 or count - step > stride // 2]
        text = "".join(" " if token in (" ", "") else printable(token) for token in tokens)
        return labelled, [text[step : step + min(stride, width)].strip() or "␣" for step in labelled], False
    upright = widest > 4
    stride = _nice(-(-int(count * (1.9 if upright else widest + 1.5)) // room))
    labelled = list(range(0, count, stride))
    return (
        labelled,
        [shorten(shown[step], 14) for step in labelled],
        upright,
    )


def label_axis(
    axes: Any, tokens: Sequence[str], columns: Columns, room: int, label: bool = True, steps: str = "steps"
) -> None:
    """Put the tokens under an axis whose columns are one unit wide and centred on whole numbers.

    `steps`: what steps are called, in the plural.
    """
    labelled, texts, upright = tick_labels(tokens, room)
    at = [step / columns.per_column for step in labelled] if columns.per_column > 1 else labelled
    snippets = columns.per_column > 1 or any(len(text) > 1 for text in texts)
    axes.set_xticks(at, texts, rotation=90 if upright else 0, ha="center")
    if all(len(token) <= 1 for token in tokens) and snippets:
        for text in axes.get_xticklabels():
            text.set_ha("left")
    axes.tick_params(axis="x", length=2, pad=2)
    if label:
        note = f"{columns.num_steps} {steps}"
        if columns.per_column > 1:
            note += f", each column the mean of up to {int(np.ceil(columns.per_column))}"
        axes.set_xlabel(note)


def _nice(stride: int) -> int:
    """The next of 1, 2, 5, 10, 20, 50, ... at or above a stride.

    >>> _nice(3), _nice(11)
    (5, 20)
    """
    scale = 1
    while True:
        for digit in (1, 2, 5):
            if digit * scale >= stride:
                return digit * scale
        scale *= 10
