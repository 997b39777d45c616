"""Tensors as a model folder stores them: float32, or bfloat16 and int8 that are widened to float32 when read.

An int8 tensor "<name>" has a float32 companion "<name>.scale", one number per row: w[i] = scale[i] * q[i].
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import deserialize
from safetensors.numpy import save as format_tensors

from congru.runtime.plain_json import parse_json

_DTYPES: dict[str, type[np.generic]] = {
    "F32": np.float32,
    "F64": np.float64,
    "F16": np.float16,
    "I8": np.int8,
    "I32": np.int32,
    "I64": np.int64,
    "U8": np.uint8,
    "BOOL": np.bool_,
}
SCALE = ".scale"
_SMALLEST_SCALE = 1e-3


def parse_tensors(content: bytes) -> dict[str, NDArray[Any]]:
    """The tensors of a safetensors file; bfloat16 as float32. Raises `SafetensorError`, or ValueError for another dtype."""
    arrays: dict[str, NDArray[Any]] = {}
    for name, entry in deserialize(content):  # type: ignore[no-untyped-call]
        raw, shape = entry["data"], tuple(entry["shape"])
        if entry["dtype"] == "BF16":
            bits = np.frombuffer(raw, np.uint16).astype(np.uint32) << 16
            arrays[name] = bits.view(np.float32).reshape(shape)
        elif entry["dtype"] in _DTYPES:
            arrays[name] = np.frombuffer(raw, _DTYPES[entry["dtype"]]).reshape(shape).copy()
        else:
            raise ValueError(f"{name!r} has dtype {entry['dtype']}, which is not known here")
    return arrays


def read_metadata(content: bytes) -> dict[str, str]:
    """The texts of a safetensors file that has been parsed: they lie in the JSON after eight bytes of its length."""
    size = int.from_bytes(content[:8], "little")
    return dict(parse_json(content[8 : 8 + size]).get("__metadata__") or {})


def widened(tensors: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    """int8 tensors with their scales as float32; all others as they are.

    >>> widened({"w.scale": np.float32([0.5]), "w": np.int8([[2, -1]])})
    {'w': array([[ 1. , -0.5]], dtype=float32)}
    """
    rounded = {
        name
        for name, array in tensors.items()
        if array.dtype == np.int8
        and name + SCALE in tensors
        and tensors[name + SCALE].shape == array.shape[:1]
    }
    wide = {}
    for name, array in tensors.items():
        if name in rounded:
            scale = tensors[name + SCALE].reshape(-1, *[1] * (array.ndim - 1))
            wide[name] = (array * scale).astype(np.float32)
        elif name.removesuffix(SCALE) not in rounded:
            wide[name] = array
    return wide


def relative_error(actual: NDArray[Any], expected: NDArray[Any]) -> float:
    """The largest |actual - expected| relative to the largest |expected|, or to 1e-3 where that is larger; of equal shapes.

    >>> relative_error(np.ones(2), np.array([1.0, 2.0]))
    0.5
    """
    if expected.size == 0:
        return 0.0
    scale = max(float(np.abs(expected).max()), _SMALLEST_SCALE)
    return float(np.abs(np.asarray(actual, np.float64) - expected).max()) / scale


def prefixed(parts: Mapping[str, Mapping[str, NDArray[Any]]], separator: str) -> dict[str, NDArray[Any]]:
    """The arrays of every network under "<network><separator><name>"."""
    return {
        f"{owner}{separator}{name}": value for owner, part in parts.items() for name, value in part.items()
    }


def of_owner(arrays: Mapping[str, NDArray[Any]], owner: str, separator: str) -> dict[str, NDArray[Any]]:
    """The arrays of one network, by their own names."""
    prefix = owner + separator
    return {name.removeprefix(prefix): value for name, value in arrays.items() if name.startswith(prefix)}


def checksum(arrays: Mapping[str, NDArray[Any]], text: str) -> str:
    """The sha256, as hexadecimal digits, of arrays with their names, dtypes and shapes, and of a text beside them."""
    total = hashlib.sha256(text.encode())
    for name, array in sorted(arrays.items()):
        total.update(f"\n{name} {array.dtype.str} {array.shape}\n".encode())
        total.update(np.ascontiguousarray(array).tobytes())
    return total.hexdigest()


def format_arrays(arrays: Mapping[str, NDArray[Any]]) -> bytes:
    """The bytes of a safetensors file."""
    return bytes(format_tensors({name: np.ascontiguousarray(value) for name, value in arrays.items()}))
