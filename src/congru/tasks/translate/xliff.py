"""XLIFF 1.2 (trans-unit) and 2.0 (segment): what a program gives to its translators and gets back.

A unit without a translation, with an empty one, or marked as not translated yet is left out and counted.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from congru.tasks.translate.units import Units, local_name, parse_xml, text_of

_UNITS = ("trans-unit", "segment")
_INLINE = ("g", "mrk", "pc", "sub")  # inline elements that hold text
_UNDONE = ("new", "initial")  # and every state that begins with "needs-"


def read_xliff(path: Path) -> Units:
    """The translated units of a file.

    Raises:
        DataError: no XML.
    """
    translated, left = Units([], [], []), Counter[str]()
    units = [element for element in parse_xml(path, "XLIFF").iter() if local_name(element) in _UNITS]
    for number, unit in enumerate(units, 1):
        parts = {local_name(child): child for child in unit}
        target = parts.get("target")
        state = (target.get("state") if target is not None else None) or unit.get("state") or ""
        text = text_of(target, _INLINE)
        if state in _UNDONE or state.startswith("needs-"):
            left[f"marked {state}"] += 1
        elif target is None:
            left["without a target"] += 1
        elif not text:
            left["with an empty target"] += 1
        else:
            translated.pairs.append((f"unit {number}", text_of(parts.get("source"), _INLINE), text))
    if left:
        counts = ", ".join(f"{count} {what}" for what, count in left.items())
        translated.remarks.append(f"{path.name}: of {len(units)} units left out: {counts}")
    return translated
