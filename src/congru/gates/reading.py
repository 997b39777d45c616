"""How a task speaks of one input: the names of its steps, units, pictures, and what the model says after each of them.

    def inspect_reading(model, source=None) -> Reading      in tasks/NAME/inspection.py

The report knows nothing of tasks: it shows what a `Reading` holds. Everything but `x` and `tokens` may be left out; a task
whose outputs are no linear function of the states gives `predict`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from congru.gates.record import Record
from congru.gates.weights import Array


class Choice(NamedTuple):
    """One of the things a model says: its name, its value in words ("42 %", "14.2 °C"), and a bar of length 0 to 1.

    shares [t + 1]: what each step read so far gives to it, or what it would lose without that step's part of the state; None
    where neither is exact.
    """

    name: str
    value: str
    bar: float
    shares: Array | None = None


class Prediction(NamedTuple):
    """What a model says after step `at`, likeliest first, and the name of what really came, "" where nobody knows."""

    at: int
    choices: tuple[Choice, ...]
    actual: str = ""


@dataclass(frozen=True)
class Reading:
    """One input in the words of its task.

    x: what the model reads. tokens: a label for each step. step: what a step is called ("day"); plural, if not `step` with
    an s. values: what was read at each step, in its unit. pictures: HTML of each step, trusted; style: CSS of the pictures.
    flow: whether the tokens are a running text, `gap` between them. outputs: names of the outputs, where the model has
    none. scale and shift [O]: what turns an output into a number in its unit, scale * output + shift. actual: the name of what
    followed each step. predicts: what is predicted ("The next character"). of: the unit of the shares, such as "bits".
    seconds: how long a step lasts, where steps are even moments of time. target: the output explained (default: the
    largest). about: further lines of the first table. source: what makes another model read the same, None if that is the
    default. predict: gives the predictions of a record, where they are not the softmax of a linear read-out. adds_up: False
    where the shares are bits that are lost without a step's part of the state (`congru.gates.deletion`).
    """

    x: Any
    tokens: Sequence[str]
    step: str = "step"
    plural: str = ""
    values: Sequence[str] = ()
    pictures: Sequence[str] = ()
    style: str = ""
    flow: bool = False
    gap: str = ""
    outputs: Sequence[str] = ()
    scale: Any = None
    shift: Any = None
    actual: Sequence[str] = ()
    predicts: str = "The prediction"
    of: str = "the score"
    seconds: float | None = None
    target: Any = None
    about: tuple[tuple[str, str], ...] = ()
    source: str | None = None
    predict: Callable[[Record], Sequence[Prediction]] | None = None
    adds_up: bool = True

    @property
    def steps(self) -> str:
        """The plural of `step`.

        >>> Reading(None, (), step="day").steps
        'days'
        """
        return self.plural or f"{self.step}s"

    def count(self, number: int) -> str:
        """A number of steps in words.

        >>> Reading(None, (), step="day").count(1), Reading(None, (), step="day").count(3)
        ('1 day', '3 days')
        """
        return f"{number} {self.step if number == 1 else self.steps}"
