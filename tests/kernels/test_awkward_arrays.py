"""Arrays that lie off the beginning of their numbers, inputs without features, sequences without steps, gates at infinity."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from congru import ops
from congru.errors import ShapeError
from congru.kernels import binding
from congru.kernels.dense import dense
from congru.kernels.packed import pack
from faults import differential

native = pytest.mark.skipif(binding._CORE is None, reason=f"no C core: {binding._REASON}")


def unaligned(array):
    """The same values one byte off where their kind of number lies."""
    raw = np.zeros(array.nbytes + array.itemsize + 1, np.uint8)
    moved = raw[1 : 1 + array.nbytes].view(array.dtype).reshape(array.shape)
    moved[...] = array
    assert not moved.flags.aligned
    return moved


def weights(num_gates=3, I=5, H=4, dtype="float32"):
    random = np.random.default_rng(0)
    shapes = ((num_gates * H, I), (num_gates * H, H), (num_gates * H,), (num_gates * H,))
    return [(0.5 * random.standard_normal(shape)).astype(dtype) for shape in shapes]


@native
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_arrays_off_the_beginning_of_their_numbers(dtype):
    random = np.random.default_rng(1)
    own = weights(4, dtype=dtype)
    x, state = (
        random.standard_normal((3, 6, 5)).astype(dtype),
        [random.uniform(-1, 1, (3, 4)).astype(dtype)] * 2,
    )
    lengths = np.array([6, 2, 4])
    moved = [unaligned(part) for part in own]
    call = {"backend": "native", "lengths": lengths}
    expected = ops.sequence("lstm", x, tuple(state), own, **call)
    found = ops.sequence(
        "lstm",
        unaligned(x),
        tuple(map(unaligned, state)),
        moved,
        backend="native",
        lengths=unaligned(lengths),
    )
    np.testing.assert_array_equal(found[0], expected[0])
    packed = pack("lstm", moved)
    y, final, _ = packed.sequence(unaligned(x), tuple(map(unaligned, state)), lengths=unaligned(lengths))
    np.testing.assert_array_equal(y, expected[0])
    np.testing.assert_array_equal(final[1], expected[1][1])
    stepper = packed.stepper(3, tuple(map(unaligned, state)))
    np.testing.assert_array_equal(stepper.step(np.ascontiguousarray(x[:, 0])), expected[0][:, 0])
    with pytest.raises(ShapeError, match=r"pass np.require\(x, dtype, 'CA'\) of \[B, I\]"):
        stepper.step(unaligned(np.ascontiguousarray(x[:, 0])))
    with pytest.raises(ShapeError, match=r"x has shape \(3, 4\) .* expected a contiguous"):
        stepper.step(np.zeros((3, 4), dtype))
    layer = dense(unaligned(own[0]), unaligned(own[2]))
    np.testing.assert_array_equal(layer(x), dense(own[0], own[2])(x))


@native
def test_tensors_off_the_beginning_of_their_numbers():
    own = weights()
    x = np.random.default_rng(1).standard_normal((3, 6, 5)).astype("float32")
    y = ops.sequence("gru", torch.from_numpy(x), None, tuple(map(torch.from_numpy, own)), backend="native")[0]
    moved = [torch.from_numpy(unaligned(part)) for part in (x, *own)]
    again = ops.sequence("gru", moved[0], None, tuple(moved[1:]), backend="native")[0]
    assert torch.equal(again, y)
    leaves = [part.requires_grad_() for part in moved[1:]]
    ops.sequence("gru", moved[0], None, tuple(leaves), backend="native")[0].sum().backward()
    assert all(leaf.grad is not None and torch.isfinite(leaf.grad).all() for leaf in leaves)


@native
def test_the_sigmoid_of_minus_infinity_is_zero():
    for dtype in ("float32", "float64"):
        x = np.array([-np.inf, -1e4, 0, np.inf, np.nan], dtype)
        assert binding.extension().sigmoid(x)[[0, 2, 3]].tolist() == [0.0, 0.5, 1.0]
        assert np.isnan(binding.extension().sigmoid(x)[4])


@pytest.mark.parametrize("backend", ["native", "composite"])
def test_heads_without_input_features(backend):
    own = [torch.from_numpy(part).requires_grad_() for part in weights(I=0)]
    own[1] = torch.from_numpy(weights(I=0)[1][:, :2].copy()).requires_grad_()
    y, _, _ = ops.sequence("gru", torch.zeros(2, 3, 0), None, tuple(own), num_heads=2, backend=backend)
    y.sum().backward()
    assert y.shape == (2, 3, 4)
    assert own[1].grad is not None


@pytest.mark.parametrize("backend", ["native", "composite"])
def test_a_sequence_without_steps_keeps_its_graph(backend):
    own = [torch.from_numpy(part).requires_grad_() for part in weights()]
    h0 = torch.ones(2, 4, requires_grad=True)
    y, (h,), _ = ops.sequence("gru", torch.zeros(2, 0, 5), (h0,), tuple(own), backend=backend)
    (y.sum() + 3 * h.sum()).backward()
    assert torch.equal(h0.grad, torch.full((2, 4), 3.0))
    assert all(torch.equal(part.grad, torch.zeros_like(part)) for part in own)


@native
def test_random_calls_agree_with_the_equations_in_float64():
    differential.compare_all(300, longest=5).check(300)
