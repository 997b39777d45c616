"""The network of a classifier: tokens in, one number per class out.

    e_t = [dropout(E[x_t]); w[x_t]]     a token's vector, and its log-count ratios of naive Bayes (the channel)
    y_t = GRU both ways over e          forward only where it streams
    c   = attention, mean or max of y   running, c_t over the steps so far, where it streams
    out = W dropout(c) + b

The score of naive Bayes is added outside: logits = out + s * score, s one trained number; p = softmax(logits / temperature).
"""

from __future__ import annotations

from typing import Any

from congru.tasks.sentiment.settings import Settings

POOLS = {"attention": "attention_pool", "mean": "mean", "max": "max"}


def network_config(settings: Settings, num_tokens: int, num_classes: int) -> dict[str, Any]:
    """The declaration, see :mod:`congru.runtime.graph`.

    >>> config = network_config(Settings(naive_bayes="off"), 100, 2)
    >>> [node["type"] for node in config["nodes"]]
    ['embedding', 'dropout', 'dropout', 'gru', 'mean', 'dropout', 'linear']
    """
    pool: dict[str, Any] = {"type": POOLS[settings.pool], "name": "pool", "running": settings.streaming}
    if settings.pool == "attention":
        pool["size"] = settings.hidden_size
    cell: dict[str, Any] = {"type": settings.cell, "name": "rnn", "hidden_size": settings.hidden_size}
    if settings.cell == "gru":
        cell["reset_before"] = settings.reset_before
    channel = [
        {"type": "embedding", "name": "ratios", "of": "text", "size": num_classes},
        {"type": "concat", "name": "inputs", "of": ["thin", "ratios"]},
    ]
    return {
        "inputs": {"text": {"tokens": num_tokens}},
        "nodes": [
            {"type": "embedding", "name": "embed", "size": settings.embedding_size},
            {"type": "dropout", "name": "thin", "p": settings.embedding_dropout},
            *(channel if settings.gives_channel else []),
            {"type": "dropout", "name": "words", "p": settings.word_dropout, "whole_steps": True},
            {
                **cell,
                "num_layers": settings.num_layers,
                "bidirectional": not settings.streaming,
                "dropout": settings.dropout if settings.num_layers > 1 else 0.0,
            },
            pool,
            {"type": "dropout", "name": "drop", "p": settings.dropout},
            {"type": "linear", "name": "head", "size": num_classes},
        ],
        "outputs": ["head"],
    }
