"""Seeds of Python's, NumPy's and torch's generators, and their exact state for checkpoints."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch


def seed_everything(seed: int) -> None:
    """Seed Python, NumPy and torch (all devices). A task calls it before it builds its module."""
    random.seed(seed)
    np.random.seed(seed % 2**32)  # noqa: NPY002 (the global generator is what other people's code draws from)
    torch.manual_seed(seed)


def rng_state() -> dict[str, Any]:
    """The state of all generators, made of tensors, tuples, strings and numbers only."""
    name, keys, position, has_gauss, gauss = np.random.get_state(legacy=True)  # noqa: NPY002
    state: dict[str, Any] = {
        "python": random.getstate(),
        "numpy": (
            str(name),
            torch.from_numpy(np.asarray(keys).astype(np.int64)),
            int(position),
            int(has_gauss),
            float(gauss),
        ),
        "torch": torch.get_rng_state(),
    }
    if torch.cuda.is_available():
        state["cuda"] = torch.cuda.get_rng_state_all()
    return state


def set_rng_state(state: dict[str, Any]) -> None:
    """Put all generators back to a state of :func:`rng_state`."""
    version, words, gauss_next = state["python"]
    random.setstate((version, tuple(words), gauss_next))
    name, keys, position, has_gauss, gauss = state["numpy"]
    np.random.set_state((name, keys.numpy().astype(np.uint32), position, has_gauss, gauss))  # noqa: NPY002
    torch.set_rng_state(state["torch"])
    # A run may go on with fewer cards, or on a CPU.
    for index, own in enumerate(state.get("cuda", ())[: torch.cuda.device_count()]):
        torch.cuda.set_rng_state(own, index)


@contextmanager
def rng_untouched(seed: int | None = None) -> Iterator[None]:
    """Within the block draw as you like (from ``seed``, if given); afterwards the generators are as before.

    >>> seed_everything(0)
    >>> with rng_untouched(seed=1):
    ...     _ = torch.rand(5)
    >>> a = torch.rand(2); seed_everything(0); bool((a == torch.rand(2)).all())
    True
    """
    before = rng_state()
    if seed is not None:
        seed_everything(seed)
    try:
        yield
    finally:
        set_rng_state(before)
