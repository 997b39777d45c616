"""The file of a saved conversation: its turns as JSON, and the fingerprint of the model that they belong to."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

from congru.errors import CongruError, DataError
from congru.runtime.atomic import write_whole
from congru.runtime.model import Model

T = TypeVar("T")


def save_turns(path: Path, model: Model, turns: Sequence[dict[str, Any]]) -> None:
    """Write the turns, whole or not at all; raises :class:`DataError` where the file cannot be written."""
    content = {"model": model.fingerprint, "cards": list(turns)}
    try:
        write_whole(path, json.dumps(content, ensure_ascii=False, indent=1).encode())
    except OSError as error:
        raise DataError(
            f"{path} cannot be written ({error.strerror}), expected a file of an existing folder: check the path"
        ) from None


def load_turns(path: Path, model: Model, parse: Callable[[dict[str, Any]], T]) -> list[T]:
    """The turns of a file, one at least; raises :class:`DataError` for another file or another model's."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        owner, cards = content["model"], list(content["cards"])
        turns = [parse(card) for card in cards] if owner == model.fingerprint else []
    except OSError as error:
        raise DataError(
            f"{path} cannot be read ({error.strerror}), expected a saved conversation: check the path"
        ) from None
    except (CongruError, ValueError, KeyError, TypeError, AttributeError):
        raise DataError(f"{path} is no saved conversation, expected a file of /save: choose one") from None
    if not turns:
        raise DataError(f"{path} was saved with another model, expected this one: load that model")
    return turns
