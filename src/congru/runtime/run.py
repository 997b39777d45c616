"""One pass over a network: what goes along beside the arrays."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from congru.runtime.cells import Array

Lengths = NDArray[np.int64] | None
State = dict[str, Array]


Owner = TypeVar("Owner")


def twin_of(owner: Owner) -> Owner:
    """A shallow copy: as copy.copy, at a fifth of its time, for objects whose attributes lie in their dictionary."""
    twin: Owner = object.__new__(type(owner))
    twin.__dict__.update(owner.__dict__)
    return twin


class Run:
    """One pass over a network: the state before, the state after, lengths, and what was asked to be recorded.

    `seen` takes the input and output of every recurrent node, `gates` its gates, `pictures` the weights of attention, each
    None where nobody wants them.
    """

    def __init__(
        self,
        state: State,
        lengths: Lengths = None,
        memory_lengths: Mapping[str, NDArray[np.int64]] | None = None,
        *,
        seen: dict[str, tuple[Array, Array]] | None = None,
        gates: dict[str, Array] | None = None,
        pictures: dict[str, Array] | None = None,
    ) -> None:
        self.state, self.after, self.lengths = state, State(), lengths
        self.memory_lengths = memory_lengths or {}
        self.seen, self.gates, self.pictures = seen, gates, pictures
