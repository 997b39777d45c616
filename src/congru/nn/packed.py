"""torch's PackedSequence to padded rows with lengths, and back. Rows stay in its sorted order."""

from __future__ import annotations

from torch import Tensor
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence, pad_packed_sequence


def unpack(packed: PackedSequence) -> tuple[Tensor, Tensor]:
    """Return x [B, T, I] and lengths [B] (on the CPU), longest row first."""
    return pad_packed_sequence(PackedSequence(packed.data, packed.batch_sizes), batch_first=True)


def repack(y: Tensor, lengths: Tensor, like: PackedSequence) -> PackedSequence:
    """Pack y [B, T, H], its rows in the order of `unpack(like)`; the caller's order is noted as in `like`."""
    packed = pack_padded_sequence(y, lengths, batch_first=True)
    return PackedSequence(packed.data, packed.batch_sizes, like.sorted_indices, like.unsorted_indices)
