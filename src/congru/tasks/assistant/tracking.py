"""What a dialogue has come to: what was asked for, what the look-up gave, what was offered. Written by hand, not learnt.

asked[P]     the last value of criterion P that the person said
mentioned    the criteria of the last sentence; "said" in a file
results      subjects of the last look-up by rank        next = results[offered]        item = results[offered - 1]
placeholders "P" -> asked[P], "next", "item", "item.P" -> their facts: what a reply can be filled with
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from congru.tasks.assistant.knowledge import Facts, Knowledge


@dataclass(frozen=True)
class State:
    """Never changed: :meth:`hear`, :meth:`find` and :meth:`act` give the next one. ``last``: number of the last action."""

    asked: Mapping[str, str] = field(default_factory=dict)
    mentioned: tuple[str, ...] = ()
    results: tuple[str, ...] | None = None
    facts: Facts = field(default_factory=dict)
    offered: int = 0
    last: int | None = None

    @property
    def next(self) -> str | None:
        """The subject to offer next."""
        results = self.results or ()
        return results[self.offered] if self.offered < len(results) else None

    @property
    def item(self) -> str | None:
        """The subject offered last."""
        return (self.results or ())[self.offered - 1] if self.offered else None

    def hear(self, text: str, knowledge: Knowledge) -> State:
        """After a sentence: of two values of a criterion the later counts."""
        mentioned = {name: value for _, _, name, value in knowledge.phrases.find(text)}
        return replace(self, asked={**self.asked, **mentioned}, mentioned=tuple(mentioned))

    def find(self, facts: Facts, knowledge: Knowledge) -> State:
        """After a look-up that gave these facts."""
        return replace(self, results=knowledge.ordered(facts), facts=facts, offered=0)

    def act(self, number: int, template: str) -> State:
        """After a reply by a template; one with the next subject has offered it."""
        offers = "{next" in template and self.next is not None
        return replace(self, last=number, offered=self.offered + offers)

    def placeholder_values(self, criteria: Sequence[str]) -> dict[str, str]:
        """The value of every placeholder that can be filled now, those that win over others of the same value first."""
        values: dict[str, str] = {}
        if self.next is not None:
            values["next"] = self.next
        item = self.facts.get(self.item, {}) if self.item is not None else {}
        if self.item is not None:
            values["item"] = self.item
        values.update({f"item.{name}": value for name, value in item.items() if name not in criteria})
        values.update(self.asked)
        values.update({f"item.{name}": value for name, value in item.items() if name in criteria})
        if self.next is not None:
            values.update({f"next.{name}": value for name, value in self.facts.get(self.next, {}).items()})
        return values

    def as_json(self) -> dict[str, Any]:
        """As plain values, for :meth:`parse`."""
        content = asdict(self)
        content["said"] = content.pop("mentioned")
        return content

    @classmethod
    def parse(cls, content: Mapping[str, Any]) -> State:
        """From what :meth:`as_json` gave."""
        results = content["results"]
        return cls(
            asked=content["asked"],
            mentioned=tuple(content["said"]),
            results=None if results is None else tuple(results),
            facts=content["facts"],
            offered=int(content["offered"]),
            last=content["last"],
        )
