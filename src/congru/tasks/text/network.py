"""The network of a text: tokens in, logits of the next token out.

Several members (`seeds`) are trained as networks of their own. They err at different places, and the mean of their logits
is nearer than each. In the model folder they are one network: with the last features f_m and the output layer W_m, b_m
of member m of M,

    mean of the logits = [W_1 .. W_M] / M  [f_1; ..; f_M]  +  (b_1 + .. + b_M) / M
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from congru.tasks.members import member_name
from congru.tasks.text.settings import Settings


def network_config(settings: Settings, num_tokens: int) -> dict[str, Any]:
    """One member: embedding, recurrent layers with dropout after each, output layer."""
    head = {"type": "linear", "name": "head", "size": num_tokens}
    return {
        "inputs": {"text": {"tokens": num_tokens}},
        "nodes": [*_features(settings), {**head, "tied": "embed"} if settings.tied else head],
        "outputs": ["head"],
    }


def joined_config(settings: Settings, num_tokens: int) -> dict[str, Any]:
    """All members side by side, below one output layer."""
    members = range(settings.seeds)
    nodes = [
        {**node, "name": member_name(node["name"], number), **({"of": "text"} if not index else {})}
        for number in members
        for index, node in enumerate(_features(settings))
    ]
    return {
        "inputs": {"text": {"tokens": num_tokens}},
        "nodes": [
            *nodes,
            {"type": "concat", "name": "members", "of": [member_name("drop", number) for number in members]},
            {"type": "linear", "name": "head", "size": num_tokens},
        ],
        "outputs": ["head"],
    }


def joined_weights(members: Sequence[Mapping[str, Tensor]]) -> dict[str, Tensor]:
    """The weights of `joined_config` from those of its members; their output layers become one.

    >>> one = {"embed.weight": torch.ones(2, 1), "head.weight": torch.ones(2, 1), "head.bias": torch.zeros(2)}
    >>> two = {"embed.weight": torch.ones(2, 1), "head.weight": 3 * torch.ones(2, 1), "head.bias": torch.ones(2)}
    >>> joined_weights([one, two])["head.weight"].tolist(), joined_weights([one, two])["head.bias"].tolist()
    ([[0.5, 1.5], [0.5, 1.5]], [0.5, 0.5])
    """
    weights = {}
    for number, member in enumerate(members):
        for name, value in member.items():
            node, _, part = name.partition(".")
            if node != "head":
                weights[f"{member_name(node, number)}.{part}"] = value
    heads = [member.get("head.weight", member["embed.weight"]) for member in members]  # tied: the table
    weights["head.weight"] = torch.cat(heads, 1) / len(heads)
    weights["head.bias"] = torch.stack([member["head.bias"] for member in members]).mean(0)
    return weights


def _features(settings: Settings) -> list[dict[str, Any]]:
    """The nodes of a member below the output layer."""
    recurrent = {
        "type": settings.cell,
        "name": "rnn",
        "hidden_size": settings.hidden_size,
        "num_layers": settings.num_layers,
        "dropout": settings.dropout if settings.num_layers > 1 else 0.0,
    }
    if settings.cell == "gru":
        recurrent["reset_before"] = settings.reset_before
    if settings.recurrent_dropout:
        recurrent["recurrent_dropout"] = settings.recurrent_dropout
    return [
        {"type": "embedding", "name": "embed", "size": settings.token_size},
        recurrent,
        {"type": "dropout", "name": "drop", "p": settings.dropout},
    ]
