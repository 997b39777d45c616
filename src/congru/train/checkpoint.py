"""The full state of a run in one file, ``last/checkpoint.safetensors``: replaced atomically, summed, read without pickle.

Its tensors lie in safetensors; how they hang together (dicts, lists, tuples, numbers, strings) is JSON in the metadata, and
a sha256 over both shows every change.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load as parse_tensors
from safetensors.torch import save as format_tensors
from torch import Tensor

from congru.errors import RunFolderError
from congru.runtime.plain_json import parse_json
from congru.runtime.reading import read_file
from congru.runtime.tensors import checksum, read_metadata
from congru.train.folder import write_bytes

FORMAT = "congru-checkpoint"
VERSION = 3
FILE = "checkpoint.safetensors"
_FIX = "start another run with another --out"


def save(folder: Path, state: dict[str, Any]) -> None:
    """Write ``state`` to the checkpoint in ``folder``; the previous one stays until it is on the disk.

    ``state`` is any nesting of dicts, lists and tuples of tensors, numbers, strings, booleans and None.
    """
    tensors: dict[str, Tensor] = {}
    nest = json.dumps(_pack(state, tensors))
    metadata = {"format": FORMAT, "version": str(VERSION), "nest": nest}
    metadata["sha256"] = _sum(tensors, nest)
    write_bytes(folder / FILE, format_tensors(tensors, metadata))


def exists(folder: Path) -> bool:
    """Whether there is a checkpoint to continue from."""
    return os.path.lexists(folder / FILE)


def load(folder: Path) -> dict[str, Any]:
    """Read the checkpoint in ``folder``, all tensors on the CPU.

    Raises:
        RunFolderError: truncated, changed, or written by another program.
    """
    path = folder / FILE
    try:
        content = read_file(path)
        tensors, metadata = parse_tensors(content), read_metadata(content)
    except (SafetensorError, ValueError, TypeError, OSError) as error:
        reason = " ".join(str(getattr(error, "strerror", None) or error).split())[:80]
        raise RunFolderError(f"{path} cannot be read ({reason}), expected a checkpoint: {_FIX}") from None
    if metadata.get("format") != FORMAT or metadata.get("version") != str(VERSION):
        raise RunFolderError(f"{path} is not a checkpoint of version {VERSION}: {_FIX}")
    if metadata.get("sha256") != _sum(tensors, metadata.get("nest", "")):
        raise RunFolderError(f"{path} was changed after it was saved, expected its own sha256: {_FIX}")
    try:
        state = _unpack(parse_json(metadata["nest"]), tensors)
    except (ValueError, TypeError, KeyError) as error:
        raise RunFolderError(f"{path} holds no state ({error!r}), expected a checkpoint: {_FIX}") from None
    if not isinstance(state, dict):
        raise RunFolderError(f"{path} holds a {type(state).__name__}, expected the state of a run: {_FIX}")
    return state


def _sum(tensors: dict[str, Tensor], nest: str) -> str:
    raw = {name: tensor.contiguous().view(-1).view(torch.uint8).numpy() for name, tensor in tensors.items()}
    shapes = {name: (str(tensor.dtype), tuple(tensor.shape)) for name, tensor in tensors.items()}
    return checksum(raw, nest + repr(sorted(shapes.items())))


def _pack(value: Any, tensors: dict[str, Tensor]) -> Any:
    """JSON of a nest, whose tensors go into ``tensors``, each copied: safetensors keeps none that share memory."""
    if isinstance(value, Tensor):
        name = str(len(tensors))
        tensors[name] = value.detach().cpu().contiguous().clone()
        return {"tensor": name}
    if isinstance(value, dict):
        return {"dict": [[_pack(key, tensors), _pack(inner, tensors)] for key, inner in value.items()]}
    if isinstance(value, (list, tuple)):
        kind = "tuple" if isinstance(value, tuple) else "list"
        return {kind: [_pack(inner, tensors) for inner in value]}
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    raise TypeError(
        f"a checkpoint cannot hold a {type(value).__name__}, expected tensors, numbers and strings"
    )


def _unpack(packed: Any, tensors: dict[str, Tensor]) -> Any:
    if not isinstance(packed, dict):
        return packed
    ((kind, value),) = packed.items()
    if kind == "tensor":
        return tensors[value]
    if kind == "dict":
        return {_unpack(key, tensors): _unpack(inner, tensors) for key, inner in value}
    if kind not in ("tuple", "list"):
        raise ValueError(f"a nest of the kind {kind!r}")
    items = [_unpack(inner, tensors) for inner in value]
    return tuple(items) if kind == "tuple" else items
