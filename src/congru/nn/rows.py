"""A layer's input in any of its forms as rows x [B, T, I] with lengths, and the results back in the caller's form.

The forms: [T, B, I] or [B, T, I], [T, I] for one sequence, torch's PackedSequence (rows stay in its sorted order), and rows whose
`mask` says which steps are valid, anywhere in the row: valid steps move to the front, and results back to where they were.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence, pad_packed_sequence

from congru.errors import SettingsError, ShapeError, check_shape
from congru.nn.module import Hidden, check_dtypes


class Rows(NamedTuple):
    """The input as the stack runs on it, and what is needed to give results in the caller's form."""

    x: Tensor  # [B, T, I]
    state: tuple[Tensor, ...] | None  # [L*D, B, H]
    lengths: Tensor | None  # [B]
    reset: Tensor | None  # [B, T]
    time_first: bool = False  # the caller's x is [T, B, I]
    single: bool = False  # the caller's x is [T, I]
    packed: PackedSequence | None = None
    positions: Tensor | None = None  # [B, T]: where in the row of x each step of the caller's row is

    def result(self, y: Tensor) -> Any:
        """y [B, T, F] in the form of the input."""
        if self.packed is not None:
            assert self.lengths is not None
            packed = pack_padded_sequence(y, self.lengths.cpu(), batch_first=True)
            order = self.packed.sorted_indices, self.packed.unsorted_indices
            return PackedSequence(packed.data, packed.batch_sizes, *order)
        if self.positions is not None:
            y = y.gather(1, self.positions.unsqueeze(2).expand_as(y))
        if self.single:
            return y.squeeze(0)
        return y.transpose(0, 1).contiguous() if self.time_first else y

    def final(self, final: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        """The final state [L*D, B, H] in the caller's order of rows."""
        if not self.single and self.packed is None:
            return final
        return tuple(self._rows(part, 1) for part in final)

    def film(self, film: Tensor) -> Tensor:
        """What has a value for every step, [L, D, B, T, ..]; of one sequence [L, D, T, ..]."""
        if self.positions is not None:
            positions = self.positions.reshape(1, 1, *self.positions.shape, *[1] * (film.dim() - 4))
            film = film.gather(3, positions.expand_as(film))
        return self._rows(film, 2)

    def _rows(self, part: Tensor, axis: int) -> Tensor:
        if self.single:
            return part.squeeze(axis)
        if self.packed is not None and self.packed.unsorted_indices is not None:
            return part.index_select(axis, self.packed.unsorted_indices)
        return part


def rows_of(
    layer: Any,
    input: Any,
    hx: Hidden | None,
    lengths: Any,
    reset: Any,
    mask: Any,
    batch_first: bool,
) -> Rows:
    """The rows of a call; raises `ShapeError` and `SettingsError` in the names of the call's arguments."""
    weight = layer._first_weight()
    if isinstance(input, PackedSequence):
        return _unpacked(layer, weight, input, hx, {"lengths": lengths, "reset": reset, "mask": mask})
    if (
        hx is not None
        or type(input) is not Tensor
        or input.dtype is not weight.dtype
        or input.device != weight.device
    ):
        check_dtypes(input, hx, weight)
    if input.dim() not in (2, 3) or input.shape[-1] != layer.input_size:
        axes = "[B, T, I]" if batch_first else "[T, B, I]"
        fix = "give each step input_size features, or [T, I] for one sequence"
        check_shape("input", input, axes, (None, None, layer.input_size), fix)
    single = input.dim() == 2
    state = None if hx is None else layer._parts(hx, "[L*D, H]" if single else "[L*D, B, H]")
    if not (lengths is reset is mask is None):
        lengths, reset, mask = (
            None if part is None else torch.as_tensor(part, device=input.device)
            for part in (lengths, reset, mask)
        )
    x = input
    if single:
        x = input.unsqueeze(0)
        state = None if state is None else tuple(part.unsqueeze(1) for part in state)
        lengths = None if lengths is None else lengths.reshape(1)
        reset, mask = (None if part is None else part.unsqueeze(0) for part in (reset, mask))
    elif not batch_first:
        x = input.transpose(0, 1)
    rows = Rows(x, state, lengths, reset, time_first=not (single or batch_first), single=single)
    return rows if mask is None else _valid_first(rows, mask)


def _unpacked(
    layer: Any,
    weight: Tensor,
    packed: PackedSequence,
    hx: Hidden | None,
    others: dict[str, Any],
) -> Rows:
    """A PackedSequence as rows, longest row first."""
    for name, array in others.items():
        if array is not None:
            raise SettingsError(f"{name} is given with a PackedSequence, expected None: pass padded input")
    check_dtypes(packed.data, hx, weight)
    if packed.data.dim() != 2 or packed.data.shape[1] != layer.input_size:
        sizes = (None, layer.input_size)
        check_shape("input.data", packed.data, "[N, I]", sizes, "give each step input_size features")
    x, lengths = pad_packed_sequence(PackedSequence(packed.data, packed.batch_sizes), batch_first=True)
    state = layer._parts(hx, "[L*D, B, H]")
    if state is not None and packed.sorted_indices is not None:
        check_state(layer, state, len(x))
        state = tuple(part.index_select(1, packed.sorted_indices) for part in state)
    return Rows(x, state, lengths.to(x.device), None, packed=packed)


def _valid_first(rows: Rows, mask: Tensor) -> Rows:
    """The rows with their valid steps at the front, in order."""
    x, reset = rows.x, rows.reset
    if rows.lengths is not None:
        raise SettingsError("mask is given with lengths, expected one of both: mark the valid steps in mask")
    if mask.shape != x.shape[:2]:
        check_shape("mask", mask, "[B, T]", tuple(x.shape[:2]), "pass True for each valid step, batch first")
    if mask.dtype != torch.bool:
        raise ShapeError(f"mask has dtype {mask.dtype}, expected torch.bool: pass mask != 0")
    valid = mask.long()  # ONNX adds up numbers only
    lengths = valid.sum(1)
    positions = torch.where(mask, valid.cumsum(1), lengths.unsqueeze(1) + (1 - valid).cumsum(1)) - 1
    order = positions.argsort(1)
    if reset is not None:
        if reset.shape != mask.shape or reset.dtype != torch.bool:
            return rows._replace(lengths=lengths)  # the call that follows says what is wrong
        # A sequence that begins at a step of padding begins at the valid step that follows.
        begun = reset.long().cumsum(1).gather(1, order)
        reset = begun > torch.cat([torch.zeros_like(begun[:, :1]), begun[:, :-1]], 1)
    x = x.gather(1, order.unsqueeze(2).expand_as(x))
    return rows._replace(x=x, lengths=lengths, reset=reset, positions=positions)


def check_state(layer: Any, state: tuple[Tensor, ...], batch: int) -> None:
    """Raise `ShapeError` unless every part is [L*D, B, H]."""
    sizes = (layer.num_layers * layer.num_directions, batch, layer.hidden_size)
    for part in state:
        if part.shape != sizes:
            check_shape("hx", part, "[L*D, B, H]", sizes, "pass hx=None for the initial state")
