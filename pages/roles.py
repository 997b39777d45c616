"""Docstrings for the API reference: roles, such as :class:`Model`, become plain code, examples become blocks of code, and signs
that Markdown reads otherwise are escaped.
"""

from __future__ import annotations

import re
from typing import Any

import griffe

_ROLE = re.compile(r":[a-z]+:`~?(?:[\w.]+\.)?(\w+)`")
# Outside code, Markdown takes <name> for a tag and [a][b] for a link.
_CODE = re.compile(r"(^```.*?^```$|`[^`]*`|^ {4}[^\n]*$)", re.MULTILINE | re.DOTALL)
_EXAMPLE = re.compile(r"^>>> .*?(?=\n\n|\Z)", re.MULTILINE | re.DOTALL)


class Roles(griffe.Extension):
    """Rewrites docstrings as they are read."""

    def on_object(self, *, obj: griffe.Object, **rest: Any) -> None:
        """Called for every module, class, function and attribute."""
        if obj.docstring:
            obj.docstring.value = as_markdown(obj.docstring.value)


def as_markdown(docstring: str) -> str:
    """A docstring as Markdown that shows it as it is meant."""
    text = _ROLE.sub(r"`\1`", docstring).replace("``", "`")
    text = _EXAMPLE.sub(lambda example: f"\n```pycon\n{example[0]}\n```", text)
    parts = _CODE.split(text)
    parts[::2] = [part.replace("<", "&lt;").replace("][", "]\\[") for part in parts[::2]]
    return "".join(parts)
