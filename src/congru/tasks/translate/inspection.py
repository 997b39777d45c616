"""How a translation is shown in the report about the gates: the words written so far, and the next one expected.

The shares of a word are in bits: how much less likely it would be without what a word before it wrote into the decoder's state.
Attention and read-out are computed again from what is left (`congru.gates.deletion`).
"""

from __future__ import annotations

from collections.abc import Sequence

from congru.gates.deletion import bits_by_step
from congru.gates.predictions import probable
from congru.gates.reading import Prediction, Reading
from congru.gates.record import Record
from congru.gates.weights import Array
from congru.runtime.model import Model
from congru.tasks.translate.translator import Translator
from congru.tasks.translate.use import inspect_inputs


def inspect_reading(model: Model, source: str | None = None) -> Reading:
    """What the decoder reads while it translates a sentence; see `inspect_inputs` for `source`."""
    x, labels = inspect_inputs(model, source)
    translator = Translator.of(model)
    target = translator.target
    names = [target.pieces([token])[0].strip() or "␣" for token in range(target.boundary)] + ["(end)"]
    actual = [*labels[1:], "(end)"]

    def predict(record: Record) -> Sequence[Prediction]:
        def lost(answers: Sequence[Sequence[int]]) -> Sequence[Array] | None:
            return bits_by_step(record, translator.decoder, x, answers)

        return probable(record, names, actual, quote=True, lost=lost)

    return Reading(
        x,
        labels,
        step="word",
        flow=True,
        gap=" ",
        outputs=names,
        actual=actual,
        predicts="The next word",
        of="bits",
        predict=predict,
        adds_up=False,
    )
