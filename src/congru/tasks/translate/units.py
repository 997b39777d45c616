"""What a file of units (a translation memory, a list of messages) gives, and XML read without resolving or opening anything."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from collections.abc import Collection
from pathlib import Path
from typing import NamedTuple
from xml.parsers import expat

from congru.data.files import read_unpacked
from congru.errors import DataError


class Units(NamedTuple):
    """Pairs (location, source, target) as they stand there, lines about what is no pair, and remarks."""

    pairs: list[tuple[str, str, str]]
    bad: list[str]
    remarks: list[str]


def parse_xml(path: Path, kind: str) -> ElementTree.Element:
    """The root of an XML file, also .gz, in whatever encoding it declares.

    Raises:
        DataError: no XML, or a declared entity, which could name other files.
    """
    content = read_unpacked(path, f"a file of {kind}")
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
            f" expected {kind}: export it again"
        ) from None


def text_of(element: ElementTree.Element | None, kept: Collection[str]) -> str:
    """The text of an element without its codes of markup; of the elements inside only those named in `kept` hold text."""
    return "" if element is None else " ".join("".join(_texts(element, kept)).split())


def local_name(element: ElementTree.Element) -> str:
    """The name of an element without its namespace."""
    return str(element.tag).rpartition("}")[2]


def _texts(element: ElementTree.Element, kept: Collection[str]) -> list[str]:
    parts = [element.text or ""]
    for child in element:
        if local_name(child) in kept:
            parts += _texts(child, kept)
        parts.append(child.tail or "")
    return parts
