"""How a translation is shown in the report about the gates: the words written so far, and the next one expected."""

from __future__ import annotations

from congru.gates.reading import Reading
from congru.runtime.model import Model
from congru.tasks.translate.translator import Translator
from congru.tasks.translate.use import inspect_inputs


def inspect_reading(model: Model, source: str | None = None) -> Reading:
    """What the decoder reads while it translates a sentence; see `inspect_inputs` for `source`."""
    x, labels = inspect_inputs(model, source)
    target = Translator.of(model).target
    names = [target.pieces([token])[0].strip() or "␣" for token in range(target.boundary)] + ["(end)"]
    return Reading(
        x,
        labels,
        step="word",
        flow=True,
        gap=" ",
        outputs=names,
        actual=[*labels[1:], "(end)"],
        predicts="The next word",
    )
