"""The budget chooses the size: from the time of a step, how wide a network is and how many rows a step takes.

A network in too few updates learns less than a smaller one in many. A task lists its sizes from the largest to the smallest,
each with the updates from which it is worth its width (:class:`Size`); the largest that the budget allows so many is taken.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from congru.train.settings import TrainSettings

ORIGIN = "budget"  # of the settings that are chosen here
_FOR_TRAINING = 0.9  # of a budget; the rest is for evaluations


@dataclass(frozen=True)
class Size:
    """Settings such as `hidden_size` and `batch_size`, and the updates that this size wants."""

    settings: Mapping[str, int]
    updates: int


@dataclass(frozen=True)
class Choice:
    """The size that was taken, and why."""

    size: Size
    reason: str


def choose(sizes: Sequence[Size], step_seconds: Callable[[Size], float], seconds: float) -> Choice:
    """The first of `sizes` for which a budget of `seconds` has the updates that it wants, else the last.

    `step_seconds` gives the time of a step of a size; it is asked from the first size on, up to the one that is taken.

    >>> sizes = [Size({"hidden_size": 512}, 1000), Size({"hidden_size": 256}, 2000)]
    >>> choose(sizes, lambda size: size.settings["hidden_size"] / 1000, 300.0).reason
    'hidden size 256: 0.256 s a step, about 1,054 updates in 5 min (hidden size 512 would make 527 of the 1,000 it wants)'
    """
    too_large: list[str] = []
    for size in sizes:
        each = step_seconds(size)
        updates = int(_FOR_TRAINING * seconds / each)
        if updates >= size.updates or size is sizes[-1]:
            passed = f" ({'; '.join(too_large)})" if too_large else ""
            taken = f"{_words(size)}: {each:.3g} s a step, about {updates:,} updates in {seconds / 60:g} min"
            return Choice(size, taken + passed)
        too_large.append(f"{_words(size)} would make {updates:,} of the {size.updates:,} it wants")
    raise ValueError("sizes is empty, expected at least one: list the task's sizes")


def is_open(settings: TrainSettings, origin: Mapping[str, str], sizes: Sequence[Size]) -> bool:
    """Whether the size is to be chosen: a budget in minutes, a new run, and no word of the user about the size."""
    named = {name for size in sizes for name in size.settings}
    untouched = all(origin.get(name) == "default" for name in named)
    return bool(sizes) and settings.budget[0] == "minutes" and not settings.resume and untouched


def _words(size: Size) -> str:
    return ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in size.settings.items())
