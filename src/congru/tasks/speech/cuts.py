"""Training utterances cut to runs of their words, so that neither the order nor the number of words is learnt by heart.

Another model, which has heard like recordings, says when each word of a training text is said (`align`). An utterance of n words
is cut where it is quietest between the end of one word and the beginning of the next,

    0 <= c_0 <= c_1 <= ... <= c_n <= frames,    word k from c_k to c_(k+1)

and words i to j - 1 are read as the frames 0 .. c_0, c_i .. c_j, c_n .. end: what comes before and after speech stays, else the
run would be known by its sudden beginning.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from congru.errors import SettingsError
from congru.tasks.speech.align import align
from congru.tasks.speech.frames import SHIFT_SECONDS, Floats
from congru.tasks.speech.front_end import FrontEnd
from congru.tasks.speech.recognizer import Recognizer
from congru.tasks.speech.texts import Alphabet
from congru.tasks.speech.utterances import Utterance

_BEFORE, _AFTER = (
    0.4,
    0.6,
)  # seconds around the characters of an utterance within which speech begins and ends


@dataclass(frozen=True)
class Cut:
    """The words of an utterance, and the frames c_0 .. c_n at which it can be cut."""

    words: Sequence[str]
    frames: Sequence[int]

    def run(self, whole: Floats, rng: np.random.Generator) -> tuple[str, Floats]:
        """A run of at least one word at random: its text and frames of `whole` [n, F]."""
        first, end = np.sort(rng.choice(len(self.words) + 1, 2, replace=False)).tolist()
        parts = (
            whole[: self.frames[0]],
            whole[self.frames[first] : self.frames[end]],
            whole[self.frames[-1] :],
        )
        return " ".join(self.words[first:end]), np.concatenate(parts)


def cuts_of(folder: Path, front_end: FrontEnd, utterances: Sequence[Utterance]) -> list[Cut]:
    """Where a trained model would cut each utterance.

    Raises:
        ModelFolderError: a folder that cannot be loaded, or of another task.
        SettingsError: a model of other features, or one that cannot write a text.
    """
    recognizer = Recognizer.load(folder)
    for what, own, expected in (
        ("features", recognizer.front_end.frames_in_words, front_end.frames_in_words),
        ("characters", *_characters(recognizer.alphabet, utterances)),
    ):
        if own != expected:
            raise SettingsError(
                f"cut_by names a model of the {what} {own!r}, expected {expected!r} as of these utterances:"
                " choose one trained on like recordings"
            )
    return [cut_of(recognizer, one) for one in utterances]


def _characters(alphabet: Alphabet, utterances: Sequence[Utterance]) -> tuple[str, str]:
    """The characters that a model writes, and those with what the texts need beyond them."""
    own = "".join(alphabet.labels[1:])
    return own, own + alphabet.missing("".join(one.text for one in utterances))


def cut_of(recognizer: Recognizer, utterance: Utterance) -> Cut:
    """Where one utterance is cut."""
    alphabet, stack, length = recognizer.alphabet, recognizer.front_end.stack, len(utterance.frames)
    log_p = recognizer.log_probabilities(recognizer.steps(utterance.frames))
    tokens = align(log_p, alphabet.encode(utterance.text))
    quiet = np.convolve(loudness(utterance.frames, recognizer.front_end.kind), np.ones(3) / 3, "same")

    def quietest(begin: int, end: int) -> int:
        begin = min(max(begin, 0), length - 1)
        return begin + int(quiet[begin : max(end, begin) + 1].argmin())

    before, after = (round(seconds / SHIFT_SECONDS) for seconds in (_BEFORE, _AFTER))
    first, last = tokens[0].start * stack, (tokens[-1].end - 1) * stack
    inner = [
        quietest((tokens[k - 1].end - 1) * stack, tokens[k + 1].start * stack)
        for k, one in enumerate(tokens)
        if one.token == alphabet.space
    ]
    cuts = [quietest(first - before, first), *inner, quietest(last, last + after)]
    return Cut(utterance.text.split(), np.maximum.accumulate(cuts).tolist())


def loudness(frames: Floats, kind: str) -> NDArray[np.float64]:
    """A number per frame of [n, F] that is less where it is quieter; of features from a file, whose kind is unknown, 0."""
    if kind == "fbank":
        return np.asarray(frames.mean(1), np.float64)
    return np.asarray(frames[:, 0] if kind in ("mfcc", "sphinx") else np.zeros(len(frames)), np.float64)
