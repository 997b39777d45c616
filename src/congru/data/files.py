"""The bytes of a file that a user names, and their text, or one line that says why they cannot be had."""

from __future__ import annotations

import gzip
import zlib
from pathlib import Path

from congru.errors import DataError


def read_bytes(path: Path, expected: str) -> bytes:
    """The bytes of a file. Raises :class:`DataError`, which says what was `expected`, where it cannot be read."""
    try:
        return path.read_bytes()
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise DataError(f"{path} cannot be read ({reason}), expected {expected}: check the path") from None


def read_unpacked(path: Path, expected: str) -> bytes:
    """The bytes of a file, unpacked where its name ends in .gz. Raises :class:`DataError` also for a damaged .gz."""
    content = read_bytes(path, expected)
    if path.suffix != ".gz":
        return content
    try:
        return gzip.decompress(content)
    except (OSError, EOFError, zlib.error):
        raise DataError(f"{path} is not a whole gzip file, expected one: compress it again") from None


def decode(content: bytes, name: str) -> tuple[str, str]:
    """The text of bytes, and a remark where they are not UTF-8.

    A byte order mark says UTF-8 or UTF-16; other bytes that are no UTF-8 are read as Latin-1, and told.

    >>> decode("né".encode("utf-16"), "a.txt"), decode("né".encode("latin-1"), "a.txt")[1]
    (('né', 'a.txt read as UTF-16'), 'a.txt read as Latin-1: byte 0xe9 at 1 is not UTF-8')

    Raises:
        DataError: UTF-16 that ends in the middle, or bytes that are no text.
    """
    try:
        if content.startswith((b"\xff\xfe", b"\xfe\xff")):
            return content.decode("utf-16"), f"{name} read as UTF-16"
        return content.decode("utf-8-sig"), ""
    except UnicodeDecodeError as error:
        if error.encoding.startswith("utf-16") or b"\0" in content:
            raise DataError(f"{name} is not text (byte {error.start}), expected UTF-8: convert it") from None
        wrong = f"byte 0x{content[error.start]:02x} at {error.start} is not UTF-8"
        return content.decode("latin-1"), f"{name} read as Latin-1: {wrong}"
