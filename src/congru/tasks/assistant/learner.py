"""The two training problems of an assistant: understanding sentences, or replying in dialogues. The data say which."""

from __future__ import annotations

from congru.tasks.assistant.data import prepare
from congru.tasks.assistant.dialogue_data import prepare_dialogues
from congru.tasks.assistant.dialogue_files import find_dialogues
from congru.tasks.assistant.dialogue_learner import DialogueLearner
from congru.tasks.assistant.settings import Settings
from congru.tasks.assistant.understanding_learner import UnderstandingLearner


def make_learner(source: str, /, *, settings: Settings) -> UnderstandingLearner | DialogueLearner:
    """Read marked sentences, or dialogues with their knowledge base.

    Raises :class:`~congru.errors.DataError` for a source of neither form.
    """
    files = find_dialogues(str(source))
    if files is not None:
        return DialogueLearner(prepare_dialogues(files, settings), settings)
    return UnderstandingLearner(prepare(str(source), settings), settings)
