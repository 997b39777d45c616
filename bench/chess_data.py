"""Where the chess sets lie that the benchmarks read."""

from __future__ import annotations

import os
from pathlib import Path

from congru.data.registry import VARIABLE


def data_root() -> Path:
    """The folder chess/ of the data that CONGRU_DATA names; these sets are never downloaded."""
    if VARIABLE not in os.environ:
        raise SystemExit(f"set {VARIABLE} to the folder of the data sets")
    return Path(os.environ[VARIABLE]) / "chess"
