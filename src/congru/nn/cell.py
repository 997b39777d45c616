"""One step of a recurrent layer, as torch.nn's cells: arguments, parameter names, start values and calls."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.fx import Proxy

from congru import ops
from congru.errors import ShapeError, check_shape
from congru.nn.module import Hidden, RecurrentModule, check_dtypes, without_warnings


class RecurrentCell(RecurrentModule):
    """Base of `GRUCell` and its siblings."""

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
        *,
        layer_norm: bool | str = False,
        num_heads: int = 1,
        backend: str = "auto",
    ) -> None:
        super().__init__()
        self._set(input_size, hidden_size, bias, backend, layer_norm, num_heads)
        for stem in self.stems:
            if stem in self._used_stems():
                self._add_parameter(stem, self._shape(stem, input_size), device, dtype)
            else:
                self.register_parameter(stem, None)
        self.reset_parameters()

    def extra_repr(self) -> str:
        """The arguments that differ from their defaults."""
        return self._repr({"bias": True})

    def forward(self, input: Tensor, hx: Hidden | None = None) -> Hidden:
        """Return the state [B, H] (LSTM: a pair) after one step on `input` [B, I], from `hx` (None = zeros).

        The batch axis may be missing, as in torch.nn: [I] and [H]. Raises `ShapeError`.
        """
        if type(input) is not Tensor and not isinstance(input, Tensor):
            return self._of_no_tensor(input, hx)
        if torch._C._get_tracing_state() is not None:
            with without_warnings():
                return self._one_step(input, hx)
        return self._one_step(input, hx)

    def _one_step(self, input: Tensor, hx: Hidden | None) -> Hidden:
        single = input.dim() == 1
        parts = None if hx is None else self._parts(hx, "[H]" if single else "[B, H]")
        if single:
            input = input.unsqueeze(0)
            parts = None if parts is None else tuple(part.unsqueeze(0) for part in parts)
        weights = self._named(self.stems)
        try:
            if self.reset_before or self.layer_norm or self.num_heads != 1:
                new = ops.step(self.cell, input, parts, weights, backend=self.backend, **self._options())
            else:
                new = ops.step(self.cell, input, parts, weights, backend=self.backend)
        except ShapeError:  # in the names of this call
            check_shape("input", input, "[B, I]", (None, self.input_size), "one step has no time axis")
            check_dtypes(input, hx, self._first_weight())
            for part in parts or ():
                check_shape("hx", part, "[B, H]", (len(input), self.hidden_size), "pass None for zeros")
            raise
        if single:
            new = tuple(part.squeeze(0) for part in new)
        return new[0] if len(new) == 1 else self._whole(new)

    def _of_no_tensor(self, input: Any, hx: Any) -> Any:
        """A call on a proxy of torch.fx.symbolic_trace, as one node of its graph; all else is an error."""
        if not isinstance(input, Proxy):
            check_dtypes(input, hx, self._first_weight())
        return self._traced(input, hx)
