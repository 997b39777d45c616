"""Training utterances cut to runs of their words, so that neither the order nor the number of words is learnt by heart.

Another model, which has heard like recordings, says when each word of a training text is said (`align`). An utterance of n words
is cut where it is quietest between the end of one word and the beginning of the next (in the middle where features do not say),

    0 <= c_0 <= c_1 <= ... <= c_n <= frames,    word k from c_k to c_(k+1)

and words i to j - 1 are read as the frames 0 .. c_0, c_i .. c_j, c_n .. end: what comes before and after speech stays, else the
run would be known by its sudden beginning.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from congru.errors import DataError, SettingsError
from congru.tasks.loading import named_by
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
    """The words of an utterance, the frames c_0 .. c_n at which it can be cut, and how probable its characters were."""

    words: Sequence[str]
    frames: Sequence[int]
    confidence: float = 1.0

    def run(self, whole: Floats, rng: np.random.Generator) -> tuple[str, Floats] | None:
        """A run of at least one word at random: its text and frames of `whole` [n, F]; None where a word of it has no frame."""
        first, end = np.sort(rng.choice(len(self.words) + 1, 2, replace=False)).tolist()
        if not np.diff(self.frames[first : end + 1]).all():
            return None
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
    with named_by("cut_by"):
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
    """Where one utterance is cut: nowhere if the model takes steps too long for its text."""
    alphabet, stack, length = recognizer.alphabet, recognizer.front_end.stack, len(utterance.frames)
    try:
        log_p = recognizer.log_probabilities(recognizer.steps(utterance.frames))
        tokens = align(log_p, alphabet.encode(utterance.text))
    except DataError:
        return Cut([utterance.text], [0, length], 0.0)
    loud = loudness(utterance.frames, recognizer.front_end.kind)

    def quietest(begin: int, end: int) -> int:
        begin = min(max(begin, 0), length - 1)
        end = min(max(end, begin), length - 1)
        return (begin + end) // 2 if loud is None else begin + int(loud[begin : end + 1].argmin())

    before, after = (round(seconds / SHIFT_SECONDS) for seconds in (_BEFORE, _AFTER))
    first, last = tokens[0].start * stack, (tokens[-1].end - 1) * stack
    inner = [
        quietest((tokens[k - 1].end - 1) * stack, tokens[k + 1].start * stack)
        for k, one in enumerate(tokens)
        if one.token == alphabet.space
    ]
    cuts = [quietest(first - before, first), *inner, quietest(last, last + after)]
    confidence = float(np.mean([one.confidence for one in tokens]))
    return Cut(utterance.text.split(), np.maximum.accumulate(cuts).tolist(), confidence)


def loudness(frames: Floats, kind: str) -> NDArray[np.float64] | None:
    """A number per frame of [n, F], the mean of three, less where it is quieter; None of features whose kind is unknown."""
    if kind not in _LOUDNESS:
        return None
    own = np.pad(np.asarray(_LOUDNESS[kind](frames), np.float64), 1, mode="edge")
    return np.asarray((own[:-2] + own[1:-1] + own[2:]) / 3)


_LOUDNESS: dict[str, Callable[[Floats], Floats]] = {
    "fbank": lambda frames: frames.mean(1),
    "mfcc": lambda frames: frames[:, 0],
    "sphinx": lambda frames: frames[:, 0],
}


def in_words(cuts: Sequence[Cut]) -> str:
    """How many utterances can be cut, and how well the model heard them."""
    several = [one for one in cuts if len(one.words) > 1]
    sure = float(np.mean([one.confidence for one in several])) if several else 0.0
    return f"{len(several)} of {len(cuts)} utterances, whose characters the model of --cut-by gave {sure:.0%} in the mean"
