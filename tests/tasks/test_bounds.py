"""What a loaded folder may say of a setting holds all that the setting allows: no training ends in a folder that is refused."""

from __future__ import annotations

import ast
import importlib
from pathlib import Path
from typing import Any

import pytest

import congru.tasks
from congru.tasks.loading import Number
from congru.tasks.registry import TASKS

FOLDER = Path(congru.tasks.__file__).parent


def checked_numbers(task: str) -> list[tuple[str, Number]]:
    """The numbers that the modules of a task ask `fitting` and `check_config` for, by name."""
    numbers = []
    for path in sorted((FOLDER / task).glob("*.py")):
        calls = [one for one in ast.walk(ast.parse(path.read_text())) if isinstance(one, ast.Call)]
        for call in calls:
            if isinstance(call.func, ast.Name) and call.func.id in ("fitting", "check_config"):
                names = vars(importlib.import_module(f"congru.tasks.{task}.{path.stem}"))
                for keyword in call.keywords:
                    kind = eval(ast.unparse(keyword.value), names)
                    kinds = kind if type(kind) is tuple else (kind,)
                    numbers += [(str(keyword.arg), one) for one in kinds if isinstance(one, Number)]
    return numbers


def bounds(field: Any) -> tuple[float, float]:
    """The least and the greatest value of a field, infinite where it has none."""
    low, high = -float("inf"), float("inf")
    for one in field.metadata:
        low = getattr(one, "ge", getattr(one, "gt", low))
        high = getattr(one, "le", getattr(one, "lt", high))
    return low, high


CASES = [
    (task, name, number)
    for task in TASKS
    for name, number in checked_numbers(task)
    if name in importlib.import_module(f"congru.tasks.{task}.settings").Settings.model_fields
]


def test_checks_are_read_from_the_code() -> None:
    names = {(task, name) for task, name, _ in CASES}
    assert {("music", "beat"), ("video", "max_frames"), ("speech", "validation")} <= names


@pytest.mark.parametrize(("task", "name", "number"), CASES)
def test_every_value_of_a_setting_can_be_loaded(task: str, name: str, number: Number) -> None:
    field = importlib.import_module(f"congru.tasks.{task}.settings").Settings.model_fields[name]
    low, high = bounds(field)
    assert number.low <= low
    assert high <= number.high, (
        f"{task}: --{name} may be above {number.high:g}, and the folder is refused then"
    )
