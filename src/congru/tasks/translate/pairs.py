"""Pairs of sentences from files: two aligned files, a table with a column for each language, or units (TMX, XLIFF, PO).

Lines end with LF or CRLF only: other characters that Unicode calls line ends are part of a sentence. Every line that is no pair
is named; none moves the pairs after it.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from congru.data.files import decode, read_unpacked
from congru.errors import DataError
from congru.tasks.translate.po import read_po
from congru.tasks.translate.settings import PairSettings
from congru.tasks.translate.tmx import read_tmx
from congru.tasks.translate.xliff import read_xliff

_EXPECTED = "a file of sentences"


@dataclass
class Pairs:
    """N pairs as they stand in their files; `locations` says where ("line 3", "unit 2"), `bad` what was left out and why."""

    name: str
    source: list[str] = field(default_factory=list)
    target: list[str] = field(default_factory=list)
    locations: list[str] = field(default_factory=list)
    bad: list[str] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.source)

    def add(self, location: str, source: str, target: str) -> None:
        """Take a pair, or note why it is none."""
        for side, text in (("source", source), ("translation", target)):
            if not text.strip():
                self.bad.append(f"{location} has an empty {side}, expected a sentence on both sides")
                return
        self.source.append(source.strip())
        self.target.append(target.strip())
        self.locations.append(location)


def read_pairs(files: tuple[Path, ...], settings: PairSettings) -> Pairs:
    """The pairs of one file or of two aligned ones.

    Raises:
        DataError: a file that cannot be read, unequal numbers of lines, a line that is no pair (unless they are skipped),
            or no pair at all.
    """
    if len(files) == 2:
        pairs = _aligned(*files)
    else:
        pairs = _one_file(files[0], settings)
    if pairs.bad and settings.bad_rows == "raise":
        more = f" (and {len(pairs.bad) - 1} more such lines)" if len(pairs.bad) > 1 else ""
        raise DataError(f"{pairs.name} {pairs.bad[0]}: fix it, or pass --bad-rows skip{more}")
    if not len(pairs):
        raise DataError(f"{pairs.name} holds no pair of sentences, expected some: choose another file")
    return pairs


def _one_file(path: Path, settings: PairSettings) -> Pairs:
    """The pairs of a table, or of a file of units by its suffix."""
    suffix = (path.with_suffix("") if path.suffix == ".gz" else path).suffix.lower()
    if suffix == ".tmx":
        units = read_tmx(path, settings.source_language, settings.target_language)
    elif suffix in (".xlf", ".xliff"):
        units = read_xliff(path)
    elif suffix == ".po":
        units = read_po(path)
    else:
        return _table(path, settings.source_column, settings.target_column)
    pairs = Pairs(path.name, bad=units.bad, remarks=units.remarks)
    for location, source, target in units.pairs:
        pairs.add(location, source, target)
    return pairs


def read_lines(path: Path) -> tuple[list[str], list[str]]:
    """The lines of a file, and remarks about its encoding; also .gz."""
    text, remark = decode(read_unpacked(path, _EXPECTED), path.name)
    lines = text.split("\n")
    if lines[-1] == "":
        lines.pop()
    return [line.removesuffix("\r") for line in lines], [remark] if remark else []


def _aligned(source: Path, target: Path) -> Pairs:
    pairs = Pairs(f"{source.name} and {target.name}")
    sides = []
    for path in (source, target):
        lines, remarks = read_lines(path)
        sides.append(lines)
        pairs.remarks += remarks
    if len(sides[0]) != len(sides[1]):
        raise DataError(
            f"{source.name} has {len(sides[0])} lines and {target.name} has {len(sides[1])}, expected as many:"
            f" line by line they must translate each other; {_where_they_part(*sides)}align them again"
        )
    for number, (one, other) in enumerate(zip(*sides), 1):
        pairs.add(f"line {number}", one, other)
    return pairs


def _where_they_part(source: list[str], target: list[str]) -> str:
    """A guess where a line is missing: dropping it makes the lengths of all lines after it fit best."""
    if abs(len(source) - len(target)) != 1 or min(len(source), len(target)) < 8:
        return ""
    longer, shorter = (source, target) if len(source) > len(target) else (target, source)
    here = [abs(len(a) - len(b)) for a, b in zip(longer, shorter)]
    later = [abs(len(a) - len(b)) for a, b in zip(longer[1:], shorter)]
    misfit = [sum(here[:k]) + sum(later[k:]) for k in range(len(longer))]
    line = misfit.index(min(misfit)) + 1
    name = "the second file" if longer is source else "the first file"
    return f"by the lengths {name} lacks a line near {line}: "


def _table(path: Path, source_column: int, target_column: int) -> Pairs:
    lines, remarks = read_lines(path)
    pairs = Pairs(path.name, remarks=remarks)
    if not any(lines):
        raise DataError(f"{path.name} is empty, expected a pair of sentences a line: choose another file")
    cells = [line.split("\t") for line in lines]
    usual = Counter(len(row) for row, line in zip(cells, lines) if line).most_common(1)[0][0]
    needed = max(source_column, target_column)
    if usual < needed:
        raise DataError(
            f"{path.name} line 1 has {len(cells[0])} columns (cut at tabs), expected at least {needed}: pass two"
            " aligned files, or name the columns with --source-column and --target-column"
        )
    for number, row in enumerate(cells, 1):
        if len(row) != usual:
            what = "is empty" if row == [""] else f"has {len(row)} columns"
            pairs.bad.append(f"line {number} {what}, expected {usual} as the other lines")
        else:
            pairs.add(f"line {number}", row[source_column - 1], row[target_column - 1])
    return pairs
