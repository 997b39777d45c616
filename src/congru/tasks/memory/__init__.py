"""Problems that only a long memory solves, on generated sequences: who still learns at which lag, and by which path.

    congru.tasks.memory.measure({"task": "adding", "lags": (50, 100), "steps": 1000})

`measure` loads torch on first use; `congru bench memory` is the command.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from congru.tasks.memory.settings import MemorySettings

if TYPE_CHECKING:
    from congru.tasks.memory.contest import Contest, measure

__all__ = ["Contest", "MemorySettings", "measure"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'congru.tasks.memory' has no attribute {name!r}")
    from congru.tasks.memory import contest

    return getattr(contest, name)
