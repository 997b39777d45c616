"""The bytes of a file that a user names, or one line that says why they cannot be had."""

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
