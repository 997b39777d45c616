"""A text made ready: read, split, tokenised; and the metrics that every score is given in.

The first part is for training, the last ``validation`` share of the characters for validation. Characters
come from the whole text (a symbol first seen in validation has an id but was never trained); byte pairs are
learned from the training part alone. The text itself is not kept: what trains are token ids, in as few bytes as they need.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from congru.data.text import Corpus, TextFile, read_text
from congru.errors import DataError
from congru.runtime.tokenizer import parse_tokenizer
from congru.tasks.text import baselines, tokens
from congru.tasks.text.settings import Settings
from congru.tasks.text.streams import steps_per_epoch

METRIC = "nats_per_char"


class Length(NamedTuple):
    """How long a text is: in characters, and in bytes of its UTF-8."""

    characters: int
    bytes: int


def length_of(text: str) -> Length:
    """The length of a text.

    >>> length_of("abcé")
    Length(characters=4, bytes=5)
    """
    return Length(len(text), len(text.encode()))


@dataclass(frozen=True)
class TextData:
    """Token ids of a text, ``ids[:num_train]`` for training, and what else training needs to know of it.

    ``train`` and ``validation`` are the lengths of the parts, ``baselines`` the nats per validation character of each.
    """

    source: str
    files: tuple[TextFile, ...]
    skipped: tuple[tuple[str, str], ...]
    tokenizer_file: bytes
    ids: NDArray[np.unsignedinteger]
    num_train: int
    train: Length
    validation: Length
    baselines: dict[str, float]


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
    return TextData(
        source=corpus.source,
        files=corpus.files,
        skipped=corpus.skipped,
        tokenizer_file=file,
        ids=np.concatenate([train, validation]),
        num_train=len(train),
        train=length_of(before),
        validation=length_of(after),
        baselines=baselines.baselines(before, after),
    )


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


def metrics_of(total_nats: float, length: Length) -> dict[str, float]:
    """A sum of -log p over a text as nats and bits per character, and bits per byte of its UTF-8.

    >>> metrics_of(4 * math.log(2), length_of("abcé"))
    {'nats_per_char': 0.6931471805599453, 'bits_per_char': 1.0, 'bits_per_byte': 0.8}
    """
    bits = total_nats / math.log(2)
    return {
        METRIC: total_nats / length.characters,
        "bits_per_char": bits / length.characters,
        "bits_per_byte": bits / length.bytes,
    }


def describe(data: TextData, settings: Settings) -> dict[str, Any]:
    """What was read, for the screen and data.json."""
    unit = "characters" if settings.tokens == "char" else "byte pairs"
    summary: dict[str, Any] = {
        "source": data.source,
        "files": [{"path": file.path, "sha256": file.sha256, "bytes": file.num_bytes} for file in data.files],
        "split": f"first {1 - settings.validation:.0%} train, last {settings.validation:.0%} validation",
        "train": data.num_train,
        "validation": len(data.ids) - data.num_train,
        "tokens": f"{unit}, {parse_tokenizer(data.tokenizer_file).num_tokens}",
        "characters": f"{data.train.characters:,} train, {data.validation.characters:,} validation",
    }
    if data.skipped:
        shown = ", ".join(f"{path} ({reason})" for path, reason in data.skipped[:5])
        more = len(data.skipped) - 5
        summary["skipped"] = f"{len(data.skipped)} files: {shown}" + (f" and {more} more" if more > 0 else "")
    return summary
