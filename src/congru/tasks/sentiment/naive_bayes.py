"""Multinomial naive Bayes on uni- and bigrams, binary counts: the baseline of every table, and a guide of the network.

    w_g,c  = log p(g | c) - mean over classes of log p(g | c),   p(g | c) = (n_g,c + 1) / sum_g (n_g,c + 1)
    score_c(text) = log p(c) - mean + sum of w_g,c over the distinct grams g of the text

n_g,c counts texts of class c that hold g (Wang & Manning 2012, MNB; for two classes w_g,1 - w_g,0 is their log-count ratio).
A gram counts at the step where it first ends, so that scores add up along a text. What guides the training is
cross-fitted: a tenth of the texts at a time is scored by the counts of the others, as a new text would be.
Legend: N texts, G grams, K classes, T steps.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from congru.errors import ModelFolderError
from congru.runtime.tensors import format_arrays, parse_tensors
from congru.tasks.sentiment.tokens import Encoded, clean, split_words

FILE = "naive_bayes.safetensors"
KINDS = ("word", "char")
FOLDS = 10
_CHARACTERS = (2, 3)
_BETWEEN = "\x1f"  # stands in no cleaned text

Floats = NDArray[np.float32]
Ints = NDArray[np.int64]


def grams_of(text: str, kind: str) -> list[tuple[str, int]]:
    """The distinct grams of a cleaned text, each with the end of its first occurrence.

    >>> grams_of("so so good", "word")
    [('so', 2), ('so so', 5), ('good', 10), ('so good', 10)]
    """
    first: dict[str, int] = {}
    if kind == "word":
        before = ""
        for word, end in split_words(text):
            first.setdefault(word, end)
            if before:
                first.setdefault(f"{before} {word}", end)
            before = word
    else:
        for end in range(_CHARACTERS[0], len(text) + 1):
            for size in _CHARACTERS:
                if end >= size:
                    first.setdefault(text[end - size : end], end)
    return list(first.items())


class Counted(NamedTuple):
    """The grams of N texts as numbers, one text after the other: `grams` [M], `ends` [M], `starts` [N + 1]."""

    grams: Ints
    ends: Ints
    starts: Ints

    @property
    def owners(self) -> Ints:
        """The text of every gram [M]."""
        return np.repeat(np.arange(len(self.starts) - 1), np.diff(self.starts))


@dataclass(frozen=True)
class NaiveBayes:
    """Its grams by number, their weights [G, K], and the prior [K]."""

    kind: str
    numbers: dict[str, int]
    weights: Floats
    prior: Floats
    lowercase: bool = True

    @classmethod
    def fit(
        cls, texts: Sequence[str], labels: Ints, num_classes: int, kind: str, lowercase: bool = True
    ) -> NaiveBayes:
        """Count N training texts."""
        numbers: dict[str, int] = {}
        counted = _count(texts, kind, lowercase, numbers, grow=True)
        counts = _per_class(counted, labels, num_classes, len(numbers))
        return cls(kind, numbers, _weights(counts), _prior(labels, num_classes), lowercase)

    def count(self, texts: Sequence[str]) -> Counted:
        """The known grams of texts."""
        return _count(texts, self.kind, self.lowercase, self.numbers, grow=False)

    def scores(self, texts: Sequence[str]) -> Floats:
        """score_c of every text, [N, K]."""
        return self.prior + _sums(self.weights, self.count(texts))

    def evidence(self, encoded: Encoded) -> Floats:
        """The weights of the grams that first end in each step, [T, K]; their sum is the score without the prior."""
        out = np.zeros((len(encoded), self.weights.shape[1]), np.float32)
        for gram, end in grams_of(encoded.text, self.kind):
            number = self.numbers.get(gram)
            step = int(np.searchsorted(encoded.ends, end))
            if number is not None and step < len(out):
                out[step] += self.weights[number]
        return out

    def cross_fitted(
        self,
        texts: Sequence[str],
        encoded: Sequence[Encoded],
        labels: Ints,
        refit: Callable[[Counted, Ints, Floats, NDArray[np.bool_]], tuple[Floats, Floats]] | None = None,
    ) -> list[Floats]:
        """`evidence` of every training text by the counts of the other folds, which `refit` may weigh anew."""
        num_classes = self.weights.shape[1]
        counted = self.count(texts)
        folds, owners = folds_of(labels), counted.owners
        total = _per_class(counted, labels, num_classes, len(self.numbers))
        evidence = [np.zeros((len(one), num_classes), np.float32) for one in encoded]
        for fold in range(FOLDS):
            own = folds[owners] == fold
            part = np.zeros_like(total)
            np.add.at(part, (counted.grams[own], labels[owners[own]]), 1.0)
            weights = _weights(total - part)
            if refit is not None:
                weights, _ = refit(counted, labels, weights, folds != fold)
            for row in np.flatnonzero(folds == fold).tolist():
                begin, end = counted.starts[row : row + 2]
                steps = np.searchsorted(encoded[row].ends, counted.ends[begin:end])
                inside = steps < len(evidence[row])
                np.add.at(evidence[row], steps[inside], weights[counted.grams[begin:end][inside]])
        return evidence

    def to_bytes(self) -> bytes:
        """The file of a model folder."""
        grams = np.frombuffer(_BETWEEN.join(self.numbers).encode(), np.uint8)
        return format_arrays({"grams": grams, "weights": self.weights, "prior": self.prior})

    @classmethod
    def from_bytes(cls, content: bytes, kind: str, lowercase: bool) -> NaiveBayes:
        """Read what `to_bytes` wrote.

        Raises:
            ModelFolderError: a damaged file.
        """
        try:
            arrays = parse_tensors(content)
            names = arrays["grams"].tobytes().decode().split(_BETWEEN)
            weights, prior = arrays["weights"], arrays["prior"]
        except Exception as error:
            raise ModelFolderError(f"{FILE} is damaged ({error}): copy the folder again") from None
        if weights.shape != (len(names), len(prior)):
            raise ModelFolderError(
                f"{FILE} holds {len(names)} grams and weights {weights.shape}: copy the folder again"
            )
        return cls(kind, {name: number for number, name in enumerate(names)}, weights, prior, lowercase)


def token_ratios(
    ids: Sequence[Ints], labels: Ints, num_tokens: int, num_classes: int, smoothing: float = 1.0
) -> Floats:
    """The weights w [V, K] of the model's own tokens, a row of zeros where a token is never seen."""
    return _token_weights(_token_counts(ids, labels, num_tokens, num_classes), smoothing)


