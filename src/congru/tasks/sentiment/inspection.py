"""How a text is shown in the report about the gates: its words, and the classes with what every word gives to them."""

from __future__ import annotations

from collections.abc import Sequence

from congru.gates.form import KEEP
from congru.gates.predictions import MOST_CHOICES, percent
from congru.gates.reading import Choice, Prediction, Reading
from congru.gates.record import Record
from congru.runtime.model import Model
from congru.tasks.sentiment.attribution import attribute_text
from congru.tasks.sentiment.classifier import Classifier
from congru.tasks.sentiment.use import text_of


def inspect_reading(model: Model, source: str | None = None, *, limit: int = 400) -> Reading:
    """The words of a text; see `inspect_inputs` for `source` and what is raised."""
    classifier = Classifier.of(model)
    text = text_of(model, source)
    encoded = classifier.steps.encode(text, limit=limit)

    def predict(record: Record) -> Sequence[Prediction]:
        first = attribute_text(classifier, text)
        order = sorted(first.probabilities, key=lambda name: -first.probabilities[name])
        choices = []
        for name in order[:MOST_CHOICES]:
            told = first if name == first.target else attribute_text(classifier, text, name)
            known = record.cell in KEEP or bool(told.counted.any())
            p = told.probabilities[name]
            choices.append(Choice(name, percent(p), p, told.shares[: len(encoded)] if known else None))
        return [Prediction(len(encoded) - 1, tuple(choices))]

    kind = {"word": "word", "char": "character"}.get(classifier.steps.kind, "piece")
    return Reading(
        encoded.ids[None],
        encoded.pieces,
        step=kind,
        flow=True,
        gap="" if kind == "character" else " ",
        outputs=classifier.classes,
        predicts="The class",
        of="the evidence",
        predict=predict,
    )
