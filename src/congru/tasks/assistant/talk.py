"""A conversation with a dialogue policy: one recurrent state that goes on over the turns, forked for undo, kept in a file.

A reply after which the person always kept silent in training is followed by the next one at once. Where training dialogues
told facts, silence after an `api_call` looks up in the knowledge base what was asked. A sentence of unseen words alone is
not known, whatever the network gives it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from congru.runtime.session import Session
from congru.tasks.assistant.dialogue_data import masked_softmax
from congru.tasks.assistant.dialogues import SILENCE
from congru.tasks.assistant.policy import Policy
from congru.tasks.assistant.saved import load_turns, save_turns
from congru.tasks.assistant.tracking import State

DONT_KNOW = "I don't know"
_LOOK_UP = "api_call"


@dataclass(frozen=True)
class Reply:
    """The words of a reply, and the probability of its action."""

    text: str
    confidence: float


@dataclass(frozen=True)
class Exchange:
    """A sentence and the replies to it; none where the most probable lies below the threshold."""

    sentence: str
    replies: tuple[Reply, ...]
    confidence: float


@dataclass(frozen=True)
class Moment:
    """Where a talk stands: the recurrent state, what was tracked, how many turns, how many without a reply."""

    session: Session
    state: State
    turns: int = 0
    unknown: int = 0


class Talk:
    """Turns with one policy. Moments are never changed, so a fork shares them."""

    def __init__(self, policy: Policy, moments: tuple[Moment, ...] | None = None) -> None:
        self.policy = policy
        self.moments = moments or (Moment(policy.model.session(), State()),)

    @property
    def now(self) -> Moment:
        """Where the talk stands."""
        return self.moments[-1]

    @property
    def needed(self) -> list[str]:
        """The criteria that some reply needs and nobody named yet."""
        reader = self.policy.reader
        return reader.actions.missing(self.now.state.asked, reader.knowledge.criteria)

    def say(self, text: str) -> Exchange:
        """Hear a sentence, "" for silence, and reply; below the threshold nothing of it is kept but the count."""
        now = self.now
        sentence = text or SILENCE
        session, state = now.session.fork(), self._heard(now.state, sentence)
        replies: list[Reply] = []
        confidence = 0.0
        for _ in range(len(self.policy.reader.actions)):
            number, confidence, words = self._choose(session, state, sentence)
            if words is None:
                break
            state = state.act(number, self.policy.reader.actions.templates[number])
            replies.append(Reply(words, confidence))
            if number not in self.policy.goes_on:
                break
            sentence = SILENCE
            state = self._heard(state, sentence)
        moment = replace(now, turns=now.turns + 1, unknown=now.unknown + (not replies))
        if replies:
            moment = replace(moment, session=session, state=state)
        self.moments = (*self.moments, moment)
        return Exchange(text or SILENCE, tuple(replies), confidence)

    def _heard(self, state: State, sentence: str) -> State:
        """The state after a sentence; silence after an `api_call` brings what the knowledge base has."""
        knowledge = self.policy.reader.knowledge
        if sentence == SILENCE and self.policy.looks_up and self._asked_to_look_up(state):
            state = state.find(knowledge.look_up(state.asked), knowledge)
        return state.hear(sentence, knowledge)

    def _asked_to_look_up(self, state: State) -> bool:
        templates = self.policy.reader.actions.templates
        return state.last is not None and templates[state.last].startswith(_LOOK_UP)

    def _choose(self, session: Session, state: State, sentence: str) -> tuple[int, float, str | None]:
        """The action, its probability and its words: None below the threshold, or where nothing can be said."""
        reader = self.policy.reader
        placeholder_values = state.placeholder_values(reader.knowledge.criteria)
        mask = reader.actions.mask(placeholder_values)
        p = masked_softmax(session.step(reader.read(sentence, state, mask)), mask)
        number = int(p.argmax())
        confidence = float(p[number]) if reader.knows(sentence) else 0.0
        known = bool(mask[number]) and confidence >= self.policy.threshold
        return number, confidence, reader.actions.say(number, placeholder_values) if known else None

    def fork(self) -> Talk:
        """Another talk from here on."""
        return Talk(self.policy, self.moments)

    def undo(self) -> bool:
        """Forget the last turn; False where there is none."""
        if len(self.moments) == 1:
            return False
        self.moments = self.moments[:-1]
        return True

    def reset(self) -> None:
        """Forget all turns."""
        self.moments = self.moments[:1]

    def save(self, path: str | Path) -> None:
        """Write all moments as JSON, recurrent states included, with the fingerprint of the model."""
        turns = [
            {
                "recurrent": {name: value.tolist() for name, value in moment.session.state.items()},
                "state": moment.state.as_json(),
                "turns": moment.turns,
                "unknown": moment.unknown,
            }
            for moment in self.moments
        ]
        save_turns(Path(path), self.policy.model, turns)

    def restore(self, path: str | Path) -> None:
        """Go on from a saved file; raises :class:`~congru.errors.DataError` for another file or another model's."""
        self.moments = tuple(load_turns(Path(path), self.policy.model, self._moment))

    def _moment(self, content: Mapping[str, Any]) -> Moment:
        session = self.policy.model.session()
        session.state = {name: np.array(v, np.float32) for name, v in content["recurrent"].items()}
        return Moment(session, State.parse(content["state"]), int(content["turns"]), int(content["unknown"]))

    @property
    def told(self) -> str:
        """How far the conversation is."""
        return f"goes on after {self.now.turns} turns"

    def card(self) -> dict[str, Any]:
        """What was asked for, what is still needed, how much was found, what was offered, the counts."""
        state = self.now.state
        return {
            "asked": dict(state.asked),
            "needed": self.needed,
            "found": None if state.results is None else len(state.results),
            "offered": state.item,
            "turns": self.now.turns,
            "unknown": self.now.unknown,
        }

    def as_json(self, exchange: Exchange) -> dict[str, Any]:
        """The exchange and the card, for machines."""
        return {
            "said": exchange.sentence,
            "replies": tuple(asdict(reply) for reply in exchange.replies),
            "confidence": exchange.confidence,
            "threshold": self.policy.threshold,
            "card": self.card(),
        }

    def as_text(self, exchange: Exchange) -> str:
        """The exchange and the card, for people."""
        lines = [reply.text for reply in exchange.replies]
        if not lines:
            lines.append(
                f"{DONT_KNOW} ({exchange.confidence:.0%}, threshold {self.policy.threshold:.0%};"
                f" {self.now.unknown} of {self.now.turns} turns)"
            )
        card = self.card()
        asked = ", ".join(f"{name} = {value}" for name, value in card["asked"].items())
        lines.append(f"  asked   {asked or '-'}")
        if card["needed"]:
            lines.append(f"  needs   {', '.join(card['needed'])}")
        if card["found"] is not None:
            lines.append(
                f"  found   {card['found']}" + (f", offered {card['offered']}" if card["offered"] else "")
            )
        return "\n".join(lines)
