"""Generators: the same seed gives the same numbers, and a stored state continues exactly."""

from __future__ import annotations

import io
import random

import numpy as np
import torch

from congru.train.seeding import rng_state, rng_untouched, seed_everything, set_rng_state


def draw() -> tuple[float, float, float, float]:
    return (
        random.random(),
        float(np.random.normal()),  # noqa: NPY002 (normal draws two at once and keeps one: has_gauss)
        float(torch.rand(1)),
        random.gauss(0, 1),
    )


def test_a_seed_gives_the_same_numbers_and_another_seed_others() -> None:
    seed_everything(3)
    first = draw()
    seed_everything(3)
    assert draw() == first
    seed_everything(4)
    assert not set(draw()) & set(first)


def test_a_state_goes_through_a_file_without_pickle_and_continues_exactly() -> None:
    seed_everything(3)
    draw()
    file = io.BytesIO()
    torch.save(rng_state(), file)
    expected = [draw() for _ in range(3)]
    seed_everything(9)
    file.seek(0)
    set_rng_state(torch.load(file, weights_only=True))
    assert [draw() for _ in range(3)] == expected


def test_what_is_drawn_in_an_untouched_block_leaves_no_trace() -> None:
    seed_everything(3)
    expected = draw()
    seed_everything(3)
    with rng_untouched(seed=5):
        inside = draw()
    with rng_untouched(seed=5):
        assert draw() == inside
    with rng_untouched():
        assert draw() == expected
    assert draw() == expected
