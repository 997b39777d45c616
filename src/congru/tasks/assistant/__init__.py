"""An assistant that finds the intent and the slots of a sentence, and keeps them over the turns of a conversation.

    run = congru.tasks.assistant.train("nlu.yml", out="helpdesk")
    talk = Conversation(load_assistant("helpdesk"))
    talk.say("book a table in Rome").slots

``train`` loads torch; everything else does not.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from congru.tasks.registry import TASKS, lazy_names

if TYPE_CHECKING:
    from congru.tasks.assistant.conversation import Conversation
    from congru.tasks.assistant.learner import make_learner
    from congru.tasks.assistant.scoring import load_assistant
    from congru.tasks.assistant.settings import Settings
    from congru.tasks.assistant.use import evaluate, inspect_inputs, run
    from congru.train.summary import RunResult

__all__ = [
    "SUMMARY",
    "Conversation",
    "Settings",
    "evaluate",
    "inspect_inputs",
    "load_assistant",
    "make_learner",
    "run",
    "train",
]

SUMMARY = "Assistant: intent and slots of a sentence, kept over the turns of a conversation."


def train(source: str, **settings: object) -> RunResult:
    """Train on a file of marked sentences or a folder of parts; keywords are the fields of :class:`Settings`.

    Returns the :class:`RunResult`: ``result.best`` is the share of validation sentences with intent and slots right.
    """
    return TASKS["assistant"].train(str(source), settings=settings)


__getattr__ = lazy_names(
    __name__,
    {
        "Conversation": "conversation",
        "Settings": "settings",
        "evaluate": "use",
        "inspect_inputs": "use",
        "load_assistant": "scoring",
        "make_learner": "learner",
        "run": "use",
    },
)
