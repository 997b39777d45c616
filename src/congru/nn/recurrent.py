"""A stack of recurrent layers, as torch.nn's: arguments, parameter names, start values, calls and results.

Beyond torch.nn: `lengths`, `reset`, gates, a learned initial state, a choice of backend. Shapes: B batch, T
time, I input, H hidden, L layers, D directions, G gates of the cell.
"""

from __future__ import annotations

import warnings
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.nn.utils.rnn import PackedSequence

from congru import ops
from congru.errors import SettingsError, check_shape
from congru.kernels.cells import CELLS
from congru.nn.masks import check_rates, dropout_mask, masks_of_call
from congru.nn.module import Hidden, RecurrentModule, check_flags, check_sizes
from congru.nn.packed import repack, unpack


class RecurrentLayer(RecurrentModule):
    """Base of `GRU` and its siblings: L layers in D directions, dropout between layers.

    The arguments up to `dtype` are torch.nn's. `learn_h0` adds the parameter h0 [L*D, H] (LSTM: c0 too), the
    initial state where none is passed, and the state after every reset. `return_gates`: every call returns
    the gates. `recompute`: training keeps the states alone and computes the gates again in the backward.
    `layer_norm` (True: gains gain_ih, gain_hh, LSTM gain_c and bias_c too; or "dreamer") and `num_heads` (weight_hh
    [G*H, H/num_heads]): `congru.reference.option_equations`. `zoneout`, `recurrent_dropout` and `input_dropout` are
    rates of the masks in `congru.nn.masks`, in every layer and direction.
    `backend` is "auto" or a name from `congru.ops`; "composite" has second derivatives everywhere.
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
        *,
        learn_h0: bool = False,
        return_gates: bool = False,
        recompute: bool = False,
        layer_norm: bool | str = False,
        num_heads: int = 1,
        zoneout: float = 0.0,
        recurrent_dropout: float = 0.0,
        input_dropout: float = 0.0,
        backend: str = "auto",
    ) -> None:
        super().__init__()
        self._set(input_size, hidden_size, bias, backend, layer_norm, num_heads)
        check_rates(zoneout=zoneout, recurrent_dropout=recurrent_dropout, input_dropout=input_dropout)
        if self.cell == "mingru":
            _check_without_masks(zoneout=zoneout, recurrent_dropout=recurrent_dropout)
        self.zoneout, self.recurrent_dropout, self.input_dropout = zoneout, recurrent_dropout, input_dropout
        check_sizes(num_layers=num_layers)
        check_flags(batch_first=batch_first, bidirectional=bidirectional, learn_h0=learn_h0)
        check_flags(return_gates=return_gates, recompute=recompute)
        if isinstance(dropout, bool) or not isinstance(dropout, (int, float)) or not 0 <= dropout <= 1:
            raise SettingsError(f"dropout is {dropout!r}, expected a number from 0 to 1: pass 0.0 for none")
        if dropout > 0 and num_layers == 1:
            reason = "it acts between layers only: pass num_layers=2 or more"
            warnings.warn(f"dropout is {dropout} with num_layers=1, expected 0.0: {reason}", stacklevel=3)
        self.num_layers, self.dropout = num_layers, float(dropout)
        self.batch_first, self.bidirectional = batch_first, bidirectional
        self.learn_h0, self.return_gates, self.recompute = learn_h0, return_gates, recompute
        self.num_directions = 2 if bidirectional else 1
        used = self._used_stems()
        self._weight_names = {
            (layer, suffix): tuple(
                f"{stem}_l{layer}{suffix}" if stem in used else None for stem in self.stems
            )
            for layer in range(num_layers)
            for suffix in self._suffixes()
        }
        for layer in range(num_layers):
            width = input_size if layer == 0 else hidden_size * self.num_directions
            for suffix in self._suffixes():
                for stem in self._used_stems():
                    self._add_parameter(f"{stem}_l{layer}{suffix}", self._shape(stem, width), device, dtype)
        for name in self._start_names():
            self._add_parameter(name, (num_layers * self.num_directions, hidden_size), device, dtype)
        self.reset_parameters()

    def forward(
        self,
        input: Tensor | PackedSequence,
        hx: Hidden | None = None,
        *,
        lengths: Tensor | None = None,
        reset: Tensor | None = None,
        return_gates: bool | None = None,
    ) -> tuple[Any, ...]:
        """Return (y, h), or (y, h, gates) if `return_gates` here or in the constructor.

        - `input`: [T, B, I], or [B, T, I] if `batch_first`, or [T, I] for one sequence, or a PackedSequence;
          y is alike, with D*H features.
        - `hx`: [L*D, B, H], for LSTM a pair; None = zeros, or the learned initial state. h is alike.
        - `lengths` [B], integers 0..T: later steps are padding; y is 0 there, h is the state before.
        - `reset` [B, T], bool: a new sequence begins here, the state starts again. B comes first always.
        - gates: [L, D, B, T, G, H], rows as in `congru.reference`, 0 where padding.

        Raises `CongruError` for a wrong argument and `BackendError` if the layer's backend cannot run it.
        """
        want_gates = self.return_gates if return_gates is None else return_gates
        if lengths is reset is None and not want_gates and self._is_plain():
            plain = self._run_plain(input, hx)
            if plain is not None:
                return plain
        y: Tensor | PackedSequence
        if isinstance(input, PackedSequence):
            y, final, gates = self._run_packed(input, hx, lengths, reset, want_gates)
        else:
            y, final, gates = self._run_padded(input, hx, lengths, reset, want_gates)
        return (y, self._whole(final), gates) if want_gates else (y, self._whole(final))

    def explain(self, input: Tensor, *, lengths: Tensor | None = None, reset: Tensor | None = None) -> str:
        """Say in one sentence which backend the first layer takes for these arguments of a call, and why."""
        x = input if self.batch_first else input.transpose(0, 1)
        options = {"return_gates": self.return_gates, "recompute": self.recompute, **self._options()}
        with torch.random.fork_rng([x.device] if x.is_cuda else []):
            options |= masks_of_call(self, x, len(CELLS[self.cell].states))
        return ops.explain(
            self.cell,
            x,
            None,
            self._weights(0, ""),
            lengths=lengths,
            reset=reset,
            backend=self.backend,
            **options,
        )

    def flatten_parameters(self) -> None:
        """Do nothing: the weights have no flat copy. Code written for torch.nn calls this."""

    @property
    def all_weights(self) -> list[list[Tensor]]:
        """The weights of each layer and direction, as in torch.nn."""
        return [
            [getattr(self, f"{stem}_l{layer}{suffix}") for stem in self._used_stems()]
            for layer in range(self.num_layers)
            for suffix in self._suffixes()
        ]

    def extra_repr(self) -> str:
        """The arguments that differ from their defaults."""
        flags = {"batch_first": False, "dropout": 0.0, "bidirectional": False}
        own: dict[str, bool | float] = {"learn_h0": False, "return_gates": False, "recompute": False}
        own |= {"zoneout": 0.0, "recurrent_dropout": 0.0, "input_dropout": 0.0}
        return self._repr({"num_layers": 1, "bias": True, **flags, **own})

    def _run_padded(
        self,
        input: Tensor,
        hx: Hidden | None,
        lengths: Tensor | None,
        reset: Tensor | None,
        want_gates: bool,
    ) -> tuple[Tensor, tuple[Tensor, ...], Tensor | None]:
        single = input.dim() == 2
        if input.dim() not in (2, 3) or input.shape[-1] != self.input_size:
            axes = "[B, T, I]" if self.batch_first else "[T, B, I]"
            fix = "give each step input_size features, or [T, I] for one sequence"
            check_shape("input", input, axes, (None, None, self.input_size), fix)
        state = self._parts(hx, "[L*D, H]" if single else "[L*D, B, H]")
        lengths = None if lengths is None else torch.as_tensor(lengths, device=input.device)
        reset = None if reset is None else torch.as_tensor(reset, device=input.device)
        if not single:
            x = input if self.batch_first else input.transpose(0, 1)
            y, final, gates = self._run(x, state, lengths, reset, want_gates)
            return y if self.batch_first else y.transpose(0, 1).contiguous(), final, gates
        state = None if state is None else tuple(part.unsqueeze(1) for part in state)
        lengths = None if lengths is None else lengths.reshape(1)
        reset = None if reset is None else reset.unsqueeze(0)
        y, final, gates = self._run(input.unsqueeze(0), state, lengths, reset, want_gates)
        gates = None if gates is None else gates.squeeze(2)
        return y.squeeze(0), tuple(part.squeeze(1) for part in final), gates

    def _run_plain(self, input: Any, hx: Hidden | None) -> tuple[Tensor, Hidden] | None:
        """A call without options and gradients in a fraction of the time, see `congru.ops.plain`; else None.

        A compiled graph has no use for it, and would hold T fast.
        """
        if torch.compiler.is_compiling():
            return None
        state = hx if hx is None or isinstance(hx, tuple) else (hx,)
        count = self.num_layers * self.num_directions
        if count > 1 and state is not None:
            for part in state:
                if type(part) is not Tensor or part.dim() != 3 or len(part) != count:
                    return None
        y: Tensor = input
        finals: list[tuple[Tensor, ...]] = []
        for layer in range(self.num_layers):
            outputs = []
            for suffix in self._suffixes():
                k = len(finals)
                results = ops.plain(
                    self.cell,
                    y,
                    state if state is None or count == 1 else tuple(part[k : k + 1] for part in state),
                    self._weights(layer, suffix),
                    reset_before=self.reset_before,
                    reverse=suffix != "",
                    batch_first=self.batch_first,
                    backend=self.backend,
                )
                if results is None:
                    return None
                outputs.append(results[0])
                finals.append(results[1])
            y = outputs[0] if len(outputs) == 1 else torch.cat(outputs, -1)
        final = finals[0] if count == 1 else tuple(torch.cat(part) for part in zip(*finals))
        return y, self._whole(final)

    def _run_packed(
        self,
        packed: PackedSequence,
        hx: Hidden | None,
        lengths: Tensor | None,
        reset: Tensor | None,
        want_gates: bool,
    ) -> tuple[PackedSequence, tuple[Tensor, ...], Tensor | None]:
        for name, array in {"lengths": lengths, "reset": reset}.items():
            if array is not None:
                raise SettingsError(
                    f"{name} is given with a PackedSequence, expected None: pass padded input"
                )
        x, rows = unpack(packed)
        state = self._parts(hx, "[L*D, B, H]")
        if state is not None and packed.sorted_indices is not None:
            self._check_state(state, len(x))
            state = tuple(part.index_select(1, packed.sorted_indices) for part in state)
        y, final, gates = self._run(x, state, rows.to(x.device), None, want_gates)
        if packed.unsorted_indices is not None:
            final = tuple(part.index_select(1, packed.unsorted_indices) for part in final)
            gates = None if gates is None else gates.index_select(2, packed.unsorted_indices)
        return repack(y, rows, packed), final, gates

    def _run(
        self,
        x: Tensor,
        state: tuple[Tensor, ...] | None,
        lengths: Tensor | None,
        reset: Tensor | None,
        want_gates: bool,
    ) -> tuple[Tensor, tuple[Tensor, ...], Tensor | None]:
        """The stack on x [B, T, I]; states are [L*D, B, H]."""
        learned = tuple(getattr(self, name) for name in self._start_names())
        if state is not None:
            self._check_state(state, x.shape[0])
        elif learned:
            state = tuple(part.unsqueeze(1).expand(-1, x.shape[0], -1) for part in learned)
        finals: list[tuple[Tensor, ...]] = []
        history: list[Tensor] = []
        for layer in range(self.num_layers):
            outputs = []
            for suffix in self._suffixes():
                k = len(finals)
                seen = x
                if self.input_dropout and self.training:
                    seen = x * dropout_mask(x, self.input_dropout, x.shape[0], 1, x.shape[2])
                y, final, gates = ops.sequence(
                    self.cell,
                    seen,
                    None if state is None else tuple(part[k] for part in state),
                    self._weights(layer, suffix),
                    lengths=lengths,
                    reset=reset,
                    h_reset=tuple(part[k] for part in learned) or None,
                    reverse=suffix != "",
                    return_gates=want_gates,
                    recompute=self.recompute,
                    backend=self.backend,
                    **self._options(),
                    **masks_of_call(self, x, len(CELLS[self.cell].states)),
                )
                outputs.append(y)
                finals.append(final)
                if gates is not None:
                    history.append(gates)
            x = outputs[0]
            if self.bidirectional:
                x = torch.cat([y.transpose(0, 1) for y in outputs], -1).transpose(0, 1)
            if layer < self.num_layers - 1 and self.dropout:
                # Time first, as inside torch.nn: one seed then draws the same masks.
                steps = x.transpose(0, 1).contiguous()
                x = F.dropout(steps, self.dropout, self.training).transpose(0, 1)
        film = None
        if want_gates:
            film = history[0].unsqueeze(0) if len(history) == 1 else torch.stack(history)
            film = film.reshape(self.num_layers, self.num_directions, *film.shape[1:])
        if len(finals) == 1:
            return x, tuple(part.unsqueeze(0) for part in finals[0]), film
        return x, tuple(torch.stack(part) for part in zip(*finals)), film

    def _check_state(self, state: tuple[Tensor, ...], batch: int) -> None:
        sizes = (self.num_layers * self.num_directions, batch, self.hidden_size)
        for part in state:
            if part.shape != sizes:
                check_shape("hx", part, "[L*D, B, H]", sizes, "pass hx=None for the initial state")

    def _suffixes(self) -> tuple[str, ...]:
        return ("", "_reverse") if self.bidirectional else ("",)

    def _start_names(self) -> tuple[str, ...]:
        return ("h0", "c0")[: len(CELLS[self.cell].states)] if self.learn_h0 else ()

    def _weights(self, layer: int, suffix: str) -> tuple[Tensor | None, ...]:
        return self._named(self._weight_names[layer, suffix])

    def _is_plain(self) -> bool:
        """Whether this is a stack of torch.nn (or of the other form of the unit), without an option, in this mode."""
        if self.layer_norm or self.num_heads != 1 or self.zoneout or self.learn_h0:
            return False
        return not (self.training and (self.dropout or self.input_dropout or self.recurrent_dropout))


def _check_without_masks(**rates: float) -> None:
    for name, rate in rates.items():
        if rate:
            raise SettingsError(f"{name} is {rate}, expected 0.0 for mingru: it has no recurrent weights")
