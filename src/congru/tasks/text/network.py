"""The network of a text: tokens in, logits of the next token out."""

from __future__ import annotations

from typing import Any

from congru.tasks.members import OUTPUT
from congru.tasks.text.settings import Settings


def network_config(settings: Settings, num_tokens: int) -> dict[str, Any]:
    """The declaration: embedding, recurrent layers with dropout after each, output layer."""
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
    head = {"type": "linear", "name": OUTPUT, "size": num_tokens}
    return {
        "inputs": {"text": {"tokens": num_tokens}},
        "nodes": [
            {"type": "embedding", "name": "embed", "size": settings.token_size},
            recurrent,
            {"type": "dropout", "name": "drop", "p": settings.dropout},
            {**head, "tied": "embed"} if settings.tied else head,
        ],
        "outputs": [OUTPUT],
    }
