"""The networks of an assistant: words in, tags and intent out; or turns of a dialogue in, scores of actions out.

e_t = table rows of the word, its affixes and its shape, side by side
h_t = bidirectional cell over e_t
tags_t = A h_t + a          intent = B max_t h_t + b          h of all members side by side where there are several

h_t = cell over the turns x_t of turns.py          actions_t = A h_t + a
"""

from __future__ import annotations

from typing import Any

from congru.tasks.assistant.settings import Settings
from congru.tasks.members import joined, member_name


def network_config(
    settings: Settings, cell: str, hidden_size: int, sizes: list[int], num_tags: int, num_intents: int
) -> dict[str, Any]:
    """The declaration, see :mod:`congru.runtime.graph`; `sizes`: tokens of every table."""
    alone = settings.seeds == 1
    return {
        "inputs": {"words": {"tokens": sizes}},
        "nodes": [
            *(node for k in range(settings.seeds) for node in _member(settings, cell, hidden_size, k)),
            *joined("words_of_all", "drop", settings.seeds),
            {"type": "linear", "name": "tags", "of": "drop" if alone else "words_of_all", "size": num_tags},
            *joined("wholes", "whole", settings.seeds),
            {"type": "linear", "name": "intent", "of": "whole" if alone else "wholes", "size": num_intents},
        ],
        "outputs": ["tags", "intent"],
    }


def _member(settings: Settings, cell: str, hidden_size: int, number: int) -> list[dict[str, Any]]:
    """One network up to its two linear layers; the first is number 0."""
    nodes: list[dict[str, Any]] = [
        {
            "type": "embedding",
            "name": "embed",
            "of": "words",
            "size": settings.embedding_size,
            "combine": "concat",
        },
        {"type": "dropout", "name": "drop_words", "p": settings.dropout, "locked": True},
        {**_layers(settings, cell, hidden_size), "bidirectional": True},
        {"type": "dropout", "name": "drop", "p": settings.dropout, "locked": True},
        {"type": "max", "name": "whole"},
    ]
    return [{**node, "name": member_name(node["name"], number)} for node in nodes]


def policy_config(
    settings: Settings, cell: str, hidden_size: int, num_features: int, num_actions: int
) -> dict[str, Any]:
    """The declaration of the network over turns; it runs step by step."""
    return {
        "inputs": {"turn": {"features": num_features}},
        "nodes": [
            _layers(settings, cell, hidden_size),
            {"type": "dropout", "name": "drop", "p": settings.dropout},
            {"type": "linear", "name": "action", "size": num_actions},
        ],
        "outputs": ["action"],
    }


def _layers(settings: Settings, cell: str, hidden_size: int) -> dict[str, Any]:
    """The recurrent node, with dropout between its layers where there are several."""
    node: dict[str, Any] = {"type": cell, "name": "rnn", "hidden_size": hidden_size}
    if settings.num_layers > 1:
        node |= {"num_layers": settings.num_layers, "dropout": settings.dropout}
    return node
