"""Gated recurrent units: defined once, run fast everywhere, with gates you can see.

Public names load on first use; ``import congru`` itself loads neither torch nor any optional package.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from congru.version import __version__

# Public name -> module that holds it ("" = the name is itself a subpackage).
_PUBLIC = {
    "CongruError": "congru.errors",
    "Forecaster": "congru.tasks.forecast.forecaster",
    "Pool": "congru.runtime.pool",
    "convert": "",
    "explain": "congru.ops",
    "gates": "",
    "inspect": "congru.gates.inspect",
    "load": "congru.tasks.loading",
    "nn": "",
    "reference": "",
    "tasks": "",
}

__all__ = [
    "CongruError",
    "Forecaster",
    "Pool",
    "__version__",
    "convert",
    "explain",
    "gates",
    "inspect",
    "load",
    "nn",
    "reference",
    "tasks",
]

if TYPE_CHECKING:
    from congru import convert, gates, nn, reference, tasks
    from congru.errors import CongruError
    from congru.gates.inspect import inspect
    from congru.ops import explain
    from congru.runtime.pool import Pool
    from congru.tasks.forecast.forecaster import Forecaster
    from congru.tasks.loading import load


if not TYPE_CHECKING:  # a checker would take any name for one of ours

    def __getattr__(name: str) -> Any:
        if name not in _PUBLIC:
            raise AttributeError(f"module 'congru' has no attribute {name!r}")
        home = _PUBLIC[name]
        value = (
            getattr(importlib.import_module(home), name)
            if home
            else importlib.import_module(f"congru.{name}")
        )
        globals()[name] = value
        return value


def __dir__() -> list[str]:
    return sorted(__all__)
