"""Where the words of a translation looked: the weights of attention between whole words, as text and as a table of a page.

a_jk = sum over source pieces s of word k, mean over target pieces t of word j, of w_ts
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from congru.report.markup import escape, figure
from congru.tasks.translate.tokens import Vocabulary
from congru.tasks.translate.translator import Translation, Translator

END = "(end)"
_CELL, _LETTER = 24, 8  # pixels


class Alignment(NamedTuple):
    """Words of both sides, the end of the sentence last, and weights [target words, source words]; rows add up to 1."""

    source: list[str]
    target: list[str]
    weights: NDArray[np.float64]


def words_of(vocabulary: Vocabulary, ids: Sequence[int]) -> tuple[list[str], list[int]]:
    """The words that tokens make, and for every token the number of its word."""
    words: list[str] = []
    numbers: list[int] = []
    for index, piece in zip(ids, vocabulary.pieces(ids)):
        if vocabulary.starts_word(index) or not words:
            words.append("")
        words[-1] += piece
        numbers.append(len(words) - 1)
    return [word.strip() for word in words], numbers


def align(translator: Translator, text: str, translation: Translation) -> Alignment:
    """The attention of one translation, by whole words.

    Raises:
        SettingsError: the model has no attention.
    """
    encoded = translator.encode([text])
    pieces = translator.attention(encoded, 0, translation.tokens).astype(np.float64)
    source, columns = words_of(translator.source, encoded.ids[0][:-1])
    target, rows = words_of(translator.target, translation.tokens)
    columns, rows = [*columns, len(source)], [*rows, len(target)]
    weights = np.zeros((len(target) + 1, len(source) + 1))
    for row, weight in zip(rows, pieces):
        np.add.at(weights[row], columns, weight)
    return Alignment([*source, END], [*target, END], weights / np.bincount(rows)[:, None])


def alignment_text(translator: Translator, text: str, translation: Translation) -> str:
    """A line for each word of the translation: the source words it looked at most, with their shares."""
    alignment = align(translator, text, translation)
    width = max(map(len, alignment.target))
    lines = []
    for word, weights in zip(alignment.target, alignment.weights):
        best = [k for k in np.argsort(-weights, kind="stable")[:3].tolist() if weights[k] >= 0.05]
        lines.append(
            f"  {word:<{width}}  " + "  ".join(f"{alignment.source[k]} {weights[k]:.0%}" for k in best)
        )
    return "\n".join(lines)


def alignment_html(translator: Translator, text: str, translation: Translation) -> str:
    """The sentence, its translation, and the weights as a picture."""
    alignment = align(translator, text, translation)
    head = f"<p>{escape(text)}<br><b>{escape(translation.text)}</b> (score {translation.score:.3f})</p>"
    return head + figure(alignment_svg(alignment))


def alignment_svg(alignment: Alignment) -> str:
    """The weights as squares: source words across, the translation down; darker is more."""
    left, top = (_LETTER * max(map(len, words)) + _CELL for words in (alignment.target, alignment.source))
    width, height = left + _CELL * len(alignment.source), top + _CELL * len(alignment.target)
    # the words across lean to the right, over the last column
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width + top} {height}" width="{width + top}"'
        f' height="{height}" font-family="sans-serif" font-size="13">'
    ]
    for column, word in enumerate(alignment.source):
        x, y = left + _CELL * column + _CELL // 2, top - 6
        parts.append(f'<text x="{x}" y="{y}" transform="rotate(-60 {x} {y})">{escape(word)}</text>')
    for row, (word, weights) in enumerate(zip(alignment.target, alignment.weights)):
        y = top + _CELL * row
        parts.append(f'<text x="{left - 6}" y="{y + 16}" text-anchor="end">{escape(word)}</text>')
        for column, weight in enumerate(weights.tolist()):
            parts.append(
                f'<rect x="{left + _CELL * column}" y="{y}" width="{_CELL}" height="{_CELL}" stroke="#ccc"'
                f' fill="#14508c" fill-opacity="{weight:.3f}"><title>{escape(word)} looks at'
                f" {escape(alignment.source[column])}: {weight:.1%}</title></rect>"
            )
    return "".join([*parts, "</svg>"])
