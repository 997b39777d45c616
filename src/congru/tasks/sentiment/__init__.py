"""Classes of short texts: feelings, stars or any other labels, from tables or folders of files.

    run = congru.tasks.sentiment.train("reviews.csv", epochs=8, out="reviews")
    Classifier.load("reviews").probabilities(["a stirring , funny film"])

``train`` loads torch; ``evaluate``, ``run`` and ``inspect_inputs`` do not.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from congru.tasks.registry import TASKS, lazy_names

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from congru.tasks.keywords import SentimentKeywords
    from congru.tasks.sentiment.classifier import Classifier
    from congru.tasks.sentiment.learner import make_learner
    from congru.tasks.sentiment.settings import Settings
    from congru.tasks.sentiment.use import evaluate, inspect_inputs, run
    from congru.train.summary import RunResult

__all__ = ["SUMMARY", "Classifier", "Settings", "evaluate", "inspect_inputs", "make_learner", "run", "train"]

SUMMARY = (
    "Classes of texts (feelings, stars, any labels) from tables or folders, with the words they stand on."
)


def train(source: str, **settings: Unpack[SentimentKeywords]) -> RunResult:
    """Train on a table or folder of labelled texts; keywords are the fields of :class:`Settings`.

    Returns the :class:`RunResult`: ``result.best`` is the validation accuracy (or the metric asked for),
    ``result.baselines`` that of naive Bayes and of the most frequent class.
    """
    return TASKS["sentiment"].train(str(source), settings=settings)


__getattr__ = lazy_names(
    __name__,
    {
        "Classifier": "classifier",
        "Settings": "settings",
        "evaluate": "use",
        "inspect_inputs": "use",
        "make_learner": "learner",
        "run": "use",
    },
)
