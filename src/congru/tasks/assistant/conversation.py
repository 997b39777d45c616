"""A conversation: the state card over turns, forks for undo, and a file to go on from.

a turn with the intent of the card, or with slots only      fills the card
a turn with another intent                                  begins a new card
a turn below the threshold without slots                    is counted as "I don't know"
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from congru.tasks.assistant.saved import load_turns, save_turns
from congru.tasks.assistant.scoring import Assistant, Understanding

DONT_KNOW = "I don't know"


@dataclass(frozen=True)
class Card:
    """What is known: the intent, slot -> values, and how often "I don't know" was said in how many turns."""

    intent: str | None = None
    slots: dict[str, list[str]] = field(default_factory=dict)
    turns: int = 0
    unknown: int = 0

    def after(self, turn: Understanding, needed: Sequence[str] = ()) -> Card:
        """The card after a turn, which may name slots that the card still needs; this one stays as it is."""
        belongs = turn.guess == self.intent or bool(set(needed) & set(turn.slots))
        fills = turn.intent is None and self.intent is not None and bool(turn.slots) and belongs
        if turn.intent is None and not fills:
            return Card(self.intent, self.slots, self.turns + 1, self.unknown + 1)
        if fills or turn.intent == self.intent:
            return Card(self.intent, {**self.slots, **turn.slots}, self.turns + 1, self.unknown)
        return Card(turn.intent, turn.slots, self.turns + 1, self.unknown)


class Conversation:
    """Turns with one assistant. Cards are never changed, so a fork shares them.

    `say` answers, `undo` goes back to the card before, `save` and `restore` keep all cards in a file.
    """

    def __init__(self, assistant: Assistant, cards: tuple[Card, ...] = (Card(),)) -> None:
        self.assistant = assistant
        self.cards = cards

    @property
    def card(self) -> Card:
        """The card now."""
        return self.cards[-1]

    @property
    def needed(self) -> list[str]:
        """The slots that the intent needs and the card lacks."""
        wanted = self.assistant.needed.get(self.card.intent or "", [])
        return [slot for slot in wanted if slot not in self.card.slots]

    def say(self, text: str) -> Understanding:
        """Understand a sentence and take it into the card; raises :class:`~congru.errors.DataError` for one without words."""
        turn = self.assistant.understand(text)
        self.cards = (*self.cards, self.card.after(turn, self.needed))
        return turn

    def fork(self) -> Conversation:
        """Another conversation from here on."""
        return Conversation(self.assistant, self.cards)

    def undo(self) -> bool:
        """Forget the last turn; False where there is none."""
        if len(self.cards) == 1:
            return False
        self.cards = self.cards[:-1]
        return True

    def reset(self) -> None:
        """Forget all turns."""
        self.cards = self.cards[:1]

    def save(self, path: str | Path) -> None:
        """Write all cards as JSON, with the fingerprint of the model."""
        save_turns(Path(path), self.assistant.model, [asdict(card) for card in self.cards])

    def restore(self, path: str | Path) -> None:
        """Go on from a saved file; raises :class:`~congru.errors.DataError` for another file or another model's."""
        self.cards = tuple(load_turns(Path(path), self.assistant.model, lambda card: Card(**card)))

    @property
    def told(self) -> str:
        """How far the conversation is."""
        return f"goes on after {self.card.turns} turns"

    def as_json(self, turn: Understanding) -> dict[str, Any]:
        """The turn and the card, for machines."""
        return {
            **asdict(turn),
            "threshold": self.assistant.threshold,
            "card": {**asdict(self.card), "needed": self.needed},
        }

    def as_text(self, turn: Understanding) -> str:
        """The turn and the card, for people."""
        lines = []
        if turn.intent is None and self.card.unknown > self.cards[-2].unknown:
            lines.append(
                f"{DONT_KNOW} ({turn.guess} {turn.confidence:.0%}, threshold {_sure(self.assistant.threshold)};"
                f" {self.card.unknown} of {self.card.turns} turns)"
            )
        lines.append(f"  intent  {self.card.intent or '-'}")
        slots = ", ".join(f"{slot} = {' and '.join(values)}" for slot, values in self.card.slots.items())
        lines.append(f"  slots   {slots or '-'}")
        if self.needed:
            lines.append(f"  needs   {', '.join(self.needed)}")
        return "\n".join(lines)


def _sure(share: float) -> str:
    """A probability that may be close to one, never told as one.

    >>> _sure(0.9), _sure(0.9962), _sure(0.99999)
    ('90%', '99.6%', 'over 99.9%')
    """
    if share >= 0.9995 and share < 1:
        return "over 99.9%"
    return f"{share:.1%}" if share >= 0.995 else f"{share:.0%}"
