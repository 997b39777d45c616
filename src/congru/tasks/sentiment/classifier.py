"""A trained classifier without torch: probabilities of texts, word by word where it streams, and their logits' parts.

logits = network(tokens) + s * (prior + sum of naive Bayes weights);   p = softmax(logits / temperature)
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from congru.errors import SettingsError
from congru.runtime.answer import Arrays
from congru.runtime.decoding.scores import log_softmax
from congru.runtime.model import Model
from congru.runtime.network import Network
from congru.runtime.session import Session
from congru.tasks.loading import SHARE, Number, fitting, load_model, need_nodes
from congru.tasks.sentiment.labels import LabelRules
from congru.tasks.sentiment.naive_bayes import FILE, NaiveBayes
from congru.tasks.sentiment.tokens import TOKENIZER_FILE, WORDS_FILE, Encoded, Steps

RULES_FILE = "labels.json"
SCALE = "naive_bayes_scale"
_BATCH = 64

Floats = NDArray[np.float32]


class Moment(NamedTuple):
    """One step of a stream: what it covers, and the probabilities [K] after it."""

    piece: str
    probabilities: NDArray[np.float64]


@dataclass(frozen=True)
class Classifier:
    """A network with everything around it; `scale` is 0 where naive Bayes is not added."""

    network: Network
    steps: Steps
    naive_bayes: NaiveBayes
    scale: float
    temperature: float
    rules: LabelRules
    config: Mapping[str, Any]

    @classmethod
    def load(cls, path: str | os.PathLike[str], weight_dtype: str = "float32") -> Classifier:
        """Load a model folder or run folder; its whole answer is replayed.

        Raises:
            ModelFolderError: a folder that cannot be loaded, of another task, or that answers differently.
        """
        return cls.of(load_model(path, "sentiment", reply, weight_dtype))

    @classmethod
    @fitting(
        tokens=str,
        lowercase=bool,
        max_tokens=Number(1, 1e6, whole=True),
        spelling=dict,
        bands=list,
        grams=str,
        bias=bool,
        pool=("attention", "mean", "max"),
        temperature=Number(1e-6, 1e6),
        text_column=(None, str),
        label_column=(None, str),
        validation=SHARE,
        class_counts=list,
    )
    def of(cls, model: Model) -> Classifier:
        """The classifier of a loaded model."""
        config = model.task_config
        name = WORDS_FILE if config.get("tokens") == "word" else TOKENIZER_FILE
        model.need_files(name, FILE, RULES_FILE)
        need_nodes(model.network, ("rnn", "head"), model.folder)
        if len(config["class_counts"]) != len(model.labels or []):
            raise ValueError("class_counts has another length than the classes")
        lowercase = bool(config["lowercase"])
        rules = LabelRules(list(model.labels or []), dict(config["spelling"]), tuple(config["bands"]))
        return cls(
            network=model.network,
            steps=Steps(str(config["tokens"]), model.files[name], lowercase, int(config["max_tokens"])),
            naive_bayes=NaiveBayes.from_bytes(model.files[FILE], str(config["grams"]), lowercase),
            scale=float(model.task_weights[SCALE][0]) if config["bias"] else 0.0,
            temperature=float(config["temperature"]),
            rules=rules,
            config=config,
        )

    @property
    def classes(self) -> list[str]:
        """The names of the classes."""
        return self.rules.classes

    @property
    def streams(self) -> bool:
        """Whether it answers after every step."""
        return self.network.stream_problem() is None

    def logits(self, texts: Sequence[str]) -> Floats:
        """Logits [N, K] before the temperature.

        Raises:
            DataError: a text without a word.
        """
        encoded = [self.steps.encode(text) for text in texts]
        out = np.zeros((len(texts), len(self.classes)), np.float32)
        order = np.argsort([len(one) for one in encoded], kind="stable")
        for begin in range(0, len(order), _BATCH):
            rows = order[begin : begin + _BATCH]
            out[rows] = self._network_logits([encoded[row] for row in rows])
        if self.scale:
            score = (
                np.stack([self.naive_bayes.evidence(one).sum(0) for one in encoded]) if len(encoded) else 0.0
            )
            out += self.scale * (self.naive_bayes.prior + score)
        return out

    def _network_logits(self, encoded: Sequence[Encoded]) -> Floats:
        lengths = np.array([len(one) for one in encoded])
        ids = np.zeros((len(encoded), int(lengths.max())), np.int64)
        for row, one in enumerate(encoded):
            ids[row, : len(one)] = one.ids
        out, _ = self.network.run(ids, lengths=lengths)
        last: Floats = out[np.arange(len(out)), lengths - 1] if out.ndim == 3 else out
        return last

    def probabilities(self, texts: Sequence[str]) -> NDArray[np.float64]:
        """Probabilities [N, K] of the classes."""
        return self.soften(self.logits(texts))

    def soften(self, logits: NDArray[Any]) -> NDArray[np.float64]:
        """softmax(logits / temperature) over the last axis."""
        return np.exp(log_softmax(np.asarray(logits, np.float64) / self.temperature))

    def stream(self, text: str, session: Session | None = None) -> Iterator[Moment]:
        """The probabilities after every step of a text.

        Raises:
            SettingsError: the model reads both ways and needs the whole text.
            DataError: a text without a word.
        """
        if not self.streams:
            raise SettingsError(
                "stream is asked of a model that reads both ways, expected one trained with --streaming: train it so"
            )
        return self._stream(text, session or Session(self.network))

    def _stream(self, text: str, session: Session) -> Iterator[Moment]:
        encoded = self.steps.encode(text)
        score = self.naive_bayes.prior + np.cumsum(self.naive_bayes.evidence(encoded), 0)
        for index, piece, known in zip(encoded.ids.tolist(), encoded.pieces, score):
            yield Moment(piece, self.soften(session.step(index) + self.scale * known))


def rules_config(rules: LabelRules) -> dict[str, Any]:
    """What config.json says of the labels, beside labels.json."""
    return {"spelling": rules.spelling, "bands": list(rules.bands)}


def labels_file(rules: LabelRules) -> bytes:
    """labels.json: the classes in the order of the outputs."""
    return json.dumps(rules.classes, ensure_ascii=False).encode()


def reply(model: Model, inputs: Arrays) -> Arrays:
    """Probabilities [N, K] of the `texts` (UTF-8, a line end between): what training stored."""
    texts = inputs["texts"].tobytes().decode().split("\n")
    return {"probabilities": Classifier.of(model).probabilities(texts)}
