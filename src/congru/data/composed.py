"""What a table says in several columns or in words of its own, as one column: before the columns have a meaning.

--id-column store,item       names of series of two columns: "north/apples"
--time-column Date,Time      the date and the time of day apart: "2004-03-10 18:00:00"
--missing -200               a value that says that there is none
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from congru.data.columns import Columns

_JOINTS = {"unique_id": "/", "ds": " "}


def compose(
    names: list[str],
    text: dict[str, list[Any]],
    columns: Columns,
    is_missing: Callable[[Any], bool],
) -> list[str]:
    """Add the columns [R] that consist of several to `text`, empty the values that stand for none, and give the new `names`.

    >>> text = {"Date": ["2024-01-01"], "Time": ["18:00"], "y": ["-200"]}
    >>> compose(["Date", "Time", "y"], text, Columns(ds="Date,Time", missing=("-200",)), lambda value: value == "")
    ['Date,Time', 'y']
    >>> text["Date,Time"], text["y"]
    (['2024-01-01 18:00'], [''])
    """
    joint_of = {getattr(columns, part): joint for part, joint in _JOINTS.items()}
    parts_of = {whole: parts_in(whole, names) for whole in joint_of}
    if columns.missing:
        own = {*joint_of, *(part for parts in parts_of.values() for part in parts)}
        for name in names:
            if name not in own:
                text[name] = [
                    "" if _stands_for_none(value, columns.missing) else value for value in text[name]
                ]
    for whole, parts in parts_of.items():
        if parts:
            rows = zip(*(text[part] for part in parts))
            text[whole] = [
                None if any(is_missing(value) for value in row) else joint_of[whole].join(map(_written, row))
                for row in rows
            ]
            names = [whole, *(name for name in names if name not in parts)]
    return names


def parts_in(whole: str, names: Sequence[str]) -> list[str]:
    """The columns that a name with commas consists of, where they are all there and no column has that name.

    >>> parts_in("Date,Time", ["Date", "Time", "y"]), parts_in("Date,Tim", ["Date", "Time"]), parts_in("y", ["y"])
    (['Date', 'Time'], [], [])
    """
    parts = [part.strip() for part in whole.split(",")]
    return parts if len(parts) > 1 and whole not in names and all(part in names for part in parts) else []


def _written(value: Any) -> str:
    """A part as text: a midnight as its date, other values as they are printed.

    >>> import datetime
    >>> _written(datetime.datetime(2024, 1, 1)), _written(" a "), _written(7)
    ('2024-01-01', 'a', '7')
    """
    return str(value).strip().removesuffix(" 00:00:00")


def _stands_for_none(value: Any, words: Sequence[str]) -> bool:
    return str(value).strip() in words or any(_same_number(value, word) for word in words)


def _same_number(value: Any, word: str) -> bool:
    try:
        return float(value) == float(word)
    except (TypeError, ValueError):
        return False
