"""Delexicalised actions: replies with placeholders for values, which of them can be filled now, and their words.

"here it is resto_paris_1_phone"  ->  "here it is {item.R_phone}"      where that is the phone of the offered subject
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from congru.tasks.assistant.knowledge import Phrases

_PLACEHOLDER = re.compile(r"\{([^{}]+)\}")


def delexicalise(reply: str, values: Mapping[str, str]) -> str:
    """The template of a reply: every value becomes its placeholder, of several the first.

    `values` maps placeholders to their values.

    >>> delexicalise("a table in Rome", {"city": "rome", "item.city": "rome"})
    'a table in {city}'
    """
    lowered = reply.lower()
    names: dict[str, str] = {}
    for name, value in values.items():
        if value.lower() in lowered:
            names.setdefault(value, name)
    template, last = "", 0
    for begin, end, name, _ in Phrases(names).find(reply) if names else ():
        template += reply[last:begin] + "{" + name + "}"
        last = end
    return template + reply[last:]


def placeholders_of(template: str) -> tuple[str, ...]:
    """The placeholders of a template.

    >>> placeholders_of("{next} is {next.price}")
    ('next', 'next.price')
    """
    return tuple(_PLACEHOLDER.findall(template))


class Actions:
    """The templates that the training dialogues hold, by number; number A stands for every other."""

    def __init__(self, templates: Sequence[str]) -> None:
        self.templates = list(templates)
        self._numbers = {template: number for number, template in enumerate(templates)}
        self._placeholders = [placeholders_of(template) for template in templates]

    @classmethod
    def of(cls, templates: Iterable[str]) -> Actions:
        """The most frequent first."""
        return cls([template for template, _ in Counter(templates).most_common()])

    def __len__(self) -> int:
        return len(self.templates)

    def number(self, template: str) -> int:
        """The number of a template, A where it is none of them."""
        return self._numbers.get(template, len(self))

    def mask(self, values: Mapping[str, str]) -> NDArray[np.bool_]:
        """The actions [A] whose placeholders can all be filled."""
        return np.array([all(name in values for name in wanted) for wanted in self._placeholders], bool)

    def say(self, number: int, values: Mapping[str, str]) -> str:
        """The words of an action, its placeholders filled."""
        return _PLACEHOLDER.sub(lambda match: values[match[1]], self.templates[number])

    def missing(self, asked: Mapping[str, str], criteria: Sequence[str]) -> list[str]:
        """The criteria that some action needs and nobody asked for yet: what a person is still to say."""
        wanted = {name for names in self._placeholders for name in names}
        return [name for name in criteria if name in wanted and name not in asked]
