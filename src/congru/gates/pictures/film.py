"""The gate film: every gate of every unit at every step. What does each gate do, and when?"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from congru.errors import require
from congru.gates.layer import Layer
from congru.gates.strips import Strip, strips_of, unit_order
from congru.report.colors import reach_of
from congru.report.steps import Columns, average, columns_of, label_axis
from congru.report.style import WIDTH, Picture, color_map, new_figure, styled

QUESTION = "What does each gate do, and when?"
LIMIT = (
    "Units are sorted by timescale, longest memory on top. A gate says how much passes, not what it "
    "means: compare with the memory map before reading a story into it."
)


def film(
    layer: Layer,
    tokens: Sequence[str],
    row: int = 0,
    *,
    width: float = WIDTH,
    prefix: str = "film",
    steps: str = "steps",
) -> Picture:
    """The film of one row. In an SVG each heat map carries the id `<prefix>-<key>`, one image with T columns."""
    strips = strips_of(layer, row)
    order = unit_order(layer)
    num_steps = strips[0].values.shape[0]
    tokens = [tokens[step] for step in np.sort(layer.order(row))]
    columns = columns_of(num_steps)
    tall = float(np.clip(0.35 + layer.hidden_size / 64, 0.8, 1.7))
    with styled() as matplotlib:
        figure = new_figure(matplotlib, width, 0.55 + len(strips) * (tall + 0.32))
        rows = figure.subplots(len(strips), 1, sharex=True, squeeze=False)[:, 0]
        for axes, strip in zip(rows, strips):
            image = _heat(matplotlib, axes, strip, columns, order)
            image.set_gid(f"{prefix}-{strip.key}")
            axes.set_title(strip.title)
            bar = figure.colorbar(image, ax=axes, fraction=0.02, pad=0.008, aspect=12)
            bar.outline.set_visible(False)
            bar.solids.set_gid(f"scale-{strip.key}")
            bar.ax.tick_params(length=2, labelsize=7)
        label_axis(rows[-1], tokens, columns, int(width * 11), steps=steps)
    return Picture("film", figure, f"{QUESTION} {layer.title}", LIMIT)


def _heat(matplotlib: Any, axes: Any, strip: Strip, columns: Columns, order: Any) -> Any:
    values = average(strip.values, columns).T[order]
    normalize = require("matplotlib.colors", "plots").Normalize
    reach = reach_of(values)
    norm = normalize(-reach, reach) if strip.signed else normalize(0, 1)
    image = axes.imshow(
        values, aspect="auto", interpolation="none", norm=norm, cmap=color_map(matplotlib, strip.signed)
    )
    size = len(order)
    axes.set_yticks(
        [0, size - 1] if size > 1 else [0], [str(unit) for unit in order[[0, -1][: min(size, 2)]]]
    )
    axes.set_ylabel(f"{size} units")
    for spine in axes.spines.values():
        spine.set_visible(False)
    axes.tick_params(length=0)
    return image
