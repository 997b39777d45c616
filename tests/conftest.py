"""What several test files need."""

from __future__ import annotations

import os

# Tests run side by side: several OpenMP threads each would wait for one another. Before the first import of torch.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import pytest

from congru import ops


@pytest.fixture
def without_native(monkeypatch):
    monkeypatch.setitem(ops._loaded, "native", None)
