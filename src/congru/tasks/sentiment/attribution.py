"""On which words a decision stands: exact shares of the evidence for a class, word by word.

    evidence_c = logit_c - mean of the other logits            for two classes: the log-odds before the temperature
    pooled     = sum_t P_t . y_t     P: 1/T (mean), attention's weights, or 1 where a unit is largest (max)
    evidence   = sum over words of (written at the word + naive Bayes there) + start + constant + residual

"Written at the word" is the exact memory of `congru.gates.memory` (Du et al. 2019) for the linear read-out u_t = W P_t, in
both directions; the weights of attention and the places of the maxima are held as they are. It is exact for the top layer:
what is written at a word already holds the context that the candidate has read. An RNN has no such shares: its part is told
as a whole. An LSTM's shares are those of its cell, its output gate held as it was.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from congru.errors import SettingsError
from congru.gates.form import KEEP
from congru.gates.memory import attribute
from congru.gates.record import Record
from congru.gates.sensitivity import trust_sentence
from congru.gates.sources.model_folder import trace_network
from congru.gates.target import top_states
from congru.report.colors import color
from congru.report.markup import escape, paragraphs
from congru.tasks.sentiment.classifier import Classifier

Doubles = NDArray[Any]
_WIDTH = 100


@dataclass(frozen=True)
class Explained:
    """Shares of the evidence for `target`: sum(written) + sum(counted) + start + constant + residual = evidence.

    written [T] by the recurrent layer at each word, counted [T] by naive Bayes; `constant` holds bias and prior; `trust`
    how far the shares are the truth (see `congru.gates.sensitivity`), NaN where there are none.
    """

    pieces: list[str]
    target: str
    probabilities: dict[str, float]
    written: Doubles
    counted: Doubles
    start: float
    constant: float
    evidence: float
    residual: float
    trust: float

    @property
    def shares(self) -> Doubles:
        """What every word gives [T]."""
        return self.written + self.counted


def attribute_text(classifier: Classifier, text: str, target: str | None = None) -> Explained:
    """The shares of the evidence for a class, by default the most probable one.

    Raises:
        SettingsError: a class that the model does not have.
        DataError: a text without a word.
    """
    classes = classifier.classes
    encoded = classifier.steps.encode(text)
    probabilities = classifier.probabilities([text])[0]
    if target is not None and target not in classes:
        raise SettingsError(f"target is {target!r}, expected one of {', '.join(classes)}: choose one")
    index = int(probabilities.argmax()) if target is None else classes.index(target)
    contrast = np.full(len(classes), -1.0 / (len(classes) - 1))
    contrast[index] = 1.0
    traced, output, linears = trace_network(classifier.network, encoded.ids[None])
    record = Record(traced["rnn"], (tuple(encoded.pieces),))
    weight, bias = linears["head"]
    u = contrast @ weight.astype(np.float64)
    y = top_states(record, 0)
    cotangent = pool_weights(classifier, y) * u
    network_part = float(contrast @ np.asarray(output, np.float64).reshape(-1, len(classes))[-1])
    constant = 0.0 if bias is None else float(contrast @ bias.astype(np.float64))
    counted = np.zeros(len(encoded))
    if classifier.scale:
        counted = classifier.scale * (classifier.naive_bayes.evidence(encoded).astype(np.float64) @ contrast)
        constant += classifier.scale * float(classifier.naive_bayes.prior.astype(np.float64) @ contrast)
    if record.cell in KEEP:
        if record.cell == "lstm":
            cotangent = cotangent * _shown(record)
        memory = attribute(record, cotangent, on="cell" if record.cell == "lstm" else "state")
        written, start, trust = memory.contributions, memory.start, memory.share
    else:
        written, start, trust = np.zeros(len(encoded)), float((cotangent * y).sum()), float("nan")
    evidence = float(
        network_part + counted.sum() + (constant - (0.0 if bias is None else float(contrast @ bias)))
    )
    return Explained(
        pieces=encoded.pieces,
        target=classes[index],
        probabilities={name: float(p) for name, p in zip(classes, probabilities)},
        written=written,
        counted=counted,
        start=start,
        constant=constant,
        evidence=evidence,
        residual=evidence - float(written.sum() + counted.sum() + start + constant),
        trust=trust,
    )


def _shown(record: Record) -> Doubles:
    """h / c [T, D*H] of an LSTM, o tanh(c) / c: how much of its cell the output gate shows; 1 where c is nothing."""
    ways = [
        (layer.y[0].astype(np.float64), layer.memory[0].astype(np.float64)) for layer in record.layers[-1]
    ]
    ratios = [np.where(np.abs(c) < 1e-9, 1.0, h / np.where(np.abs(c) < 1e-9, 1.0, c)) for h, c in ways]
    return np.concatenate(ratios, axis=1)


def pool_weights(classifier: Classifier, y: Doubles) -> Doubles:
    """P [T, D*H] with pooled = sum_t P_t * y_t for the states y [T, D*H] of one text."""
    kind = str(classifier.config["pool"])
    if kind == "max":
        chosen = np.zeros_like(y)
        chosen[y.argmax(0), np.arange(y.shape[1])] = 1.0
        return chosen
    if kind == "mean":
        return np.full_like(y, 1.0 / len(y))
    weights = classifier.network.weights
    s = (
        np.tanh(y @ weights["pool.weight"].T.astype(np.float64) + weights["pool.bias"])
        @ weights["pool.query"]
    )
    w = np.exp(s - s.max())
    return np.repeat((w / w.sum())[:, None], y.shape[1], axis=1)


def heading(explained: Explained) -> list[str]:
    """Probabilities, and how the evidence adds up."""
    best = sorted(explained.probabilities.items(), key=lambda pair: -pair[1])
    shown = ", ".join(f"{name} {p:.1%}" for name, p in best[:5])
    lines = [
        shown,
        f"evidence for {explained.target!r} {explained.evidence:+.2f} = words {explained.written.sum():+.2f}"
        f" + naive Bayes {explained.counted.sum():+.2f} + start {explained.start:+.2f}"
        f" + constant {explained.constant:+.2f} (residual {explained.residual:.0e})",
    ]
    if np.isfinite(explained.trust):
        lines.append(f"trust share {explained.trust:.2f}: {trust_sentence(explained.trust)}")
    else:
        lines.append("this cell has no keep gate, so its part is not shared out among the words")
    return lines


def colorless(explained: Explained) -> str:
    """Heading, and the words with their shares under them."""
    return "\n".join([*heading(explained), *_lines(explained, colored=False)])


def colored(explained: Explained) -> str:
    """The same for a terminal with colours: orange speaks for the class, blue against it."""
    return "\n".join([*heading(explained), *_lines(explained, colored=True)])


def _lines(explained: Explained, colored: bool) -> list[str]:
    shares = explained.shares
    reach = max(float(np.abs(shares).max(initial=0.0)), 1e-9)
    paint = color(shares, signed=True, reach=reach)
    lines, words, numbers, width = list[str](), list[str](), list[str](), 0
    for piece, share, shade in zip(explained.pieces, shares, paint):
        number = f"{share:+.2f}"
        size = max(len(piece), len(number))
        if width + size > _WIDTH and words:
            lines += [" ".join(words).rstrip(), " ".join(numbers).rstrip()]
            words, numbers, width = [], [], 0
        word = piece.ljust(size)
        if colored:
            r, g, b = (int(part) for part in shade)
            word = f"\x1b[38;2;0;0;0;48;2;{r};{g};{b}m{piece}\x1b[0m" + " " * (size - len(piece))
        words.append(word)
        numbers.append(number.ljust(size))
        width += size + 1
    return [*lines, " ".join(words).rstrip(), " ".join(numbers).rstrip()]


def as_html(explained: Explained) -> str:
    """Heading, and the words on their colours with their shares under them, for a page."""
    shares = explained.shares
    reach = max(float(np.abs(shares).max(initial=0.0)), 1e-9)
    words = []
    for piece, share, written, counted, shade in zip(
        explained.pieces,
        shares,
        explained.written,
        explained.counted,
        color(shares, signed=True, reach=reach),
    ):
        r, g, b = (int(part) for part in shade)
        title = f"written {written:+.3f}, naive Bayes {counted:+.3f}"
        words.append(
            f'<span class="word" title="{title}" style="background:rgb({r},{g},{b});color:#000">'
            f"{escape(piece)}<small>{share:+.2f}</small></span>"
        )
    return paragraphs(heading(explained)) + f'<p class="words">{" ".join(words)}</p>'


STYLE = (
    ".words{line-height:3}.word{display:inline-block;line-height:1.2;padding:2px 4px;margin:2px;text-align:center}"
    ".word small{display:block;font-size:.7em}"
)
