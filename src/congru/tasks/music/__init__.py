"""Music: continues, harmonises and measures pieces, frame by frame of the piano roll or event by event.

    run = congru.tasks.music.train("chorales/", epochs=30, out="chorales")
    composer = congru.tasks.music.Composer.load("chorales")
    composer.nats(roll)                              # [T], of a roll [T, 88]

``train`` loads torch; ``evaluate``, ``run`` and ``inspect_inputs`` do not.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from congru.tasks.registry import TASKS, lazy_names

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from congru.tasks.keywords import MusicKeywords
    from congru.tasks.music.composer import Composer
    from congru.tasks.music.composition import Wishes, compose
    from congru.tasks.music.learner import make_learner
    from congru.tasks.music.settings import Settings
    from congru.tasks.music.use import evaluate, inspect_inputs, run
    from congru.train.summary import RunResult

__all__ = [
    "SUMMARY",
    "Composer",
    "Settings",
    "Wishes",
    "compose",
    "evaluate",
    "inspect_inputs",
    "make_learner",
    "run",
    "train",
]

SUMMARY = "Music: continues, harmonises and measures pieces, from MIDI, ABC or piano rolls."


def train(source: str, **settings: Unpack[MusicKeywords]) -> RunResult:
    """Train on a file or folder of MIDI, ABC or rolls; keywords are the fields of :class:`Settings`.

    Returns the :class:`RunResult`: ``result.best`` is the validation nats per frame (of events: per note),
    ``result.baselines`` those of keys that follow themselves and of keys by frequency.
    """
    return TASKS["music"].train(str(source), settings=settings)


__getattr__ = lazy_names(
    __name__,
    {
        "Composer": "composer",
        "Settings": "settings",
        "Wishes": "composition",
        "compose": "composition",
        "evaluate": "use",
        "inspect_inputs": "use",
        "make_learner": "learner",
        "run": "use",
    },
)
