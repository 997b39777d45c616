"""The memory contest: generated problems that only a long memory solves; who still learns at which lag, by which path.

    congru.contest.measure({"task": "adding", "lags": (50, 100), "steps": 1000})

`measure` loads torch on first use; `congru bench memory` is the command.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from congru.contest.settings import MemorySettings

if TYPE_CHECKING:
    from congru.contest.contest import Contest, measure

__all__ = ["Contest", "MemorySettings", "measure"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'congru.contest' has no attribute {name!r}")
    from congru.contest import contest

    return getattr(contest, name)
