"""A model folder of either kind: its whole answer is replayed, then it understands, or it replies in dialogues."""

from __future__ import annotations

import os

from congru.errors import ModelFolderError
from congru.runtime.answer import Arrays
from congru.runtime.model import Model
from congru.tasks.assistant.policy import DIALOGUE, Policy, policy_reply
from congru.tasks.assistant.scoring import Assistant
from congru.tasks.assistant.scoring import reply as sentence_reply
from congru.tasks.assistant.settings import TASK
from congru.tasks.loading import load_model


def is_dialogue(model: Model) -> bool:
    """Whether the model replies in dialogues."""
    return model.task_config.get("kind") == DIALOGUE


def load_trained(path: str | os.PathLike[str]) -> Assistant | Policy:
    """Load a model folder of either kind. Raises :class:`~congru.errors.ModelFolderError`."""
    model = load_model(path, TASK, reply)
    return Policy(model) if is_dialogue(model) else Assistant(model)


def load_assistant(path: str | os.PathLike[str]) -> Assistant:
    """Load a folder that understands sentences. Raises :class:`~congru.errors.ModelFolderError` for another."""
    trained = load_trained(path)
    if not isinstance(trained, Assistant):
        raise ModelFolderError(
            f"{path} replies in dialogues, expected a model of sentences: call load_policy"
        )
    return trained


def load_policy(path: str | os.PathLike[str]) -> Policy:
    """Load a folder that replies in dialogues. Raises :class:`~congru.errors.ModelFolderError` for another."""
    trained = load_trained(path)
    if not isinstance(trained, Policy):
        raise ModelFolderError(
            f"{path} understands sentences, expected a model of dialogues: call load_assistant"
        )
    return trained


def reply(model: Model, inputs: Arrays) -> Arrays:
    """The stored answer again, by the kind of the model."""
    return policy_reply(model, inputs) if is_dialogue(model) else sentence_reply(model, inputs)
