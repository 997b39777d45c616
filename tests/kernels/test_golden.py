"""Golden cases of the options through every backend, on NumPy arrays and on tensors, in float64."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from congru import ops
from congru.errors import BackendError
from congru.kernels import native
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


def in_the_core(path):
    """Whether the core of this build has the case; test_options.py says which calls it must have."""
    positional, given, _ = arguments(path, np.asarray)
    try:
        return "runs on 'native'" in ops.explain(*positional, **given, backend="native")
    except BackendError:
        return False


@pytest.mark.skipif(native._CORE is None, reason=f"no C core: {native._REASON}")
@pytest.mark.parametrize(
    "path", [path for path in OPTION_PATHS if in_the_core(path)], ids=lambda path: path.stem
)
def test_native(path):
    check(path, "native", np.asarray)
    check(path, "native", torch.tensor)


@pytest.mark.skipif(native._CORE is None, reason=f"no C core: {native._REASON}")
def test_the_core_has_most_cases():
    names = {path.stem for path in OPTION_PATHS if in_the_core(path)}
    assert names >= {
        "option_gru_layer_norm_after",
        "option_gru_layer_norm_heads",
        "option_gru_zoneout_drawn",
        "option_gru_zoneout_expected",
        "option_gru_heads",
    }
