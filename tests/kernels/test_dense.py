"""Dense layers and the functions of rows: right, and the same bits for any batch, chunking and layout."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from congru.errors import ShapeError
from congru.kernels import binding, dense, rows
from tolerances import assert_close

pytestmark = pytest.mark.skipif(binding._CORE is None, reason=f"no C core: {binding._REASON}")
ISAS = ("avx512", "avx2", "baseline")
FUNCTIONS: dict[str, Any] = {
    "softmax": rows.softmax,
    "log_softmax": rows.log_softmax,
    "sigmoid": rows.sigmoid,
    "tanh": rows.tanh,
    "layer_norm": lambda x, **out: rows.layer_norm(x, None, None, **out),
}


def draw(*shape: int, dtype: Any = np.float32) -> np.ndarray:
    return np.random.default_rng(shape).standard_normal(shape).astype(dtype)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("isa", ISAS)
def test_dense_has_the_bits_of_a_row_alone(core: Any, isa: str, dtype: Any) -> None:
    if not core.set_isa(isa):
        pytest.skip(f"this processor has no {isa}")
    for N, F, O in ((600, 20, 65), (5, 128, 7), (3, 1, 1), (64, 33, 200)):
        weight, bias, x = draw(O, F, dtype=dtype), draw(O, dtype=dtype), draw(N, F, dtype=dtype)
        core.set_isa(isa)
        layer = dense.dense(weight, bias)
        y = layer(x)
        expected = x.astype(float) @ weight.T.astype(float) + bias
        assert_close("core dense, float32", y, expected)
        np.testing.assert_array_equal([layer(row) for row in x[:70]], y[:70])
        np.testing.assert_array_equal(np.concatenate([layer(x[:3]), layer(x[3:])]), y)
        wide = np.zeros((N, 2, F + 3), dtype)
        wide[:, 1, 2:-1] = x
        np.testing.assert_array_equal(layer(wide[:, 1, 2:-1]), y)
        three_axes = wide.reshape(1, N, 2, F + 3)[:, :, 1:, 2:-1]
        np.testing.assert_array_equal(layer(three_axes)[0, :, 0], y)
        np.testing.assert_array_equal(layer(x[::-1]), y[::-1])
        backwards = np.asfortranarray(np.stack([x, x], 1).transpose(2, 1, 0)).transpose(2, 1, 0)
        np.testing.assert_array_equal(layer(np.ascontiguousarray(backwards))[:, 1], y)
        out = np.empty_like(y)
        assert layer(x, out=out) is out
        np.testing.assert_array_equal(out, y)
        for threads in (-2, -3):
            core.set_threads(threads)
            np.testing.assert_array_equal(layer(x), y)
            np.testing.assert_array_equal(layer(x[:2]), y[:2])
        core.set_threads(1)
        assert layer(x[:0]).shape == (0, O)
        assert layer(np.zeros((4, 0, F), dtype)).shape == (4, 0, O)


def test_avx2_gives_the_bits_of_avx512(core: Any) -> None:
    if not {"avx2", "avx512"} <= set(core.isas()):
        pytest.skip("this processor has not both")
    x, weight, gain = draw(9, 77), draw(45, 77), draw(77)
    found = []
    for isa in ("avx2", "avx512"):
        core.set_isa(isa)
        one = [dense.dense(weight)(x), rows.layer_norm(x, gain, gain), *(f(x) for f in FUNCTIONS.values())]
        found.append([part.tobytes() for part in one])
    assert found[0] == found[1]


def test_dense_without_bias_without_inputs_and_with_nan() -> None:
    layer = dense.dense(np.zeros((3, 0), "f"), np.arange(3, dtype="f"))
    np.testing.assert_array_equal(layer(np.zeros((2, 0), "f")), [[0, 1, 2], [0, 1, 2]])
    weight = draw(4, 3)
    x = np.array([[1, np.nan, 2], [1, 2, 3]], "f")
    y = dense.dense(weight)(x)
    assert np.isnan(y[0]).all()
    assert np.isfinite(y[1]).all()


def test_dense_refuses_what_does_not_fit() -> None:
    for weight, bias, message in (
        (np.ones(3, "f"), None, r"weight has shape \(3,\), expected \[O, F\] = \(any, any\)"),
        (np.ones((2, 3), int), None, "weight has dtype int64, expected float32 or float64: convert it"),
        (np.ones((2, 3), "f"), np.ones(3, "f"), r"bias has shape \(3,\), expected \[O\] = \(2,\)"),
        (np.ones((2, 3), "f"), np.ones(2), "bias has dtype float64, expected float32 as weight: convert it"),
    ):
        with pytest.raises(ShapeError, match=message):
            dense.dense(weight, bias)
    layer, x = dense.dense(np.ones((2, 3), "f")), np.ones((4, 3), "f")
    expected = r"expected a last axis of F = 3, in float32: pass np.require\(x, dtype, 'CA'\)"
    for wrong, shown in (
        (x[:, :2], r"\(4, 2\) and dtype float32"),
        (x.astype(float), r"\(4, 3\) and dtype float64"),
        (np.ones((4, 6), "f")[:, ::2], r"\(4, 3\) and dtype float32"),
        (np.float32(1), r"\(\) and dtype float32"),
        ([1.0, 2.0, 3.0], "None and dtype None"),
    ):
        with pytest.raises(ShapeError, match=f"x has shape {shown}, {expected}"):
            layer(wrong)
    for out in (np.empty((4, 3), "f"), np.empty((4, 2)), np.empty((2, 4), "f").T):
        with pytest.raises(
            ShapeError, match=r"out has shape .*, expected a writable, contiguous array of the result"
        ):
            layer(x, out=out)
    with pytest.raises(TypeError, match="to is no argument, expected out"):
        layer(x, to=x)  # type: ignore[call-arg]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", FUNCTIONS)
def test_functions_of_rows(name: str, dtype: Any) -> None:
    function, x = FUNCTIONS[name], 3 * draw(6, 4, 37, dtype=dtype)
    tensor = torch.from_numpy(x).double()
    expected = {
        "softmax": lambda: tensor.softmax(-1),
        "log_softmax": lambda: tensor.log_softmax(-1),
        "sigmoid": tensor.sigmoid,
        "tanh": tensor.tanh,
        "layer_norm": lambda: torch.nn.functional.layer_norm(tensor, (37,)),
    }[name]()
    y = function(x)
    assert y.dtype == dtype
    assert_close("core row norm, float32", y, expected.numpy())
    np.testing.assert_array_equal(
        np.stack([function(part[i]) for part in x for i in range(4)]), y.reshape(24, 37)
    )
    out = x.copy()
    assert function(out, out=out) is out
    np.testing.assert_array_equal(out, y)
    assert function(x[:0]).shape == (0, 4, 37)
    assert function(x[..., :0].copy()).shape == (6, 4, 0)
    for value in (100.0, -100.0):
        assert np.isfinite(function(np.full(3, value, dtype))).all()
    assert np.isnan(function(np.array([1.0, np.nan], dtype))[1])
    large = np.broadcast_to(x[0, 0], (2000, 37)).copy()  # runs without the lock
    np.testing.assert_array_equal(function(large)[1999], y[0, 0])


def test_layer_norm_with_gain_and_bias_and_what_does_not_fit() -> None:
    x, gain, bias = draw(5, 19), draw(19), draw(19) + 1
    expected = torch.nn.functional.layer_norm(
        *(
            torch.from_numpy(x).double(),
            (19,),
            torch.from_numpy(gain).double(),
            torch.from_numpy(bias).double(),
        )
    )
    assert_close("core row norm, float32", rows.layer_norm(x, gain, bias), expected.numpy())
    only = rows.layer_norm(x, None, bias) - bias
    assert_close("core row norm, float32", only, rows.layer_norm(x, None, None))
    with pytest.raises(
        ShapeError, match=r"x has shape \(5, 18\) .*, expected a contiguous last axis of F = 19"
    ):
        rows.layer_norm(x[:, :18].copy(), gain, bias)
    with pytest.raises(ShapeError, match=r"bias has shape \(18,\) and .*, expected a contiguous vector"):
        rows.layer_norm(x, gain, bias[:18])
    with pytest.raises(ShapeError, match=r"x has shape .*, expected a contiguous array of at least one axis"):
        rows.softmax(x[:, ::2])
    with pytest.raises(ShapeError, match=r"x has shape \(3,\) and dtype int64, expected a contiguous array"):
        rows.sigmoid(np.arange(3))
