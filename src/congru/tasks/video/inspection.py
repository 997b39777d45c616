"""How a clip is shown in the report about the gates: its frames as thumbnails, and the class after each of them."""

from __future__ import annotations

from collections.abc import Sequence

from congru.gates.predictions import probable
from congru.gates.reading import Prediction, Reading
from congru.gates.record import Record
from congru.runtime.model import Model
from congru.tasks.video.thumbnails import thumbnail
from congru.tasks.video.use import clip_of


def inspect_reading(model: Model, source: str | None = None) -> Reading:
    """The frames of a clip; see `inspect_inputs` for `source` and what is raised."""
    classifier, clip = clip_of(model, source)

    def predict(record: Record) -> Sequence[Prediction]:
        return probable(record, classifier.classes, temperature=classifier.temperature)

    return Reading(
        classifier.preparation(clip)[None],
        [str(number + 1) for number in range(len(clip))],
        step="frame",
        pictures=[thumbnail(clip, number) for number in range(len(clip))],
        outputs=classifier.classes,
        predicts="The class",
        predict=predict,
    )
