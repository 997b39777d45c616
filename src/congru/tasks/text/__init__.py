"""Language models of text: characters or byte pairs, trained on any UTF-8 file or folder.

    run = congru.tasks.text.train("shakespeare.txt", minutes=5, out="romeo")
    session = congru.load("romeo").session(seed=1).feed("ROMEO:")
    print("".join(session.generate(500, temperature=0.8, top_p=0.9)))

``train`` loads torch; ``evaluate``, ``run`` and ``inspect_inputs`` do not.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from congru.tasks.registry import TASKS, lazy_names

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from congru.tasks.keywords import TextKeywords
    from congru.tasks.text.learner import make_learner
    from congru.tasks.text.settings import Settings
    from congru.tasks.text.use import evaluate, inspect_inputs, run
    from congru.train.summary import RunResult

__all__ = ["SUMMARY", "Settings", "evaluate", "inspect_inputs", "make_learner", "run", "train"]

SUMMARY = "Language model of characters or byte pairs, on any UTF-8 file or folder."


def train(source: str, **settings: Unpack[TextKeywords]) -> RunResult:
    """Train on a UTF-8 file or a folder; keywords are the fields of :class:`Settings`.

    Returns the :class:`RunResult`: ``congru.load(result)`` is the model, ``result.best`` the validation nats per
    character, ``result.baselines`` those of the 5-gram and the unigram.
    """
    return TASKS["text"].train(str(source), settings=settings)


__getattr__ = lazy_names(
    __name__,
    {
        "Settings": "settings",
        "evaluate": "use",
        "inspect_inputs": "use",
        "make_learner": "learner",
        "run": "use",
    },
)
