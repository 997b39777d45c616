"""The networks of a music model, as named graphs.

    main    frame by frame: the frame before, its pitch classes and the beat, what is recalled -> the state; with
            independent keys their logits; of events: the event before -> logits of the next
    notes   one step of a frame's notes: the state and what is named so far -> logits by pitch, above the last note, near the
            note of the same rank before

How the three heads make the distribution of the next note is `congru.tasks.music.frames`.
"""

from __future__ import annotations

from typing import Any

from congru.tasks.music.frames import CLASSES, NOTE_FEATURES, RECALLED, WINDOW
from congru.tasks.music.pieces import KEYS
from congru.tasks.music.settings import Settings

HEADS = ("pitch", "above", "near")


def frame_networks(settings: Settings, cell: str, hidden_size: int) -> dict[str, Any]:
    """The networks of the frame model by name."""
    inputs = {"roll": {"features": KEYS}, "known": {"features": CLASSES + settings.beat}}
    nodes: list[dict[str, Any]] = [
        {"type": "dropout", "name": "keys", "of": "roll", "p": settings.input_dropout}
    ]
    parts = ["keys", "known"]
    if settings.recall:
        inputs["recalled"] = {"features": RECALLED}
        nodes.append(
            {
                "type": "dropout",
                "name": "memory",
                "of": "recalled",
                "p": settings.input_dropout,
                "whole_steps": True,
            }
        )
        parts.append("memory")
    nodes += [
        {"type": "concat", "name": "read", "of": parts},
        _recurrent(settings, cell, hidden_size),
        {"type": "dropout", "name": "state", "p": settings.dropout},
    ]
    if settings.frame == "keys":
        nodes.append({"type": "linear", "name": "on", "size": KEYS})
        return {"main": {"inputs": inputs, "nodes": nodes, "outputs": ["on"]}}
    main = {"inputs": inputs, "nodes": nodes, "outputs": ["state"]}
    return {"main": main, "notes": _notes(settings, hidden_size)}


def _recurrent(settings: Settings, cell: str, hidden_size: int) -> dict[str, Any]:
    return {
        "type": cell,
        "name": "rnn",
        "hidden_size": hidden_size,
        "num_layers": settings.num_layers,
        "dropout": settings.dropout if settings.num_layers > 1 else 0.0,
    }


def _notes(settings: Settings, hidden_size: int) -> dict[str, Any]:
    """A hidden layer, a second one added to it, and three heads."""
    size, drop = settings.notes_size, {"type": "dropout", "p": settings.notes_dropout}
    return {
        "inputs": {
            "state": {"features": hidden_size, "axes": "row"},
            "named": {"features": NOTE_FEATURES, "axes": "row"},
        },
        "nodes": [
            {"type": "concat", "name": "both", "of": ["state", "named"]},
            {"type": "linear", "name": "first", "size": size},
            {"type": "relu", "name": "open"},
            {**drop, "name": "drop_first"},
            {"type": "linear", "name": "second", "size": size},
            {"type": "relu", "name": "open_second"},
            {**drop, "name": "drop_second"},
            {"type": "add", "name": "seen", "of": ["drop_first", "drop_second"]},
            {"type": "linear", "name": "pitch", "size": KEYS + 1, "of": "seen"},
            {"type": "linear", "name": "above", "size": KEYS, "of": "seen"},
            {"type": "linear", "name": "near", "size": WINDOW, "of": "seen"},
        ],
        "outputs": list(HEADS),
    }


def event_networks(settings: Settings, cell: str, hidden_size: int, num_tokens: int) -> dict[str, Any]:
    """The network of the event model: from the event before to logits of the next."""
    return {
        "main": {
            "inputs": {"event": {"tokens": num_tokens}},
            "nodes": [
                {"type": "embedding", "name": "embed", "size": settings.embedding_size},
                {"type": "dropout", "name": "thin", "p": settings.input_dropout},
                _recurrent(settings, cell, hidden_size),
                {"type": "dropout", "name": "state", "p": settings.dropout},
                {"type": "linear", "name": "next", "size": num_tokens},
            ],
            "outputs": ["next"],
        }
    }
