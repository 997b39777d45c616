"""A trained translator without torch: batched beam search, n-best lists, attention, unknown words copied from the source.

Legend: S sentences, K hypotheses a sentence, T target steps, N source positions.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from congru.errors import SettingsError
from congru.runtime.answer import Arrays
from congru.runtime.decoding.beam import Hypothesis, beam_search, greedy
from congru.runtime.decoding.scores import log_softmax
from congru.runtime.model import Model
from congru.runtime.network import Network
from congru.tasks.loading import SHARE, Number, check_config, fitting, load_model
from congru.tasks.translate import dictionary
from congru.tasks.translate.network import ATTENTION
from congru.tasks.translate.tokens import UNKNOWN, Vocabulary

SOURCE_FILE, TARGET_FILE = "source.json", "target.json"
ALPHA = 0.6

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Encoded:
    """What the encoder made of S sentences: memory [S, N, M] and its lengths [S] (None without attention), summary [S, F]."""

    ids: list[list[int]]
    memory: Floats | None
    lengths: NDArray[np.int64]
    summary: Floats


@dataclass(frozen=True)
class Translation:
    """One translation. `score` is log_p / length penalty; `ended` is False where the longest length cut it off."""

    text: str
    score: float
    log_p: float
    tokens: list[int]
    ended: bool


_COUNT = Number(1, 1e6, whole=True)


@dataclass(frozen=True)
class Translator:
    """Encoder and decoder with the vocabularies around them."""

    encoder: Network
    decoder: Network
    source: Vocabulary
    target: Vocabulary
    config: Mapping[str, Any]
    dictionary: Mapping[str, str]
    """Source word -> its most probable translation: the baseline, not used by the networks."""

    @classmethod
    def load(cls, path: str | os.PathLike[str], weight_dtype: str = "float32") -> Translator:
        """Load a model folder or run folder; its whole answer is replayed.

        Raises:
            ModelFolderError: a folder that cannot be loaded, of another task, or that answers differently.
        """
        return cls.of(load_model(path, "translate", reply, weight_dtype))

    @classmethod
    @fitting(
        tokens=("bpe", "word"),
        lowercase=bool,
        bleu_tokenize=("13a", "none", "intl", "char", "zh"),
        source_column=_COUNT,
        target_column=_COUNT,
        source_language=(None, str),
        target_language=(None, str),
    )
    def of(cls, model: Model) -> Translator:
        """The translator of a loaded model."""
        model.need_files(SOURCE_FILE, TARGET_FILE)
        config = model.task_config
        if "validation" in config:  # since folders say which share was kept
            check_config(model, validation=SHARE, max_validation=_COUNT)
        kind, lowercase = str(config["tokens"]), bool(config["lowercase"])
        return cls(
            model.networks["encoder"],
            model.networks["decoder"],
            Vocabulary(kind, model.files[SOURCE_FILE], lowercase),
            Vocabulary(kind, model.files[TARGET_FILE], lowercase),
            config,
            dictionary.parse(model.files.get(dictionary.FILE, b"{}")),
        )

    @property
    def attends(self) -> bool:
        """Whether the decoder looks at every source position; False with a fixed vector."""
        return "memory" in self.decoder.graph.inputs

    def encode(self, texts: Sequence[str]) -> Encoded:
        """Run the encoder over sentences.

        Raises:
            DataError: a sentence without a word.
        """
        return self.encode_ids([[*self.source.encode(text), self.source.boundary] for text in texts])

    def encode_ids(self, rows: list[list[int]]) -> Encoded:
        """Run the encoder over tokens, each row ended by the boundary."""
        lengths = np.array([len(row) for row in rows])
        ids = np.full((len(rows), int(lengths.max())), self.source.boundary, np.int64)
        for row, one in enumerate(rows):
            ids[row, : len(one)] = one
        out, _ = self.encoder.run(ids, lengths=lengths)
        if not self.attends:
            return Encoded(rows, None, lengths, out)
        memory = next(value for name, value in out.items() if name != "summary")
        return Encoded(rows, memory, lengths, out["summary"])

    def constants(self, encoded: Encoded, repeat: int = 1) -> tuple[dict[str, Any], dict[str, Any]]:
        """The decoder's inputs beside the tokens, and the lengths of its memory, every sentence `repeat` times."""
        rows = {"memory": encoded.memory, "summary": encoded.summary}
        known = {name: np.repeat(value, repeat, axis=0) for name, value in rows.items() if value is not None}
        return known, ({"memory": np.repeat(encoded.lengths, repeat)} if self.attends else {})

    def translate(
        self,
        texts: Sequence[str],
        *,
        beam_size: int = 5,
        num_best: int = 1,
        alpha: float = ALPHA,
        batch_size: int = 32,
    ) -> list[list[Translation]]:
        """The best translations of each sentence, best first; `batch_size` sentences are decoded at a time.

        Args:
            texts: sentences.
            beam_size: K; 1 takes the most probable token at every step.
            num_best: translations returned a sentence, at most K.
            alpha: exponent of the length penalty.
            batch_size: sentences at a time; it changes the speed, not the translations.

        Raises:
            DataError: a sentence without a word.
            SettingsError: a setting out of range.
        """
        if batch_size < 1:
            raise SettingsError(f"batch_size is {batch_size}, expected a whole number of at least 1: try 32")
        rows = [[*self.source.encode(text), self.source.boundary] for text in texts]
        order = np.argsort([len(row) for row in rows], kind="stable").tolist()
        result: list[list[Translation]] = [[] for _ in texts]
        for begin in range(0, len(order), batch_size):
            chosen = order[begin : begin + batch_size]
            encoded = self.encode_ids([rows[k] for k in chosen])
            match = self.search(encoded, beam_size=beam_size, num_best=num_best, alpha=alpha)
            for number, (k, hypotheses) in enumerate(zip(chosen, match)):
                result[k] = [self._translation(encoded, number, texts[k], one) for one in hypotheses]
        return result

    def search(
        self,
        encoded: Encoded,
        *,
        beam_size: int,
        num_best: int = 1,
        alpha: float = ALPHA,
        prefix: Sequence[int] = (),
    ) -> list[list[Hypothesis]]:
        """Decode; `prefix` are tokens that every translation begins with (they are not part of the hypotheses)."""
        num_sentences = len(encoded.ids)
        constants, lengths = self.constants(encoded, beam_size)
        steps = self.decoder.steps(num_sentences * beam_size, constants, lengths)
        state = self.decoder.initial_state(num_sentences)
        start = self.target.boundary
        if prefix:
            state = self._after(encoded, [start, *prefix[:-1]])
            start = prefix[-1]

        def step(tokens: NDArray[np.int64], rows: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
            steps.write(rows)
            return log_softmax(steps.step([tokens])["head"]), steps.read()

        most = round(1.5 * int(encoded.lengths.max())) + 10
        asked: dict[str, Any] = {"start": start, "end": self.target.boundary, "num_sentences": num_sentences}
        if beam_size == 1:
            return [[one] for one in greedy(step, state, max_length=most, **asked)]
        return beam_search(
            step, state, max_length=most, beam_size=beam_size, num_best=num_best, alpha=alpha, **asked
        )

    def _after(self, encoded: Encoded, tokens: Sequence[int]) -> dict[str, Any]:
        """The decoder's state after some tokens."""
        constants, lengths = self.constants(encoded)
        target = np.tile(np.array(tokens, np.int64), (len(encoded.ids), 1))
        _, state = self.decoder.run({"target": target, **constants}, lengths=lengths)
        return state

    def _translation(self, encoded: Encoded, row: int, text: str, one: Hypothesis) -> Translation:
        copies: list[str | None] | None = None
        if self.target.kind == "word" and UNKNOWN in one.tokens and self.attends:
            words = self.source.clean(text).split(" ")
            weights = self.attention(encoded, row, one.tokens)[:, : len(words)]
            copies = [words[k] for k in weights.argmax(1).tolist()]
        return Translation(
            self.target.decode(one.tokens, copies), one.score, one.log_p, one.tokens, one.ended
        )

    def attention(self, encoded: Encoded, row: int, tokens: Sequence[int]) -> Floats:
        """The weights [T + 1, N] with which every target token, the end included, looked at the source of one sentence.

        Raises:
            SettingsError: the model has no attention.
        """
        if encoded.memory is None:
            raise SettingsError(
                "the model has no attention, expected one trained without --fixed-vector: train it so"
            )
        inputs = self.decoder_inputs(encoded, row, tokens)
        weights: Floats = self.decoder.record(inputs, gates=False).pictures[ATTENTION][0]
        return weights

    def decoder_inputs(self, encoded: Encoded, row: int, tokens: Sequence[int]) -> dict[str, NDArray[Any]]:
        """What the decoder reads when it writes `tokens` for one sentence, without padding: inputs of T + 1 steps by name."""
        inputs: dict[str, NDArray[Any]] = {"target": np.array([[self.target.boundary, *tokens]], np.int64)}
        if encoded.memory is not None:
            inputs["memory"] = encoded.memory[row : row + 1, : int(encoded.lengths[row])]
        return {**inputs, "summary": encoded.summary[row : row + 1]}


def batches(texts: Sequence[str], size: int) -> Iterator[list[str]]:
    """The texts, `size` at a time."""
    for begin in range(0, len(texts), size):
        yield list(texts[begin : begin + size])


def reply(model: Model, inputs: Arrays) -> Arrays:
    """Scores [N] and the tokens, one after the other, of greedy translations of `texts` (UTF-8, a line end between)."""
    texts = inputs["texts"].tobytes().decode().split("\n")
    return answer_of(Translator.of(model), texts)


def answer_of(translator: Translator, texts: Sequence[str]) -> dict[str, NDArray[Any]]:
    """What a model folder's stored answer holds: log p [N] of the greedy translations, and their characters."""
    best = [ranked[0] for ranked in translator.translate(texts, beam_size=1)]
    return {"log_p": np.array([one.log_p for one in best])}
