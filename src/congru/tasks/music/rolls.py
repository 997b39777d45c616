"""Piano rolls from files: .mat of Boulanger-Lewandowski et al. (2012), and .npz.

A .mat holds the cells traindata, validdata and testdata of arrays [T, 88]. A .npz holds arrays [T, 88]; a name that begins
with train, valid or test says the part.
"""

from __future__ import annotations

import io
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from congru.errors import DataError
from congru.tasks.music.mat import read_mat
from congru.tasks.music.pieces import KEYS, Piece

Parts = dict[str, list[Piece]]

PARTS = ("train", "valid", "test")


def part_of_name(name: str) -> str:
    """The part that a name begins with; "" where it names none.

    >>> part_of_name("traindata"), part_of_name("validation"), part_of_name("waltz")
    ('train', 'valid', '')
    """
    return next((part for part in PARTS if name.lower().startswith(part)), "")


def read_rolls(path: Path, content: bytes) -> Parts:
    """The rolls of a .mat or .npz by part; "" where no part is named.

    Raises:
        DataError: no such file, or an array that is no roll.
    """
    arrays = _npz(path, content) if path.suffix == ".npz" else read_mat(path, content)
    parts: Parts = {}
    for name, value in arrays.items():
        cells = value if isinstance(value, list) else [value]
        for number, cell in enumerate(cells):
            title = f"{name}[{number}]" if isinstance(value, list) else name
            if isinstance(cell, list):
                raise DataError(f"{path}: {title} is a cell of cells, expected rolls [T, {KEYS}]: flatten it")
            roll = _check_roll(path, title, cell)
            if len(roll):
                parts.setdefault(part_of_name(name), []).append(Piece(f"{path.stem} {title}", roll=roll))
    if not parts:
        raise DataError(f"{path} holds no roll, expected arrays [T, {KEYS}]: choose another file")
    return parts


def _check_roll(path: Path, title: str, array: NDArray[Any]) -> NDArray[np.uint8]:
    if array.ndim != 2 or array.shape[1] != KEYS:
        raise DataError(
            f"{path}: {title} has shape {array.shape}, expected [T, {KEYS}]: save one row per frame"
        )
    wrong = (array != 0) & (array != 1)
    if wrong.any():
        frame, key = (int(index) for index in np.argwhere(wrong)[0])
        raise DataError(
            f"{path}: {title} holds {array[frame, key]} at frame {frame}, key {key}, expected 0 or 1: save on and off only"
        )
    return array.astype(np.uint8)


def _npz(path: Path, content: bytes) -> dict[str, NDArray[Any]]:
    try:
        with np.load(io.BytesIO(content), allow_pickle=False) as file:
            return {name: file[name] for name in file.files}
    except (ValueError, OSError, EOFError, zipfile.BadZipFile) as error:
        raise DataError(
            f"{path} cannot be read ({error}), expected an .npz of number arrays: save it with numpy.savez"
        ) from None
