"""Replaces torch.nn's recurrent layers and cells inside a model by ours, parameters and all."""

from __future__ import annotations

import warnings
import weakref
from collections.abc import Iterable
from typing import Any, TypeVar, cast

from torch import nn

from congru.errors import SettingsError
from congru.nn.cell import RecurrentCell
from congru.nn.gru import GRU, GRUCell
from congru.nn.lstm import LSTM, LSTMCell
from congru.nn.recurrent import RecurrentLayer
from congru.nn.rnn import RNN, RNNCell

Model = TypeVar("Model", bound=nn.Module)

_OURS: dict[type[nn.Module], type[RecurrentLayer] | type[RecurrentCell]] = {
    nn.GRU: GRU,
    nn.LSTM: LSTM,
    nn.RNN: RNN,
    nn.GRUCell: GRUCell,
    nn.LSTMCell: LSTMCell,
    nn.RNNCell: RNNCell,
}
# Constructor arguments that only some of them have; dropout is set afterwards: torch has warned where it does nothing.
_ARGUMENTS = ("num_layers", "bias", "batch_first", "bidirectional", "nonlinearity")
# What torch.nn's layers hold beside nn.Module's own attributes: copies of and names for the parameters.
_BOOKKEEPING = {"mode", "_all_weights", "_flat_weights", "_flat_weights_names", "_flat_weight_refs"}


def convert(model: Model, *, backend: str = "auto") -> Model:
    """Replace every torch.nn.GRU, LSTM, RNN and their cells inside `model`, in place, and return the model.

    Where `model` is such a layer itself, the new layer is returned. The results are the same; the parameters are the same
    objects, so that an optimizer that holds them goes on; hooks, pruning, training mode, device and dtype stay.
    A layer used in two places stays one layer. `backend` is that of the new layers.

    Left as they are, with one warning that lists them and says why: an LSTM with `proj_size`, and subclasses of torch.nn's
    layers (also those that torch.nn.utils.parametrize makes), which may compute something else. Raises `SettingsError` if
    `model` is no module.

    >>> import torch
    >>> model = torch.nn.Sequential(torch.nn.Embedding(9, 3), torch.nn.GRU(3, 4))
    >>> convert(model)
    Sequential(
      (0): Embedding(9, 3)
      (1): GRU(3, 4)
    )
    >>> type(model[1]).__module__
    'congru.nn.gru'
    """
    if not isinstance(model, nn.Module):
        raise SettingsError(
            f"model is {type(model).__name__}, expected a torch.nn.Module: pass the model itself"
        )
    left = [f"{name or 'the model'} ({reason})" for name, reason in _left_alone(model).items()]
    if left:
        noun = "layer" if len(left) == 1 else "layers"
        warnings.warn(f"convert left {len(left)} {noun} as before: {'; '.join(left)}", stacklevel=2)
    made = {module: _replacement(module, backend) for module in model.modules() if _convertible(module)}
    for parent in list(model.modules()):
        for name, child in parent._modules.items():
            if child in made:
                parent._modules[name] = made[child]
    return cast(Model, made.get(model, model))


def _convertible(module: nn.Module) -> bool:
    return type(module) in _OURS and getattr(module, "proj_size", 0) == 0


def _left_alone(model: nn.Module) -> dict[str, str]:
    """Names of recurrent layers of torch.nn that cannot be replaced, and why."""
    reasons = {}
    for name, module in model.named_modules():
        if isinstance(module, (nn.RNNBase, nn.RNNCellBase)) and not _convertible(module):
            if type(module) in _OURS:
                reasons[name] = f"proj_size is {module.proj_size}, expected 0"
            else:
                reasons[name] = f"{type(module).__name__} is a subclass, which may compute something else"
    return reasons


def _replacement(old: Any, backend: str) -> nn.Module:
    """Our layer with everything that the old one held."""
    arguments = {name: getattr(old, name) for name in _ARGUMENTS if hasattr(old, name)}
    # On meta: nothing is allocated and no random number drawn.
    new = _OURS[type(old)](old.input_size, old.hidden_size, device="meta", backend=backend, **arguments)
    # The dictionaries of parameters and hooks are handed over, not copied: handles that remove a hook still find it.
    new.__dict__.update((name, value) for name, value in vars(old).items() if name not in _BOOKKEEPING)
    hooks: Iterable[Any] = new._load_state_dict_pre_hooks.values()
    for hook in hooks:
        if hook.with_module:
            hook.module = weakref.ref(new)
    return new
