"""A text made ready: read, split, tokenised; and the metrics that every score is given in.

The first part is for training, the last ``validation`` share of the characters for validation. Characters
come from the whole text (a symbol first seen in validation has an id but was never trained); byte pairs are
learned from the training part alone.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from congru.data.text import Corpus, read_text
from congru.errors import DataError
from congru.tasks.text import baselines, tokens
from congru.tasks.text.settings import Settings
from congru.tasks.text.streams import steps_per_epoch

METRIC = "nats_per_char"


@dataclass(frozen=True)
class TextData:
    """A corpus, split at character ``split``, and its token ids; ``ids[:num_train]`` are for training."""

    corpus: Corpus
    split: int
    tokenizer_file: bytes
    ids: NDArray[np.int64]
    num_train: int

    @property
    def train_text(self) -> str:
        """The characters for training."""
        return self.corpus.text[: self.split]

    @property
    def validation_text(self) -> str:
        """The characters for validation."""
        return self.corpus.text[self.split :]

    @cached_property
    def baselines(self) -> dict[str, float]:
        """Nats per validation character of each baseline."""
        return baselines.baselines(self.train_text, self.validation_text)


def prepare(source: str, settings: Settings) -> TextData:
    """Read, split and tokenise.

    Raises:
        DataError: nothing to read, one symbol only, or too short for the split or for the streams.
    """
    corpus = read_text(source)
    if len(set(corpus.text)) < 2:
        raise DataError(
            f"{source} holds one distinct character ({corpus.text[0]!r}), expected at least two:"
            " there is nothing to learn, choose another text"
        )
    split = split_at(corpus, settings.validation)
    before, after = corpus.text[:split], corpus.text[split:]
    char = settings.tokens == "char"
    file = tokens.char_file(corpus.text) if char else tokens.bpe_file(before, settings.vocab_size)
    train, validation = tokens.encode(file, before), tokens.encode(file, after)
    _check_length(source, len(train), settings)
    return TextData(corpus, split, file, np.concatenate([train, validation]), len(train))


def split_at(corpus: Corpus, validation: float) -> int:
    """How many characters come before the validation part; at least one stands on either side.

    Raises:
        DataError: the text is too short for that.
    """
    split = int(len(corpus.text) * (1.0 - validation))
    if not 1 <= split < len(corpus.text):
        raise DataError(
            f"{corpus.source} has {len(corpus.text)} characters, expected enough for a training and a"
            f" validation part (validation is {validation}): add text or change --validation"
        )
    return split


def _check_length(source: str, num_train: int, settings: Settings) -> None:
    if steps_per_epoch(num_train, settings.batch_size, settings.chunk) >= 1:
        return
    needed = settings.batch_size * settings.chunk
    chunk = max(1, min(settings.chunk, num_train // settings.devices // 8))
    batch = max(1, num_train // chunk // settings.devices) * settings.devices
    what = "characters" if settings.tokens == "char" else "tokens"
    raise DataError(
        f"{source} has {num_train} training {what}, expected at least batch_size * chunk ="
        f" {settings.batch_size} * {settings.chunk} = {needed}: add text, or pass --batch-size {batch}"
        f" --chunk {chunk}"
    )


def metrics_of(total_nats: float, text: str) -> dict[str, float]:
    """A sum of -log p over a text as nats and bits per character, and bits per byte of its UTF-8.

    >>> metrics_of(4 * math.log(2), "abcé")
    {'nats_per_char': 0.6931471805599453, 'bits_per_char': 1.0, 'bits_per_byte': 0.8}
    """
    bits = total_nats / math.log(2)
    num_bytes = len(text.encode())
    return {
        METRIC: total_nats / len(text),
        "bits_per_char": bits / len(text),
        "bits_per_byte": bits / num_bytes,
    }


def describe(data: TextData, settings: Settings) -> dict[str, Any]:
    """What was read, for the screen and data.json."""
    corpus, unit = data.corpus, "characters" if settings.tokens == "char" else "byte pairs"
    summary: dict[str, Any] = {
        "source": corpus.source,
        "files": [
            {"path": file.path, "sha256": file.sha256, "bytes": file.num_bytes} for file in corpus.files
        ],
        "split": f"first {1 - settings.validation:.0%} train, last {settings.validation:.0%} validation",
        "train": data.num_train,
        "validation": len(data.ids) - data.num_train,
        "tokens": f"{unit}, {int(data.ids.max()) + 1 if settings.tokens == 'char' else settings.vocab_size}",
        "characters": f"{data.split:,} train, {len(corpus.text) - data.split:,} validation",
    }
    if corpus.skipped:
        shown = ", ".join(f"{path} ({reason})" for path, reason in corpus.skipped[:5])
        more = len(corpus.skipped) - 5
        summary["skipped"] = f"{len(corpus.skipped)} files: {shown}" + (
            f" and {more} more" if more > 0 else ""
        )
    return summary
