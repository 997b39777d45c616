"""Translation of sentences, learned from pairs: two aligned files, a table of pairs, or a translation memory.

    run = congru.tasks.translate.train("train.de", "train.en", epochs=15, out="de-en")
    Translator.load("de-en").translate(["ein hund läuft im schnee ."])[0][0].text

``train`` loads torch; ``evaluate``, ``run`` and ``inspect_inputs`` do not.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from congru.tasks.registry import TASKS, lazy_names

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from congru.tasks.keywords import TranslateKeywords
    from congru.tasks.translate.learner import make_learner
    from congru.tasks.translate.settings import Settings
    from congru.tasks.translate.translator import Translator
    from congru.tasks.translate.use import evaluate, inspect_inputs, run
    from congru.train.summary import RunResult

__all__ = ["SUMMARY", "Settings", "Translator", "evaluate", "inspect_inputs", "make_learner", "run", "train"]

SUMMARY = "Translation learned from pairs of sentences: two aligned files, a table, TMX, XLIFF or PO."


def train(source: str, target: str | None = None, **settings: Unpack[TranslateKeywords]) -> RunResult:
    """Train on two aligned files, or on one file of pairs; keywords are the fields of :class:`Settings`.

    Returns the :class:`RunResult`: ``result.best`` is the validation BLEU of greedy translations, ``result.baselines``
    that of a word-for-word dictionary and of the source as it is.
    """
    paths = [str(source)] if target is None else [str(source), str(target)]
    return TASKS["translate"].train(*paths, settings=settings)


__getattr__ = lazy_names(
    __name__,
    {
        "Settings": "settings",
        "Translator": "translator",
        "evaluate": "use",
        "inspect_inputs": "use",
        "make_learner": "learner",
        "run": "use",
    },
)
