"""The header of a WAV file, read forward only, so that a pipe works too: what it promises, and where samples begin.

A WAV file is a list of chunks (name, size, content). libsndfile reads the samples; this file is for what libsndfile does not
say: that fewer samples are there than promised, why a file has none, and the format of a stream on standard input.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import BinaryIO, Protocol

from congru.errors import DataError

_FORMS = {b"RIFF": "<", b"RF64": "<", b"RIFX": ">"}
_UNKNOWN = 0xFFFFFFFF  # a size that a pipe could not know
_EXTENSIBLE = 0xFFFE


class _Readable(Protocol):
    def read(self, size: int, /) -> bytes: ...


@dataclass(frozen=True)
class WavHeader:
    """What the header says; `data_bytes` is None where it does not know the size."""

    byte_order: str
    encoding: int  # 1 integers, 3 floats
    channels: int
    rate_hz: int
    bits: int
    data_bytes: int | None
    data_offset: int


def is_wav(start: bytes) -> bool:
    """Whether a file with these first bytes is a WAV file."""
    return start[:4] in _FORMS


def read_wav_header(file: BinaryIO | _Readable, name: str) -> WavHeader | None:
    """The header, up to the first sample; None where the file is of another kind.

    Raises:
        DataError: the file ends before its samples begin.
    """
    start = file.read(12)
    if not is_wav(start) or start[8:12] != b"WAVE":
        return None
    order, at, long_size = _FORMS[start[:4]], 12, None
    fmt: tuple[int, int, int, int] | None = None
    while True:
        head = file.read(8)
        if len(head) < 8:
            raise DataError(
                f"{name} has no data chunk (it ends after {at + len(head)} bytes), expected audio: record it again"
            )
        at += 8
        size = struct.unpack(order + "I", head[4:])[0]
        if head[:4] == b"data":
            known = long_size if size == _UNKNOWN else size
            encoding, channels, rate_hz, bits = fmt or (0, 0, 0, 0)
            return WavHeader(order, encoding, channels, rate_hz, bits, known, at)
        content = file.read(size + size % 2)
        at += len(content)
        if head[:4] == b"ds64" and len(content) >= 16:
            long_size = struct.unpack(order + "Q", content[8:16])[0]
        if head[:4] == b"fmt " and len(content) >= 16:
            fmt = _format(content, order)


def _format(content: bytes, order: str) -> tuple[int, int, int, int]:
    """Encoding, channels, samples a second, bits of a sample."""
    encoding, channels, rate_hz, _, _, bits = struct.unpack(order + "HHIIHH", content[:16])
    if encoding == _EXTENSIBLE and len(content) >= 28:
        encoding = struct.unpack(order + "I", content[24:28])[0]  # the first part of an identifier
    return encoding, channels, rate_hz, bits
