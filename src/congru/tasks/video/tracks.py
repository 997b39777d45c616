"""Tracks: clips that are numbers already, [T, I] with I numbers per frame (landmarks, positions), one file a clip or many.

one clip   .npy [T, I]; .npz with one such array; .csv, .tsv or .txt, a line a frame, with or without a header
many       .npz with X [N, T, I] and y [N]; parts as X_train, y_train, X_valid (or X_val, X_dev), X_test; clips of
           unequal length have lengths [N] beside them
"""

from __future__ import annotations

import io
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from congru.data.files import read_bytes
from congru.data.separated import read_separated
from congru.errors import DataError

Track = NDArray[np.float32]
TABLE_SUFFIXES = (".csv", ".tsv", ".txt")
SUFFIXES = (".npy", ".npz", *TABLE_SUFFIXES)
PARTS = {"train": ("_train", ""), "validation": ("_valid", "_validation", "_val", "_dev"), "test": ("_test",)}
_VALUES, _LABELS = ("X", "x", "data"), ("y", "Y", "labels")


class Row(NamedTuple):
    """A clip of a file of many: how messages call it, its numbers, its label."""

    location: str
    track: Track
    label: str


def read_track(path: Path, name: str = "") -> Track:
    """The numbers [T, I] of one clip.

    Raises:
        DataError: no file, no array [T, I], a cell that is no number, or a number that is not finite.
    """
    name = name or str(path)
    if not path.is_file():
        raise DataError(f"{name} does not exist, expected numbers of a clip: check the path")
    if path.suffix.lower() in TABLE_SUFFIXES:
        return checked(_read_table(path, name), name)
    arrays = read_arrays(path, name)
    if len(arrays) != 1:
        raise DataError(
            f"{name} holds the arrays {', '.join(arrays) or 'none'}, expected one [T, I]: keep one per clip"
        )
    return checked(next(iter(arrays.values())), name)


def checked(values: NDArray[Any], name: str) -> Track:
    """[T, I] of finite float32, or one line that says where it is not.

    >>> checked(np.array([[1, 2], [3, np.nan]]), "wave.npy")
    Traceback (most recent call last):
    congru.errors.DataError: wave.npy frame 1 (from 0), number 1 is nan, expected finite numbers: fill the gap, or pass --bad skip
    """
    if values.dtype.kind not in "fiub" or values.ndim != 2 or values.shape[1] == 0:
        raise DataError(
            f"{name} has shape {values.shape} of {values.dtype}, expected numbers [T, I]: a row per frame"
        )
    track = np.ascontiguousarray(values, np.float32)
    if not np.isfinite(track).all():
        frame, column = np.argwhere(~np.isfinite(track))[0].tolist()
        raise DataError(
            f"{name} frame {frame} (from 0), number {column} is {track[frame, column]}, expected finite numbers:"
            " fill the gap, or pass --bad skip"
        )
    return track


def read_arrays(path: Path, name: str) -> dict[str, NDArray[Any]]:
    """The arrays of a .npy or .npz file by name; nothing in it is executed."""
    content = read_bytes(path, "a .npy or .npz file")
    try:
        loaded = np.load(io.BytesIO(content), allow_pickle=False)
        return {"": loaded} if isinstance(loaded, np.ndarray) else dict(loaded)
    except (OSError, ValueError, EOFError, BadZipFile) as error:
        words = str(error).split("\n")[0].rstrip(".")
        raise DataError(f"{name} cannot be read ({words}), expected arrays of NumPy: save it again") from None


def _read_table(path: Path, name: str) -> NDArray[np.float64]:
    text = read_bytes(path, "a table of numbers").decode("utf-8-sig", errors="replace")
    delimiter = "\t" if "\t" in text else ";" if ";" in text else ","
    lines = [(number, row) for number, row in read_separated(text, name, delimiter) if row]
    if lines and all(_number(cell) is None for cell in lines[0][1]):
        lines = lines[1:]
    if not lines:
        raise DataError(f"{name} holds no line of numbers, expected one per frame: write it again")
    width, rows = len(lines[0][1]), list[list[float]]()
    for number, cells in lines:
        if len(cells) != width:
            raise DataError(
                f"{name} line {number} has {len(cells)} columns, expected {width} as before: correct it"
            )
        row = []
        for column, cell in enumerate(cells, 1):
            value = _number(cell)
            if value is None:
                raise DataError(
                    f"{name} line {number} column {column} is {cell!r}, expected a number: correct it"
                )
            row.append(value)
        rows.append(row)
    return np.array(rows)


def _number(cell: str) -> float | None:
    if not cell.strip():
        return math.nan
    try:
        return float(cell)
    except ValueError:
        return None


def is_set(path: Path) -> bool:
    """Whether a file is a .npz of many labelled clips."""
    if path.suffix.lower() != ".npz" or not path.is_file():
        return False
    names = read_arrays(path, str(path))
    return any(_named(names, _VALUES, end) for end in PARTS["train"] + PARTS["test"]) and any(
        _named(names, _LABELS, end) for end in PARTS["train"] + PARTS["test"]
    )


def read_set(path: Path) -> dict[str, list[Row]]:
    """The clips of every part of a .npz of many: "train", and "validation" and "test" where they are given.

    Raises:
        DataError: shapes that do not fit.
    """
    arrays = read_arrays(path, str(path))
    parts: dict[str, list[Row]] = {}
    for part, endings in PARTS.items():
        for ending in endings:
            name = _named(arrays, _VALUES, ending)
            if name and part not in parts:
                parts[part] = _rows(path, arrays, name, ending)
    return parts


def _named(arrays: Mapping[str, Any], stems: tuple[str, ...], ending: str) -> str | None:
    return next((stem + ending for stem in stems if stem + ending in arrays), None)


def _rows(path: Path, arrays: Mapping[str, NDArray[Any]], name: str, ending: str) -> list[Row]:
    x, labels_name = arrays[name], _named(arrays, _LABELS, ending)
    if x.ndim != 3 or x.dtype.kind not in "fiub":
        raise DataError(
            f"{path}: {name} has shape {x.shape} of {x.dtype}, expected numbers [N, T, I]: clips by frames by numbers"
        )
    if labels_name is None or arrays[labels_name].shape != (len(x),):
        raise DataError(
            f"{path} has no labels for the {len(x)} clips of {name}, expected y{ending} [{len(x)}]: add them"
        )
    labels = [str(label) for label in arrays[labels_name].tolist()]
    lengths = arrays.get(f"lengths{ending}", np.full(len(x), x.shape[1]))
    if lengths.shape != (len(x),) or lengths.dtype.kind not in "iu" or lengths.min(initial=0) < 0:
        raise DataError(
            f"{path}: lengths{ending} has shape {lengths.shape}, expected [{len(x)}] frames: correct it"
        )
    return [
        Row(f"{path.name} {name}[{k}]", np.asarray(x[k, : int(lengths[k])], np.float32), labels[k])
        for k in range(len(x))
    ]
