"""Names of networks, or of their parts, that are trained side by side from different first weights (`--seeds`)."""

from __future__ import annotations

OUTPUT = "head"
"""The output layer of a member that becomes part of one network, see `congru.tasks.joining`: its last node."""


def member_name(name: str, number: int) -> str:
    """The name in a member; the first is number 0.

    >>> member_name("main", 0), member_name("main", 1)
    ('main', 'main2')
    """
    return f"{name}{number + 1}" if number else name
