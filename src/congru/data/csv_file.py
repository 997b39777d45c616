"""The cells of a CSV file as text, with the line number of each row; separators and decimal marks recognised.

Read with the standard library, so that a fault is told with its line number (the header is line 1). `.gz`, `.bz2`,
`.xz` and `.zip` files are unpacked.
"""

from __future__ import annotations

import csv
import io
import math
import re
import sys
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from congru.data.files import encoding_of
from congru.data.unpacking import unpacked
from congru.errors import DataError

MISSING = frozenset(("", "nan", "na", "null", "none", "<na>", "nat", "-nan"))
_SEPARATORS = {",": "','", ";": "';'", "\t": "a tab", "|": "'|'"}
_MOST_COLUMNS = 10_000
_HEADER = re.compile(r'(?:[^"\r\n]+|"[^"]*")+')
_COMMA = re.compile(r"[+-]?\d+,\d+(?:[eE][+-]?\d+)?")
_COMMA_GROUPS = re.compile(r"[+-]?\d{1,3}(?:\.\d{3})+(?:,\d+)?")
_POINT_GROUPS = re.compile(r"[+-]?\d{1,3}(?:,\d{3})+(?:\.\d+)?")
_THREE = re.compile(r"[+-]?\d{1,3},\d{3}")
_THREE_POINT = re.compile(r"[+-]?\d{1,3}(?:\.\d{3})+")


@dataclass
class CsvFile:
    """A file's columns, [R] texts each."""

    name: str
    header: list[str]
    columns: dict[str, list[str]]
    numbers: NDArray[np.int64]
    """[R] the line that each row ends on."""
    separator: str = ","
    notes: list[str] = field(default_factory=list)
    """What was recognised, in words."""


def read_csv(path: Path, wanted: str) -> CsvFile:
    """Read a CSV file; `wanted` is the header that messages name.

    Raises :class:`DataError` for a file that is missing, empty, damaged or not UTF-8, and for a row of another length.
    """
    text = _read_text(path)
    separator = _separator(text)
    header, rows, lines = _records(path, text, separator)
    if not header:
        raise DataError(f"{path} is empty, expected a header and rows: {wanted}")
    header, rows = _without_empty_end(header, rows)
    if len(header) > _MOST_COLUMNS:
        raise DataError(
            f"{path.name} has {len(header):,} columns, expected at most {_MOST_COLUMNS:,}: choose some, or turn the table"
        )
    for number, (row, line) in enumerate(zip(rows, lines)):
        if len(row) != len(header):
            fix = "fix the row"
            if len(header) == 1 and all(len(other) == 1 for other in rows[:number]):
                fix = f"the table seems to begin there, keep it by tail -n +{line} {path.name} > table.csv"
            raise DataError(
                f"{path.name} row {line}: has {len(row)} values, expected {len(header)} as in the header: {fix}"
            )
    numbers = header[0].split() if len(header) == 1 else header
    if numbers and all(map(_is_number, numbers)):
        raise DataError(
            f"{path.name} row 1: has the numbers {', '.join(numbers[:4])} for names of columns, expected a header:"
            f" add a line such as ds,y, and commas between the values"
        )
    if not rows:
        raise DataError(f"{path.name} has a header but no rows, expected {wanted}: add rows")
    twice = next((name for name in header if header.count(name) > 1), None)
    if twice is not None:
        raise DataError(f"{path.name} has the column {twice!r} twice, expected distinct names: rename one")
    notes = [] if separator == "," else [f"separator is {_SEPARATORS[separator]}"]
    columns = {name: [row[k].strip() for row in rows] for k, name in enumerate(header)}
    return CsvFile(path.name, header, columns, np.array(lines, np.int64), separator, notes)


