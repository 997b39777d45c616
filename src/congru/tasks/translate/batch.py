"""Translations of many sentences: the column ``text`` read, the translation and its score beside it."""

from __future__ import annotations

from pathlib import Path

from congru.tasks.batch_rows import Columns, RowAnswers
from congru.tasks.translate.translator import Translator


def answers_of(model: Path) -> RowAnswers:
    """Sentences to their best translation, for batches."""
    translator = Translator.load(model)

    def answer(texts: list[str]) -> Columns:
        translations = [best[0] for best in translator.translate(texts)]
        return {
            "translation": [one.text for one in translations],
            "score": [one.score for one in translations],
        }

    return RowAnswers("text", {"translation": "string", "score": "float64"}, answer)
