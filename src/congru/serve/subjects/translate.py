"""Translation: sentences of a length that a page may ask for, since every word costs a step of the search."""

from __future__ import annotations

from congru.errors import DataError
from congru.serve.library import Shelf
from congru.serve.source import Source
from congru.serve.subjects.subject import AnyTask, of_task
from congru.tasks.translate.translator import Translator

MOST_TOKENS = 300  # of a sentence


class TranslateSubject(AnyTask):
    """What the decoder reads while it translates a sentence."""

    def source(self, shelf: Shelf, text: str | None) -> Source:
        """As :class:`AnyTask`; raises :class:`DataError` for a text that is too long."""
        check_length(translator_of(shelf), text or "")
        return super().source(shelf, text)


def translator_of(shelf: Shelf) -> Translator:
    """The translator of a model, made once. Raises :class:`DataError` for a model of another task."""
    return shelf.made("translate", lambda model: Translator.of(of_task(model, "translate")))


def check_length(translator: Translator, text: str) -> None:
    """Refuse a text of more than `MOST_TOKENS` tokens."""
    count = len(translator.source.encode(text)) if text.strip() else 0
    if count > MOST_TOKENS:
        raise DataError(
            f"text has {count:,} tokens, expected at most {MOST_TOKENS}: send it sentence by sentence"
        )
