"""Translation memories in TMX (1.4b): units with one segment for each language."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from pathlib import Path

from congru.errors import DataError
from congru.tasks.translate.units import Units, parse_xml, text_of

_LANG = "{http://www.w3.org/XML/1998/namespace}lang"


def read_tmx(path: Path, source: str | None, target: str | None) -> Units:
    """The units of a file in two languages; "de" also means "de-CH".

    Raises:
        DataError: no XML, languages that are not in it, or not named where there are several.
    """
    root = parse_xml(path, "TMX")
    units = [
        {_language(tuv): text_of(tuv.find("seg"), ("hi", "sub")) for tuv in unit.iter("tuv")}
        for unit in root.iter("tu")
    ]
    known = list(dict.fromkeys(name for unit in units for name in unit))
    header = root.find("header")
    named = source or (header.get("srclang") if header is not None else None)
    first = _choose(path, "source_language", named, known, "" if source else " (its srclang)")
    rest = [name for name in known if name != first]
    if target is None and len(rest) != 1:
        raise DataError(
            f"{path.name} holds the languages {', '.join(known) or 'of no unit'}, expected two: choose with"
            " --source-language and --target-language"
        )
    second = _choose(path, "target_language", target or rest[0], rest)
    chosen = Units([], [], [f"{path.name}: {first} to {second}"])
    for number, unit in enumerate(units, 1):
        missing = next((name for name in (first, second) if name not in unit), None)
        if missing is None:
            chosen.pairs.append((f"unit {number}", unit[first], unit[second]))
        else:
            chosen.bad.append(f"unit {number} has no segment in {missing!r}, expected both languages")
    return chosen


def _language(tuv: ElementTree.Element) -> str:
    return str(tuv.get(_LANG) or tuv.get("lang") or "")


def _choose(path: Path, name: str, wanted: str | None, known: list[str], why: str = "") -> str:
    """The language of the file that is asked for: the same, or one of its regions."""
    for one in known:
        if wanted and one.lower() == wanted.lower():
            return one
    regions = [one for one in known if wanted and one.lower().split("-")[0] == wanted.lower().split("-")[0]]
    if len(regions) != 1:
        flag = name.replace("_", "-")
        raise DataError(
            f"{path.name}: {name} is {wanted!r}{why}, expected one of {', '.join(known)}: choose one with --{flag}"
        )
    return regions[0]
