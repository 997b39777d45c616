"""JSON that every parser reads, and JSON of files that anyone may have written.

Written: numbers that are not finite, which JSON does not have, become null. Read: whatever is wrong is a ValueError.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

DEEPEST = 100  # lists and mappings inside one another
_TOO_DEEP = f"lists and mappings lie more than {DEEPEST} deep"


def as_json(value: Any, indent: int | None = None) -> str:
    """A value as JSON text (RFC 8259).

    >>> as_json({"loss": float("nan"), "steps": [1, 2]})
    '{"loss": null, "steps": [1, 2]}'
    """
    return json.dumps(_finite(value), indent=indent, ensure_ascii=False, allow_nan=False)


def _finite(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {key: _finite(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(inner) for inner in value]
    return value


def parse_json(content: bytes | str) -> Any:
    """The value of a JSON text. Raises ValueError for what is no JSON, no UTF-8, or nested deeper than 100.

    >>> parse_json('{"a": [1, 2]}')
    {'a': [1, 2]}
    >>> parse_json("[" * 101 + "]" * 101)
    Traceback (most recent call last):
    ValueError: lists and mappings lie more than 100 deep
    """
    try:
        value = json.loads(content)
    except RecursionError:
        raise ValueError(_TOO_DEEP) from None
    level = [value]
    for _ in range(DEEPEST):
        level = [inner for outer in level for inner in _parts(outer) if isinstance(inner, (dict, list))]
        if not level:
            return value
    raise ValueError(_TOO_DEEP)


def _parts(value: Any) -> Any:
    return value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
