"""Text to token ids and back, without any library: characters, or byte-level BPE written by `tokenizers`."""

from __future__ import annotations

import codecs
import os
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from congru.errors import DataError, ModelFolderError
from congru.runtime.byte_bpe import ByteBPE
from congru.runtime.plain_json import parse_json
from congru.runtime.reading import read_file

_SHOWN = 12  # symbols listed in a message


class Tokenizer:
    """A reversible map between text and token ids 0..num_tokens-1; see `from_file`.

    >>> tokenizer = char_tokenizer(["a", "b", "é"])
    >>> tokenizer.encode("bé"), tokenizer.decode([1, 2])
    ([1, 2], 'bé')
    """

    def __init__(
        self,
        encode: Callable[[str], list[int]],
        token_bytes: Mapping[int, bytes],
        special: Iterable[int] = (),
    ) -> None:
        self._encode, self._token_bytes, self._special = encode, token_bytes, frozenset(special)
        self.num_tokens = max(token_bytes, default=-1) + 1

    @staticmethod
    def from_file(path: str | os.PathLike[str]) -> Tokenizer:
        """Read tokenizer.json: {"type": "char", "symbols": [...]} or a byte-level BPE of the `tokenizers`
        library.

        Raises :class:`ModelFolderError` where the file is missing, no JSON or of another kind.
        """
        try:
            content = read_file(Path(path))
        except OSError as error:
            raise ModelFolderError(
                f"{path} cannot be read ({error.strerror}), expected a tokenizer file"
            ) from None
        return parse_tokenizer(content, str(path))

    def encode(self, text: str) -> list[int]:
        """The token ids of a text; raises :class:`DataError` for a symbol the tokenizer does not know."""
        return self._encode(text)

    def decode(self, ids: Iterable[int]) -> str:
        """The text of token ids; special tokens are left out, bytes that are no UTF-8 become U+FFFD."""
        return b"".join(self._bytes_of(index) for index in ids).decode("utf-8", "replace")

    def stream(self) -> StreamDecoder:
        """A decoder that takes one id at a time and never cuts a character in two."""
        return StreamDecoder(self._bytes_of)

    def _bytes_of(self, index: int) -> bytes:
        if index in self._special:
            return b""
        if index not in self._token_bytes:
            raise DataError(
                f"token {index} is unknown, expected 0 to {self.num_tokens - 1}: pass ids of this one"
            )
        return self._token_bytes[index]


class StreamDecoder:
    """Text of ids that arrive one by one: `push` gives what is complete, `flush` the rest."""

    def __init__(self, bytes_of: Callable[[int], bytes]) -> None:
        self._bytes_of = bytes_of
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")

    def push(self, index: int) -> str:
        """The text that this id completes; empty in the middle of a character."""
        return self._decoder.decode(self._bytes_of(index))

    def flush(self) -> str:
        """What is left: U+FFFD where a character is incomplete."""
        return self._decoder.decode(b"", final=True)


def char_tokenizer(symbols: list[str]) -> Tokenizer:
    """One token per character; `symbols` are the characters in the order of their ids."""
    ids = {symbol: index for index, symbol in enumerate(symbols)}

    def encode(text: str) -> list[int]:
        try:
            return [ids[symbol] for symbol in text]
        except KeyError:
            position, symbol = next((p, s) for p, s in enumerate(text) if s not in ids)
        shown = " ".join(map(repr, symbols[:_SHOWN])) + (" ..." if len(symbols) > _SHOWN else "")
        raise DataError(
            f"text holds {symbol!r} at position {position}, expected one of the model's {len(symbols)}"
            f" symbols ({shown}): remove it"
        )

    return Tokenizer(encode, {index: symbol.encode() for index, symbol in enumerate(symbols)})


def parse_tokenizer(content: bytes, source: str = "tokenizer.json") -> Tokenizer:
    """Read the bytes of a tokenizer file; see :meth:`Tokenizer.from_file`. `source` is its name for
    messages.
    """
    try:
        data = parse_json(content)
    except ValueError as error:
        raise ModelFolderError(f"{source} is not valid JSON ({error}), expected a tokenizer file") from None
    if isinstance(data, dict) and data.get("type") == "char":
        return char_tokenizer(_check_symbols(data.get("symbols"), source))
    if not isinstance(data, dict) or not isinstance(data.get("model"), dict):
        raise ModelFolderError(f"{source} is no tokenizer, expected type 'char' or a byte-level BPE file")
    try:
        bpe = ByteBPE(data, source)
    except ModelFolderError:
        raise
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise ModelFolderError(
            f"{source} is no complete byte-level BPE file ({error!r}): train it again"
        ) from None
    return Tokenizer(bpe.encode, bpe.token_bytes, bpe.special)


def _check_symbols(symbols: Any, source: str) -> list[str]:
    if (
        not isinstance(symbols, list)
        or not symbols
        or not all(isinstance(symbol, str) and len(symbol) == 1 for symbol in symbols)
        or any("\ud800" <= symbol <= "\udfff" for symbol in symbols)  # half a character, no UTF-8
    ):
        raise ModelFolderError(f"{source}: symbols is no list of single characters: train it again")
    if len(set(symbols)) != len(symbols):
        raise ModelFolderError(
            f"{source}: symbols holds a character twice, expected each once: train it again"
        )
    return symbols
