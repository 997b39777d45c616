"""Symbols of a text that a model does not know: left out for the model, counted by name, and paid for.

A text with k unknown symbols among N costs, beside what the model pays for the rest,

    nats(N, k) = k ln 1,114,112 - ln KT(k, N - k),    KT(a, b) = G(a + 1/2) G(b + 1/2) / (pi G(a + b + 1))

with G the gamma function: every unknown symbol is named among all code points of Unicode, and whether a symbol is unknown is
said by the estimator of Krichevsky and Trofimov (1981, equation 2), which learns the rate as it goes. So the sum is the length of
a code that could be read back, but for one bit: a text without such symbols costs what it always did.
"""

from __future__ import annotations

import json
import math
from collections import Counter

CODE_POINTS = 0x110000
_SHOWN = 5


def split_known(tokenizer_file: bytes, text: str) -> tuple[str, Counter[str]]:
    """The text without the symbols that a character tokenizer does not have, and how often each of those stands there.

    >>> split_known(b'{"type": "char", "symbols": ["a", "b"]}', "abéa")
    ('aba', Counter({'é': 1}))
    """
    content = json.loads(tokenizer_file)
    if content.get("type") != "char":  # byte pairs know every text
        return text, Counter()
    unknown = set(text) - set(content["symbols"])
    if not unknown:
        return text, Counter()
    counts = Counter(symbol for symbol in text if symbol in unknown)
    return text.translate({ord(symbol): None for symbol in unknown}), counts


def nats_of_unknown(num_unknown: int, num_symbols: int) -> float:
    """What the unknown symbols of a text of ``num_symbols`` cost, in nats; nothing where there are none.

    >>> nats_of_unknown(0, 1000), round(nats_of_unknown(1, 1000), 2)
    (0.0, 25.55)
    """
    if not num_unknown:
        return 0.0
    known = num_symbols - num_unknown
    estimator = (
        math.lgamma(num_unknown + 0.5)
        + math.lgamma(known + 0.5)
        - math.log(math.pi)
        - math.lgamma(num_symbols + 1)
    )
    return num_unknown * math.log(CODE_POINTS) - estimator


def line_of_unknown(counts: Counter[str], num_symbols: int) -> str:
    """How many symbols are unknown, which, and what they cost.

    >>> line_of_unknown(Counter({"é": 3, "ü": 1}), 1000)
    "unknown to the model: 4 of 1,000 symbols ('é' 3 times, 'ü' once), each left out and counted as <unknown>: 21.4 nats"
    """
    shown = [
        f"{symbol!r} {'once' if count == 1 else f'{count:,} times'}"
        for symbol, count in counts.most_common(_SHOWN)
    ]
    if len(counts) > _SHOWN:
        shown.append(f"{len(counts) - _SHOWN} others")
    total = sum(counts.values())
    each = nats_of_unknown(total, num_symbols) / total
    return (
        f"unknown to the model: {total:,} of {num_symbols:,} symbols ({', '.join(shown)}), each left out and counted as"
        f" <unknown>: {each:.1f} nats"
    )
