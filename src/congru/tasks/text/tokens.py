"""From text to token ids: the symbols of a text, or byte pairs learned from it by the `tokenizers` library.

Either way the result is a `tokenizer.json` that the runtime reads without that library.
"""

from __future__ import annotations

import json

import numpy as np
from numpy.typing import NDArray

from congru.data.byte_pairs import bpe_file
from congru.runtime.tokenizer import Tokenizer, parse_tokenizer

Ints = NDArray[np.unsignedinteger]
_PIECE = 1 << 22  # characters looked up at a time

__all__ = ["bpe_file", "char_file", "encode"]


def char_file(text: str) -> bytes:
    """The tokenizer file with one token for each distinct character, in the order of code points.

    >>> char_file("abba")
    b'{"type": "char", "symbols": ["a", "b"]}'
    """
    return json.dumps({"type": "char", "symbols": sorted(set(text))}, ensure_ascii=False).encode()


def encode(tokenizer_file: bytes, text: str) -> Ints:
    """Token ids [N] of a text, in as few bytes as the largest needs; as fast as can be, equal to the runtime's tokenizer.

    Raises:
        DataError: a character that a character tokenizer does not have.
    """
    tokenizer = parse_tokenizer(tokenizer_file)
    content = json.loads(tokenizer_file)
    if content.get("type") == "char":
        return _encode_characters(tokenizer, content["symbols"], text)
    return np.array(tokenizer.encode(text), np.min_scalar_type(tokenizer.num_tokens - 1))


def _encode_characters(tokenizer: Tokenizer, symbols: list[str], text: str) -> Ints:
    known = np.array([ord(symbol) for symbol in symbols], np.uint32)
    ids = np.empty(len(text), np.min_scalar_type(len(known) - 1))
    table = np.zeros(int(known.max()) + 1, ids.dtype)  # code point -> id
    table[known] = np.arange(len(known))
    for begin in range(0, len(text), _PIECE):
        piece = text[begin : begin + _PIECE]
        points = np.frombuffer(piece.encode("utf-32-le"), np.uint32)
        ids[begin : begin + _PIECE] = numbers = table[np.minimum(points, len(table) - 1)]
        if not np.array_equal(known[numbers], points):
            tokenizer.encode(text)  # raises, naming the first unknown symbol
    return ids
