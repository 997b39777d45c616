"""The coffee orders of `barista`: what every one asks for, and whether a text says so."""

from __future__ import annotations

import json
import statistics
from collections.abc import Iterable, Sequence

from bench.data import data_root


def slots_of(text: str, values: Iterable[tuple[str, str]]) -> dict[str, str]:
    """The slots of an order: the longest values first, each word used once.

    >>> slots_of("A LARGE ICED COFFEE", [("drink", "coffee"), ("drink", "iced coffee"), ("size", "large")])
    {'drink': 'iced coffee', 'size': 'large'}
    """
    left, slots = f" {text.lower()} ", dict[str, str]()
    for slot, value in sorted(values, key=lambda one: (-len(one[1].split()), one)):
        if slot not in slots and f" {value} " in left:
            slots[slot] = value
            left = left.replace(f" {value} ", " | ", 1)
    return slots


class Orders:
    """Coffee orders with their slots."""

    def __init__(self) -> None:
        self.source = data_root("speech") / "barista"
        lines = (self.source / "manifest.tsv").read_text().strip().split("\n")[1:]
        rows = [line.split("\t") for line in lines]
        self.wanted = [json.loads(row[5]) for row in rows if row[2] == "test"]
        self.values = {(slot, value) for row in rows for slot, value in json.loads(row[5]).items()}

    def right(self, texts: Sequence[str]) -> float:
        """The share of test orders with all slots right, in per cent."""
        pairs = zip(texts, self.wanted, strict=True)
        return 100 * statistics.fmean(slots_of(text, self.values) == slots for text, slots in pairs)