def ratios_by_fold(ids: Sequence[Ints], labels: Ints, num_tokens: int, num_classes: int) -> Floats:
    """`token_ratios` [FOLDS, V, K] of the texts outside each fold."""
    folds, counts = folds_of(labels), []
    for fold in range(FOLDS):
        rows = np.flatnonzero(folds == fold)
        counts.append(
            _token_counts([ids[row] for row in rows.tolist()], labels[rows], num_tokens, num_classes)
        )
    total = np.sum(counts, axis=0)
    return np.stack([_token_weights(total - part) for part in counts])


def _token_counts(
    ids: Sequence[Ints], labels: Ints, num_tokens: int, num_classes: int
) -> NDArray[np.float64]:
    """In how many texts of each class a token stands, [V, K]."""
    counts = np.zeros((num_tokens, num_classes))
    for one, label in zip(ids, labels.tolist()):
        counts[np.unique(one), label] += 1.0
    return counts


def _token_weights(counts: NDArray[np.float64], smoothing: float = 1.0) -> Floats:
    weights = _weights(counts, smoothing)
    weights[counts.sum(1) == 0] = 0.0
    return weights


def fit_naive_bayes(
    texts: Sequence[str], labels: Ints, num_classes: int, lowercase: bool
) -> dict[str, NaiveBayes]:
    """Both kinds, the one that is better on training texts held out in turn first."""
    both = {kind: NaiveBayes.fit(texts, labels, num_classes, kind, lowercase) for kind in KINDS}
    hits = {kind: held_out_accuracy(one, texts, labels) for kind, one in both.items()}
    return {kind: both[kind] for kind in sorted(KINDS, key=lambda kind: -hits[kind])}


def held_out_accuracy(model: NaiveBayes, texts: Sequence[str], labels: Ints) -> float:
    """The share of training texts that the counts of the other folds put in their class."""
    num_classes = len(model.prior)
    counted, folds = model.count(texts), folds_of(labels)
    owners = counted.owners
    total = _per_class(counted, labels, num_classes, len(model.numbers))
    hits = 0
    for fold in range(FOLDS):
        own = folds[owners] == fold
        part = np.zeros_like(total)
        np.add.at(part, (counted.grams[own], labels[owners[own]]), 1.0)
        scores = model.prior + _sums(_weights(total - part), counted)
        hits += int((scores.argmax(1) == labels)[folds == fold].sum())
    return hits / max(1, len(texts))


def folds_of(labels: Ints) -> Ints:
    """The fold of every text [N]: each class cut into runs of neighbours, so that phrases of one sentence stay together."""
    folds = np.zeros(len(labels), np.int64)
    for label in np.unique(labels):
        rows = np.flatnonzero(labels == label)
        folds[rows] = np.arange(len(rows)) * FOLDS // len(rows)
    return folds


def _count(texts: Sequence[str], kind: str, lowercase: bool, numbers: dict[str, int], grow: bool) -> Counted:
    grams, ends, starts = list[int](), list[int](), [0]
    for text in texts:
        for gram, end in grams_of(clean(text, lowercase), kind):
            number = numbers.setdefault(gram, len(numbers)) if grow else numbers.get(gram, -1)
            if number >= 0:
                grams.append(number)
                ends.append(end)
        starts.append(len(grams))
    return Counted(*(np.array(part, np.int64) for part in (grams, ends, starts)))


def _per_class(counted: Counted, labels: Ints, num_classes: int, num_grams: int) -> NDArray[np.float64]:
    flat = counted.grams * num_classes + labels[counted.owners]
    return np.bincount(flat, minlength=num_grams * num_classes).reshape(-1, num_classes).astype(np.float64)


def _weights(counts: NDArray[np.float64], smoothing: float = 1.0) -> Floats:
    logs = np.log(counts + smoothing) - np.log((counts + smoothing).sum(0))
    weights: Floats = (logs - logs.mean(1, keepdims=True)).astype(np.float32)
    return weights


def _prior(labels: Ints, num_classes: int) -> Floats:
    logs = np.log(np.bincount(labels, minlength=num_classes) + 1.0)
    prior: Floats = (logs - logs.mean()).astype(np.float32)
    return prior


def _sums(weights: Floats, counted: Counted) -> Floats:
    """The sum of the weights of every text's grams, [N, K]."""
    num_texts, num_classes = len(counted.starts) - 1, weights.shape[1]
    owners = counted.owners
    columns = [
        np.bincount(owners, weights=weights[counted.grams, c], minlength=num_texts)
        for c in range(num_classes)
    ]
    return np.stack(columns, 1).astype(np.float32)
