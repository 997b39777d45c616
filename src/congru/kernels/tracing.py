"""What torch's compiler shall ask once and take as a constant of the graph that it traces."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

Function = TypeVar("Function", bound=Callable[..., Any])


def constant_when_traced(function: Function) -> Function:
    """As ``torch.compiler.assume_constant_result``, which imports the whole compiler (a second) to set this mark."""
    function._dynamo_marked_constant = True  # type: ignore[attr-defined]
    return function
