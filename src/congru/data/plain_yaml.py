"""YAML of plain values from files that anyone may have written: whatever is wrong with it is a ValueError."""

from __future__ import annotations

from typing import Any

import yaml

_MOST_CHARACTERS = 4 << 20
_DEEPEST = 100


class _PlainLoader(yaml.SafeLoader):
    """Without references, of which a few lines make more than memory holds, and not too deep."""

    depth = 0

    def compose_node(self, parent: Any, index: Any) -> Any:
        self.depth += 1
        wrong = "a reference (*name)" if self.check_event(yaml.events.AliasEvent) else None
        if self.depth > _DEEPEST:
            wrong = f"more than {_DEEPEST} levels"
        if wrong:
            mark = self.peek_event().start_mark  # type: ignore[no-untyped-call]
            raise yaml.MarkedYAMLError(problem=wrong, problem_mark=mark)
        node = super().compose_node(parent, index)
        self.depth -= 1
        return node


def parse_yaml(text: str) -> Any:
    """The value of a YAML text of plain values, without references. Raises ValueError, its text a clause with the line.

    >>> parse_yaml("a: [1, two]")
    {'a': [1, 'two']}
    >>> parse_yaml("a: &b [1]\\nc: *b")
    Traceback (most recent call last):
    ValueError: line 2: a reference (*name)
    >>> parse_yaml("day: 2024-13-45")
    Traceback (most recent call last):
    ValueError: a value cannot be read (month must be in 1..12)
    """
    if len(text) > _MOST_CHARACTERS:
        raise ValueError(f"{len(text):,} characters, more than {_MOST_CHARACTERS:,}")
    try:
        return yaml.load(text, Loader=_PlainLoader)
    except yaml.YAMLError as error:
        mark, problem = getattr(error, "problem_mark", None), getattr(error, "problem", None)
        where = f"line {mark.line + 1}: " if mark is not None else ""
        raise ValueError(f"{where}{problem or 'no YAML'}") from None
    except (
        ValueError,
        TypeError,
        AttributeError,
        KeyError,
        IndexError,
        RecursionError,
        OverflowError,
    ) as error:
        # Scalars that only look like dates, numbers or binary data, which PyYAML leaves to their constructors.
        raise ValueError(f"a value cannot be read ({error})") from None
