"""Language models of text: characters or byte pairs, trained on any UTF-8 file or folder.

    run = congru.tasks.text.train("shakespeare.txt", minutes=5, out="romeo")
    session = congru.load("romeo/model").session(seed=1).feed("ROMEO:")
    print("".join(session.generate(500, temperature=0.8, top_p=0.9)))

``train`` loads torch; ``evaluate``, ``run`` and ``inspect_inputs`` do not.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from congru.tasks.registry import TASKS

if TYPE_CHECKING:
    from congru.tasks.text.generation import inspect_inputs, run
    from congru.tasks.text.learner import make_learner
    from congru.tasks.text.scoring import evaluate
    from congru.tasks.text.settings import TextSettings
    from congru.train.summary import RunResult

__all__ = ["TextSettings", "evaluate", "inspect_inputs", "make_learner", "run", "train"]

TASK = TASKS["text"]
_HOME = {
    "TextSettings": "settings",
    "evaluate": "scoring",
    "inspect_inputs": "generation",
    "make_learner": "learner",
    "run": "generation",
}


def train(data: str, **settings: object) -> RunResult:
    """Train on a UTF-8 file or a folder; keywords are the fields of :class:`TextSettings`.

    Returns the :class:`RunResult`: ``result.model_folder`` is what :func:`congru.load` reads, ``result.best``
    the validation nats per character, ``result.baselines`` those of the 5-gram and the unigram.
    """
    return TASK.train(str(data), settings)


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'congru.tasks.text' has no attribute {name!r}")
    return getattr(importlib.import_module(f"congru.tasks.text.{_HOME[name]}"), name)
