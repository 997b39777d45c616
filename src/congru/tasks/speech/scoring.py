"""Word and character error rates, by jiwer.

WER = (substituted + deleted + inserted words) / words of the reference;   CER the same with characters
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from congru.errors import require


def error_rates(references: Sequence[str], hypotheses: Sequence[str]) -> dict[str, float]:
    """wer and cer over all texts together.

    Raises:
        MissingPackageError: jiwer is not installed.

    >>> error_rates(["A B", "C"], ["A", "C"])["wer"]
    0.3333333333333333
    """
    jiwer = require("jiwer", "speech")
    return {
        "wer": float(jiwer.wer(list(references), list(hypotheses))),
        "cer": float(jiwer.cer(list(references), list(hypotheses))),
    }


def exact(references: Sequence[str], hypotheses: Sequence[str]) -> float:
    """The share of texts without an error."""
    return sum(a == b for a, b in zip(references, hypotheses)) / max(1, len(references))


def baseline_texts(train: Sequence[str], count: int) -> dict[str, list[str]]:
    """What answers without listening would be: the most frequent training text, and nothing."""
    often = Counter(train).most_common(1)[0][0]
    return {"most frequent text": [often] * count, "nothing": [""] * count}
