"""What every recurrent module shares: parameters named and drawn as in torch.nn, its state, its repr."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from numbers import Integral
from typing import Any, ClassVar, NoReturn, TypeAlias

import torch
from torch import Tensor, nn
from torch.jit._trace import TracerWarning

from congru import ops
from congru.errors import SettingsError, ShapeError
from congru.kernels.cells import CELLS
from congru.kernels.checks import autocast_joins
from congru.kernels.options import Options
from congru.runtime.nodes.recurrent import GAIN_STEMS

ops.preload("torch")

Hidden: TypeAlias = Tensor | tuple[Tensor, Tensor]


class RecurrentModule(nn.Module):
    """Base of `RecurrentLayer` and `RecurrentCell`; a subclass sets `cell`, and what differs below."""

    cell: str
    #: Beginnings of the parameter names, in the order of the cell's weights; layer norm adds those of `GAIN_STEMS`.
    stems: tuple[str, ...] = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
    #: The parameter whose dtype and device are those of the module.
    first_weight = "weight_ih"
    #: Constructor arguments that `congru.ops` takes too, with their defaults.
    form: ClassVar[dict[str, Any]] = {}
    #: Further constructor arguments of the subclass that its repr shows, with their defaults.
    shown: ClassVar[dict[str, Any]] = {}

    input_size: int
    hidden_size: int
    bias: bool
    backend: str
    layer_norm: bool | str
    num_heads: int
    reset_before: bool = False  # only the gru has another form

    def reset_parameters(self) -> None:
        """Draw each weight from U(-1/sqrt(H), 1/sqrt(H)) in torch.nn's order; a learned start is 0, a gain 1."""
        bound = 1.0 / math.sqrt(self.hidden_size)
        for name, parameter in self.named_parameters():
            if name in ("h0", "c0"):
                nn.init.zeros_(parameter)
            elif name.startswith("gain"):
                nn.init.ones_(parameter)
            else:
                nn.init.uniform_(parameter, -bound, bound)

    def _set(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool,
        backend: str,
        layer_norm: bool | str = False,
        num_heads: int = 1,
    ) -> None:
        check_sizes(input_size=input_size, hidden_size=hidden_size)
        input_size, hidden_size = int(input_size), int(hidden_size)
        check_flags(bias=bias)
        ops.check_backend(backend)
        options = Options(layer_norm, num_heads)
        self.stems = (*self.stems, *(GAIN_STEMS[name] for name in options.gains(self.cell, False)))
        self._recurrent_width = options.recurrent_width(hidden_size)
        self.layer_norm, self.num_heads = layer_norm, num_heads
        self.input_size, self.hidden_size, self.bias, self.backend = input_size, hidden_size, bias, backend

    def _add_parameter(
        self, name: str, shape: tuple[int, ...], device: torch.device | str | None, dtype: torch.dtype | None
    ) -> None:
        self.register_parameter(name, nn.Parameter(torch.empty(shape, device=device, dtype=dtype)))

    def _shape(self, stem: str, input_size: int) -> tuple[int, ...]:
        """Shape of the parameters with this stem."""
        rows = len(CELLS[self.cell].gates) * self.hidden_size
        shapes = {"weight_ih": (rows, input_size), "weight_hh": (rows, self._recurrent_width)}
        return shapes.get(stem, (self.hidden_size,) if stem.endswith("_c") else (rows,))

    def _used_stems(self) -> tuple[str, ...]:
        return self.stems if self.bias else tuple(stem for stem in self.stems if not stem.startswith("bias"))

    def _named(self, names: tuple[str | None, ...]) -> tuple[Tensor | None, ...]:
        """Parameters by name; one that is parametrized or pruned is an attribute instead."""
        try:
            return tuple(map(self._parameters.__getitem__, names))  # type: ignore[arg-type]
        except KeyError:
            return tuple(None if name is None else getattr(self, name) for name in names)

    def _first_weight(self) -> Tensor:
        """The input weights of the first layer: of the dtype and on the device of all."""
        weight: Tensor | None = self._parameters.get(self.first_weight)
        if weight is None:  # parametrized or pruned
            weight = getattr(self, self.first_weight)
        return weight

    def _traced(self, input: Any, hx: Any, **options: Any) -> Any:
        """The call as one node of a graph of torch.fx.symbolic_trace, as torch.nn's layers are."""
        tracer = input.tracer
        name = tracer.path_of_module(self)
        if not name:
            raise SettingsError(
                "module is a recurrent layer alone, expected one inside a module: trace torch.nn.Sequential(layer)"
            )
        arguments = (input,) if hx is None else (input, hx)
        chosen = {key: value for key, value in options.items() if value is not None}
        return tracer.create_proxy("call_module", name, arguments, chosen)

    def __prepare_scriptable__(self) -> NoReturn:
        """Called by torch.jit.script, which compiles the Python code of a module and cannot compile ours."""
        raise SettingsError(
            "module has congru's layers, expected torch.nn's by torch.jit.script: script"
            " congru.nn.convert(model, back=True), or use torch.jit.trace or torch.export"
        )

    def _options(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in self.form}

    def _repr(self, defaults: Mapping[str, Any]) -> str:
        """The sizes, and the arguments that differ from their defaults, as torch.nn writes them."""
        every = {**defaults, **self.shown, **self.form, "backend": "auto"}
        changed = [f"{name}={getattr(self, name)}" for name in every if getattr(self, name) != every[name]]
        return ", ".join([str(self.input_size), str(self.hidden_size), *changed])

    def _parts(self, hx: Hidden | None, axes: str) -> tuple[Tensor, ...] | None:
        """The state as a tuple of tensors, (h,) or (h, c)."""
        if hx is None:
            return None
        parts = (hx,) if isinstance(hx, Tensor) else tuple(hx)
        names = CELLS[self.cell].states
        if len(parts) != len(names):
            expected = f"a pair (h, c) of {axes}" if len(names) == 2 else f"one tensor {axes}"
            raise ShapeError(f"hx has {len(parts)} tensors, expected {expected}: pass {', '.join(names)}")
        return parts

    @staticmethod
    def _whole(parts: tuple[Tensor, ...]) -> Hidden:
        return parts[0] if len(parts) == 1 else (parts[0], parts[1])


