"""A trained recogniser without torch: words of audio files, of features, and of a stream as they settle."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from congru.errors import DataError, SettingsError
from congru.runtime.answer import Arrays
from congru.runtime.decoding.ctc import Token
from congru.runtime.decoding.scores import log_softmax
from congru.runtime.model import Model
from congru.runtime.network import Network
from congru.runtime.session import Session
from congru.tasks.loading import SHARE, fitting, load_model
from congru.tasks.speech.arpa import NGrams, parse_arpa
from congru.tasks.speech.audio import Audio, Samples, read_audio, silent
from congru.tasks.speech.decoding import Decoding
from congru.tasks.speech.frames import Floats
from congru.tasks.speech.front_end import FrontEnd
from congru.tasks.speech.texts import Alphabet
from congru.tasks.speech.words import Word, text_of, words_of

LM_FILE, LABELS_FILE = "lm.arpa", "labels.json"
ENDPOINT_SECONDS = 0.8  # so long without a character, an utterance of a stream is over


@dataclass(frozen=True)
class Recognizer:
    """A network with everything around it."""

    network: Network
    front_end: FrontEnd
    alphabet: Alphabet
    config: Mapping[str, Any]
    arpa: bytes = b""

    @classmethod
    def load(cls, path: str | os.PathLike[str], weight_dtype: str = "float32") -> Recognizer:
        """Load a model folder or run folder; its whole answer is replayed.

        Raises:
            ModelFolderError: a folder that cannot be loaded, of another task, or that answers differently.
        """
        return cls.of(load_model(path, "speech", reply, weight_dtype))

    @classmethod
    @fitting(
        front_end=dict,
        case=str,
        alphabet=(None, str),
        speaker=(None, str),
        validation=SHARE,
        most_frequent=str,
    )
    def of(cls, model: Model) -> Recognizer:
        """The recogniser of a loaded model."""
        model.need_files(LABELS_FILE, LM_FILE)
        config = model.task_config
        return cls(
            model.network,
            FrontEnd.of(config["front_end"]),
            Alphabet(model.labels or []),
            config,
            model.files[LM_FILE],
        )

    @property
    def delay(self) -> int:
        """Steps that an output comes later than the step it speaks of."""
        return self.network.graph.delay

    @property
    def streams(self) -> bool:
        """Whether it can follow a stream."""
        return self.network.stream_problem() is None

    @property
    def latency_seconds(self) -> float:
        """How long after the beginning of a step its characters can be known, computing time aside."""
        return self.front_end.delay_seconds + self.delay * self.front_end.step_seconds

    @property
    def ngrams(self) -> NGrams:
        """The trigrams of the training texts."""
        return parse_arpa(self.arpa.decode(), LM_FILE)

    def steps(self, frames: Floats) -> Floats:
        """The network's steps [T, I] of frames [n, F].

        Raises:
            DataError: frames of another size.
        """
        if frames.ndim != 2 or frames.shape[1] != self.front_end.size:
            raise DataError(
                f"frames have shape {frames.shape}, expected [n, {self.front_end.size}] as in training: compute them alike"
            )
        return self.front_end.steps(frames)

    def frames(self, audio: str | os.PathLike[str] | Audio) -> Floats:
        """The frames [n, F] of an audio file, or of samples; none of silence.

        Raises:
            DataError: a file that cannot be read, or a model of given features.
        """
        self.front_end.check_samples()
        heard = audio if isinstance(audio, Audio) else read_audio(Path(audio))
        if silent(heard.samples):
            return np.zeros((0, self.front_end.size), np.float32)
        return self.front_end.frames(heard)

    def log_probabilities(self, steps: Floats) -> NDArray[np.float64]:
        """log p [T, V] of every label at every step [T, I]."""
        if not len(steps):
            return np.zeros((0, len(self.alphabet)))
        tail = np.zeros((self.delay, steps.shape[1]), np.float32)
        out, _ = self.network.run(np.concatenate([steps, tail])[None])
        return np.asarray(log_softmax(np.asarray(out[0, self.delay :], np.float64)))

    def words_of_frames(self, frames: Floats, decoding: Decoding | None = None) -> list[Word]:
        """The words of frames [n, F]."""
        return self.words_of_log_p(self.log_probabilities(self.steps(frames)), decoding)

    def words_of_log_p(self, log_p: NDArray[np.float64], decoding: Decoding | None = None) -> list[Word]:
        """The words of log-probabilities [T, V]."""
        search = (decoding or Decoding()).search(self.alphabet)
        if len(log_p):
            search.feed(log_p)
        return words_of(search.finish(), self.alphabet, self.front_end.step_seconds)

    def transcribe(
        self, audio: str | os.PathLike[str] | Audio, decoding: Decoding | None = None
    ) -> list[Word]:
        """The words of an audio file, or of samples; none of silence.

        Raises:
            DataError: a file that cannot be read, or a model of given features.
        """
        return self.words_of_frames(self.frames(audio), decoding)

    def text(self, audio: str | os.PathLike[str] | Audio, decoding: Decoding | None = None) -> str:
        """The words of an audio file as text."""
        return text_of(self.transcribe(audio, decoding))

    def listen(self, rate_hz: int, decoding: Decoding | None = None) -> Listener:
        """A stream of samples at `rate_hz`.

        Raises:
            SettingsError: the model reads both ways.
        """
        return Listener(self, rate_hz, decoding or Decoding())


class Listener:
    """Samples in pieces of any size, words as they settle: at the next space, or after 0.8 s without a character."""

    def __init__(self, recognizer: Recognizer, rate_hz: int, decoding: Decoding) -> None:
        if not recognizer.streams:
            raise SettingsError(
                "stream is asked of a model that reads both ways, expected one trained without --bidirectional: train it so"
            )
        self._recognizer, self._decoding = recognizer, decoding
        self._steps = recognizer.front_end.stream(rate_hz)
        self._session = Session(recognizer.network)
        self._skip = recognizer.delay
        self._search = decoding.search(recognizer.alphabet)
        self._patience = round(ENDPOINT_SECONDS / recognizer.front_end.step_seconds)
        self._first = self._seen = self._quiet = self._told = 0
        self._spoken = False

    def feed(self, samples: Samples) -> list[Word]:
        """Go on with samples [N] in -1 .. 1; the words that settled."""
        return self._advance(self._steps.feed(samples))

    def finish(self) -> list[Word]:
        """The stream is over: the remaining words."""
        words = self._advance(self._steps.finish())
        tail = np.zeros((self._recognizer.delay, self._recognizer.front_end.step_size), np.float32)
        return words + self._advance(tail) + self._close()

    def _advance(self, steps: Floats) -> list[Word]:
        if not len(steps):
            return []
        out = self._session.run(steps)[self._skip :]
        self._skip = max(0, self._skip - len(steps))
        words: list[Word] = []
        for frame in np.asarray(log_softmax(np.asarray(out, np.float64))):
            self._search.feed(frame[None])
            self._seen += 1
            blank = int(frame.argmax()) == 0
            self._quiet = self._quiet + 1 if blank else 0
            self._spoken = self._spoken or not blank
            if self._spoken and self._quiet >= self._patience:
                words += self._close()
        return words + self._new(self._search.settled())

    def _close(self) -> list[Word]:
        """End the utterance and begin another."""
        words = self._new(self._search.finish())
        self._search = self._decoding.search(self._recognizer.alphabet)
        self._first, self._quiet, self._told, self._spoken = self._seen, 0, 0, False
        return words

    def _new(self, tokens: Sequence[Token]) -> list[Word]:
        seconds = self._recognizer.front_end.step_seconds
        words = words_of(tokens, self._recognizer.alphabet, seconds, self._first)
        new, self._told = words[self._told :], max(self._told, len(words))
        return new


def reply(model: Model, inputs: Arrays) -> Arrays:
    """log-probabilities [T, V] of the `frames` [n, F], and the greedy text: what training stored."""
    recognizer = Recognizer.of(model)
    log_p = recognizer.log_probabilities(recognizer.steps(inputs["frames"]))
    return {"log_probabilities": log_p.astype(np.float32)}
