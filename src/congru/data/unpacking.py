"""Packed files without their dangers: damaged ones and those that unpack to far more than they hold are told, not met."""

from __future__ import annotations

import bz2
import io
import lzma
import zipfile
import zlib
from collections.abc import Callable
from typing import Any

_PIECE = 1 << 20  # bytes that are unpacked at a time
_HARMLESS = 64 << 20  # bytes that any file may unpack to
_RATIO = 60  # times what was read of it that a larger one may; text packs to a fifth

_MAKERS: dict[str, Callable[[], Any]] = {
    ".gz": lambda: _Gzip(zlib.decompressobj(wbits=31)),
    ".bz2": bz2.BZ2Decompressor,
    ".xz": lzma.LZMADecompressor,
}
_NAMES = {".gz": "gzip", ".bz2": "bz2", ".xz": "xz", ".zip": "zip"}


def unpacked(content: bytes, suffix: str) -> bytes:
    """The bytes that a .gz, .bz2, .xz or .zip file holds; any other content as it is.

    Raises ValueError, its text a clause, for a damaged file, for one that unpacks to more than 64 MB and 60 times its size,
    and for a .zip that does not hold one file.

    >>> import gzip
    >>> unpacked(gzip.compress(b"one ") + gzip.compress(b"two"), ".gz")
    b'one two'
    >>> unpacked(b"no", ".bz2")
    Traceback (most recent call last):
    ValueError: is not a whole bz2 file
    """
    if suffix not in _NAMES:
        return content
    try:
        return _member(content) if suffix == ".zip" else _stream(content, _MAKERS[suffix])
    except (
        OSError,
        EOFError,
        zlib.error,
        lzma.LZMAError,
        zipfile.BadZipFile,
        RuntimeError,
        NotImplementedError,
    ):
        raise ValueError(f"is not a whole {_NAMES[suffix]} file") from None


def _stream(content: bytes, make: Callable[[], Any]) -> bytes:
    """The content of all members of a compressed file, joined."""
    parts, size, read = list[bytes](), 0, 0
    while read < len(content) or not parts:
        member = make()
        compressed = content[read:]
        while not member.eof:
            part = member.decompress(compressed, _PIECE)
            compressed = b""
            if not part and not member.eof:
                raise EOFError
            parts.append(part)
            size += len(part)
            _check(size, len(content) - getattr(member, "left", 0))
        read = len(content) - len(member.unused_data.lstrip(b"\0"))  # tapes are padded
    return b"".join(parts)


def _check(size: int, read: int) -> None:
    if size > _HARMLESS and size > _RATIO * read:
        raise ValueError(f"unpacks to {size >> 20} MB and more from {read:,} bytes")


class _Gzip:
    """zlib's object with the ways of those of bz2 and lzma, which keep what they have not unpacked yet."""

    def __init__(self, member: Any) -> None:
        self._member, self._rest = member, b""

    @property
    def eof(self) -> bool:
        return bool(self._member.eof)

    @property
    def left(self) -> int:
        """Bytes that were given and not read yet."""
        return len(self._rest)

    @property
    def unused_data(self) -> bytes:
        return bytes(self._member.unused_data)

    def decompress(self, content: bytes, most: int) -> bytes:
        part = bytes(self._member.decompress(self._rest + content, most))
        self._rest = self._member.unconsumed_tail
        return part


def _member(content: bytes) -> bytes:
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        entries = [entry for entry in archive.infolist() if not entry.is_dir()]
        if len(entries) != 1:
            raise ValueError(f"holds {len(entries)} files, expected one")
        _check(entries[0].file_size, len(content))
        return archive.read(entries[0])
