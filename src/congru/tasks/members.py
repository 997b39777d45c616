"""Names of networks, or of their parts, that are trained side by side from different first weights (`--seeds`)."""

from __future__ import annotations

from typing import Any

OUTPUT = "head"
"""The output layer of a member that becomes part of one network, see `congru.tasks.joining`: its last node."""


def member_name(name: str, number: int) -> str:
    """The name in a member; the first is number 0.

    >>> member_name("main", 0), member_name("main", 1)
    ('main', 'main2')
    """
    return f"{name}{number + 1}" if number else name


def side_by_side(declaration: Any, count: int) -> dict[str, Any]:
    """One declaration for each of so many members, by the names of their networks.

    >>> side_by_side("a", 2)
    {'main': 'a', 'main2': 'a'}
    """
    return {member_name("main", number): declaration for number in range(count)}
