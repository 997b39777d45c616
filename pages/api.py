"""docs/api.md: one entry for every public name; `make docs` fills in signatures and docstrings from the code (mkdocstrings).

Public is what stands in `__all__` of congru, congru.nn, congru.gates, congru.convert, congru.reference, congru.tasks and of
every task, and what `congru.load` leads to: models and their sessions.
"""

from __future__ import annotations

import importlib
import inspect
from types import ModuleType
from typing import Any

from congru.tasks.registry import TASKS

OPENING = """\
# API reference

Every public name, with its signature and docstring. This list is made from `__all__` of the packages (`make pages`); `make docs`
fills it from the code, and `help(name)` shows the same in Python.
"""
PACKAGES = ("congru", "congru.nn", "congru.gates", "congru.convert", "congru.reference", "congru.tasks")
RETURNED = {  # what a user holds without importing it -> where it is described
    "congru.load": (
        "congru.runtime.model.Model",
        "congru.runtime.session.Session",
        "congru.runtime.together.advance",
    ),
    "congru.tasks": ("congru.train.summary.RunResult",),
    "congru.nn.GRU": (
        "congru.nn.recurrent.RecurrentLayer.forward",
        "congru.nn.recurrent.RecurrentLayer.explain",
    ),
    "congru.nn.GRUCell": ("congru.nn.cell.RecurrentCell.forward",),
}


def packages() -> list[str]:
    """The packages whose `__all__` is public, every task among them."""
    return [*PACKAGES, *(f"congru.tasks.{name}" for name in TASKS)]


def page() -> str:
    """The whole page."""
    parts, described = [OPENING], dict[int, str]()
    for package in packages():
        module = importlib.import_module(package)
        parts.append(f"## {package}\n\n{_first_paragraph(module)}")
        for name in module.__all__:
            full, value = f"{package}.{name}", getattr(module, name)
            if inspect.isclass(value) and id(value) in described:
                parts.append(f"### `{full}`\n\nThe same as `{described[id(value)]}`.")
                continue
            described[id(value)] = full
            parts.append(_entry(full, value))
            parts += [
                _directive(path, path.removeprefix("congru."))
                for path in RETURNED.get(f"{package}.{name}", ())
            ]
    return "\n\n".join(part.strip() for part in parts) + "\n"


def _entry(name: str, value: Any) -> str:
    """A function or class as a directive; a module by what it is for; a constant by its value."""
    if inspect.isclass(value) or inspect.isfunction(value):
        return _directive(f"{value.__module__}.{value.__qualname__}", name)
    if isinstance(value, ModuleType):
        where = f"see [{name}](#{name.replace('.', '')})" if name in packages() else _first_paragraph(value)
        return f"### `{name}`\n\n{where}"
    words = (
        "The version, as text."
        if name.endswith("__version__")
        else f"`{value!r}`"
        if isinstance(value, str)
        else ""
    )
    return f"### `{name}`\n\n{words or 'The tasks by name.'}"


def _directive(path: str, heading: str) -> str:
    return f'::: {path}\n    options:\n      heading: "{heading}"'


def _first_paragraph(module: ModuleType) -> str:
    return " ".join((inspect.getdoc(module) or "").split("\n\n")[0].split())
