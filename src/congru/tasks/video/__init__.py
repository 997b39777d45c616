"""Classes of clips: videos, GIFs, folders of pictures, or tracks of landmarks; online, frame by frame, where wanted.

    run = congru.tasks.video.train("clips", minutes=5, out="gestures")
    Classifier.load("gestures").read(Path("new.mp4"))

``train`` loads torch; ``evaluate``, ``run`` and ``inspect_inputs`` do not.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from congru.tasks.registry import TASKS, lazy_names

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from congru.tasks.keywords import VideoKeywords
    from congru.tasks.video.classifier import Classifier
    from congru.tasks.video.learner import make_learner
    from congru.tasks.video.settings import Settings
    from congru.tasks.video.use import evaluate, inspect_inputs, run
    from congru.train.summary import RunResult

__all__ = ["SUMMARY", "Classifier", "Settings", "evaluate", "inspect_inputs", "make_learner", "run", "train"]

SUMMARY = "Classes of clips (videos, picture sequences, tracks of landmarks), also frame by frame with early decisions."


def train(source: str, **settings: Unpack[VideoKeywords]) -> RunResult:
    """Train on a folder, table or .npz of labelled clips; keywords are the fields of :class:`Settings`.

    Returns the :class:`RunResult`: ``result.best`` is the validation accuracy (or the metric asked for),
    ``result.baselines`` that of the nearest training clips and of the most frequent class.
    """
    return TASKS["video"].train(str(source), settings=settings)


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
