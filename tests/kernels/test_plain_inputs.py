"""The one-call checks of a step's input: what they let through is plainly right, everything else gets a closer look."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

TOKENS = np.array([[0, 4], [2, 1]])


@pytest.mark.parametrize(
    ("x", "axes", "right"),
    [
        (TOKENS, 2, True),
        (TOKENS[0], 1, True),
        (np.int64(3), 0, True),
        (TOKENS[:0], 2, True),
        (TOKENS, 1, False),
        (TOKENS + 1, 2, False),
        (TOKENS - 1, 2, False),
        (TOKENS[:, 0], 1, False),
        (TOKENS.astype(np.int32), 2, False),
        (TOKENS.astype(np.uint64), 2, False),
        (TOKENS.astype(float), 2, False),
        ([[0, 1]], 2, False),
        (None, 0, False),
    ],
)
def test_tokens(core: Any, x: Any, axes: int, right: bool) -> None:
    assert core.are_tokens(x, axes, 5) is right


@pytest.mark.parametrize(
    ("x", "right"),
    [
        (np.ones(3, np.float32), True),
        (np.ones(4, np.float32), False),
        (np.ones((1, 3), np.float32), False),
        (np.ones(3), False),
        (np.ones(6, np.float32)[::2], False),
        (np.float32([1, np.nan, 2]), False),
        (np.float32([1, 2, np.inf]), False),
        ([1.0, 2.0, 3.0], False),
    ],
)
def test_rows(core: Any, x: Any, right: bool) -> None:
    assert core.is_row(x, 3) is right


def test_wrong_calls(core: Any) -> None:
    with pytest.raises(TypeError, match="are_tokens takes 3 arguments"):
        core.are_tokens(TOKENS, 2)
    with pytest.raises(TypeError):
        core.are_tokens(TOKENS, "2", 5)
