"""What a music model must beat: keys by how often they sound, keys that follow themselves, events by the ones before.

frequency   p(key) = (times it sounds + 1/2) / (frames + 1)
per key     p(key | its state in the frame before), counted with 1/2 added to each
bigram, trigram of events (Witten & Bell 1991): p(w | c) = (n(c w) + t(c) p'(w)) / (n(c) + t(c)), t(c) = different followers
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from congru.tasks.music.pieces import KEYS, Roll

Ints = NDArray[np.int64]


def frame_baselines(train: Sequence[Roll], scored: Sequence[Roll]) -> dict[str, float]:
    """Nats per frame, over all frames of `scored`, by name; before the first frame of a piece all keys are up.

    >>> roll = np.zeros((4, 88), np.uint8)
    >>> sorted(frame_baselines([roll], [roll]))
    ['keys by frequency', 'keys that follow themselves']
    """
    counts = np.zeros((2, 2, KEYS))  # before, now
    for roll in train:
        before = np.concatenate([np.zeros((1, KEYS), np.uint8), roll[:-1]])
        for b in (0, 1):
            for n in (0, 1):
                counts[b, n] += ((before == b) & (roll == n)).sum(0)
    follow = (counts[:, 1] + 0.5) / (counts.sum(1) + 1)
    plain = (counts[:, 1].sum(0) + 0.5) / (counts.sum((0, 1)) + 1)
    nats = dict.fromkeys(("keys that follow themselves", "keys by frequency"), 0.0)
    frames = sum(map(len, scored))
    for roll in scored:
        before = np.concatenate([np.zeros((1, KEYS), np.uint8), roll[:-1]])
        chances = {
            "keys that follow themselves": np.where(before > 0, follow[1], follow[0]),
            "keys by frequency": plain,
        }
        for name, on in chances.items():
            nats[name] -= float(np.log(np.where(roll > 0, on, 1 - on)).sum())
    return {name: total / max(frames, 1) for name, total in nats.items()}


def event_baselines(train: Sequence[Ints], scored: Sequence[Ints], num_tokens: int) -> dict[str, float]:
    """Summed nats of all events after the first of every piece, by name."""
    counts: list[dict[tuple[int, ...], Counter[int]]] = [defaultdict(Counter) for _ in range(3)]
    for tokens in train:
        known = tokens.tolist()
        for t in range(1, len(known)):
            for order in range(3):
                if t >= order:
                    counts[order][tuple(known[t - order : t])][known[t]] += 1
    names = ("events by frequency", "bigram", "trigram")
    nats = dict.fromkeys(names, 0.0)
    for tokens in scored:
        known = tokens.tolist()
        for t in range(1, len(known)):
            p = 1 / num_tokens
            for order, name in enumerate(names):
                followers = counts[order].get(tuple(known[t - order : t])) if t >= order else None
                if followers:
                    total, kinds = followers.total(), len(followers)
                    p = (followers[known[t]] + kinds * p) / (total + kinds)
                nats[name] -= float(np.log(p))
    return nats
