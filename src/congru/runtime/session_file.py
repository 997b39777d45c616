"""The file of a saved session: state and last output as safetensors, with a sha256 that shows every change."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import save as format_tensors

from congru.errors import ModelFolderError
from congru.runtime.atomic import write_whole
from congru.runtime.cells import Array
from congru.runtime.reading import read_file
from congru.runtime.tensors import checksum, parse_tensors, read_metadata

_FORMAT, _UNSUMMED = "congru-session-2", "congru-session-1"
_KEYS = {"model", "batch_size", "rng"}


def write(path: Path, tensors: Mapping[str, Array], metadata: Mapping[str, str]) -> None:
    """Write arrays by name and texts under `model`, `batch_size` and `rng`, whole or not at all.

    Raises :class:`ModelFolderError` where the file cannot be written.
    """
    texts = {"format": _FORMAT, **metadata}
    texts["sha256"] = _sum(texts, tensors)
    content = format_tensors({name: np.ascontiguousarray(v) for name, v in tensors.items()}, texts)
    try:
        write_whole(path.absolute(), content)
    except OSError as error:
        raise ModelFolderError(
            f"{path} cannot be written ({error.strerror}): check its folder and space"
        ) from None


def read(path: Path) -> tuple[dict[str, str], dict[str, Array]]:
    """The texts and arrays that :func:`write` wrote; files of older versions have no sum.

    Raises :class:`ModelFolderError` for a file that is missing, truncated, changed or of another kind.
    """
    try:
        content = read_file(path)
        tensors, metadata = parse_tensors(content), read_metadata(content)
    except OSError as error:
        raise ModelFolderError(
            f"{path} cannot be read ({error.strerror}), expected a saved session: check the path"
        ) from None
    except (SafetensorError, ValueError, TypeError) as error:
        raise ModelFolderError(
            f"{path} is truncated or not a saved session ({error}): save it again"
        ) from None
    if metadata.get("format") not in (_FORMAT, _UNSUMMED) or not set(metadata) >= _KEYS:
        raise ModelFolderError(
            f"{path} has the format {metadata.get('format')!r}, expected {_FORMAT!r}: check the path"
        )
    if metadata["format"] == _FORMAT and metadata.pop("sha256", None) != _sum(metadata, tensors):
        raise ModelFolderError(
            f"{path} was changed after it was saved, expected its own sha256: save it again"
        )
    return metadata, tensors


def _sum(metadata: Mapping[str, str], tensors: Mapping[str, Array]) -> str:
    return checksum(tensors, json.dumps(dict(metadata), sort_keys=True))
