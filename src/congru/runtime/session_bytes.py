"""A session as bytes: what an idle one is kept as, and what is pickled.

    8   "congru" and the version, two bytes
    32  sha256 of all that follows
    32  fingerprint of the model (zeros where it has none)
    4   batch size, little endian as all numbers
    1   1 where outputs of a last step follow
    41  the generator: state and increment of PCG64, 16 bytes each, whether half a draw is left, and that half in 8 bytes
    ..  float32: the states, then the last outputs, in the order of the network, without gaps

The sizes of the arrays are those of the network, so a state of H units takes 4 H bytes and nothing beside the 118 of the head.
"""

from __future__ import annotations

import hashlib
import itertools
from typing import Any, NamedTuple

import numpy as np

from congru.errors import ModelFolderError
from congru.runtime.cells import Array
from congru.runtime.graph import Graph

_MAGIC = b"congru\x00\x01"
_SUMMED = len(_MAGIC) + 32
_HEAD = _SUMMED + 32 + 4 + 1 + 41
_AGAIN = "call to_bytes() again"


class Kept(NamedTuple):
    """What a session is, beside its model: `generator` is the state of PCG64 as NumPy gives it."""

    fingerprint: str
    batch_size: int
    state: dict[str, Array]
    last: dict[str, Array] | None
    generator: dict[str, Any]


def format_session(kept: Kept) -> bytes:
    """The bytes of a session."""
    words = kept.generator["state"]
    parts = [
        bytes.fromhex(kept.fingerprint).ljust(32, b"\0"),
        kept.batch_size.to_bytes(4, "little"),
        bytes([kept.last is not None]),
        words["state"].to_bytes(16, "little"),
        words["inc"].to_bytes(16, "little"),
        bytes([kept.generator["has_uint32"]]),
        kept.generator["uinteger"].to_bytes(8, "little"),
    ]
    for array in (*kept.state.values(), *(kept.last or {}).values()):
        parts.append(np.ascontiguousarray(array, "<f4").tobytes())
    body = b"".join(parts)
    return _MAGIC + hashlib.sha256(body).digest() + body


def parse_session(content: bytes, graph: Graph) -> Kept:
    """What :func:`format_session` wrote, for a network of this graph.

    Raises :class:`ModelFolderError` for bytes that are none of a session, changed, or of another size than the network's.
    """
    if len(content) < _HEAD or content[: len(_MAGIC)] != _MAGIC:
        raise ModelFolderError(
            f"the session has {len(content)} bytes that begin with {bytes(content[:8])!r}, expected those of to_bytes():"
            " pass them whole"
        )
    if hashlib.sha256(content[_SUMMED:]).digest() != content[len(_MAGIC) : _SUMMED]:
        raise ModelFolderError(f"the session's bytes were changed, expected their own sha256: {_AGAIN}")
    mark, batch = (
        content[_SUMMED : _SUMMED + 32],
        int.from_bytes(content[_SUMMED + 32 : _SUMMED + 36], "little"),
    )
    has_last, words = content[_SUMMED + 36], content[_SUMMED + 37 : _HEAD]
    shapes = {name: (depth, batch, size) for name, (depth, size) in graph.state_shapes.items()}
    outputs = {name: (batch, *spec.size) for name, spec in graph.outputs.items()} if has_last else {}
    sizes = [int(np.prod(shape)) for shape in (*shapes.values(), *outputs.values())]
    if len(content) != _HEAD + 4 * sum(sizes):
        raise ModelFolderError(
            f"the session has {len(content)} bytes, expected {_HEAD + 4 * sum(sizes)} as its network:"
            " restore it in a session of its own model"
        )
    values = np.frombuffer(content, "<f4", offset=_HEAD).astype(np.float32)
    ends = np.cumsum([0, *sizes])
    arrays = [values[begin:end] for begin, end in itertools.pairwise(ends)]
    state = {name: array.reshape(shape) for (name, shape), array in zip(shapes.items(), arrays)}
    last = {
        name: array.reshape(shape) for (name, shape), array in zip(outputs.items(), arrays[len(shapes) :])
    }
    generator = {
        "bit_generator": "PCG64",
        "state": {
            "state": int.from_bytes(words[:16], "little"),
            "inc": int.from_bytes(words[16:32], "little"),
        },
        "has_uint32": words[32],
        "uinteger": int.from_bytes(words[33:], "little"),
    }
    return Kept(mark.hex() if any(mark) else "", batch, state, last if has_last else None, generator)
