"""From text to token ids: the symbols of a text, or byte pairs learned from it by the `tokenizers` library.

Either way the result is a `tokenizer.json` that the runtime reads without that library.
"""

from __future__ import annotations

import json
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from congru.errors import DataError, require
from congru.runtime.tokenizer import Tokenizer, parse_tokenizer

Ints = NDArray[np.int64]

_PIECE = 65_536  # characters handed to the BPE trainer at a time


def char_file(text: str) -> bytes:
    """The tokenizer file with one token for each distinct character, in the order of code points.

    >>> char_file("abba")
    b'{"type": "char", "symbols": ["a", "b"]}'
    """
    return json.dumps({"type": "char", "symbols": sorted(set(text))}, ensure_ascii=False).encode()


def bpe_file(text: str, vocab_size: int) -> bytes:
    """The tokenizer file of a byte-level BPE with ``vocab_size`` tokens learned from ``text``.

    Raises:
        MissingPackageError: `tokenizers` is not installed.
        DataError: the text holds too few different pairs for so many tokens.
    """
    require("tokenizers", "text")
    from tokenizers import Tokenizer as Builder
    from tokenizers import decoders, models, pre_tokenizers, trainers

    builder = Builder(models.BPE())
    builder.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    builder.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        special_tokens=[],
        show_progress=False,
    )
    builder.train_from_iterator(_pieces(text), trainer=trainer)
    if builder.get_vocab_size() != vocab_size:
        raise DataError(
            f"vocab_size is {vocab_size}, expected at most {builder.get_vocab_size()}, all that this text"
            f" gives: pass --vocab-size {builder.get_vocab_size()}"
        )
    return str(builder.to_str()).encode()


def _pieces(text: str) -> Iterator[str]:
    """The text cut at line ends into pieces of about ``_PIECE`` characters."""
    start = 0
    while start < len(text):
        end = text.find("\n", start + _PIECE)
        end = len(text) if end < 0 else end + 1
        yield text[start:end]
        start = end


def encode(tokenizer_file: bytes, text: str) -> Ints:
    """Token ids [N] of a text; the fast way where there is one, equal to the runtime's tokenizer.

    Raises:
        DataError: a character that a character tokenizer does not have.
    """
    tokenizer = parse_tokenizer(tokenizer_file)
    content = json.loads(tokenizer_file)
    if content.get("type") == "char":
        return _encode_characters(tokenizer, content["symbols"], text)
    return np.array(tokenizer.encode(text), np.int64)


def _encode_characters(tokenizer: Tokenizer, symbols: list[str], text: str) -> Ints:
    points = np.frombuffer(text.encode("utf-32-le"), np.uint32)
    known = np.array([ord(symbol) for symbol in symbols], np.uint32)
    order = np.argsort(known)
    rank = np.minimum(np.searchsorted(known[order], points), len(known) - 1)
    ids = order[rank]
    if not np.array_equal(known[ids], points):
        tokenizer.encode(text)  # raises, naming the first unknown symbol
    return ids.astype(np.int64)
