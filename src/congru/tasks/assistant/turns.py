"""What the network reads of a turn: words with values as their criteria, the last action, what is known, the mask.

x_t = [words, unseen | last action | of each criterion: asked, mentioned now | looked up, results, next, item | mask]     0 or 1
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from congru.tasks.assistant.actions import Actions, delexicalise
from congru.tasks.assistant.dialogues import SILENCE, Dialogue, Turn
from congru.tasks.assistant.examples import cut_words
from congru.tasks.assistant.knowledge import Knowledge, by_subject
from congru.tasks.assistant.tracking import State

Floats = NDArray[np.float32]


def words_of(text: str, knowledge: Knowledge) -> list[str]:
    """The words of a sentence in small letters, each value of a criterion as the criterion; silence is one word."""
    if text == SILENCE:
        return [SILENCE]
    words: list[str] = []
    last = 0
    for begin, end, name, _ in [*knowledge.phrases.find(text), (len(text), len(text), "", "")]:
        words += [word.lower() for word, _, _ in cut_words(text[last:begin])]
        words += [f"<{name}>"] * bool(name)
        last = end
    return words


@dataclass(frozen=True)
class Followed:
    """A dialogue as the network learns it: x [T, F], mask [T, A], right actions [T], replies, values of the placeholders."""

    x: Floats
    mask: NDArray[np.bool_]
    actions: NDArray[np.int64]
    replies: list[str]
    placeholder_values: list[dict[str, str]]


class Reader:
    """From states and sentences to what the network reads."""

    def __init__(self, vocabulary: Sequence[str], actions: Actions, knowledge: Knowledge) -> None:
        self.vocabulary, self.actions, self.knowledge = list(vocabulary), actions, knowledge
        self._words = {word: index for index, word in enumerate(vocabulary)}

    @property
    def size(self) -> int:
        """F."""
        return self.num_words + 2 * len(self.actions) + 1 + 2 * len(self.knowledge.criteria) + 4

    @property
    def num_words(self) -> int:
        """The columns of words, "unseen" the last of them."""
        return len(self.vocabulary) + 1

    def read(self, text: str, state: State, mask: NDArray[np.bool_]) -> Floats:
        """x_t [F] of a sentence and the state after it."""
        words = np.zeros(self.num_words, np.float32)
        for word in words_of(text, self.knowledge):
            words[self._words.get(word, len(self.vocabulary))] = 1
        last = np.zeros(len(self.actions) + 1, np.float32)
        if state.last is not None:
            last[state.last] = 1
        criteria = self.knowledge.criteria
        known = [float(name in names) for names in (state.asked, state.mentioned) for name in criteria]
        results = [
            state.results is not None,
            bool(state.results),
            state.next is not None,
            bool(state.offered),
        ]
        return np.concatenate([words, last, known, results, mask]).astype(np.float32)

    def knows(self, text: str) -> bool:
        """Whether a word of the sentence stands in the training dialogues; silence does."""
        return text == SILENCE or any(word in self._words for word in words_of(text, self.knowledge))

    def follow(self, dialogue: Dialogue) -> Followed:
        """A whole dialogue with the replies that it holds."""
        state = State()
        rows, masks, numbers, values = [], [], [], []
        for turn in dialogue.turns:
            state = listen(state, turn, self.knowledge)
            values.append(state.placeholder_values(self.knowledge.criteria))
            masks.append(self.actions.mask(values[-1]))
            rows.append(self.read(turn.sentence, state, masks[-1]))
            template = delexicalise(turn.reply, values[-1])
            numbers.append(self.actions.number(template))
            state = state.act(numbers[-1], template)
        replies = [turn.reply for turn in dialogue.turns]
        return Followed(np.stack(rows), np.stack(masks), np.array(numbers, np.int64), replies, values)


def listen(state: State, turn: Turn, knowledge: Knowledge) -> State:
    """The state after the facts and the sentence of a turn."""
    if turn.looked_up:
        state = state.find(by_subject(turn.facts), knowledge)
    return state.hear(turn.sentence, knowledge)


def learn_reader(dialogues: Iterable[Dialogue], knowledge: Knowledge) -> Reader:
    """The words and the actions of the training dialogues."""
    words: Counter[str] = Counter()
    templates: list[str] = []
    for dialogue in dialogues:
        state = State()
        for turn in dialogue.turns:
            state = listen(state, turn, knowledge)
            words.update(words_of(turn.sentence, knowledge))
            template = delexicalise(turn.reply, state.placeholder_values(knowledge.criteria))
            state = state.act(0, template)
            templates.append(template)
    return Reader(sorted(words), Actions.of(templates), knowledge)
