"""Gates in a terminal: a compact heat map, time to the right, units downwards, tokens where they fit.

With colour each character shows two rows as an upper and a lower half block in 24-bit colours; without,
five shades.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from congru.errors import CongruError
from congru.gates.layer import Layer
from congru.gates.strips import Strip, strips_of, unit_order
from congru.gates.weights import Array
from congru.report.colors import color, reach_of
from congru.report.steps import Columns, average, columns_of, named, printable, tick_labels

SHADES = " ░▒▓█"
LONGEST = 16  # characters of a name under the axis


def heat_map(
    values: Array, *, width: int = 76, height: int = 8, signed: bool = False, colored: bool = False
) -> str:
    """values [T, H] as `height` lines of at most `width` characters; larger arrays are averaged in equal parts.

    Shares 0..1 go from blank to full; signed values are shown by size, with colour by sign.

    >>> print(heat_map(np.array([[0.0, 1.0], [1.0, 0.5]]), height=2))
     █
    █▒
    """
    if values.ndim != 2 or 0 in values.shape:
        raise CongruError(
            f"values has shape {values.shape}, expected [T, H] with at least one of each: pass one gate"
        )
    columns = columns_of(values.shape[0], width)
    rows = height * 2 if colored else height
    values = np.abs(values) if signed and not colored else values
    small = average(average(values, columns).T, columns_of(values.shape[1], rows))
    reach = reach_of(values) if signed else 1.0
    if colored:
        return _half_blocks(small, signed, reach)
    shades = np.clip(small / reach * (len(SHADES) - 1) + 0.5, 0, len(SHADES) - 1).astype(int)
    return "\n".join("".join(SHADES[shade] for shade in line) for line in shades)


def film_text(
    layer: Layer,
    tokens: Sequence[str],
    row: int = 0,
    *,
    gates: Sequence[str] = ("keep", "state"),
    width: int = 76,
    height: int = 6,
    colored: bool = False,
) -> str:
    """The film of one row as text: the strips named in `gates` (keep, reset, candidate, state, ...), then the tokens.

    A short input is stretched, so that its words stand under their steps; of a long one as many are named as fit.
    """
    strips = {strip.key: strip for strip in strips_of(layer, row)}
    order = unit_order(layer)
    chosen = [strips[key] for key in gates if key in strips]
    if not chosen:
        raise CongruError(
            f"gates is {tuple(gates)}, expected some of {', '.join(strips)}: this layer has no other"
        )
    steps = np.sort(layer.order(row))
    read = [tokens[step] for step in steps]
    longest = max(len(named(token)) for token in read)
    wide = 1 if longest == 1 else max(1, min(width // len(read), longest + 1))  # characters of a step
    lines = []
    for strip in chosen:
        lines.append(_heading(strip))
        values = np.repeat(strip.values[:, order], wide, axis=0)
        lines.append(heat_map(values, width=width, height=height, signed=strip.signed, colored=colored))
    lines.append(_axis(read, columns_of(len(steps), width), wide))
    return "\n".join(lines)


def _heading(strip: Strip) -> str:
    scale = "by size" if strip.signed else "blank 0, full 1"
    return f"{strip.title}  [{scale}; longest memory on top]"


def _axis(tokens: Sequence[str], columns: Columns, wide: int = 1) -> str:
    """The tokens, each beginning under its step of `wide` characters, as many as fit; of a long text snippets to be read.

    >>> _axis(["a", "word", "or", "two"], Columns(np.arange(4), 4), 3), _axis(list("to be"), Columns(np.arange(5), 5))
    ('a  word  two', 'to␣be')
    """
    if wide == 1 and all(len(token) <= 1 for token in tokens):
        if columns.per_column == 1:
            return "".join(map(printable, tokens))
        labelled, texts, _ = tick_labels(tokens, len(columns.begins))
    else:
        labelled, texts = list(range(len(tokens))), [named(token) for token in tokens]
    line = ""
    for step, text in zip(labelled, texts):
        begin = int(step * wide / columns.per_column)
        if not line or begin > len(line):
            line = line.ljust(begin) + text[:LONGEST]
    return line


def _half_blocks(small: Array, signed: bool, reach: float) -> str:
    if len(small) % 2:
        small = np.concatenate([small, small[-1:]])
    pixels = color(small, signed, reach)
    lines = []
    for upper, lower in zip(pixels[::2], pixels[1::2]):
        cells = [
            f"\x1b[38;2;{a[0]};{a[1]};{a[2]};48;2;{b[0]};{b[1]};{b[2]}m▀"
            for a, b in zip(upper.tolist(), lower.tolist())
        ]
        lines.append("".join(cells) + "\x1b[0m")
    return "\n".join(lines)
