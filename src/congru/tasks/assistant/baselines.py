"""What a person would try first: naive Bayes on the words for the intent, the most frequent tag of each word."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence

from congru.tasks.assistant.examples import Example


class WordCounts:
    """log p(intent) + sum over words of log p(word | intent), each count plus one; tags by word counts."""

    def __init__(self, examples: Sequence[Example]) -> None:
        self.intents = Counter(str(example.intent) for example in examples)
        self.words: dict[str, Counter[str]] = {intent: Counter() for intent in self.intents}
        tags: dict[str, Counter[str]] = {}
        for example in examples:
            lowered = [word.lower() for word in example.words]
            self.words[str(example.intent)].update(lowered)
            for word, tag in zip(lowered, example.tags):
                tags.setdefault(word, Counter())[tag] += 1
        self.tags = {word: counts.most_common(1)[0][0] for word, counts in tags.items()}
        self.totals = {intent: sum(counts.values()) + len(self.tags) for intent, counts in self.words.items()}

    def intent(self, words: Sequence[str]) -> str:
        """The most probable intent of a sentence."""

        def score(intent: str) -> float:
            counts, total = self.words[intent], self.totals[intent]
            seen = [word.lower() for word in words if word.lower() in self.tags]
            return math.log(self.intents[intent]) + sum(math.log((counts[word] + 1) / total) for word in seen)

        return max(sorted(self.intents), key=score)

    def path(self, words: Sequence[str]) -> list[str]:
        """The most frequent tag of every word, O where it is unseen."""
        return [self.tags.get(word.lower(), "O") for word in words]
