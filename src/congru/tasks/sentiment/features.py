"""The texts of a set as a network reads them: steps, naive Bayes evidence by step, and the first vectors of the tokens.

Training texts get the evidence of counts that leave them out (see naive_bayes.py); all others that of all training texts.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from congru.data.byte_pairs import bpe_file
from congru.errors import DataError
from congru.tasks.sentiment.data import Part, SentimentData
from congru.tasks.sentiment.naive_bayes import (
    KINDS,
    Floats,
    NaiveBayes,
    fit_naive_bayes,
    token_ratios,
)
from congru.tasks.sentiment.pretrained import Pretrained, check_fits, read_pretrained
from congru.tasks.sentiment.reweighting import reweight
from congru.tasks.sentiment.settings import Settings
from congru.tasks.sentiment.tokens import Encoded, Steps, choose_words, clean, count_words, words_file
from congru.tasks.sentiment.vectors import read_vectors

GRAM_NAMES = {"word": "naive Bayes, words", "char": "naive Bayes, characters"}
REWEIGHTED = "logistic regression on the ratios"
MOST_FREQUENT = "most frequent class"


@dataclass(frozen=True)
class Read:
    """N texts as steps, their evidence [T, K] each, and labels [N]."""

    encoded: list[Encoded]
    evidence: list[Floats]
    labels: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.encoded)

    def lengths(self) -> NDArray[np.int64]:
        """T of every text [N]."""
        return np.array([len(one) for one in self.encoded])


@dataclass(frozen=True)
class Features:
    """A prepared set; `vectors` are the first vectors of some tokens by number, `ratios` [V, K] the channel.

    `counted` are the baselines, the better kind of grams first; `naive_bayes` guides the network.
    """

    data: SentimentData
    steps: Steps
    counted: dict[str, NaiveBayes]
    naive_bayes: NaiveBayes
    train: Read
    validation: Read
    ratios: Floats
    vectors: Mapping[int, NDArray[np.float32]]
    start: Pretrained | None
    notes: dict[str, Any]

    def baseline_scores(self, part: Part) -> dict[str, Floats]:
        """Scores [N, K] of every baseline."""
        counts = np.bincount(self.data.train.labels, minlength=len(self.data.classes))
        always = np.tile(np.log(counts + 1.0).astype(np.float32), (len(part), 1))
        known = {GRAM_NAMES[kind]: one.scores(part.texts) for kind, one in self.counted.items()}
        if not any(self.naive_bayes is one for one in self.counted.values()):
            known[REWEIGHTED] = self.naive_bayes.scores(part.texts)
        return {**known, MOST_FREQUENT: always}


def make_features(data: SentimentData, settings: Settings) -> Features:
    """Learn the vocabulary and the counts on the training texts, and read all texts."""
    start = None if settings.start_from is None else read_pretrained(settings.start_from)
    if start is not None:
        check_fits(start, settings)
    notes: dict[str, Any] = {}
    vectors = _vectors(data.train.texts, settings, notes)
    steps = make_steps(data.train.texts, settings, start, vectors)
    labels, num_classes = data.train.labels, len(data.classes)
    counted = _counted(data.train, num_classes, settings, steps.lowercase)
    guide, refit = next(iter(counted.values())), None
    if settings.reweight:
        refit = reweight
        weights, prior = reweight(guide.count(data.train.texts), labels, guide.weights)
        guide = replace(guide, weights=weights, prior=prior)
    train = encode_all(steps, data.train, "train", notes)
    validation = encode_all(steps, data.validation, "validation", notes)
    known = sum(int((one.ids != 0).sum()) for one in validation) / max(1, sum(map(len, validation)))
    if steps.kind == "word":
        notes["validation words known"] = f"{known:.1%}"
    if start is not None:
        notes["start"] = f"weights of {start.folder}: " + ", ".join(sorted(start.weights))
    return Features(
        data=data,
        steps=steps,
        counted=counted,
        naive_bayes=guide,
        train=Read(train, guide.cross_fitted(data.train.texts, train, labels, refit), labels),
        validation=Read(validation, [guide.evidence(one) for one in validation], data.validation.labels),
        ratios=token_ratios([one.ids for one in train], labels, steps.num_tokens, num_classes),
        vectors={steps.words[word]: vector for word, vector in vectors.items() if word in steps.words},
        start=start,
        notes=notes,
    )


def _counted(part: Part, num_classes: int, settings: Settings, lowercase: bool) -> dict[str, NaiveBayes]:
    counted = fit_naive_bayes(part.texts, part.labels, num_classes, lowercase)
    if settings.grams == "auto":
        return counted
    return {kind: counted[kind] for kind in (settings.grams, *(k for k in KINDS if k != settings.grams))}


def _vectors(
    texts: Sequence[str], settings: Settings, notes: dict[str, Any]
) -> dict[str, NDArray[np.float32]]:
    if settings.vectors is None:
        return {}
    words = count_words(texts, settings.lowercase)
    vectors = read_vectors(settings.vectors, words)
    size = len(next(iter(vectors.values())))
    if size != settings.embedding_size:
        raise DataError(
            f"{settings.vectors} has vectors of {size} numbers, expected embedding_size = {settings.embedding_size}:"
            f" pass --embedding-size {size}"
        )
    matched = sum(word in vectors for word in words)
    notes["vectors"] = (
        f"{len(vectors):,} words of {settings.vectors.name}, {matched / len(words):.0%} of those in train"
    )
    return vectors


def make_steps(
    texts: Sequence[str], settings: Settings, start: Pretrained | None, vectors: Mapping[str, Any]
) -> Steps:
    """The vocabulary: a language model's, or learned on the training texts."""
    if start is not None:
        lower = start.tokens == "char" and not any(
            symbol.isupper() for symbol in start.tokenizer_file.decode()[10:]
        )
        return Steps(start.tokens, start.tokenizer_file, lower, settings.max_tokens)
    if settings.tokens == "word":
        counts = count_words(texts, settings.lowercase)
        known = choose_words(counts, settings.min_count, settings.vocab_size)
        if not known:
            known = choose_words(counts, 1, settings.vocab_size)
        file = words_file(list(dict.fromkeys([*known, *vectors])))
    else:
        joined = "\n".join(clean(text, settings.lowercase) for text in texts)
        if settings.tokens == "bpe":
            file = bpe_file(joined, settings.vocab_size, fewer=True)
        else:
            file = _character_file(joined, settings.vocab_size)
    return Steps(settings.tokens, file, settings.lowercase, settings.max_tokens)


def _character_file(text: str, most: int) -> bytes:
    import json

    symbols = sorted(symbol for symbol, _ in Counter(text).most_common(most))
    return json.dumps({"type": "char", "symbols": symbols}, ensure_ascii=False).encode()


def encode_all(steps: Steps, part: Part, name: str, notes: dict[str, Any]) -> list[Encoded]:
    """The steps of all texts of a part; those that are cut are counted."""
    encoded = []
    for text in part.texts:
        try:
            encoded.append(steps.encode(text))
        except DataError:  # only signs that are no words
            encoded.append(
                Encoded(np.zeros(1, np.int64), np.array([len(clean(text, steps.lowercase))]), clean(text))
            )
    cut = sum(len(one) == steps.max_tokens for one in encoded)
    if cut:
        notes[f"cut at {steps.max_tokens} steps"] = f"{cut} {name} texts"
    return encoded
