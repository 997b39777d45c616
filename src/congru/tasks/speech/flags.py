"""The decoding that the flags of `congru run` and `congru eval` mean."""

from __future__ import annotations

from pathlib import Path

from congru.errors import SettingsError
from congru.tasks.speech.arpa import read_arpa, read_words
from congru.tasks.speech.decoding import Decoding
from congru.tasks.speech.ensemble import Ensemble

BEAM = 16
_TRAINED = "train"  # stands for the words, or the trigrams, of the training texts


def make_decoding(
    ensemble: Ensemble,
    beam: int | None,
    words: str | None,
    lm: str | None,
    lm_weight: float = 0.5,
    word_bonus: float = 0.0,
    one_word: bool = False,
) -> Decoding:
    """The decoding that the flags mean.

    Raises:
        SettingsError: a beam or weight out of range.
    """
    if beam is not None and beam < 0:
        raise SettingsError(f"beam is {beam}, expected at least 0: leave it out")
    if not lm_weight >= 0:
        raise SettingsError(f"lm_weight is {lm_weight}, expected at least 0: try 0.5")
    recognizer, ngrams = ensemble.recognizers[0], None
    if lm is not None:
        ngrams = recognizer.ngrams if lm == _TRAINED else read_arpa(Path(lm))
    allowed = None
    if words is not None:
        allowed = recognizer.ngrams.words if words == _TRAINED else read_words(Path(words))
    if beam is None:
        beam = BEAM if words is not None or lm is not None or len(ensemble.recognizers) > 1 else 0
    return Decoding(beam, allowed, ngrams, lm_weight, word_bonus, one_word)
