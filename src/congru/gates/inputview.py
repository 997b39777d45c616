"""The input itself, each step coloured by its exact share of a prediction, and beside it what the model predicts.

Without a script the last prediction is shown. With it, the prediction made at the step under the pointer (or chosen with
the arrow keys), and the share for whichever of the named outputs is picked.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from typing import Any

import numpy as np

from congru.gates.opening import printable_name
from congru.gates.reading import Choice, Prediction, Reading
from congru.gates.weights import Array
from congru.report.markup import data_block, escape
from congru.report.steps import printable

STRONGEST = 0.7  # opacity of the largest share: the text stays readable on light and on dark
FOR, AGAINST = "217,115,26", "47,120,183"


def input_view(reading: Reading, predictions: Sequence[Prediction], length: int) -> str:
    """The view as HTML, with its numbers for the script; `length` is the number of steps read."""
    last = predictions[-1] if predictions else None
    shares = None if last is None else last.choices[0].shares
    colors = _opacities(shares, length)
    steps = [_step(reading, k, value, length) for k, value in enumerate(colors)]
    kind = "running" if reading.flow else "cards"
    joined = (reading.gap if reading.flow else " ").join(steps)
    hint = (
        f'<p class="note" id="view-hint">{"" if shares is None else _legend(reading)}<span hidden>Point at a '
        f"{escape(reading.step)}, or use the arrow keys.</span></p>"
    )
    beside = "" if last is None else _beside(reading, last)
    return (
        f'<div class="view"><div class="read {kind}" id="steps" role="group" tabindex="0" aria-describedby="view-hint" '
        f'aria-label="what the model read, {escape(reading.count(length))}">{joined}</div>'
        f'<div class="said" id="said" aria-live="polite">{beside}</div></div>{hint}'
        + data_block("congru-view", _numbers(reading, predictions, length))
    )


def _legend(reading: Reading) -> str:
    """What the colours mean."""
    step = escape(reading.step)
    if reading.adds_up:
        return f"Orange: this {step} speaks for the prediction, blue: against it; the stronger, the larger its share. "
    return (
        f"Orange: without what this {step} wrote into the state the prediction would be less probable, blue: more; the stronger,"
        " the more bits. The parts of the state are exact, their bits do not add up. "
    )


def _step(reading: Reading, k: int, value: float, length: int) -> str:
    token = str(reading.tokens[k])
    color = FOR if value >= 0 else AGAINST
    style = f' style="background:rgba({color},{abs(value):.3f})"' if abs(value) >= 0.005 else ""
    if reading.flow:
        shown = escape(token.replace("\r", "")) if token.strip() or token == " " else _breaks(token)
        return f'<span data-k="{k}"{style}>{shown}</span>'
    picture = reading.pictures[k] if k < len(reading.pictures) else ""
    below = f"<small>{escape(reading.values[k])}</small>" if k < len(reading.values) else ""
    return f'<span data-k="{k}"{style}>{picture}<b>{escape(printable_name(token))}</b>{below}</span>'


def _breaks(token: str) -> str:
    """White space of a running text, its line ends visible."""
    return "".join(
        "<i>↵</i>\n" if letter == "\n" else letter if letter in " \t" else escape(printable(letter))
        for letter in token
    )


def _beside(reading: Reading, prediction: Prediction) -> str:
    """The list of what is predicted, as the script writes it too."""
    rows = "".join(_choice(one, prediction.actual, k == 0) for k, one in enumerate(prediction.choices))
    return f'<p class="asked">{escape(reading.predicts)}</p><ol>{rows}</ol>'


def _choice(choice: Choice, actual: str, chosen: bool) -> str:
    mark = " class=chosen" if chosen else ""
    tick = " ✓" if actual and actual == choice.name else ""
    width = max(0.0, min(1.0, choice.bar if np.isfinite(choice.bar) else 0.0))
    return (
        f'<li{mark}><b>{escape(printable_name(choice.name))}{tick}</b><span class="bar"><i style="width:{100 * width:.1f}%"></i>'
        f"</span><em>{escape(choice.value)}</em></li>"
    )


def _opacities(shares: Array | None, length: int) -> list[float]:
    """Signed opacity of each step, the largest at `STRONGEST`."""
    if shares is None or not len(shares):
        return [0.0] * length
    largest = float(np.abs(shares).max()) or 1.0
    return [*(STRONGEST * shares / largest).tolist(), *[0.0] * (length - len(shares))]


def _numbers(reading: Reading, predictions: Sequence[Prediction], length: int) -> dict[str, Any]:
    return {
        "step": reading.step,
        "predicts": reading.predicts,
        "of": reading.of,
        "adds_up": reading.adds_up,
        "length": length,
        "strongest": STRONGEST,
        "colors": [FOR, AGAINST],
        "said": [
            {
                "at": one.at,
                "actual": one.actual,
                "choices": [
                    [
                        printable_name(choice.name),
                        choice.name,
                        choice.value,
                        round(float(np.nan_to_num(choice.bar)), 4),
                        *pack_shares(choice.shares),
                    ]
                    for choice in one.choices
                ],
            }
            for one in predictions
        ],
    }


def pack_shares(shares: Array | None) -> list[Any]:
    """Shares as scale and bytes of -127 to 127: enough for a colour and two digits."""
    if shares is None:
        return []
    scale = float(np.abs(shares).max(initial=0.0)) / 127 or 1.0
    small = np.round(np.asarray(shares, np.float64) / scale).astype(np.int8)
    return [float(f"{scale:.6g}"), base64.b64encode(small.tobytes()).decode()]
