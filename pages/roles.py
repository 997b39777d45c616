"""Docstrings for the API reference: cross-reference roles, such as :class:`Model`, become plain code, and signs that Markdown
reads otherwise are escaped.
"""

from __future__ import annotations

import re
from typing import Any

import griffe

_ROLE = re.compile(r":[a-z]+:`~?(?:[\w.]+\.)?(\w+)`")
# Outside code, Markdown takes <name> for a tag and [a][b] for a link.
_CODE = re.compile(r"(`[^`]*`|^(?: {4}|>>>).*$)", re.MULTILINE)


class Roles(griffe.Extension):
    """Rewrites docstrings as they are read."""

    def on_object(self, *, obj: griffe.Object, **rest: Any) -> None:
        """Called for every module, class, function and attribute."""
        if obj.docstring:
            parts = _CODE.split(_ROLE.sub(r"`\1`", obj.docstring.value).replace("``", "`"))
            parts[::2] = [part.replace("<", "&lt;").replace("][", "]\\[") for part in parts[::2]]
            obj.docstring.value = "".join(parts)
