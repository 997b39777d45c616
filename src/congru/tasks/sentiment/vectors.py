"""First vectors of words from a GloVe or fastText text file: "word number number ...", with or without a first line of sizes.

A file is read once and only the wanted words are kept; the words of its first lines, the frequent ones of its own text, are
known to the model although the training texts lack them.
"""

from __future__ import annotations

import gzip
from collections.abc import Collection, Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from congru.errors import DataError

FREQUENT = 20_000  # words of the beginning of a file that are known besides the wanted ones


def read_vectors(
    path: Path, wanted: Collection[str], frequent: int = FREQUENT
) -> dict[str, NDArray[np.float32]]:
    """Word -> vector [E] of the wanted words, and of the first `frequent` words of the file.

    Raises:
        DataError: no such file, a line with another number of values, a value that is no number, or no wanted word.
    """
    vectors: dict[str, NDArray[np.float32]] = {}
    size, matched, wanted = 0, 0, set(wanted)
    for number, line in _lines(path):
        word, *values = line.rstrip().split(" ")
        if number == 1 and len(values) == 1:
            continue  # fastText: how many, how wide
        size = size or len(values)
        if len(values) != size:
            raise DataError(
                f"{path} line {number} has {len(values)} numbers, expected {size} as before: fix the line"
            )
        matched += word in wanted
        if word not in wanted and len(vectors) >= frequent + matched:
            continue
        try:
            vector = np.array(values, np.float32)
        except ValueError:
            raise DataError(
                f"{path} line {number}: not all numbers after {word!r}, expected {size}: fix it"
            ) from None
        if not np.isfinite(vector).all():
            raise DataError(f"{path} line {number}: a value of {word!r} is not finite: leave the line out")
        vectors[word] = vector
    if not matched:
        raise DataError(
            f"{path} holds none of the {len(wanted)} words of the texts, expected 'word number number ...' lines in"
            " the same language: choose another file"
        )
    return vectors


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    try:
        with (
            gzip.open(path, "rt", encoding="utf-8")
            if path.suffix == ".gz"
            else path.open(encoding="utf-8") as file
        ):
            yield from ((number, line) for number, line in enumerate(file, 1) if line.strip())
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise DataError(
            f"vectors is '{path}' ({reason}), expected a GloVe or fastText file: check the path"
        ) from None
    except UnicodeDecodeError:
        raise DataError(
            f"{path} is not UTF-8, expected a text file of vectors: a .bin file must be converted"
        ) from None
