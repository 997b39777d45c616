"""What the tests of the kernels share."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from congru.kernels import binding


@pytest.fixture
def core() -> Iterator[Any]:
    """The extension; its instruction set and threads are put back."""
    core = binding.extension()
    isa, threads = core.isa(), core.get_threads()
    yield core
    core.set_isa(isa)
    core.set_threads(threads)
