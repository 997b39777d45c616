"""Which part of a source `congru eval` scores: one rule for every task.

    auto        the test part where there is one, else the validation part, else everything
    validation  the source's own; of a source without one the share that training keeps aside, by the rule of training
    train       the source's own, without that share
    test        the source's own, or what the task's rule leaves out: a tenth of chess games, rows newer than training's
    all         everything: for a source that training has not read

A source that training has read is so never scored on its training rows unless one asks for them.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Literal

from congru.errors import DataError

Part = Literal["auto", "train", "validation", "test", "all"]
ALL = "all"
NAMES = ("train", "validation", "test")


def parts_there(own: Collection[str], more: tuple[str, ...] = ()) -> list[str]:
    """The parts that can be scored of a source with parts of its `own`: without one for validation, a share of training.

    `more` are names that a task knows beside the usual ones.

    >>> parts_there(("test", "train"))
    ['train', 'validation', 'test']
    """
    return [name for name in (*NAMES, *more) if name in own or (name == "validation" and "train" in own)]


def is_whole(part: str, own: Collection[str]) -> bool:
    """Whether a part is one of the source's own as it is, and not a share of its training part.

    >>> is_whole("train", ("train", "test")), is_whole("test", ("train", "test"))
    (False, True)
    """
    return part in own and (part != "train" or "validation" in own)


def part_to_score(wanted: str, there: Collection[str], source: str) -> str:
    """The name of the part to score, of those that are `there` with something in them; "all" always is.

    Raises :class:`DataError` for one that is not.

    >>> part_to_score("auto", ("train", "validation"), "reviews.tsv")
    'validation'
    >>> part_to_score("test", ("train", "validation"), "reviews.tsv")
    Traceback (most recent call last):
    congru.errors.DataError: reviews.tsv has no test part, expected one of train, validation, all: pass --part validation
    """
    if wanted == "auto":
        return next((name for name in ("test", "validation") if name in there), ALL)
    if wanted != ALL and wanted not in there:
        known = [*there, ALL]
        best = next(name for name in ("validation", ALL) if name in known)
        raise DataError(
            f"{source} has no {wanted} part, expected one of {', '.join(known)}: pass --part {best}"
        )
    return wanted
