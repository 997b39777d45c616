"""The trained networks of a task: built from declarations, started, frozen, and reached through one module.

networks["main"](x)                          one of the networks, by name
networks.get_parameter("transitions")        a weight of the task that belongs to no network
"""

from __future__ import annotations

import fnmatch
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from congru.errors import SettingsError
from congru.nn.chrono import chrono_init
from congru.nn.recurrent import RecurrentLayer
from congru.train.nests import tree_map
from congru.train.settings import ModelSettings

# A task's loss: (networks, batch, carry) -> (sum, count, carry).
LossFunction = Callable[["Networks", Any, Any], tuple[Tensor, Any, Any]]


class Networks(nn.ModuleDict):
    """Networks by name, and the task's own weights beside them.

    Parameters are called "<network>.<layer>.<parameter>", a weight of the task by its name alone.

    >>> networks = Networks({"main": nn.Linear(2, 3)}, {"transitions": torch.zeros(3, 3)})
    >>> sorted(networks.state_dict())
    ['main.bias', 'main.weight', 'transitions']
    """

    def __init__(
        self, networks: Mapping[str, nn.Module], weights: Mapping[str, Tensor] | None = None
    ) -> None:
        super().__init__(dict(networks))
        for name, value in (weights or {}).items():
            self.register_parameter(name, nn.Parameter(value))

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return next(self.parameters()).device


class Objective(nn.Module):
    """A task's loss as the forward of one module, so that a wrapper for several processes sees every parameter.

    With `precision` "bfloat16" matrix products run under autocast. The state to carry over is detached.
    """

    def __init__(self, networks: Networks, loss: LossFunction, precision: str) -> None:
        super().__init__()
        self.networks = networks
        self._loss, self._precision = loss, precision

    def forward(self, batch: Any, carry: Any) -> tuple[Tensor, Tensor, Any]:
        """The summed loss, what it is divided by, and the state to go on from."""
        device = self.networks.device
        with torch.autocast(device.type, torch.bfloat16, enabled=self._precision == "bfloat16"):
            total, count, carry = self._loss(self.networks, batch, carry)
        return total, torch.as_tensor(count, device=device), tree_map(Tensor.detach, carry)


def start_weights(networks: nn.Module, settings: ModelSettings) -> None:
    """Set the first weights that the settings ask for; all others stay as their layers drew them.

    ``orthogonal``: every recurrent weight [G*H, H] is one orthogonal matrix per gate (Saxe et al. 2014).
    ``chrono``: gate biases for memories of up to so many steps, see :func:`congru.nn.chrono.chrono_init`.

    Raises:
        SettingsError: ``chrono`` for a cell without gates.
    """
    if settings.orthogonal:
        for name, weight in networks.named_parameters():
            if "weight_hh" in name:
                for block in torch.split(weight, weight.shape[1]):
                    nn.init.orthogonal_(block)
    if settings.chrono is not None:
        for module in networks.modules():
            if isinstance(module, RecurrentLayer):
                chrono_init(module, settings.chrono)


def freeze(networks: nn.Module, patterns: Iterable[str]) -> None:
    """Keep the parameters whose names match a pattern (``main.embed.*``) as they are.

    Raises:
        SettingsError: a pattern that matches no parameter, or nothing is left to train.
    """
    parameters = dict(networks.named_parameters())
    for pattern in patterns:
        matching = fnmatch.filter(parameters, pattern)
        if not matching:
            raise SettingsError(
                f"freeze holds {pattern!r}, expected a pattern of some of {', '.join(list(parameters)[:4])}, ...:"
                " change --freeze"
            )
        for name in matching:
            parameters[name].requires_grad_(False)
    if not any(parameter.requires_grad for parameter in parameters.values()):
        raise SettingsError("freeze leaves no parameter to train, expected some: name fewer in --freeze")


def make_optimizer(
    networks: nn.Module, settings: ModelSettings, rate_factors: Mapping[str, float] | None = None
) -> torch.optim.AdamW:
    """AdamW over the parameters that are not frozen.

    Only matrices decay, not biases, gains or states. ``rate_factors`` maps patterns of parameter names to factors
    on the learning rate; the first that matches counts, 1 where none does. Every group holds its ``factor``.
    """
    groups: dict[tuple[float, float], list[nn.Parameter]] = {}
    for name, parameter in networks.named_parameters():
        if parameter.requires_grad:
            decay = settings.weight_decay if parameter.dim() >= 2 else 0.0
            factors = (rate_factors or {}).items()
            factor = next((value for pattern, value in factors if fnmatch.fnmatch(name, pattern)), 1.0)
            groups.setdefault((decay, factor), []).append(parameter)
    return torch.optim.AdamW(
        [
            {"params": parameters, "weight_decay": decay, "factor": factor}
            for (decay, factor), parameters in groups.items()
        ],
        lr=settings.learning_rate,
        fused=True,
    )
