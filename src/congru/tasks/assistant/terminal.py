"""A conversation in the terminal, line by line, of either kind."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Protocol, TypeVar

from congru.errors import CongruError
from congru.runtime import plain_json

HELP = "Write a sentence. /undo forgets the last, /save FILE and /load FILE keep and restore, /reset, /quit."
Turn = TypeVar("Turn")


class Talks(Protocol[Turn]):
    """What the terminal needs of a conversation."""

    @property
    def told(self) -> str: ...
    def say(self, text: str) -> Turn: ...
    def undo(self) -> bool: ...
    def reset(self) -> None: ...
    def save(self, path: str | Path) -> None: ...
    def restore(self, path: str | Path) -> None: ...
    def as_json(self, turn: Turn) -> dict[str, Any]: ...
    def as_text(self, turn: Turn) -> str: ...


def answer(conversation: Talks[Turn], text: str, as_json: bool) -> str:
    """Say a sentence and tell what came of it. Raises :class:`CongruError` for one that cannot be read."""
    turn = conversation.say(text)
    if as_json:
        return plain_json.as_json(conversation.as_json(turn))
    return conversation.as_text(turn)


def talk(conversation: Talks[Turn], as_json: bool) -> None:
    """Lines until the end of input; what cannot be done costs one line."""
    if not as_json:
        print(HELP)
    while True:
        try:
            line = input("" if as_json else "> ").strip()
        except EOFError:
            return
        if line == "/quit":
            return
        try:
            told = _command(conversation, line) if line.startswith("/") else ""
            told = told or answer(conversation, line, as_json)
        except CongruError as error:
            told = plain_json.as_json({"error": str(error)}) if as_json else str(error)
        print(told)


def _command(conversation: Talks[Turn], line: str) -> str:
    """What a command did, empty where the line is none."""
    word, _, path = line.partition(" ")
    if word == "/undo":
        return "forgot the last turn" if conversation.undo() else "nothing to undo"
    if word == "/reset":
        conversation.reset()
        return "forgot everything"
    if word == "/save" and path:
        conversation.save(path)
        return f"saved to {path}"
    if word == "/load" and path:
        conversation.restore(path)
        return conversation.told
    return ""
