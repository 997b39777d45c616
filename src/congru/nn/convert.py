"""Replaces torch.nn's recurrent layers and cells inside a model by ours, parameters and all, and ours by torch.nn's."""

from __future__ import annotations

import warnings
import weakref
from collections.abc import Iterable
from typing import Any, TypeVar, cast

from torch import Tensor, nn

from congru import ops
from congru.errors import SettingsError
from congru.nn.cell import RecurrentCell
from congru.nn.gru import GRU, GRUCell
from congru.nn.lstm import LSTM, LSTMCell
from congru.nn.mingru import MinGRU, MinGRUCell
from congru.nn.module import RecurrentModule, check_flags
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
_THEIRS = {ours: theirs for theirs, ours in _OURS.items()}
# Constructor arguments that only some of them have; dropout is set afterwards: torch has warned where it does nothing.
_ARGUMENTS = ("num_layers", "bias", "batch_first", "bidirectional", "nonlinearity")
# What torch.nn's layers hold beside nn.Module's own attributes: copies of and names for the parameters.
# Options of ours that torch.nn has not, with the value that means none.
_OPTIONS: dict[str, Any] = {
    "reset_before": False,
    "layer_norm": False,
    "num_heads": 1,
    "learn_h0": False,
    "return_gates": False,
    "zoneout": 0.0,
    "recurrent_dropout": 0.0,
    "input_dropout": 0.0,
}
_BOOKKEEPING = {"mode", "_all_weights", "_flat_weights", "_flat_weights_names", "_flat_weight_refs"}


def convert(model: Model, *, back: bool = False, backend: str = "auto") -> Model:
    """Replace every torch.nn.GRU, LSTM, RNN and their cells inside `model`, in place, and return the model.

    Where `model` is such a layer itself, the new layer is returned. The results are the same; the parameters are the same
    objects, so that an optimizer that holds them goes on; hooks, pruning, training mode, device and dtype stay.
    A layer used in two places stays one layer. `backend` is that of the new layers.

    `back=True` replaces ours by torch.nn's, for tools that know only those (torch.jit.script, quantize_dynamic, Opacus).

    Left as they are, with one warning that lists them and says why: an LSTM with `proj_size`, subclasses (also those that
    torch.nn.utils.parametrize makes), which may compute something else, and on the way back layers with an option that
    torch.nn has not. Raises `SettingsError` if `model` is no module, and `BackendError` for an unknown backend.

    >>> import torch
    >>> model = torch.nn.Sequential(torch.nn.Embedding(9, 3), torch.nn.GRU(3, 4))
    >>> convert(model)
    Sequential(
      (0): Embedding(9, 3)
      (1): GRU(3, 4)
    )
    >>> type(model[1]).__module__, type(convert(model, back=True)[1]).__module__
    ('congru.nn.gru', 'torch.nn.modules.rnn')
    """
    if not isinstance(model, nn.Module):
        raise SettingsError(
            f"model is {type(model).__name__}, expected a torch.nn.Module: pass the model itself"
        )
    check_flags(back=back)
    ops.check_backend(backend)
    reasons = {name: _reason(module, back) for name, module in model.named_modules()}
    left = [f"{name or 'the model'} ({reason})" for name, reason in reasons.items() if reason]
    if left:
        noun = "layer" if len(left) == 1 else "layers"
        warnings.warn(f"convert left {len(left)} {noun} as before: {'; '.join(left)}", stacklevel=2)
    made = {
        module: _to_torch(module) if back else _from_torch(module, backend)
        for module in model.modules()
        if type(module) in (_THEIRS if back else _OURS) and _reason(module, back) is None
    }
    for parent in list(model.modules()):
        for name, child in parent._modules.items():
            if child in made:
                parent._modules[name] = made[child]
    return cast(Model, made.get(model, model))


def _reason(module: nn.Module, back: bool) -> str | None:
    """Why a recurrent layer cannot be replaced; None where it can, and where it need not."""
    bases: tuple[type[nn.Module], ...] = (RecurrentModule,) if back else (nn.RNNBase, nn.RNNCellBase)
    if not isinstance(module, bases):
        return None
    if type(module) not in (_THEIRS if back else _OURS):
        if type(module) in (MinGRU, MinGRUCell):
            return "torch.nn has no minGRU"
        return f"{type(module).__name__} is a subclass, which may compute something else"
    if not back:
        return f"proj_size is {module.proj_size}, expected 0" if getattr(module, "proj_size", 0) else None
    for name, plain in _OPTIONS.items():
        value = getattr(module, name, plain)
        if value != plain:
            return f"{name} is {value!r}, which torch.nn has not"
    return None


def _from_torch(old: Any, backend: str) -> nn.Module:
    """Our layer with everything that torch.nn's held."""
    # On meta: nothing is allocated and no random number drawn.
    new = _OURS[type(old)](old.input_size, old.hidden_size, device="meta", backend=backend, **_arguments(old))
    _hand_over(old, new, _BOOKKEEPING)
    return new


def _to_torch(old: Any) -> nn.Module:
    """torch.nn's layer with everything that ours held."""
    new: Any = _THEIRS[type(old)](old.input_size, old.hidden_size, device="meta", **_arguments(old))
    shared = set(vars(new))
    _hand_over(old, new, {name for name in vars(old) if name not in shared and name not in _attributes(old)})
    if isinstance(new, nn.RNNBase):
        new._flat_weights = [getattr(new, name, None) for name in new._flat_weights_names]
        new._init_flat_weights()
    return cast(nn.Module, new)


def _arguments(old: Any) -> dict[str, Any]:
    return {name: getattr(old, name) for name in _ARGUMENTS if hasattr(old, name)}


def _attributes(module: nn.Module) -> set[str]:
    """Plain tensors among the attributes: weights that pruning has put there."""
    return {name for name, value in vars(module).items() if isinstance(value, Tensor)}


def _hand_over(old: nn.Module, new: nn.Module, but: Iterable[str]) -> None:
    """Give `new` the attributes of `old`: the dictionaries of hooks themselves, so that a hook's handle still finds it."""
    new.__dict__.update((name, value) for name, value in vars(old).items() if name not in but)
    hooks: Iterable[Any] = new._load_state_dict_pre_hooks.values()
    for hook in hooks:
        if hook.with_module:
            hook.module = weakref.ref(new)
