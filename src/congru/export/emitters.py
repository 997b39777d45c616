"""Which node types a target can express: one emitter for each, or the reason why there is none."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from congru.errors import ExportError
from congru.runtime.nodes import Node

Emit = TypeVar("Emit", bound=Callable[..., Any])


class Emitters:
    """The emitters of one target by node type.

    >>> emitters = Emitters("paper")
    >>> @emitters.emits("relu")
    ... def relu(x):
    ...     return f"max({x}, 0)"
    >>> emitters.by_type["relu"]("x")
    'max(x, 0)'
    """

    def __init__(self, target: str) -> None:
        self.target = target
        self.by_type: dict[str, Callable[..., Any]] = {}
        self.refused: dict[str, str] = {}

    def emits(self, *types: str) -> Callable[[Emit], Emit]:
        """The decorated function writes nodes of these types."""

        def register(emit: Emit) -> Emit:
            self.by_type.update(dict.fromkeys(types, emit))
            return emit

        return register

    def refuses(self, type: str, reason: str) -> None:
        """Nodes of this type cannot be written; `reason` is a clause that follows "it"."""
        self.refused[type] = reason

    def of(self, node: Node) -> Callable[..., Any]:
        """The emitter of a node; raises :class:`ExportError` with the reason where there is none."""
        if node.type not in self.by_type:
            reason = self.refused.get(node.type, "has no emitter")
            raise ExportError(
                f"{node} cannot be written as {self.target}: it {reason}, expected one of"
                f" {', '.join(sorted(self.by_type))}: choose another target"
            )
        return self.by_type[node.type]
