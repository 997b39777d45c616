"""How a text is shown in the report about the gates: its characters or tokens, and what the model expects next."""

from __future__ import annotations

from congru.gates.reading import Reading
from congru.runtime.model import Model
from congru.runtime.tokenizer import Tokenizer
from congru.tasks.text.use import inspect_inputs


def inspect_reading(model: Model, source: str | None = None) -> Reading:
    """The running text; see `inspect_inputs` for `source` and what is raised."""
    tokenizer = model.tokenizer
    assert tokenizer is not None
    x, _ = inspect_inputs(model, source)
    pieces = [tokenizer.decode([index]) for index in x[0].tolist()]
    names = [tokenizer.decode([index]) for index in range(model.network.output_size)]
    step = name_of_step(tokenizer, len(names))
    return Reading(
        x,
        pieces,
        step=step,
        flow=True,
        outputs=names,
        actual=pieces[1:],
        predicts=f"The next {step}",
        source=tokenizer.decode(x[0].tolist()),
    )


def name_of_step(tokenizer: Tokenizer, count: int) -> str:
    """What a step of a text is: a character, where each of its `count` tokens is one."""
    return "character" if all(len(tokenizer.decode([index])) == 1 for index in range(count)) else "token"