def _records(path: Path, text: str, separator: str) -> tuple[list[str], list[list[str]], list[int]]:
    """Header, rows and the line each row ends on; empty lines are passed over."""
    csv.field_size_limit(sys.maxsize)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=False)
    rows, lines = [], [0]
    try:
        header = next((row for row in reader if row), [])
        lines = [reader.line_num]
        for row in reader:
            if row:
                rows.append(row)
                lines.append(reader.line_num)
    except csv.Error as error:
        raise DataError(f"{path.name} row {reader.line_num}: {error}, expected CSV: fix the row") from None
    last = rows[-1] if rows else header
    is_open = len(last) < len(header) or not text.rstrip().endswith('"')
    if last and "\n" in last[-1] and is_open:
        begins = (lines[-2] if rows else 0) + 1
        raise DataError(
            f"{path.name} row {begins}: a quote opens here and never closes, expected a pair: remove it or add the other"
        )
    return [name.strip() for name in header], rows, lines[1:]


def _without_empty_end(header: list[str], rows: list[list[str]]) -> tuple[list[str], list[list[str]]]:
    """Without the nameless last column that a trailing separator makes, where it is empty throughout."""
    size = len(header)
    if size > 1 and not header[-1] and all(len(row) < size or not row[size - 1].strip() for row in rows):
        return header[:-1], [row[: size - 1] if len(row) == size else row for row in rows]
    return header, rows


def _separator(text: str) -> str:
    """The character that divides the header, in which quoted names may hold line breaks, into most columns."""
    header = _HEADER.match(text.lstrip("\r\n"))
    plain = re.sub(r'"[^"]*"', "", header[0] if header else "")
    return max(_SEPARATORS, key=plain.count)


def _read_text(path: Path) -> str:
    if path.is_dir():
        raise DataError(f"{path} is a folder, expected a CSV file: name the file in it")
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise DataError(f"{path} does not exist, expected a CSV file: check the path") from None
    except OSError as error:
        raise DataError(
            f"{path} cannot be read ({error.strerror}), expected a CSV file: check its permissions"
        ) from None
    try:
        raw = unpacked(content, path.suffix.lower())
    except ValueError as error:
        raise DataError(f"{path} {error}, expected compressed CSV: compress it again, or unpack it") from None
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw[: error.start].count(b"\n") + 1
        what, fix = encoding_of(raw, path.name)
        raise DataError(
            f"{path.name} row {line}: byte 0x{raw[error.start]:02x} is not UTF-8{what}, expected UTF-8 text: {fix}"
        ) from None


def numbers_of(
    texts: list[str], source: str, column: str, separator: str, notes: list[str]
) -> NDArray[np.float64]:
    """Texts as numbers, NaN where one is none; marks for decimals and thousands are recognised and noted.

    Raises :class:`DataError` where a comma may be either.

    >>> numbers_of(["1.010,5", "3,25"], "t.csv", "y", ";", [])
    array([1010.5 ,    3.25])
    """
    try:
        return np.array(texts, np.float64)
    except ValueError:
        pass
    told = [text for text in texts if "," in text]
    grouped = [text for text in texts if text.count(".") > 1]
    if not told and grouped and all(_THREE_POINT.fullmatch(text) for text in texts if "." in text):
        _note(notes, f"thousands mark of {column} is '.'")
        texts = [text.replace(".", "") for text in texts]
    if told:
        as_point = all(_POINT_GROUPS.fullmatch(text) for text in told)
        as_comma = all(_COMMA.fullmatch(text) or _COMMA_GROUPS.fullmatch(text) for text in told)
        if (
            as_point
            and all(_THREE.fullmatch(text) for text in told)
            and not any("." in text for text in texts)
        ):
            if separator == "," or not as_comma:
                as_comma = False
            else:
                raise DataError(
                    f"{source} has {told[0]!r} in {column}, expected plain numbers: a comma before three digits may"
                    " stand for thousands or decimals; write numbers with a point, without marks for thousands"
                )
        if as_comma and not as_point:
            _note(notes, f"decimal mark of {column} is ','")
            texts = [
                text.replace(".", "").replace(",", ".")
                if "," in text or _THREE_POINT.fullmatch(text)
                else text
                for text in texts
            ]
        elif as_point:
            _note(notes, f"thousands mark of {column} is ','")
            texts = [text.replace(",", "") for text in texts]
    return np.array([_number(text) for text in texts])


def _note(notes: list[str], line: str) -> None:
    if line not in notes:
        notes.append(line)


def _is_number(text: str) -> bool:
    return not math.isnan(_number(text)) and not text.isdigit()  # years are names of columns too


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return float("nan")
