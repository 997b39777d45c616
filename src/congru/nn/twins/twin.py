"""What the torch twin of a node is: its call, its parameters, and the table of all twins by node type."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from congru.errors import SettingsError
from congru.runtime.nodes import Node, Spec, recurrent


@dataclass
class Run:
    """One pass: the state before (None: the initial one) and after, lengths [B], those of memories, and reset [B, T]."""

    state: Mapping[str, Tensor] | None = None
    lengths: Tensor | None = None
    memory_lengths: Mapping[str, Tensor] = field(default_factory=dict)
    reset: Tensor | None = None
    after: dict[str, Tensor] = field(default_factory=dict)
    pictures: dict[str, Tensor] | None = None

    def before(self, name: str, initial: Tensor) -> Tensor:
        """A part of the state, or its initial value."""
        return initial if self.state is None else self.state[name]


class Twin(nn.Module):
    """A node in torch: `forward(run, *inputs) -> output`."""

    def __init__(self, node: Node, *x: Spec) -> None:
        super().__init__()
        self.node_name = node.name

    def refuse_reset(self, run: Run) -> None:
        """Raise where sequences restart within a row: only recurrent nodes can."""
        if run.reset is not None:
            raise SettingsError(
                f"reset is given, expected None: node {self.node_name!r} cannot begin anew within a row"
            )


TWINS: dict[type[Node], Callable[..., nn.Module]] = {}


def twin_of(node: Node, inputs: tuple[Spec, ...], backend: str) -> nn.Module:
    """The module of a node; its parameters start as torch.nn's do."""
    make = TWINS[type(node)]
    return (
        make(node, *inputs, backend=backend)
        if isinstance(node, recurrent.RecurrentNode)
        else make(node, *inputs)
    )


def twin(kind: type[Node]) -> Callable[[type[nn.Module]], type[nn.Module]]:
    """Register a module as the twin of a node type."""

    def register(module: type[nn.Module]) -> type[nn.Module]:
        TWINS[kind] = module
        return module

    return register


def uniform(*shape: int, fan_in: int) -> nn.Parameter:
    """A parameter drawn from U(-1/sqrt(fan_in), 1/sqrt(fan_in)), as torch.nn draws."""
    bound = max(fan_in, 1) ** -0.5
    return nn.Parameter(torch.empty(shape).uniform_(-bound, bound))


def padding_of(x: Tensor, lengths: Tensor) -> Tensor:
    """Where steps are padding, [B, T]."""
    return torch.arange(x.shape[1], device=x.device) >= lengths[:, None]
