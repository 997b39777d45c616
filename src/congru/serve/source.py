"""An input as the explorer reads it: what the network takes, a label for each step, and the words of its task."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from congru.gates.reading import Reading


@dataclass(frozen=True)
class Source:
    """x as `Model.run` takes it, labels [T], the tokens of a model that predicts the next, how many steps were cut off.

    `reading` says what a step, an output and a prediction are called; None where nobody knows.
    """

    x: Any
    labels: list[str]
    tokens: list[int] | None = None
    cut: int = 0
    reading: Reading | None = None
