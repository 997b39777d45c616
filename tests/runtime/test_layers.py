"""The layers around the cells against torch and the standard library."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from congru.runtime import layers
from tolerances import assert_close

X = np.random.default_rng(0).standard_normal((5, 2, 7)).astype(np.float32) * 3


def test_erf_equals_the_standard_library() -> None:
    x = np.concatenate([np.linspace(-7, 7, 5001), [-1e30, 1e30, 1e-30]])
    expected = [math.erf(value) for value in x]
    assert np.abs(layers.erf(x) - expected).max() < 1e-9


@pytest.mark.parametrize("name", sorted(layers.ACTIVATION))
def test_activations_equal_torch(name: str) -> None:
    theirs = {"gelu": torch.nn.functional.gelu, "silu": torch.nn.functional.silu}.get(
        name, getattr(torch, name, None)
    )
    assert theirs is not None
    x = np.concatenate([X.ravel(), np.float32([-100, -20, 0, 20, 100])])
    before = x.copy()
    found = layers.ACTIVATION[name](x)
    assert found.dtype == np.float32
    assert (x == before).all()
    assert_close("runtime layer", found, theirs(torch.from_numpy(x)))


def test_layer_norm_equals_torch() -> None:
    rng = np.random.default_rng(1)
    weight, bias = rng.standard_normal((2, 7)).astype(np.float32)
    theirs = torch.nn.functional.layer_norm(
        torch.from_numpy(X), (7,), torch.from_numpy(weight), torch.from_numpy(bias)
    )
    assert_close("runtime layer", layers.layer_norm(X, weight, bias), theirs)


def test_pooling_looks_at_valid_steps_only() -> None:
    x = np.arange(12, dtype=np.float32).reshape(3, 2, 2)
    assert layers.last(x, None).tolist() == [[8, 9], [10, 11]]
    assert layers.last(x, np.array([1, 0])).tolist() == [[0, 1], [0, 0]]
    assert layers.mean(x, None).tolist() == [[4, 5], [6, 7]]
    assert layers.mean(x, np.array([2, 0])).tolist() == [[2, 3], [0, 0]]
    empty = x[:0]
    for pool in (layers.last, layers.mean):
        assert pool(empty, None).tolist() == pool(empty, np.array([0, 0])).tolist() == [[0, 0], [0, 0]]
        assert pool(x, None).dtype == np.float32
