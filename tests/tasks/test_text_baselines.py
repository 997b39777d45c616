"""The n-gram baseline against the same equations written with dictionaries, and at its edges."""

from __future__ import annotations

import math
import os
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from congru.tasks.text import baselines
from congru.tasks.text.baselines import discounts, kneser_ney, symbols, unigram
from shared_files import CASES


class SlowKneserNey:
    """Interpolated modified Kneser-Ney, gram by gram."""

    def __init__(self, train: str, order: int, num_symbols: int) -> None:
        self.num_symbols = num_symbols
        self.counts = {order: Counter(train[i : i + order] for i in range(len(train) - order + 1))}
        for k in range(1, order):
            longer = {train[i : i + k + 1] for i in range(len(train) - k)}
            self.counts[k] = Counter(gram[1:] for gram in longer)
        self.discount = {k: self._discounts(Counter(counts.values())) for k, counts in self.counts.items()}

    @staticmethod
    def _discounts(n: Counter[int]) -> list[float]:
        if not all(n[j] for j in (1, 2, 3, 4)):
            return [0.0, 0.5, 0.5, 0.5]
        y = n[1] / (n[1] + 2 * n[2])
        raw = [j - (j + 1) * y * n[j + 1] / n[j] for j in (1, 2, 3)]
        return [0.0, *(min(max(d, 0.0), j) for j, d in enumerate(raw, 1))]

    def probability(self, gram: str) -> float:
        if not gram:
            return 1 / self.num_symbols
        counts, discount = self.counts[len(gram)], self.discount[len(gram)]
        same = {g: c for g, c in counts.items() if g[:-1] == gram[:-1]}
        lower = self.probability(gram[1:])
        if not same:
            return lower
        total = sum(same.values())
        left = sum(discount[min(c, 3)] for c in same.values())
        count = counts.get(gram, 0)
        return (count - discount[min(count, 3)]) / total + left / total * lower


def babble(length: int, seed: int, alphabet: str = "abcde ") -> str:
    """Text with some structure: every symbol likes two others."""
    rng = np.random.default_rng(seed)
    text = [0]
    for _ in range(length - 1):
        likes = (2 * text[-1] + np.array([1, 3])) % len(alphabet)
        text.append(int(rng.choice(likes)) if rng.random() < 0.7 else int(rng.integers(len(alphabet))))
    return "".join(alphabet[index] for index in text)


@pytest.mark.parametrize(("length", "order"), [(300, 1), (300, 3), (900, 5), (7, 3), (1, 2)])
def test_equals_the_equations_written_slowly(length: int, order: int) -> None:
    train, validation = babble(length, 1), babble(40, 2) + "xx"
    text = symbols(train + validation)
    slow = SlowKneserNey(train, order, len(set(train + validation)))
    probabilities = kneser_ney(text, len(train), order)
    whole = train + validation
    expected = []
    for i in range(len(train), len(whole)):
        # A context that reaches back beyond the first character was never counted: the longest that fits.
        expected.append(slow.probability(whole[max(0, i - order + 1) : i + 1]))
    reach = max(0, order - 1 - len(train))
    np.testing.assert_allclose(probabilities[reach:], expected[reach:], rtol=1e-12)


def test_probabilities_sum_to_one() -> None:
    train = babble(500, 3)
    for context in ("abcd", "zzzz", "a b "):
        total = 0.0
        for symbol in sorted(set(train) | {"z"}):
            text = symbols(train + context + symbol + "".join(sorted({*train, "z"})))
            total += float(kneser_ney(text, len(train), 5)[len(context)])
        assert total == pytest.approx(1.0, abs=1e-12)


def test_unigram_is_the_share_of_each_symbol_with_one_more() -> None:
    text = symbols("aab" + "abc")
    assert unigram(text, 3).tolist() == pytest.approx([3 / 6, 2 / 6, 1 / 6])


def test_discounts_are_chen_and_goodmans() -> None:
    counts = np.repeat([1, 2, 3, 4, 9], [50, 20, 10, 5, 3])
    y = 50 / (50 + 2 * 20)
    expected = [0, 1 - 2 * y * 20 / 50, 2 - 3 * y * 10 / 20, 3 - 4 * y * 5 / 10]
    assert discounts(counts).tolist() == pytest.approx(expected)
    assert discounts(np.array([1, 1, 2])).tolist() == [0, 0.5, 0.5, 0.5]


def test_without_training_text_the_uniform_stands_there() -> None:
    assert baselines.baselines("", "abca") == {"uniform": pytest.approx(math.log(3))}


def test_long_texts_are_counted_from_their_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(baselines, "MAX_CHARACTERS", 100)
    train, validation = babble(400, 4), babble(50, 5)
    assert baselines.baselines(train, validation) == baselines.baselines(train[-100:], validation)


def test_tinyshakespeare() -> None:
    folder = os.environ.get("CONGRU_DATA")
    path = Path(folder or ".") / "text" / "tinyshakespeare" / "input.txt"
    if not folder or not path.exists():
        pytest.skip("CONGRU_DATA does not name a folder with text/tinyshakespeare/input.txt")
    text = path.read_text()
    split = int(len(text) * 0.9)
    nats = baselines.baselines(text[:split], text[split:])
    assert nats["5-gram"] == pytest.approx(1.56116, abs=1e-5)  # below the 1.669 of other smoothing
    assert nats["unigram"] == pytest.approx(3.34733, abs=1e-5)


def test_a_discount_is_never_zero() -> None:
    counts = np.repeat([1, 2, 3, 4], [10, 5, 40, 80])  # the formula would take less than nothing off 2 and 3
    assert discounts(counts).tolist() == [0, 0.5, 0.5, 0.5]
    path = CASES / "forecast" / "text-emoji-combining.txt"
    if path.exists():
        text = path.read_text(encoding="utf-8")
        split = int(len(text) * 0.9)
        assert all(np.isfinite(list(baselines.baselines(text[:split], text[split:]).values())))
