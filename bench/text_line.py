"""Draws docs/shares.svg: lines of text, each character coloured by its exact share of what the model expects next.

    python -m bench.text_line MODEL ["text"] [--at 31 57 ...]

MODEL is a text model (`congru train text shakespeare.txt`). Every line of the picture is one prediction: the characters read so
far in their colours, then the likeliest next characters with their probabilities. The picture follows light and dark.
"""

from __future__ import annotations

import argparse
from typing import Any

import numpy as np

import congru
from bench.record import ROOT
from congru.gates.predictions import probable
from congru.gates.reading import Prediction
from congru.report.markup import escape
from congru.report.steps import printable
from congru.tasks.text.inspection import inspect_reading

TEXT = "JULIET:\nO Romeo, Romeo! wherefore art thou Romeo?"
CELL, HIGH, LEFT, TOP = 10.2, 25, 14, 56
ORANGE, BLUE = "#d9731a", "#2f78b7"
STYLE = (
    ".ink{fill:#1d1d1f}.soft{fill:#5f6368}.rest{fill:#9a9da1}.line{stroke:#1d1d1f}"
    "@media(prefers-color-scheme:dark){.ink{fill:#ececea}.soft{fill:#a9acb0}.rest{fill:#6d7075}.line{stroke:#ececea}}"
    "text{font-family:ui-monospace,SFMono-Regular,Menlo,Consolas,'DejaVu Sans Mono',monospace;font-size:16px}"
    ".title,.small{font-family:system-ui,-apple-system,'Segoe UI','DejaVu Sans',sans-serif}"
    ".title{font-size:17px;font-weight:600}.small{font-size:13px}"
)


def predictions(model: Any, text: str) -> tuple[list[str], list[Prediction]]:
    """The characters of a text, and what the model expects after each of them."""
    reading = inspect_reading(model, text)
    trace = congru.inspect(model, reading.x, tokens=reading.tokens, labels=reading.outputs)
    trace.check()
    return list(reading.tokens), probable(trace, reading.outputs, reading.came)


def draw(tokens: list[str], chosen: list[Prediction], title: str) -> str:
    """The picture as an SVG text."""
    lines = "".join(tokens).split("\n")
    block = (len(lines) + 1) * HIGH
    wide = int(2 * LEFT + CELL * max(map(len, lines)) + 210)
    high = TOP + len(chosen) * (block + 14) + 20
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {wide} {high}" width="{wide}" height="{high}" role="img"'
        f' aria-label="{escape(title)}"><style>{STYLE}</style><text class="ink title" x="{LEFT}" y="24">{escape(title)}</text>'
        f'<text class="soft small" x="{LEFT}" y="43">orange: speaks for the letter it expects most, blue: against it; grey:'
        " not read yet</text>"
    ]
    for number, one in enumerate(chosen):
        parts.append(_block(tokens, one, TOP + number * (block + 14), wide - 200))
    return "\n".join([*parts, "</svg>", ""])


def _block(tokens: list[str], one: Prediction, top: float, beside: float) -> str:
    """The text with the colours of one prediction, and the prediction to the right of it."""
    shares = one.choices[0].shares
    assert shares is not None
    largest = float(np.abs(shares).max())
    parts, x, y = [], float(LEFT), top + HIGH
    for k, token in enumerate(tokens):
        if k <= one.at and token != "\n" and abs(shares[k]) > 0.01 * largest:
            color = ORANGE if shares[k] > 0 else BLUE
            parts.append(
                f'<rect x="{x:.1f}" y="{y - 17:.1f}" width="{CELL}" height="22" rx="2" fill="{color}"'
                f' fill-opacity="{0.75 * abs(shares[k]) / largest:.2f}"/>'
            )
        if k == one.at:
            parts.append(
                f'<line class="line" x1="{x:.1f}" x2="{x + CELL:.1f}" y1="{y + 7:.1f}" y2="{y + 7:.1f}" stroke-width="2"/>'
            )
        if token == "\n":
            x, y = float(LEFT), y + HIGH
            continue
        if token != " ":
            kind = "ink" if k <= one.at else "rest"
            parts.append(
                f'<text class="{kind}" x="{x + CELL / 2:.1f}" y="{y:.1f}" text-anchor="middle">{escape(token)}</text>'
            )
        x += CELL
    for rank, choice in enumerate(one.choices[:3]):
        level = top + HIGH * (1 + rank)
        name = escape(printable(choice.name))
        parts.append(
            f'<text class="ink" x="{beside:.1f}" y="{level:.1f}">{name}</text>'
            f'<rect x="{beside + 26:.1f}" y="{level - 11:.1f}" width="{max(1.5, 90 * choice.bar):.1f}" height="9" rx="2"'
            f' fill="{ORANGE if rank == 0 else "#8a8d91"}"/>'
            f'<text class="soft small" x="{beside + 126:.1f}" y="{level:.1f}">{escape(choice.value)}</text>'
        )
    return "".join(parts)


def main() -> None:
    """Read the text with the model and write the picture."""
    parser = argparse.ArgumentParser()
    parser.add_argument("model")
    parser.add_argument("text", nargs="?", default=TEXT)
    parser.add_argument(
        "--at", type=int, nargs="+", default=[], help="characters read before each prediction"
    )
    arguments = parser.parse_args()
    tokens, all_predictions = predictions(congru.load(arguments.model), arguments.text)
    for one in () if arguments.at else all_predictions:
        best = one.choices[0]
        print(
            f"{one.at + 1:>4} {''.join(tokens[max(0, one.at - 20) : one.at + 1])!r:<26} {best.name!r} {best.value}"
        )
    chosen = [all_predictions[count - 1] for count in arguments.at or [len(tokens)]]
    title = "What a GRU's next letter stands on"
    (ROOT / "docs" / "shares.svg").write_text(draw(tokens, chosen, title), encoding="utf-8")


if __name__ == "__main__":
    main()
