"""The accidentals of a key in ABC: tonic, mode, and those named one by one."""

from __future__ import annotations

import re

_SHARPS = "FCGDAEB"
_MAJOR = {"C": 0, "G": 1, "D": 2, "A": 3, "E": 4, "B": 5, "F": -1}
_MODES = {
    "": 0,
    "maj": 0,
    "ion": 0,
    "m": -3,
    "min": -3,
    "aeo": -3,
    "mix": -1,
    "dor": -2,
    "phr": -4,
    "lyd": 1,
    "loc": -5,
}
_KEY = re.compile(r"([A-G])([#b]?)\s*([A-Za-z]*)(.*)", re.DOTALL)
_NAMED = re.compile(r"(\^\^|\^|__|_|=)([A-Ga-g])")


def accidentals_of_key(key: str) -> dict[str, int] | None:
    """Letter -> -2 .. 2 for a field K:; None where it names no key.

    >>> accidentals_of_key("Em"), accidentals_of_key("A Dorian"), accidentals_of_key("Bb")
    ({'F': 1}, {'F': 1}, {'B': -1, 'E': -1})
    """
    key = key.strip()
    named = {letter.upper(): _shift(sign) for sign, letter in _NAMED.findall(key)}
    if key == "" or key.lower().startswith("none") or key.startswith("clef="):
        return named
    if key.startswith(("HP", "Hp")):  # highland pipes: two sharps written, or none
        return {"F": 1, "C": 1} if key.startswith("Hp") else {}
    match = _KEY.match(key)
    if match is None:
        return None
    tonic, sign, mode, _ = match.groups()
    mode = mode.lower()
    short = "m" if mode == "m" else mode[:3]
    if short not in _MODES and short not in ("exp", "cle", "bas", "tre", "alt", "ten", "tra", "oct"):
        return None
    if short == "exp":
        return named
    fifths = _MAJOR[tonic] + {"": 0, "#": 7, "b": -7}[sign] + _MODES.get(short, 0)
    if abs(fifths) > 7:
        return None
    letters = _SHARPS[:fifths] if fifths >= 0 else _SHARPS[::-1][:-fifths]
    return {**dict.fromkeys(letters, 1 if fifths > 0 else -1), **named}


def _shift(sign: str) -> int:
    return {"^": 1, "^^": 2, "_": -1, "__": -2, "=": 0}[sign]
