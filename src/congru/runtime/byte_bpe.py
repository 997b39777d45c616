"""Byte-level BPE (Sennrich et al. 2016; bytes as in GPT-2), read from the JSON file of the `tokenizers`
library.

A text is split into words by GPT-2's pattern, each word becomes bytes, and pairs are merged, lowest rank
first. The pattern's letters and numbers come from Python's `unicodedata`: a character newer than its tables
may be split off differently, and decodes to the same text.
"""

from __future__ import annotations

import heapq
import re
import unicodedata
from collections.abc import Iterator, Mapping
from typing import Any

from congru.errors import DataError, ModelFolderError

_WHITE_SPACE = {
    0x20,
    0x85,
    0xA0,
    0x1680,
    0x2028,
    0x2029,
    0x202F,
    0x205F,
    0x3000,
    *range(9, 14),
    *range(0x2000, 0x200B),
}
# GPT-2's pattern over classes: letters it names are themselves, others a; 0 number, \n white, . the rest.
_WORD = re.compile(r"'(?:s|t|re|ve|m|ll|d)| ?[a-z]+| ?0+| ?[.']+|[ \n]+(?![a-z0.'])|[ \n]+")
_CACHE_SIZE = 50_000


class _Classes(dict[int, str]):
    """The class of every character, worked out when it is first met (for `str.translate`)."""

    def __missing__(self, code: int) -> str:
        char = chr(code)
        kind = unicodedata.category(char)[0]
        if code == 0x20 or char in "'strevmld":
            char_class = char
        elif code in _WHITE_SPACE:
            char_class = "\n"
        else:
            char_class = {"L": "a", "N": "0"}.get(kind, ".")
        self[code] = char_class
        return char_class


_CLASSES = _Classes()


def split_words(text: str) -> Iterator[str]:
    """The words of GPT-2's pattern, spaces in front kept; joined they are the text.

    >>> list(split_words("It's  24 degrees!"))
    ['It', "'s", ' ', ' 24', ' degrees', '!']
    """
    for match in _WORD.finditer(text.translate(_CLASSES)):
        yield text[match.start() : match.end()]


def byte_symbols() -> list[str]:
    """The printable character that stands for each of the 256 bytes in the vocabulary."""
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(256) if byte not in printable]
    code = {byte: byte for byte in printable} | {byte: 256 + index for index, byte in enumerate(others)}
    return [chr(code[byte]) for byte in range(256)]


_SYMBOLS = byte_symbols()
_BYTES = {symbol: byte for byte, symbol in enumerate(_SYMBOLS)}


class ByteBPE:
    """The encoder of one tokenizer file, and the bytes of each of its tokens.

    `data` is the parsed JSON, `source` the file's name for messages. Raises :class:`ModelFolderError` where
    the file asks for something this reader does not do.
    """

    def __init__(self, data: Mapping[str, Any], source: str) -> None:
        _check_supported(data, source)
        model, pre = data["model"], data["pre_tokenizer"]
        self.vocabulary: dict[str, int] = model["vocab"]
        self.prefix_space, self.use_regex = (
            bool(pre.get("add_prefix_space", True)),
            bool(pre.get("use_regex", True)),
        )
        self.unknown = self.vocabulary.get(model.get("unk_token") or "")
        self.merges = _read_merges(model["merges"], self.vocabulary, source)
        added = data.get("added_tokens") or []
        self.special = {int(token["id"]) for token in added if token["special"]}
        contents = {token["content"]: int(token["id"]) for token in added}
        self._added = {
            **contents,
            **{name: self.vocabulary[name] for name in contents if name in self.vocabulary},
        }
        raw = [token["content"] for token in added if not token["normalized"]]
        self._splitters = [_splitter(raw), _splitter([name for name in contents if name not in raw])]
        self.token_bytes = {
            index: _to_bytes(token) for token, index in {**self.vocabulary, **self._added}.items()
        }
        self._cache: dict[str, list[int]] = {}
        self._truncation, self._padding = data.get("truncation"), data.get("padding")

    def encode(self, text: str) -> list[int]:
        """Token ids of a text, cut and padded where the file says so.

        Raises :class:`DataError` for a byte that is not in the vocabulary.
        """
        ids = self._encode_whole(text)
        if self._truncation:
            ids = _truncated(ids, self._truncation)
        return _padded(ids, self._padding) if self._padding else ids

    def _encode_whole(self, text: str) -> list[int]:
        pieces = [text]
        for splitter in self._splitters:
            if splitter:
                pieces = [
                    part
                    for piece in pieces
                    for part in ([piece] if piece in self._added else splitter.split(piece))
                ]
        ids: list[int] = []
        for piece in pieces:
            if piece in self._added:
                ids.append(self._added[piece])
            elif piece:
                ids.extend(self._encode_plain(piece))
        return ids

    def _encode_plain(self, text: str) -> list[int]:
        if self.prefix_space and not text.startswith(" "):
            text = " " + text
        ids: list[int] = []
        for word in split_words(text) if self.use_regex else [text]:
            if word not in self._cache:
                if len(self._cache) >= _CACHE_SIZE:
                    self._cache.clear()
                self._cache[word] = self._merge(self._start(word))
            ids.extend(self._cache[word])
        return ids

    def _start(self, word: str) -> list[int]:
        try:
            content = word.encode()
        except UnicodeEncodeError:
            raise DataError(
                f"text holds {word!r} with half a character, expected Unicode: read it as UTF-8"
            ) from None
        ids = []
        for byte in content:
            index = self.vocabulary.get(_SYMBOLS[byte], self.unknown)
            if index is None:
                raise DataError(
                    f"text holds {word!r}, whose byte 0x{byte:02x} is not in the vocabulary:"
                    " train with all 256 bytes"
                )
            ids.append(index)
        return ids

    def _merge(self, ids: list[int]) -> list[int]:
        """Merge neighbours, lowest rank first, leftmost first among equals: a heap over a doubly linked
        list.
        """
        after, before = list(range(1, len(ids) + 1)), list(range(-1, len(ids) - 1))
        heap: list[tuple[int, int, int, int]] = []

        def push(left: int) -> None:
            right = after[left]
            if right < len(ids) and (merge := self.merges.get((ids[left], ids[right]))):
                heapq.heappush(heap, (merge[0], left, ids[left], ids[right]))

        for position in range(len(ids)):
            push(position)
        while heap:
            _, left, first, second = heapq.heappop(heap)
            right = after[left]
            if right >= len(ids) or (ids[left], ids[right]) != (first, second):
                continue  # one of the two has been merged since
            ids[left], ids[right] = self.merges[first, second][1], -1
            after[left] = after[right]
            if after[left] < len(ids):
                before[after[left]] = left
            if before[left] >= 0:
                push(before[left])
            push(left)
        return [index for index in ids if index >= 0]


