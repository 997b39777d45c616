"""Golden cases of the options through every backend, on NumPy arrays and on tensors, in float64."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from congru import ops
from congru.kernels import binding
from golden.case_file import load
from golden.check import OPTION_PATHS, option_call
from tolerances import assert_close


def arguments(path, convert):
    """The positional and keyword arguments of `ops.sequence`, and the case."""
    case = load(path)
    weights, state, given = option_call(case)

    def converted(value):
        if isinstance(value, tuple):
            return tuple(map(converted, value))
        return convert(value.astype(np.float64)) if isinstance(value, np.ndarray) else value

    given = {name: converted(value) for name, value in given.items()}
    return (case.about["cell"], *map(converted, (case.x, state, weights))), given, case


def check(path, backend, convert):
    positional, given, case = arguments(path, convert)
    y, final, _ = ops.sequence(*positional, **given, backend=backend)
    assert_close("golden", y, case.y, "y")
    for part, expected in zip(final, case.final, strict=True):
        assert_close("golden", part, expected[0], "final state")


@pytest.mark.parametrize("path", OPTION_PATHS, ids=lambda path: path.stem)
def test_reference_and_composite(path):
    check(path, "reference", np.asarray)
    check(path, "composite", torch.tensor)


@pytest.mark.skipif(binding._CORE is None, reason=f"no C core: {binding._REASON}")
@pytest.mark.parametrize("path", OPTION_PATHS, ids=lambda path: path.stem)
def test_native(path):
    check(path, "native", np.asarray)
    check(path, "native", torch.tensor)
