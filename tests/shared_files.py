"""Where the real files lie that some tests read: beside the repository, or where CONGRU_CASES and CONGRU_DATA say.

They are not a part of the repository; a test that needs one skips, with the reason, where it is absent.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

_SHARED = Path(__file__).resolve().parents[2] / "shared"
CASES = Path(os.environ.get("CONGRU_CASES", _SHARED / "cases"))
"""Awkward files of every task."""
DATA = Path(os.environ.get("CONGRU_DATA", _SHARED / "data"))
"""Public data sets."""


def needs(path: Path) -> pytest.MarkDecorator:
    """Skips a test where a file or folder is absent."""
    return pytest.mark.skipif(not path.exists(), reason=f"{path.name} is not among the real files here")
