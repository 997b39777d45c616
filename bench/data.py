"""Where the data sets lie that the benchmarks read."""

from __future__ import annotations

import os
from pathlib import Path

from congru.data.registry import VARIABLE


def data_root(name: str) -> Path:
    """A folder of the data that CONGRU_DATA names, such as "chess"; these sets are never downloaded."""
    if VARIABLE not in os.environ:
        raise SystemExit(f"{VARIABLE} is not set, expected the folder that holds {name}/: set it")
    return Path(os.environ[VARIABLE], name)