def _truncated(ids: list[int], rule: Mapping[str, Any]) -> list[int]:
    """At most max_length ids; direction "Left" drops the first ones."""
    most = int(rule["max_length"])
    if len(ids) <= most:
        return ids
    return ids[len(ids) - most :] if rule.get("direction", "Right") == "Left" else ids[:most]


def _padded(ids: list[int], rule: Mapping[str, Any]) -> list[int]:
    """Filled up to a fixed length, or to a multiple; a text alone is the longest of its batch."""
    strategy = rule["strategy"]
    size = int(strategy["Fixed"]) if isinstance(strategy, Mapping) else len(ids)
    multiple = int(rule.get("pad_to_multiple_of") or 0)
    if multiple and size % multiple:
        size += multiple - size % multiple
    filling = [int(rule["pad_id"])] * max(0, size - len(ids))
    return filling + ids if rule.get("direction", "Right") == "Left" else ids + filling


def _to_bytes(token: str) -> bytes:
    if all(symbol in _BYTES for symbol in token):
        return bytes(_BYTES[symbol] for symbol in token)
    return token.encode()


def _splitter(contents: list[str]) -> re.Pattern[str] | None:
    """Cuts a text at the given tokens and keeps them; the longest wins where several begin at one place."""
    ordered = sorted((content for content in contents if content), key=len, reverse=True)
    return re.compile(f"({'|'.join(map(re.escape, ordered))})") if ordered else None


def _read_merges(
    merges: Any, vocabulary: Mapping[str, int], source: str
) -> dict[tuple[int, int], tuple[int, int]]:
    """(left id, right id) -> (rank, id of both together); the file has "left right" or ["left", "right"]."""
    table = {}
    for rank, merge in enumerate(merges):
        left, right = merge.split(" ") if isinstance(merge, str) else merge
        missing = [token for token in (left, right, left + right) if token not in vocabulary]
        if missing:
            raise ModelFolderError(f"{source}: merge {rank} needs {missing[0]!r}, expected in the vocabulary")
        table[vocabulary[left], vocabulary[right]] = (rank, vocabulary[left + right])
    return table


def _check_supported(data: Mapping[str, Any], source: str) -> None:
    model = data["model"]
    pre, decoder, post = data.get("pre_tokenizer"), data.get("decoder"), data.get("post_processor")
    asked = {
        "model": model["type"] if model["type"] != "BPE" else None,
        "pre_tokenizer": None if pre and pre["type"] == "ByteLevel" else pre,
        "decoder": None if decoder and decoder["type"] == "ByteLevel" else decoder or "none",
        "post_processor": None if post and post["type"] == "ByteLevel" else post,
        "normalizer": data.get("normalizer"),
        **{
            key: model.get(key)
            for key in (
                "dropout",
                "continuing_subword_prefix",
                "end_of_word_suffix",
                "fuse_unk",
                "byte_fallback",
                "ignore_merges",
            )
        },
    }
    if not pre:
        asked["pre_tokenizer"] = "none"
    for token in data.get("added_tokens") or []:
        for key in ("single_word", "lstrip", "rstrip"):
            asked[f"added token {token['content']!r} {key}"] = token[key]
    truncation = data.get("truncation")
    if truncation and truncation.get("strategy") == "OnlySecond":
        asked["truncation"] = "OnlySecond"
    for key, value in asked.items():
        if value:
            actual = value.get("type", dict(value)) if isinstance(value, Mapping) else value
            raise ModelFolderError(
                f"{source}: {key} is {actual!r}, expected a plain byte-level BPE: train it as one"
            )
