"""From text to token ids: the symbols of a text, or byte pairs learned from it by the `tokenizers` library.

Either way the result is a `tokenizer.json` that the runtime reads without that library.
"""

from __future__ import annotations

import json

import numpy as np
from numpy.typing import NDArray

from congru.data.byte_pairs import bpe_file
from congru.runtime.tokenizer import Tokenizer, parse_tokenizer

Ints = NDArray[np.int64]

__all__ = ["bpe_file", "char_file", "encode"]


def char_file(text: str) -> bytes:
    """The tokenizer file with one token for each distinct character, in the order of code points.

    >>> char_file("abba")
    b'{"type": "char", "symbols": ["a", "b"]}'
    """
    return json.dumps({"type": "char", "symbols": sorted(set(text))}, ensure_ascii=False).encode()


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
