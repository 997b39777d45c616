"""Classes of many texts: the column ``text`` read, the class and its probability beside it."""

from __future__ import annotations

from pathlib import Path

from congru.tasks.batch_rows import Columns, RowAnswers
from congru.tasks.sentiment.classifier import Classifier


def answers_of(model: Path) -> RowAnswers:
    """Texts to classes, for batches."""
    classifier = Classifier.load(model)

    def answer(texts: list[str]) -> Columns:
        probabilities = classifier.probabilities(texts)
        best = probabilities.argmax(1)
        classes = [classifier.classes[number] for number in best]
        return {"class": classes, "probability": probabilities.max(1).tolist()}

    return RowAnswers("text", {"class": "string", "probability": "float64"}, answer)
