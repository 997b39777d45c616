"""How labels in a file become classes: spellings of one class, bands of numbers, their order; and what is refused.

Spellings are brought together and told, never made several classes in silence: capital letters and blanks at the ends,
and, where a file writes one feeling in several ways, "pos", "positive", "+", "1" and "neg", "negative", "-", "0", "-1".
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from congru.errors import DataError, SettingsError

SYNONYMS = (("positive", "pos", "+"), ("negative", "neg", "-"), ("neutral", "neu"))
DIGITS = {"1": "positive", "+1": "positive", "0": "negative", "-1": "negative"}
MOST_NUMBERS = 20  # different numbers that still count as classes


@dataclass(frozen=True)
class LabelRules:
    """From what stands in a file to a class, the same for training and later files.

    `spelling` maps a lower-case label to its class, `bands` are cut points of numeric labels.
    """

    classes: list[str]
    spelling: dict[str, str]
    bands: tuple[float, ...] = ()

    def class_of(self, label: str) -> str | None:
        """The class of a label; None for one that training has not seen.

        >>> LabelRules(["neg", "pos"], {"pos": "pos", "neg": "neg"}).class_of(" POS")
        'pos'
        >>> LabelRules(["below 0", "from 0"], {}, (0.0,)).class_of("-0.5")
        'below 0'
        """
        if self.bands:
            number = as_number(label)
            return None if number is None else band_of(number, self.bands)
        name = self.spelling.get(key_of(label))
        return name if name in self.classes else None


def key_of(label: str) -> str:
    """Without capital letters and outer blanks; a whole number without its decimals.

    >>> key_of(" Positive"), key_of("4.0")
    ('positive', '4')
    """
    key = label.strip().lower()
    number = as_number(key)
    return str(int(number)) if number is not None and number == int(number) and abs(number) < 1e15 else key


def as_number(label: str) -> float | None:
    """The finite number that a label is, or None."""
    try:
        number = float(label)
    except ValueError:
        return None
    return number if abs(number) < float("inf") else None


def band_of(number: float, bands: Sequence[float]) -> str:
    """The name of the band a number lies in; a cut point belongs to the band above it.

    >>> [band_of(number, (-1.0, 1.0)) for number in (-3, -1, 1)]
    ['below -1', '-1 to 1', 'from 1']
    """
    if number < bands[0]:
        return f"below {bands[0]:g}"
    if number >= bands[-1]:
        return f"from {bands[-1]:g}"
    return next(f"{low:g} to {high:g}" for low, high in itertools.pairwise(bands) if low <= number < high)


def make_rules(
    labels: Sequence[str], source: str, rename: Sequence[str] = (), bands: Sequence[float] = ()
) -> tuple[LabelRules, list[str]]:
    """The classes of training labels, and remarks on what was brought together.

    Raises:
        DataError: numbers that are no classes, labels as many as rows, or one class only.
        SettingsError: a wrong `rename` or `bands`.
    """
    if bands:
        return _banded(labels, source, bands), []
    renamed = _renames(rename)
    counts = Counter(label.strip() for label in labels)
    _refuse_scores(counts, len(labels), source)
    groups: dict[str, list[str]] = {}
    keys = {key_of(label) for label in counts}
    for label in counts:
        key = key_of(label)
        groups.setdefault(renamed.get(key) or _common_name(key, keys), []).append(label)
    spelling, remarks, classes = {}, [], []
    for name, members in groups.items():
        shown = _shown_name(name, members, counts)
        classes.append(shown)
        spelling.update({key_of(member): shown for member in members})
        spelling.setdefault(key_of(shown), shown)
        if len(members) > 1:
            ways = ", ".join(f"{member!r} {counts[member]}" for member in sorted(members))
            remarks.append(f"one class {shown!r} from {len(members)} spellings: {ways}")
    return LabelRules(ordered(classes), spelling), remarks


def _renames(rename: Sequence[str]) -> dict[str, str]:
    renamed = {}
    for entry in rename:
        old, equals, new = entry.partition("=")
        if not (equals and old.strip() and new.strip()):
            raise SettingsError(
                f"rename is {entry!r}, expected OLD=NEW: write for example --rename pos=positive"
            )
        renamed[key_of(old)] = new.strip()
    return renamed


def _refuse_scores(counts: Counter[str], num_rows: int, source: str) -> None:
    numbers = [as_number(label) for label in counts]
    if len(counts) > MOST_NUMBERS and all(number is not None for number in numbers):
        low, high = min(numbers, key=float), max(numbers, key=float)  # type: ignore[arg-type]
        raise DataError(
            f"{source} has {len(counts)} different numbers ({low:g} to {high:g}) as labels, expected at most"
            f" {MOST_NUMBERS} classes: cut them with --bands {(low + high) / 2:g}, or choose another"  # type: ignore[operator]
            " --label-column"
        )
    if len(counts) > 20 and 2 * len(counts) > num_rows:
        raise DataError(
            f"{source} has {len(counts)} different labels in {num_rows} rows, expected classes with several"
            " rows each: choose another --label-column"
        )


def _common_name(key: str, keys: set[str]) -> str:
    """The name that all spellings of a class share, among the spellings that this file uses."""
    for names in SYNONYMS:
        if key in names and len(keys & set(names)) > 1:
            return names[0]
    name = DIGITS.get(key)
    words = next((set(names) for names in SYNONYMS if name in names), set())
    return str(name) if name is not None and keys & words else _word(key, keys)


def _word(key: str, keys: set[str]) -> str:
    """A word stands for its group where a digit of the same group is there too."""
    name = next((names[0] for names in SYNONYMS if key in names), None)
    return name if name is not None and any(DIGITS.get(digit) == name for digit in keys) else key


def _shown_name(name: str, members: Sequence[str], counts: Counter[str]) -> str:
    """A class is called as its most frequent spelling in the file, or by the name of its group."""
    if len({key_of(member) for member in members}) > 1:
        return name
    if key_of(members[0]) != name.lower():
        return name
    frequent = max(members, key=lambda member: (counts[member], member))
    number = as_number(frequent)
    return key_of(frequent) if number is not None else frequent


def _banded(labels: Sequence[str], source: str, bands: Sequence[float]) -> LabelRules:
    if list(bands) != sorted(set(bands)):
        raise SettingsError(f"bands is {list(bands)}, expected rising cut points: sort them")
    for row, label in enumerate(labels):
        if as_number(label) is None:
            raise DataError(
                f"{source} row {row + 1}: label {label!r} is no number, expected numbers with --bands: leave it out"
            )
    edges = [bands[0] - 1, *bands]
    names = list(dict.fromkeys(band_of(edge, bands) for edge in edges))
    present = {band_of(float(label), bands) for label in labels}
    return LabelRules([name for name in names if name in present], {}, tuple(bands))


def ordered(classes: Sequence[str]) -> list[str]:
    """Numbers by size, names by the alphabet.

    >>> ordered(["10", "9"]), ordered(["pos", "neg"])
    (['9', '10'], ['neg', 'pos'])
    """
    numbers = [as_number(name) for name in classes]
    if all(number is not None for number in numbers):
        return sorted(classes, key=float)
    return sorted(classes)
