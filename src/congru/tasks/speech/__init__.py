"""Speech to text: folders of audio with transcripts, or features; recognisers that run on files and on a stream.

    run = congru.tasks.speech.train("recordings", epochs=40, out="listener")
    Recognizer.load("listener").transcribe("order.wav")

``train`` loads torch; ``evaluate``, ``run`` and ``inspect_inputs`` do not.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from congru.tasks.registry import TASKS, lazy_names

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from congru.tasks.keywords import SpeechKeywords
    from congru.tasks.speech.ensemble import Ensemble
    from congru.tasks.speech.evaluation import evaluate
    from congru.tasks.speech.learner import make_learner
    from congru.tasks.speech.recognizer import Recognizer
    from congru.tasks.speech.settings import Settings
    from congru.tasks.speech.use import inspect_inputs, run
    from congru.train.summary import RunResult

__all__ = [
    "SUMMARY",
    "Ensemble",
    "Recognizer",
    "Settings",
    "evaluate",
    "inspect_inputs",
    "make_learner",
    "run",
    "train",
]

SUMMARY = "Speech to text, from files or as a stream: words with times, by CTC, with word lists and language models."


def train(source: str, **settings: Unpack[SpeechKeywords]) -> RunResult:
    """Train on a folder or table of audio with transcripts; keywords are the fields of :class:`Settings`.

    Returns the :class:`RunResult`: ``result.best`` is the validation word error rate of greedy decoding.
    """
    return TASKS["speech"].train(str(source), settings=settings)


__getattr__ = lazy_names(
    __name__,
    {
        "Recognizer": "recognizer",
        "Settings": "settings",
        "Ensemble": "ensemble",
        "evaluate": "evaluation",
        "inspect_inputs": "use",
        "make_learner": "learner",
        "run": "use",
    },
)
