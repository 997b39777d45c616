"""The softmax of rows: the core's and NumPy's agree, also where nothing is allowed and where there is nothing."""

from __future__ import annotations

import numpy as np
import pytest

from congru.kernels import binding
from congru.runtime.softmax import softmax


@pytest.mark.parametrize("backend", ["numpy", "native"])
def test_softmax_of_rows(backend: str, monkeypatch: pytest.MonkeyPatch) -> None:
    s = np.random.default_rng(0).standard_normal((3, 4, 9)).astype(np.float32) * 5
    s[0, :, 3:] = -np.inf
    s[1, 2] = -np.inf
    w = softmax(backend)(s.swapaxes(0, 1)).swapaxes(0, 1)
    powers = np.exp(s.astype(float))
    expected = powers / np.maximum(powers.sum(-1, keepdims=True), 1e-300)
    np.testing.assert_allclose(w, expected, atol=1e-6)
    assert not w[1, 2].any()
    assert w.dtype == np.float32
    assert softmax(backend)(s[..., :0]).shape == (3, 4, 0)
    assert np.isnan(softmax(backend)(np.float32([0, np.nan, 1]))).any()
    monkeypatch.setattr(binding, "is_available", lambda: False)
    np.testing.assert_allclose(softmax(backend)(s), w, atol=1e-6)
