"""docs/memory.svg from results/memory.json."""

from pathlib import Path
from typing import Any


def draw(record: dict[str, Any], path: Path) -> Path:
    return path
