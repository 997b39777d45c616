"""Dialogues as files hold them: sentences of a person with replies, and facts told in between.

    1 hi<TAB>hello what can i help you with today
    2 <SILENCE><TAB>api_call italian paris two cheap
    3 resto_paris_cheap_1 R_rating 8                      subject, property, value: what the look-up gave
    4 <SILENCE><TAB>what do you think of this option: resto_paris_cheap_1

A blank line, or a number that does not grow, begins another dialogue. The form is that of Bordes and Weston 2016.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from congru.data.files import read_unpacked
from congru.errors import DataError

SILENCE = "<SILENCE>"
Fact = tuple[str, str, str]
_NUMBERED = re.compile(r"(\d+) (.*)")
_NOTHING_FOUND = ("api_call", "no", "result")


@dataclass(frozen=True)
class Turn:
    """The person's sentence, the reply, and the facts told before; ``looked_up`` also where a search had no result."""

    sentence: str
    reply: str
    facts: tuple[Fact, ...] = ()
    looked_up: bool = False


@dataclass(frozen=True)
class Dialogue:
    """Turns in their order, and where the dialogue begins."""

    turns: tuple[Turn, ...]
    where: str = field(default="", compare=False)


def read_dialogues(path: Path) -> list[Dialogue]:
    """The dialogues of a file; raises :class:`DataError` with the line that is of another form."""
    return parse_dialogues(read_text(path), str(path))


def read_text(path: Path) -> str:
    """The text of a file, unpacked where it is a .gz; raises :class:`DataError` for one that is not UTF-8."""
    try:
        return read_unpacked(path, "a file of dialogues").decode("utf-8-sig").replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        raise DataError(
            f"{path} byte {error.start} is not UTF-8, expected UTF-8 text: convert the file"
        ) from None


def parse_dialogues(content: str, name: str) -> list[Dialogue]:
    """The dialogues of a text; `name` stands in messages.

    >>> [dialogue.turns[0].reply for dialogue in parse_dialogues("1 hi\\thello\\n1 hey\\tyes", "a")]
    ['hello', 'yes']
    """
    dialogues: list[Dialogue] = []
    turns: list[Turn] = []
    facts: list[Fact] = []
    began = 0

    def close(number: int) -> None:
        if facts:
            raise DataError(
                f"{name} line {number - 1}: facts end a dialogue, expected a sentence and a reply after them: add one"
            )
        if turns:
            dialogues.append(Dialogue(tuple(turns), f"{name} line {began}"))
            turns.clear()

    last = looked_up = 0
    for number, line in enumerate([*content.split("\n"), ""], 1):
        if not line.strip():
            close(number)
            last = looked_up = 0
            continue
        count, rest = _numbered(line, f"{name} line {number}")
        if count <= last:
            close(number)
            looked_up = 0
        last = count
        if not turns and not facts:
            began = number
        if "\t" in rest:
            sentence, reply = _cells(rest, f"{name} line {number}")
            turns.append(Turn(sentence, reply, tuple(facts), bool(looked_up)))
            facts.clear()
            looked_up = 0
        else:
            looked_up = 1
            facts += _fact(rest, f"{name} line {number}")
    if not dialogues:
        raise DataError(f"{name} has no dialogue, expected '1 sentence<TAB>reply': write some")
    return dialogues


def _numbered(line: str, where: str) -> tuple[int, str]:
    match = _NUMBERED.fullmatch(line)
    if match is None:
        raise DataError(f"{where} begins with no number, expected '1 sentence<TAB>reply': number the line")
    return int(match[1]), match[2]


def _cells(rest: str, where: str) -> tuple[str, str]:
    cells = [cell.strip() for cell in rest.split("\t")]
    if len(cells) != 2 or not all(cells):
        raise DataError(
            f"{where} has {sum(map(bool, cells))} texts, expected two (sentence, tab, reply): correct the line"
        )
    if "{" in cells[1] or "}" in cells[1]:
        raise DataError(
            f"{where}: the reply holds a brace, expected none (they mark placeholders): write ( and )"
        )
    return cells[0], cells[1]


def _fact(rest: str, where: str) -> list[Fact]:
    """Subject, property and value, which may hold blanks; nothing for "api_call no result"."""
    words = tuple(rest.split(None, 2))
    if words == _NOTHING_FOUND:
        return []
    if len(words) < 3:
        raise DataError(
            f"{where} is {rest!r}, expected a sentence, tab, reply or a fact (subject property value): correct it"
        )
    return [(words[0], words[1], words[2])]


def as_text(dialogue: Dialogue) -> str:
    """The dialogue as :func:`parse_dialogues` reads it."""
    return "\n".join(f"{number} {line}" for number, line in enumerate(_lines(dialogue.turns), 1)) + "\n"


def _lines(turns: Sequence[Turn]) -> Iterator[str]:
    for turn in turns:
        if turn.looked_up and not turn.facts:
            yield " ".join(_NOTHING_FOUND)
        yield from (" ".join(fact) for fact in turn.facts)
        yield f"{turn.sentence}\t{turn.reply}"
