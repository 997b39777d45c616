"""The random generator of a stream. A fork takes less than a microsecond: the copy is made when one of the two first draws."""

from __future__ import annotations

from typing import Any

import numpy as np


class Draws:
    """A generator of its own, seeded with `seed` (None: by the operating system).

    >>> one = Draws(0)
    >>> two = one.fork()
    >>> bool(one.generator().random() == two.generator().random())
    True
    """

    __slots__ = ("_generator", "_handed_out", "_shared")

    def __init__(self, seed: int | None = None) -> None:
        self._generator = np.random.Generator(np.random.PCG64(seed))
        self._shared = False  # with a fork: whoever draws next copies it first
        self._handed_out = False  # its holder may draw at any time, so it cannot be shared

    def generator(self) -> np.random.Generator:
        """The generator, to draw from now; after a fork, ask again: it may be another object."""
        if self._shared:
            own = np.random.Generator(np.random.PCG64(0))
            own.bit_generator.state = self._generator.bit_generator.state
            self._generator, self._shared = own, False
        return self._generator

    def hand_out(self) -> np.random.Generator:
        """The generator, for the caller to keep: this stream draws from the same object from now on."""
        self._handed_out = True
        return self.generator()

    def words(self) -> dict[str, Any]:
        """The state of the generator, as NumPy gives it."""
        return dict(self._generator.bit_generator.state)

    def go_on_from(self, words: dict[str, Any]) -> None:
        """Continue from a state that `words` gave."""
        self.generator().bit_generator.state = words

    def fork(self) -> Draws:
        """A copy that will draw the same numbers."""
        twin = object.__new__(Draws)
        twin._generator, twin._shared, twin._handed_out = self._generator, True, False
        if self._handed_out:
            twin.generator()
        else:
            self._shared = True
        return twin
