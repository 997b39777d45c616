"""A picture file of a few lines: 8-bit RGB pixels as PNG (ISO/IEC 15948), for views that must not need matplotlib."""

from __future__ import annotations

import base64
import struct
import zlib

import numpy as np

from congru.report.colors import Pixels


def encode(pixels: Pixels) -> bytes:
    """The PNG file of pixels [height, width, 3].

    >>> encode(np.zeros((1, 1, 3), np.uint8))[:8]
    b'\\x89PNG\\r\\n\\x1a\\n'
    """
    height, width, _ = pixels.shape
    rows = np.concatenate([np.zeros((height, 1), np.uint8), pixels.reshape(height, -1)], axis=1)
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(rows.tobytes(), 9)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(kind, content) for kind, content in chunks)


def data_uri(pixels: Pixels) -> str:
    """The same as the text of an image source."""
    return "data:image/png;base64," + base64.b64encode(encode(pixels)).decode()


def _chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
