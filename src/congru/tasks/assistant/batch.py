"""The meaning of many sentences: the column ``text`` read; intent, confidence and slots (as JSON) beside it."""

from __future__ import annotations

import json
from pathlib import Path

from congru.tasks.assistant.trained import load_assistant
from congru.tasks.batch_rows import Columns, RowAnswers


def answers_of(model: Path) -> RowAnswers:
    """Sentences to their intent and slots, for batches."""
    assistant = load_assistant(model)

    def answer(texts: list[str]) -> Columns:
        understood = [assistant.understand(text) for text in texts]
        return {
            "intent": [one.guess for one in understood],
            "confidence": [one.confidence for one in understood],
            "slots": [json.dumps(one.slots, ensure_ascii=False) for one in understood],
        }

    return RowAnswers("text", {"intent": "string", "confidence": "float64", "slots": "string"}, answer)
