"""A stack of recurrent layers, as torch.nn's: arguments, parameter names, start values, calls and results.

Beyond torch.nn: `lengths`, `mask`, `reset`, gates, all states, a learned initial state, a choice of backend. Shapes: B batch,
T time, I input, H hidden, L layers, D directions, G gates of the cell.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.fx import Proxy
from torch.nn.utils.rnn import PackedSequence

from congru import ops
from congru.errors import SettingsError
from congru.kernels.cells import CELLS
from congru.kernels.lstm_states import cell_states
from congru.nn.masks import check_rates, dropout_mask, dropout_rate, masks_of_call
from congru.nn.module import Hidden, RecurrentModule, check_flags, check_sizes, without_warnings
from congru.nn.rows import Rows, check_state, rows_of


class _Results(NamedTuple):
    """What a stack computes: y [B, T, D*H], states [L*D, B, H], and on request [L, D, B, T, ..] of gates and states."""

    y: Tensor
    final: tuple[Tensor, ...]
    gates: Tensor | None
    states: tuple[Tensor, ...] | None


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

    first_weight = "weight_ih_l0"

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
        self.zoneout, self.recurrent_dropout = float(zoneout), float(recurrent_dropout)
        self.input_dropout = float(input_dropout)
        check_sizes(num_layers=num_layers)
        input_size, hidden_size, num_layers = int(input_size), int(hidden_size), int(num_layers)
        check_flags(batch_first=batch_first, bidirectional=bidirectional, learn_h0=learn_h0)
        check_flags(return_gates=return_gates, recompute=recompute)
        dropout = dropout_rate(dropout)
        if dropout > 0 and num_layers == 1:
            reason = "it acts between layers only: pass num_layers=2 or more"
            warnings.warn(f"dropout is {dropout} with num_layers=1, expected 0.0: {reason}", stacklevel=3)
        self.num_layers, self.dropout = num_layers, dropout
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
        mask: Tensor | None = None,
        return_gates: bool | None = None,
        return_states: bool = False,
    ) -> tuple[Any, ...]:
        """Return (y, h), then the gates if `return_gates` here or in the constructor, then all states if `return_states`.

        - `input`: [T, B, I], or [B, T, I] if `batch_first`, or [T, I] for one sequence, or a PackedSequence;
          y is alike, with D*H features.
        - `hx`: [L*D, B, H], for LSTM a pair; None = zeros, or the learned initial state. h is alike.
        - `lengths` [B], integers 0..T: later steps are padding; y is 0 there, h is the state before.
        - `reset` [B, T], bool: a new sequence begins here, the state starts again. B comes first always.
        - `mask` [B, T], bool: True where a step is valid, wherever padding lies: left, right or between; in place of `lengths`.
        - gates: [L, D, B, T, G, H], rows as in `congru.reference`, 0 where padding.
        - states: the state after every step of every layer, [L, D, B, T, H], for LSTM the pair of h and c, 0 where padding.

        Raises `CongruError` for a wrong argument and `BackendError` if the layer's backend cannot run it.
        """
        want_gates = self.return_gates if return_gates is None else return_gates
        if lengths is reset is mask is None and not want_gates and not return_states and self._is_plain():
            plain = self._run_plain(input, hx)
            if plain is not None:
                return plain
        if isinstance(input, Proxy):
            options = {"lengths": lengths, "reset": reset, "mask": mask, "return_gates": return_gates}
            options |= {"return_states": None if return_states is False else return_states}
            return self._traced(input, hx, **options)
        if torch.compiler.is_compiling() or torch._C._get_tracing_state() is None:
            rows = rows_of(self, input, hx, lengths, reset, mask, self.batch_first)
            results = self._run(rows, want_gates, return_states)
        else:
            with without_warnings():
                rows = rows_of(self, input, hx, lengths, reset, mask, self.batch_first)
                results = self._run(rows, want_gates, return_states)
        named = [rows.result(results.y), self._whole(rows.final(results.final))]
        if results.gates is not None:
            named.append(rows.film(results.gates))
        if results.states is not None:
            named.append(self._whole(tuple(map(rows.film, results.states))))
        return tuple(named)

    def explain(
        self,
        input: Tensor | PackedSequence,
        hx: Hidden | None = None,
        *,
        lengths: Tensor | None = None,
        reset: Tensor | None = None,
        mask: Tensor | None = None,
        return_gates: bool | None = None,
        return_states: bool = False,
    ) -> str:
        """Say in one sentence which backend the first layer takes for these arguments of a call, and why."""
        rows = rows_of(self, input, hx, lengths, reset, mask, self.batch_first)
        want_gates = self.return_gates if return_gates is None else return_gates
        options: dict[str, Any] = {"recompute": self.recompute, **self._options()}
        options["return_gates"] = want_gates or (return_states and self.cell == "lstm")
        with torch.random.fork_rng([rows.x.device] if rows.x.is_cuda else []):
            options |= masks_of_call(self, rows.x, len(CELLS[self.cell].states))
        return ops.explain(
            self.cell,
            rows.x,
            None if rows.state is None else tuple(part[0] for part in rows.state),
            self._weights(0, ""),
            lengths=rows.lengths,
            reset=rows.reset,
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

    @property
    def _flat_weights(self) -> tuple[Tensor, ...]:
        """All weights in torch.nn's order, made when asked for: to change one, set it by its name."""
        return tuple(weight for weights in self.all_weights for weight in weights)

    def extra_repr(self) -> str:
        """The arguments that differ from their defaults."""
        flags = {"batch_first": False, "dropout": 0.0, "bidirectional": False}
        own: dict[str, bool | float] = {"learn_h0": False, "return_gates": False, "recompute": False}
        own |= {"zoneout": 0.0, "recurrent_dropout": 0.0, "input_dropout": 0.0}
        return self._repr({"num_layers": 1, "bias": True, **flags, **own})

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

    def _run(self, rows: Rows, want_gates: bool, want_states: bool) -> _Results:
        """The stack on rows."""
        x, state, learned = rows.x, rows.state, tuple(getattr(self, name) for name in self._start_names())
        if state is not None:
            check_state(self, state, x.shape[0])
        elif learned:
            state = tuple(part.unsqueeze(1).expand(-1, x.shape[0], -1) for part in learned)
        finals: list[tuple[Tensor, ...]] = []
        gates: list[Tensor] = []
        states: list[tuple[Tensor, ...]] = []
        directions = range(self.num_directions)
        want_film = want_gates or (want_states and self.cell == "lstm")
        for layer in range(self.num_layers):
            calls = [self._call(rows, x, state, learned, layer, k, want_film) for k in directions]
            results = ops.directions(self.cell, calls, backend=self.backend)
            outputs = [y for y, _, _ in results]
            for call, (y, final, film) in zip(calls, results):
                finals.append(final)
                if want_gates and film is not None:
                    gates.append(film)
                if want_states:
                    states.append((y, *self._cell_states(call, film)))
            x = outputs[0]
            if self.bidirectional:
                x = torch.cat([y.transpose(0, 1) for y in outputs], -1).transpose(0, 1)
            if layer < self.num_layers - 1 and self.dropout:
                # Time first, as inside torch.nn: one seed then draws the same masks.
                steps = x.transpose(0, 1).contiguous()
                x = F.dropout(steps, self.dropout, self.training).transpose(0, 1)
        return _Results(
            x,
            tuple(torch.stack(part) if len(part) > 1 else part[0].unsqueeze(0) for part in zip(*finals)),
            self._film(gates) if want_gates else None,
            tuple(map(self._film, zip(*states))) if want_states else None,
        )

    def _call(
        self,
        rows: Rows,
        x: Tensor,
        state: tuple[Tensor, ...] | None,
        learned: tuple[Tensor, ...],
        layer: int,
        direction: int,
        want_film: bool,
    ) -> dict[str, Any]:
        """The arguments of one layer in one direction, see `congru.ops.sequence`; `want_film`: gates or all states."""
        k = layer * self.num_directions + direction
        seen = x
        if self.input_dropout and self.training:
            seen = x * dropout_mask(x, self.input_dropout, x.shape[0], 1, x.shape[2])
        return {
            "x": seen,
            "state": None if state is None else tuple(part[k] for part in state),
            "weights": self._weights(layer, "_reverse" if direction else ""),
            "lengths": rows.lengths,
            "reset": rows.reset,
            "h_reset": tuple(part[k] for part in learned) or None,
            "reverse": direction == 1,
            "return_gates": want_film,
            "recompute": self.recompute,
            **self._options(),
            **masks_of_call(self, x, len(CELLS[self.cell].states)),
        }

    def _cell_states(self, call: dict[str, Any], film: Tensor | None) -> tuple[Tensor, ...]:
        """c of an LSTM after every step of a call, from its gates; nothing for the other cells."""
        if self.cell != "lstm" or film is None:
            return ()
        names = ("lengths", "reset", "reverse")
        kept = {name: call[name] for name in names}
        return (cell_states(film, call["state"], call["h_reset"], **kept, zoneout=call.get("zoneout")),)

    def _film(self, parts: Sequence[Tensor]) -> Tensor:
        """One [B, T, ..] for each layer and direction as [L, D, B, T, ..]."""
        film = torch.stack(list(parts)) if len(parts) > 1 else parts[0].unsqueeze(0)
        return film.reshape(self.num_layers, self.num_directions, *film.shape[1:])

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
