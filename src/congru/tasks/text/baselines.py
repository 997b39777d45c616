"""What a text model must beat: character frequencies, and a 5-gram, both counted on the training part.

The 5-gram is modified Kneser-Ney (Chen & Goodman 1999, section 3), every parameter from training counts:

    p_k(w | c) = (a_k(c w) - D(a_k(c w))) / a_k(c .) + gamma_k(c) p_{k-1}(w | c without its first symbol)
    a_5 = how often c w occurs;   a_k = how many symbols occur before c w, k < 5;   p_0 = 1 / V
    D(1), D(2), D(3+) = 1 - 2 Y n_2/n_1,  2 - 3 Y n_3/n_2,  3 - 4 Y n_4/n_3;   Y = n_1 / (n_1 + 2 n_2)

with n_j the number of k-grams of count j, and gamma_k(c) what the discounts leave. Legend: N training
characters, M validation characters, V distinct symbols in both, k the order.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

ORDER = 5
# Counting sorts the text once per order: more than this brings little and takes long.
MAX_CHARACTERS = 20_000_000


def baselines(train: str, validation: str) -> dict[str, float]:
    """Nats per validation character of the 5-gram and of the unigram; of the uniform if ``train`` is empty.

    Longer training texts than ``MAX_CHARACTERS`` are counted from their end.

    >>> {name: round(nats, 3) for name, nats in baselines("ab" * 50, "abab").items()}
    {'5-gram': 0.001, 'unigram': 0.693}
    """
    text = symbols(train[-MAX_CHARACTERS:] + validation)
    num_train = len(text) - len(validation)
    num_symbols = int(text.max()) + 1
    if num_train == 0:
        return {"uniform": float(np.log(num_symbols))}
    return {
        f"{ORDER}-gram": float(-np.log(kneser_ney(text, num_train, ORDER)).mean()),
        "unigram": float(-np.log(unigram(text, num_train)).mean()),
    }


def symbols(text: str) -> Ints:
    """Characters as numbers 0 .. V-1 in the order of their code points, [len(text)]."""
    points = np.frombuffer(text.encode("utf-32-le"), np.uint32)
    return np.unique(points, return_inverse=True)[1].astype(np.int64)


def unigram(text: Ints, num_train: int) -> Floats:
    """The probability of each validation symbol [M] by its share of the training part, plus one for each."""
    counts = np.bincount(text[:num_train], minlength=int(text.max()) + 1) + 1.0
    return np.asarray((counts / counts.sum())[text[num_train:]], np.float64)


def kneser_ney(text: Ints, num_train: int, order: int) -> Floats:
    """The probability of each validation symbol [M] given the ``order - 1`` symbols before it.

    ``text`` [N + M] numbers 0 .. V-1, of which the first ``num_train`` are counted.
    """
    num_symbols = int(text.max()) + 1
    grams = gram_codes(text, order)
    probability = np.full(len(text) - num_train, 1.0 / num_symbols)
    for k in range(1, order + 1):
        counted = _first_of_each(grams[k][:num_train], k)
        if k == order:
            count = np.bincount(grams[k][k - 1 : num_train], minlength=int(grams[k].max()) + 1)
        else:
            longer = _first_of_each(grams[k + 1][:num_train], k + 1)
            count = np.bincount(grams[k][longer], minlength=int(grams[k].max()) + 1)
        probability = _interpolate(grams[k], grams[k - 1], count, counted, num_train, probability)
    return probability


def gram_codes(text: Ints, order: int) -> list[Ints]:
    """For k = 0 .. order, [N + M]: a number for the k symbols that end at each position, equal for equals.

    At the first k - 1 positions, where a gram is cut off, the number means nothing.
    """
    codes = [np.zeros(len(text), np.int64)]
    width = int(text.max()) + 1
    for _ in range(order):
        before = np.concatenate([codes[-1][:1], codes[-1][:-1]])
        codes.append(np.unique(before * width + text, return_inverse=True)[1].astype(np.int64))
    return codes


def _first_of_each(codes: Ints, order: int) -> Ints:
    """One position for each distinct whole gram."""
    skip = order - 1
    return np.asarray(np.unique(codes[skip:], return_index=True)[1] + skip, np.int64)


def _interpolate(
    grams: Ints, contexts: Ints, count: Ints, counted: Ints, num_train: int, lower: Floats
) -> Floats:
    """One level of the recursion: probabilities [M] of this order from those of the order below.

    ``grams`` and ``contexts`` [N + M] are codes by last position, ``count`` by gram code, ``counted`` one
    position for each distinct gram of the training part.
    """
    amounts = count[grams[counted]]
    owner = _before(contexts)[counted]
    size = int(contexts.max()) + 1
    discount = discounts(amounts)
    total = np.bincount(owner, weights=amounts, minlength=size)
    left = np.bincount(owner, weights=discount[np.minimum(amounts, 3)], minlength=size)
    context, amount = _before(contexts)[num_train:], count[grams[num_train:]]
    known = total[context] > 0
    whole = np.where(known, total[context], 1.0)
    own = (amount - discount[np.minimum(amount, 3)]) / whole
    return np.asarray(np.where(known, own + left[context] / whole * lower, lower), np.float64)


def _before(codes: Ints) -> Ints:
    """At each position the code that ended one position earlier (the context of the symbol there)."""
    return np.concatenate([codes[:1], codes[:-1]])


def discounts(counts: Ints) -> Floats:
    """D(0), D(1), D(2), D(3+) [4] from the counts of all distinct grams; D(0) = 0.

    Where a text is too small to hold grams of each count 1 .. 4, or so regular that the formula takes nothing or less
    off, a half is taken off: the orders below must keep a share, or a symbol that is new in its context would have
    probability 0.

    >>> discounts(np.array([1, 1, 1, 1, 2, 2, 3, 4])).round(3).tolist()
    [0.0, 0.5, 1.25, 1.0]
    """
    n = np.bincount(np.minimum(counts, 5), minlength=6)[:5].astype(np.float64)
    if n[1:].min() == 0:
        return np.array([0.0, 0.5, 0.5, 0.5])
    y = n[1] / (n[1] + 2.0 * n[2])
    d = [j - (j + 1) * y * n[j + 1] / n[j] for j in (1, 2, 3)]
    kept = [min(value, most) if value > 0.0 else 0.5 for value, most in zip(d, (1.0, 2.0, 3.0))]
    return np.array([0.0, *kept])
