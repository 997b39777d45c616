"""How speech is shown in the report about the gates: frames of sound by their time, and the character heard there."""

from __future__ import annotations

from congru.gates.reading import Reading
from congru.runtime.model import Model
from congru.tasks.speech.frames import SHIFT_SECONDS
from congru.tasks.speech.recognizer import Recognizer
from congru.tasks.speech.use import inspect_inputs


def inspect_reading(model: Model, source: str | None = None) -> Reading:
    """The steps of a recording; see `inspect_inputs` for `source` and what is raised."""
    x, labels = inspect_inputs(model, source)
    recognizer = Recognizer.of(model)
    names = ["(nothing new)", *(label.replace(" ", "␣") for label in recognizer.alphabet.labels[1:])]
    length = recognizer.front_end.stack * SHIFT_SECONDS
    times, heard = zip(*(label.partition(" ")[::2] for label in labels))
    return Reading(
        x,
        times,
        step="frame",
        seconds=length,
        values=heard,
        outputs=names,
        predicts="The character heard here",
        about=(("a frame", f"{1000 * length:.0f} ms of sound"),),
    )
