"""Networks side by side in one declaration: each reads the same input, one linear layer reads what all of them say.

    out = W [x_1; ..; x_S] + b = mean over s of (S W_s x_s + b)

So the answer is the mean of S members' outputs, and every run, export and inspection sees one network. Trained on the cost of
each member alone (`congru.train.members`), they stay different networks, which err at different places.
"""

from __future__ import annotations

from typing import Any


def member_name(name: str, number: int) -> str:
    """The node's name in a member; the first is number 0.

    >>> member_name("rnn", 0), member_name("rnn", 1)
    ('rnn', 'rnn2')
    """
    return f"{name}{number + 1}" if number else name


def joined(name: str, part: str, members: int) -> list[dict[str, Any]]:
    """The node that puts the members' parts side by side and is called `name`; none where there is one member.

    >>> joined("both", "drop", 2)
    [{'type': 'concat', 'name': 'both', 'of': ['drop', 'drop2']}]
    """
    parts = [member_name(part, k) for k in range(members)]
    return [{"type": "concat", "name": name, "of": parts}] if members > 1 else []
