"""Arrays of log-probabilities: softmax row by row, the checks, and a stable top k."""

from __future__ import annotations

import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from congru.errors import ShapeError
from congru.runtime.decoding.scores import check_log_probabilities, largest, log_softmax


@settings(max_examples=100, deadline=None)
@given(values=st.lists(st.sampled_from([-np.inf, -2.0, -1.0, 0.0, 0.5]), max_size=12), k=st.integers(1, 14))
def test_largest_is_the_head_of_a_stable_sort(values: list[float], k: int) -> None:
    array = np.array(values)
    np.testing.assert_array_equal(largest(array, k), np.argsort(-array, kind="stable")[:k])


@settings(max_examples=50, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), rows=st.integers(1, 9), tokens=st.integers(1, 300))
def test_log_softmax_sums_to_one_and_keeps_rows_apart(seed: int, rows: int, tokens: int) -> None:
    logits = np.random.default_rng(seed).normal(0, 30, (rows, tokens))
    log_p = log_softmax(logits)
    np.testing.assert_allclose(np.exp(log_p).sum(axis=1), 1, atol=1e-12)
    for row in range(rows):
        np.testing.assert_array_equal(log_softmax(logits[row : row + 1])[0], log_p[row])
        np.testing.assert_array_equal(log_softmax(logits[row]), log_p[row])


@pytest.mark.parametrize(
    ("values", "line"),
    [
        (np.zeros(3), "x has shape (3,), expected [rows, V] = (2, any): give one row of V scores each"),
        (
            np.zeros((3, 2)),
            "x has shape (3, 2), expected [rows, V] = (2, any): give one row of V scores each",
        ),
        (
            np.zeros((2, 0)),
            "x has shape (2, 0), expected [rows, V] = (2, any): give one row of V scores each",
        ),
        (
            np.full((2, 1), np.nan),
            "x holds nan, expected log-probabilities of at most 0: pass log_softmax(logits)",
        ),
        (
            np.ones((2, 1)),
            "x holds 1, expected log-probabilities of at most 0: pass log_softmax(logits)",
        ),
    ],
)
def test_error_lines(values: np.ndarray, line: str) -> None:
    with pytest.raises(ShapeError, match=f"^{re.escape(line)}$"):
        check_log_probabilities("x", values, 2)


def test_rounding_above_zero_is_cut() -> None:
    assert check_log_probabilities("x", [[1e-7, -1.0]], None).tolist() == [[0.0, -1.0]]
    assert check_log_probabilities("x", np.zeros((0, 3)), None).shape == (0, 3)
