"""Sampling from logits: exact distributions, and draws that follow them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from congru.errors import SettingsError
from congru.runtime.decoding.sampling import Sampling, probabilities, sample

LOGITS = np.log([0.05, 0.4, 0.1, 0.25, 0.2])


@pytest.mark.parametrize(
    ("sampling", "expected"),
    [
        (Sampling(), [0.05, 0.4, 0.1, 0.25, 0.2]),
        (Sampling(temperature=0), [0, 1, 0, 0, 0]),
        (Sampling(top_k=1), [0, 1, 0, 0, 0]),
        (Sampling(top_k=3), [0, 40 / 85, 0, 25 / 85, 20 / 85]),
        (Sampling(top_k=99), [0.05, 0.4, 0.1, 0.25, 0.2]),
        (Sampling(top_p=0.3), [0, 1, 0, 0, 0]),
        (Sampling(top_p=0.6), [0, 40 / 65, 0, 25 / 65, 0]),
        (Sampling(top_p=0.66), [0, 40 / 85, 0, 25 / 85, 20 / 85]),
        (Sampling(top_p=1.0), [0.05, 0.4, 0.1, 0.25, 0.2]),
        (Sampling(top_k=2, top_p=0.7), [0, 40 / 65, 0, 25 / 65, 0]),
        (
            Sampling(temperature=0.5),
            [0.0025 / 0.275, 0.16 / 0.275, 0.01 / 0.275, 0.0625 / 0.275, 0.04 / 0.275],
        ),
    ],
)
def test_distributions(sampling: Sampling, expected: list[float]) -> None:
    np.testing.assert_allclose(probabilities(LOGITS, sampling), expected, atol=1e-12)


def test_equals_are_kept_in_order() -> None:
    assert probabilities([1.0, 1.0, 1.0], Sampling(top_k=2)).tolist() == [0.5, 0.5, 0]
    assert probabilities(np.tile([0.0, 1.0], 250), Sampling(top_k=7)).nonzero()[0].tolist() == list(
        range(1, 14, 2)
    )
    assert probabilities([2.0, 2.0], Sampling(temperature=0)).tolist() == [1, 0]


@settings(max_examples=100, deadline=None)
@given(
    logits=st.lists(st.floats(-1e4, 1e4), min_size=1, max_size=20),
    temperature=st.sampled_from([0, 1e-3, 0.7, 1, 50]),
    top_k=st.sampled_from([None, 1, 3]),
    top_p=st.sampled_from([None, 1e-9, 0.5, 1.0]),
)
def test_always_a_distribution(
    logits: list[float], temperature: float, top_k: int | None, top_p: float | None
) -> None:
    shares = probabilities(logits, Sampling(temperature, top_k, top_p))
    assert np.isfinite(shares).all()
    assert abs(shares.sum() - 1) < 1e-9
    assert shares[int(np.argmax(logits))] > 0
    assert top_k is None or (shares > 0).sum() <= top_k
    assert shares[sample(logits, Sampling(temperature, top_k, top_p), np.random.default_rng(0))] > 0


def test_draws_follow_the_distribution() -> None:
    rng = np.random.default_rng(0)
    draws = [sample(LOGITS, Sampling(top_k=4), rng) for _ in range(20_000)]
    shares = np.bincount(draws, minlength=5) / len(draws)
    expected = probabilities(LOGITS, Sampling(top_k=4))
    assert shares[0] == 0
    assert np.abs(shares - expected).max() < 4 * np.sqrt(0.25 / len(draws))


def test_wrong_settings() -> None:
    for wrong in (Sampling(temperature=-1), Sampling(top_k=0), Sampling(top_p=0.0)):
        with pytest.raises(SettingsError, match="expected"):
            probabilities(LOGITS, wrong)
