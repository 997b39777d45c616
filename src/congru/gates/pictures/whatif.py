"""The what-if picture: what changes when a gate is held?"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from congru.gates.weights import Array
from congru.gates.whatif import WhatIf
from congru.report.steps import Columns, average, columns_of, label_axis, printable
from congru.report.style import BLUE, LINES, ORANGE, Picture, new_figure, styled

QUESTION = "What if this gate had been held?"
LIMIT = (
    "The layer never saw such states in training: a large change shows that something there was used, "
    "not how it was used. A small change shows that it was not needed on this input."
)


def what_if(held: WhatIf, tokens: Sequence[str], row: int = 0, *, width: float = 10.0) -> Picture:
    """How far the top state moved at each step, and the outputs that moved most, before and after."""
    length = len(tokens)
    columns = columns_of(length)
    outputs = None if held.outputs is None else tuple(part[row] for part in held.outputs)
    over_time = outputs is not None and outputs[0].ndim == 2
    with styled() as matplotlib:
        figure = new_figure(matplotlib, width, 4.2 if outputs is not None else 2.4)
        every = figure.subplots(2 if outputs is not None else 1, 1, squeeze=False)[:, 0]
        moved = average(100 * held.moved[row, :length], columns)
        every[0].fill_between(np.arange(len(moved)), moved, step="mid", color=BLUE, alpha=0.6, linewidth=0)
        every[0].set_ylim(0, max(1e-9, float(moved.max())) * 1.1)
        every[0].set_ylabel("state moved, %")
        every[0].set_title(held.question)
        every[0].set_xlim(-0.5, len(moved) - 0.5)
        if outputs is None or not over_time:
            label_axis(every[0], tokens, columns, int(width * 11))
        if outputs is not None and over_time:
            _lines(every[1], outputs[0][:length], outputs[1][:length], held.labels, columns)
            every[1].set_xlim(-0.5, len(moved) - 0.5)
            every[0].set_xticks([])
            label_axis(every[1], tokens, columns, int(width * 11))
        elif outputs is not None:
            _bars(every[1], outputs[0], outputs[1], held.labels)
    loss = "" if held.loss is None else f" Loss {held.loss[0]:.4f} before, {held.loss[1]:.4f} with it held."
    return Picture("whatif", figure, QUESTION + loss, LIMIT)


def _lines(axes: Any, before: Array, after: Array, labels: Sequence[str], columns: Columns) -> None:
    most = np.argsort(-np.abs(after - before).max(axis=0))[:3]
    for color, output in zip(LINES, most):
        axes.plot(
            average(before[:, output], columns), color=color, linewidth=1.4, label=printable(labels[output])
        )
        axes.plot(average(after[:, output], columns), color=color, linewidth=1.4, linestyle="--")
    axes.set_ylabel("output")
    axes.set_title("the outputs that moved most: solid as it was, dashed with the gate held")
    axes.legend(loc="lower right", bbox_to_anchor=(1, 0.98), ncols=3, borderaxespad=0.2)


def _bars(axes: Any, before: Array, after: Array, labels: Sequence[str]) -> None:
    most = np.sort(np.argsort(-np.abs(after - before))[:16])
    slots = np.arange(len(most))
    axes.bar(slots - 0.2, before[most], width=0.38, color=BLUE, label="as it was")
    axes.bar(slots + 0.2, after[most], width=0.38, color=ORANGE, label="with the gate held")
    axes.set_xticks(slots, [printable(labels[output])[:12] for output in most])
    axes.legend(loc="best", ncols=2)
