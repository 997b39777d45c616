"""Applications, one package each: settings, data, learner, and what a user does with the trained model.

``congru.tasks.text`` and the others load on first use; none of them imports another.
"""

from __future__ import annotations

import importlib
from types import ModuleType

from congru.tasks.registry import TASKS, Task, find_task

__all__ = ["TASKS", "Task", "find_task"]


def __getattr__(name: str) -> ModuleType:
    if name not in TASKS:
        raise AttributeError(f"module 'congru.tasks' has no attribute {name!r}")
    return importlib.import_module(f"congru.tasks.{name}")
