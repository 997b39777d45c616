"""Message catalogues of gettext (.po): entries that are translated; fuzzy, obsolete and open ones are counted and left out.

Of an entry with plural forms the plural of both sides is taken.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path

from congru.data.files import read_unpacked
from congru.errors import DataError
from congru.tasks.translate.units import Units

_CHARSET = re.compile(rb"charset=([\w-]+)")
_STRING = r'"((?:[^"\\]|\\.)*)"?\s*$'  # the closing quote may stand on the next line
_KEYWORD = re.compile(rf"(msgctxt|msgid_plural|msgid|msgstr(?:\[\d+\])?)\s+{_STRING}")
_MORE = re.compile(_STRING)
_ESCAPED = re.compile(r"\\(.)")
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r"}


@dataclass
class _Entry:
    line: int = 0
    fuzzy: bool = False
    parts: dict[str, str] = field(default_factory=dict)

    @property
    def translations(self) -> list[str]:
        return [text for name, text in self.parts.items() if name.startswith("msgstr")]


def read_po(path: Path) -> Units:
    """The translated entries of a catalogue, in the charset that its header names.

    Raises:
        DataError: a line that is neither comment nor message, or bytes of another charset.
    """
    entries, obsolete = _entries(path)
    units = Units([], [], [])
    fuzzy = done = 0
    for entry in entries:
        if entry.fuzzy:
            fuzzy += 1
        elif entry.translations and all(text.strip() for text in entry.translations):
            done += 1
            source = entry.parts.get("msgid_plural", entry.parts["msgid"])
            units.pairs.append((f"line {entry.line}", source, entry.translations[-1]))
    units.remarks.append(
        f"{path.name}: {len(entries)} entries, {done} translated, {len(entries) - done - fuzzy} not,"
        f" {fuzzy} fuzzy, {obsolete} obsolete"
    )
    return units


def _entries(path: Path) -> tuple[list[_Entry], int]:
    """The entries but the header and the obsolete ones, and the number of the obsolete ones."""
    entries, entry, obsolete, key = [], _Entry(), 0, ""
    for number, line in enumerate(_text(path).split("\n"), 1):
        line = line.strip(" \r")
        if line.startswith("#"):
            if entry.translations:
                entries.append(entry)
                entry = _Entry()
            obsolete += line.startswith("#~ msgid ")
            entry.fuzzy |= line.startswith("#,") and "fuzzy" in line
        elif match := _KEYWORD.match(line):
            key, text = match.groups()
            if key in ("msgctxt", "msgid") and entry.translations:
                entries.append(entry)
                entry = _Entry()
            if key in entry.parts or (key != "msgctxt" and key != "msgid" and "msgid" not in entry.parts):
                raise DataError(
                    f"{path.name} line {number} has {key} without msgid before it: correct the file"
                )
            entry.line = number if key == "msgid" else entry.line
            entry.parts[key] = _unescaped(text)
        elif (match := _MORE.match(line)) and key:
            entry.parts[key] += _unescaped(match[1])
        elif line:
            raise DataError(
                f"{path.name} line {number} is {line[:40]!r}, expected a comment, msgid, msgstr or a string:"
                " correct the file"
            )
    if entry.translations:
        entries.append(entry)
    return [one for one in entries if one.parts["msgid"] or "msgctxt" in one.parts], obsolete


def _text(path: Path) -> str:
    content = read_unpacked(path, "a catalogue of messages").removeprefix(b"\xef\xbb\xbf")
    named = _CHARSET.search(content)
    charset = named[1].decode() if named else "utf-8"
    try:
        return content.decode("utf-8" if charset == "CHARSET" else charset)
    except (LookupError, UnicodeDecodeError):
        raise DataError(
            f"{path.name} names the charset {charset}, which its bytes are not in: correct the header"
        ) from None


def _unescaped(text: str) -> str:
    return _ESCAPED.sub(lambda match: _ESCAPES.get(match[1], match[1]), text)
