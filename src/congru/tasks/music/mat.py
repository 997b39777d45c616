"""Reads MATLAB files of version 5 (.mat): arrays of numbers and cells of arrays, which is what piano rolls come as.

A file is a header of 128 bytes, then elements: a tag (type and number of bytes, 4 each; both in 4 bytes where the data fit
in the 4 after them), the data, padding to a multiple of 8. An element of type 15 holds others, packed by zlib.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from congru.errors import DataError

Value: TypeAlias = "NDArray[Any] | list[Value]"

_HEADER = 128
_COMPRESSED, _MATRIX = 15, 14
_CELL = 1
_NUMERIC = range(6, 16)  # classes double, single, and the whole numbers from int8 to uint64
_LARGEST = 2**31  # bytes that one packed element may grow to
_DTYPES = {1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 9: "f8", 12: "i8", 13: "u8"}


def read_mat(path: Path, content: bytes) -> dict[str, Value]:
    """The variables of a file by name: arrays as MATLAB shapes them, cells as flat lists in MATLAB's order.

    Raises:
        DataError: not such a file, cut short, or a variable of another kind.
    """
    if content[:8] == b"\x89HDF\r\n\x1a\n" or content[:10] == b"MATLAB 7.3":
        raise DataError(
            f"{path} is a MATLAB file of version 7.3 (HDF5), expected version 5: save it with -v7, or as .npz"
        )
    order = {b"IM": "<", b"MI": ">"}.get(content[126:128])
    if order is None:
        raise DataError(
            f"{path} is not a MATLAB file of version 5 (no 'IM' at byte 126), expected one: choose another"
        )
    try:
        return dict(
            _matrix(data, order) for kind, data in _elements(content[_HEADER:], order) if kind == _MATRIX
        )
    except _Unsupported as error:
        raise DataError(
            f"{path} holds {error}, expected arrays of numbers and cells: save only these"
        ) from None
    except (struct.error, zlib.error, ValueError, KeyError, StopIteration, IndexError) as error:
        raise DataError(f"{path} is damaged or cut short ({type(error).__name__}): copy it again") from None


class _Unsupported(Exception):
    """A kind of variable that is not read."""


def _elements(content: bytes, order: str) -> Iterator[tuple[int, bytes]]:
    """Type and data of every element, unpacked."""
    position = 0
    while position + 8 <= len(content):
        kind, size = struct.unpack_from(order + "II", content, position)
        if kind >> 16:  # small element: size and type share 4 bytes
            kind, size = kind & 0xFFFF, kind >> 16
            yield kind, content[position + 4 : position + 4 + size]
            position += 8
            continue
        data = content[position + 8 : position + 8 + size]
        if len(data) < size:
            raise ValueError("cut")
        if kind == _COMPRESSED:
            opened = zlib.decompressobj()
            unpacked = opened.decompress(data, _LARGEST)
            if not opened.eof:
                raise ValueError("cut")
            yield from _elements(unpacked, order)
            position += 8 + size
        else:
            yield kind, data
            position += 8 + size + (-size) % 8


def _matrix(data: bytes, order: str) -> tuple[str, Value]:
    """Name and value of one matrix element."""
    parts = _elements(data, order)
    (flags,) = struct.unpack_from(order + "I", next(parts)[1])
    shape = np.frombuffer(next(parts)[1], order + "i4")
    name = next(parts)[1].decode("latin-1")
    kind = flags & 0xFF
    if kind == _CELL:
        cells = [_matrix(content, order)[1] for _, content in parts]
        if len(cells) != int(np.prod(shape)):
            raise ValueError("cut")
        return name, cells
    if kind not in _NUMERIC or flags & 0x800:  # 0x800: complex
        raise _Unsupported(f"the variable {name!r} of MATLAB's class {kind}")
    stored, content = next(parts)
    values = np.frombuffer(content, order + _DTYPES[stored])
    return name, values.reshape(shape, order="F")
