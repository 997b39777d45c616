"""Which node types the Python files hold: those of `library.py`."""

from __future__ import annotations

from typing import Any

from congru.export.arrays import library
from congru.export.emitters import Emitters

ARRAYS = Emitters("a Python file")
nodes: dict[str, Any] = library.NODES
ARRAYS.by_type.update(nodes)
