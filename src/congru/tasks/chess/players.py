"""Names of players: one player is written in several ways, and a search offers the matches."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence

from congru.errors import DataError

_TITLES = frozenset({"gm", "im", "fm", "wgm", "wim", "wfm", "cm", "nm"})
_MOST_SHOWN = 8


def words_of(name: str) -> list[str]:
    """The words of a name without accents, commas, titles and case.

    >>> words_of("GM Maróczy, Géza")
    ['maroczy', 'geza']
    """
    plain = "".join(c for c in unicodedata.normalize("NFKD", name) if not unicodedata.combining(c)).casefold()
    return [word for word in re.findall(r"[^\W_]+", plain) if word not in _TITLES]


def matches(player: str, names: Sequence[str]) -> list[str]:
    """The spelling of a player among names: the same words in any order, a first name shortened to its letter.

    >>> matches("kasparov", ["Kasparov, Garry", "KASPAROV,G", "Karpov, Anatoly"])
    ['Kasparov, Garry', 'KASPAROV,G']

    Raises :class:`DataError`, with names that are near, where nobody is called so, and where the names are of different people.
    """
    wanted = words_of(player)
    if not wanted:
        raise DataError(f"player is '{player}', expected a name such as 'Fischer' or 'Polgar, Judit'")
    hits = [name for name in names if _all_in(wanted, words_of(name))]
    if not hits:
        near = [
            name
            for name in names
            if any(word[:4] == other[:4] for word in wanted for other in words_of(name))
        ]
        offer = (
            f"names like it: {'; '.join(near[:_MOST_SHOWN])}" if near else f"there are {len(names)} players"
        )
        raise DataError(f"player '{player}' is in none of the games, expected one of their players: {offer}")
    return hits


def one_person(player: str, names: Sequence[str]) -> list[str]:
    """The spellings of a player among names, as :func:`matches`.

    Raises :class:`DataError` as that, and where the names can be those of several people.
    """
    spellings = matches(player, names)
    if len(people(spellings)) > 1:
        raise DataError(f"player is '{player}', which is {' and '.join(spellings)}: give a longer name")
    return spellings


def people(names: Sequence[str]) -> list[list[str]]:
    """Names grouped by the person they can be: every word of the shorter name begins a word of the longer one.

    >>> people(["Kasparov, Garry", "Garry Kasparov", "KASPAROV,G", "Kasparova, A"])
    [['Kasparov, Garry', 'Garry Kasparov', 'KASPAROV,G'], ['Kasparova, A']]
    """
    groups: list[list[str]] = []
    for name in names:
        for group in groups:
            if _same(words_of(name), words_of(group[0])):
                group.append(name)
                break
        else:
            groups.append([name])
    return groups


def _all_in(wanted: list[str], words: list[str]) -> bool:
    """Whether each wanted word is a word, or, as a second one, begins with or is begun by one."""
    rest = list(words)
    for word in wanted:
        hit = next((w for w in rest if w == word), None)
        if hit is None and len(wanted) > 1:
            hit = next((w for w in rest if min(len(w), len(word)) == 1 and w[0] == word[0]), None)
        if hit is None:
            return False
        rest.remove(hit)
    return True


def _same(one: list[str], other: list[str]) -> bool:
    short, long = sorted((one, other), key=lambda words: (len(words), sum(map(len, words))))
    return bool(short) and _all_in(short, long)
