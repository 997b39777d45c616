"""The generator of a stream: forks draw the same numbers and go their own ways, also where somebody holds the generator."""

from __future__ import annotations

import numpy as np
import pytest

from congru.runtime.decoding.draws import Draws


def after(count: int) -> list[float]:
    """The numbers of seed 0 from the `count`-th on."""
    generator = np.random.Generator(np.random.PCG64(0))
    generator.random(count)
    return generator.random(3).tolist()


@pytest.mark.parametrize("held", [False, True])
def test_a_fork_draws_the_same_numbers_and_moves_nobody(held: bool) -> None:
    one = Draws(0)
    generator = one.hand_out() if held else one.generator()
    generator.random(2)
    two = one.fork()
    three = two.fork()
    if held:
        generator.random(5)
    assert two.generator().random(3).tolist() == after(2)
    assert three.generator().random(3).tolist() == after(2)
    assert one.generator().random(3).tolist() == after(7 if held else 2)
    assert two.generator().random(3).tolist() == after(5)


def test_a_generator_that_was_handed_out_stays_the_same() -> None:
    one = Draws(0)
    generator = one.hand_out()
    one.fork()
    assert one.hand_out() is one.generator() is generator
