"""What a task adds to the report about its gates."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from congru.gates.reading import Reading


@dataclass(frozen=True)
class Context:
    """What the caller of a report knows and the record does not.

    about: lines of the first table; series [T, F]: the data whose autocorrelation is the yardstick (default: the
    record's input); extra: (title, sentence, svg text) chapters put first; row: the row shown; target: the output
    that the memory map explains (a number or a name; default: the largest); reading: how the task speaks of this input.
    """

    about: Mapping[str, Any]
    series: Any = None
    extra: Sequence[tuple[str, str, str]] = ()
    row: int = 0
    target: Any = None
    reading: Reading | None = None
