"""`src/congru/tasks/keywords.py`: the settings of every task as keywords, so that type checkers and editors know them."""

from __future__ import annotations

import re
from typing import Any

from pages.paths import SOURCE

FILE = SOURCE / "tasks" / "keywords.py"
HEAD = '''"""The keywords of every task's `train`: the fields of its `Settings`, also by flag. Written by `python -m pages`.

So `congru.tasks.forecast.train("weather.csv", horizn=3)` is an error for mypy and pyright, not only when it is called.
"""

from __future__ import annotations

from collections.abc import Sequence
from os import PathLike
from typing import Literal, TypedDict
'''


def page() -> str:
    """The file's text."""
    from congru.tasks.registry import TASKS

    tasks = {name: keywords_of(task.settings) for name, task in TASKS.items()}
    shared = dict(set.intersection(*(set(keywords.items()) for keywords in tasks.values())))
    first = next(iter(tasks.values()))
    common = {key: kind for key, kind in first.items() if key in shared}
    parts = [HEAD, class_of("TrainKeywords", "TypedDict", "What every training takes.", common)]
    for name, keywords in sorted(tasks.items()):
        own = {key: kind for key, kind in keywords.items() if key not in shared}
        parts.append(
            class_of(
                f"{name.title()}Keywords", "TrainKeywords", f"What `congru.tasks.{name}.train` takes.", own
            )
        )
    return "\n".join(parts)


def class_of(name: str, base: str, about: str, keywords: dict[str, str]) -> str:
    """A TypedDict whose keys may be left out."""
    lines = "\n".join(f"    {key}: {kind}" for key, kind in keywords.items())
    return f'\nclass {name}({base}, total=False):\n    """{about}"""\n\n{lines}\n'


def keywords_of(settings: Any) -> dict[str, str]:
    """Field or alias -> the type that a caller may give."""
    kinds = {}
    for name, field in settings.model_fields.items():
        kinds[name] = kind_of(field.annotation)
        if field.alias:
            kinds[field.alias] = kinds[name]
    return kinds


def kind_of(annotation: Any) -> str:
    """A type as it is written: any sequence for a list or tuple, a string for a path.

    >>> kind_of(tuple[Path, ...]), kind_of(list[int] | None), kind_of(float)
    ('Sequence[str | PathLike[str]]', 'Sequence[int] | None', 'float')
    """
    text = (
        annotation.__name__
        if isinstance(annotation, type) and "[" not in str(annotation)
        else str(annotation)
    )
    text = re.sub(r"typing\.Optional\[(.*)\]$", r"\1 | None", text)
    text = re.sub(r"typing\.Union\[float, (.*\])\]$", r"float | \1", text)
    text = re.sub(r"\b(?:list|tuple)\[(.*?)(?:, \.\.\.)?\]( \| None)?$", r"Sequence[\1]\2", text)
    text = re.sub(r"\b(?:pathlib\.)?(?:Posix)?Path\b", "str | PathLike[str]", text)
    return re.sub(r"'([^']*)'", r'"\1"', text.replace("typing.", ""))
