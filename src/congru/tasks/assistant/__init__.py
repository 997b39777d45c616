"""An assistant that finds the intent and the slots of a sentence, and keeps them over the turns of a conversation.

    run = congru.tasks.assistant.train("nlu.yml", out="helpdesk")
    talk = Conversation(load_assistant("helpdesk"))
    talk.say("book a table in Rome").slots

Trained on dialogues, it replies: ``Talk(load_policy("restaurants")).say("a table in Rome please").replies``.

``train`` loads torch; everything else does not.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from congru.tasks.registry import TASKS, lazy_names

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from congru.tasks.assistant.conversation import Conversation
    from congru.tasks.assistant.learner import make_learner
    from congru.tasks.assistant.settings import Settings
    from congru.tasks.assistant.talk import Talk
    from congru.tasks.assistant.trained import load_assistant, load_policy
    from congru.tasks.assistant.use import evaluate, inspect_inputs, run
    from congru.tasks.keywords import AssistantKeywords
    from congru.train.summary import RunResult

__all__ = [
    "SUMMARY",
    "Conversation",
    "Settings",
    "Talk",
    "evaluate",
    "inspect_inputs",
    "load_assistant",
    "load_policy",
    "make_learner",
    "run",
    "train",
]

SUMMARY = "Assistant: intent and slots of a sentence, or the next reply of a dialogue, kept over its turns."


def train(source: str, **settings: Unpack[AssistantKeywords]) -> RunResult:
    """Train on marked sentences or on dialogues, a file or a folder of parts; keywords are the fields of :class:`Settings`.

    Returns the :class:`RunResult`: ``result.best`` is the share of validation sentences with intent and slots right, or
    the nats per validation reply.
    """
    return TASKS["assistant"].train(str(source), settings=settings)


__getattr__ = lazy_names(
    __name__,
    {
        "Conversation": "conversation",
        "Settings": "settings",
        "evaluate": "use",
        "inspect_inputs": "use",
        "load_assistant": "trained",
        "load_policy": "trained",
        "Talk": "talk",
        "make_learner": "learner",
        "run": "use",
    },
)
