"""The networks of an assistant: words in, tags and intent out; or turns of a dialogue in, scores of actions out.

e_t = table rows of the word, its affixes and its shape, side by side
h_t = bidirectional cell over e_t
tags_t = A h_t + a          intent = B max_t h_t + b

Several members (`seeds`) stand side by side in one declaration, each with outputs of its own; they err at different places, and
the mean of their scores decides, in decision.py.

h_t = cell over the turns x_t of turns.py          actions_t = A h_t + a
"""

from __future__ import annotations

from typing import Any

from congru.tasks.assistant.settings import Settings
from congru.tasks.members import member_name


def network_config(
    settings: Settings, cell: str, hidden_size: int, sizes: list[int], num_tags: int, num_intents: int
) -> dict[str, Any]:
    """The declaration, see :mod:`congru.runtime.graph`; `sizes`: tokens of every table."""
    members = range(settings.seeds)
    return {
        "inputs": {"words": {"tokens": sizes}},
        "nodes": [
            node for k in members for node in _member(settings, cell, hidden_size, num_tags, num_intents, k)
        ],
        "outputs": [member_name(output, k) for k in members for output in ("tags", "intent")],
    }


def _member(
    settings: Settings, cell: str, hidden_size: int, num_tags: int, num_intents: int, number: int
) -> list[dict[str, Any]]:
    """The nodes of one member."""
    drop = {"type": "dropout", "p": settings.dropout, "locked": True}
    nodes: list[dict[str, Any]] = [
        {
            "type": "embedding",
            "name": "embed",
            "of": "words",
            "size": settings.embedding_size,
            "combine": "concat",
        },
        {**drop, "name": "drop_words"},
        {**_layers(settings, cell, hidden_size), "bidirectional": True},
        {**drop, "name": "drop"},
        {"type": "linear", "name": "tags", "size": num_tags},
        {"type": "max", "name": "whole", "of": member_name("drop", number)},
        {"type": "linear", "name": "intent", "size": num_intents},
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
