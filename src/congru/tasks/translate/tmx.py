"""Translation memories in TMX (1.4b): units with one segment for each language; no entity is resolved, nothing is opened."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import NamedTuple
from xml.parsers import expat

from congru.data.files import read_unpacked
from congru.errors import DataError

_LANG = "{http://www.w3.org/XML/1998/namespace}lang"


class Units(NamedTuple):
    """Units (place, source, target), None where a language is missing; the languages as the file writes them."""

    source: str
    target: str
    units: list[tuple[str, str | None, str | None]]
    remarks: list[str]


def read_tmx(path: Path, source: str | None, target: str | None) -> Units:
    """The units of a file in two languages; "de" also means "de-CH".

    Raises:
        DataError: no XML, a document type (which could name other files), languages that are not in it, or not named where
            there are several.
    """
    root = _parse(path)
    units = [{_language(tuv): _segment(tuv) for tuv in unit.iter("tuv")} for unit in root.iter("tu")]
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
    return Units(
        first,
        second,
        [(f"unit {number}", unit.get(first), unit.get(second)) for number, unit in enumerate(units, 1)],
        [f"{path.name}: {first} to {second}"],
    )


def _parse(path: Path) -> ElementTree.Element:
    content = read_unpacked(path, "a TMX file")
    guard = expat.ParserCreate()

    def refuse(*_: object) -> None:
        raise DataError(
            f"{path.name} line {guard.CurrentLineNumber} declares an entity, expected none: remove the declaration"
        )

    guard.EntityDeclHandler = refuse
    try:
        guard.Parse(content, True)
        return ElementTree.fromstring(content)
    except expat.ExpatError as error:
        raise DataError(
            f"{path.name} line {error.lineno}, column {error.offset + 1} is no XML ({expat.ErrorString(error.code)}),"
            " expected a TMX file: export it again"
        ) from None


def _language(tuv: ElementTree.Element) -> str:
    return str(tuv.get(_LANG) or tuv.get("lang") or "")


def _segment(tuv: ElementTree.Element) -> str:
    segment = tuv.find("seg")
    return " ".join("".join(_texts(segment)).split()) if segment is not None else ""


def _texts(element: ElementTree.Element) -> list[str]:
    """The text of a segment without the codes of its markup (bpt, ept, it, ph)."""
    parts = [element.text or ""]
    for child in element:
        if child.tag in ("hi", "sub"):
            parts += _texts(child)
        parts.append(child.tail or "")
    return parts


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