@contextmanager
def without_warnings() -> Iterator[None]:
    """While torch.jit.trace records: none of its warnings about the checks of shapes, on which no result depends."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", TracerWarning)
        yield


def check_dtypes(input: Any, hx: Any, weight: Tensor) -> None:
    """Raise `ShapeError` unless input and hx are tensors of the dtype and on the device of the weights.

    Under autocast any floating dtype but float64 goes with any other.
    """
    parts = () if hx is None else hx if isinstance(hx, (tuple, list)) else (hx,)
    for name, part in [("input", input), *(("hx", part) for part in parts)]:
        if not isinstance(part, Tensor):
            kind = f"{type(part).__module__.partition('.')[0]}.{type(part).__name__}".removeprefix(
                "builtins."
            )
            raise ShapeError(f"{name} is {kind}, expected torch.Tensor: pass torch.as_tensor({name})")
        if part.device != weight.device:
            raise ShapeError(
                f"{name} is on {part.device}, expected {weight.device} as the weights: pass {name}.to({str(weight.device)!r})"
            )
        if part.dtype != weight.dtype and not autocast_joins(part, weight):
            other = f", or convert the model with .to({part.dtype})" if part.is_floating_point() else ""
            raise ShapeError(
                f"{name} has dtype {part.dtype}, expected {weight.dtype} as the weights: pass {name}.to({weight.dtype}){other}"
            )


def check_sizes(**sizes: Any) -> None:
    """Raise `SettingsError` unless each is a positive whole number, NumPy's too."""
    for name, size in sizes.items():
        if not isinstance(size, Integral) or isinstance(size, bool) or size < 1:
            raise SettingsError(f"{name} is {size!r}, expected a positive integer: pass 1 or more")


def check_flags(**flags: bool) -> None:
    """Raise `SettingsError` unless each is a bool: a misplaced positional argument shows here."""
    for name, flag in flags.items():
        if not isinstance(flag, bool):
            raise SettingsError(f"{name} is {flag!r}, expected True or False: pass arguments by keyword")
