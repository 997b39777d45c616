"""How surprising many texts are: the column ``text`` read, nats and characters beside it."""

from __future__ import annotations

from pathlib import Path

from congru.tasks.batch_rows import Columns, RowAnswers
from congru.tasks.text.scoring import load_text_model, score_text

_BEFORE = "\n"  # what a text is taken to follow


def answers_of(model: Path) -> RowAnswers:
    """Texts to their nats, for batches."""
    loaded = load_text_model(model)

    def answer(texts: list[str]) -> Columns:
        nats = [score_text(loaded, _BEFORE, text, segments=1) for text in texts]
        return {"nats": nats, "characters": [len(text) for text in texts]}

    return RowAnswers("text", {"nats": "float64", "characters": "int64"}, answer)
