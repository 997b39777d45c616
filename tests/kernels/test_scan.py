"""minGRU's parallel scan: equal to its steps at every length, long, saturated, and in its derivatives."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from cases import make_case
from congru import ops
from congru.reference import mingru
from tolerances import assert_close, seeds


def by_steps(x, h, weights):
    """The states [B, T, H] one step after the other."""
    states = []
    for t in range(x.shape[1]):
        (h,) = ops.step("mingru", x[:, t], (h,), weights, backend="composite")
        states.append(h)
    return torch.stack(states, 1)


def random_call(T, dtype=torch.float64, scale=1.0, seed=0, B=2, I=3, H=4):
    generator = torch.Generator().manual_seed(seed)
    draw = lambda *sizes: torch.randn(sizes, generator=generator, dtype=torch.float64).to(dtype)  # noqa: E731
    return draw(B, T, I), draw(B, H), (scale * draw(2 * H, I), scale * draw(2 * H))


@pytest.mark.parametrize("seed", seeds())
@pytest.mark.parametrize("T", [*range(1, 11), 16, 17, 31])
def test_scan_equals_steps_with_its_gradients(T, seed):
    x, h, weights = random_call(T, seed=seed)
    inputs = [part.requires_grad_() for part in (x, h, *weights)]
    results = []
    for states in (ops.sequence("mingru", x, (h,), weights)[0], by_steps(x, h, weights)):
        results.append([states, *torch.autograd.grad((states * states).sum(), inputs)])
    for a, b in zip(*results):
        assert_close("minGRU, scan", a.detach(), b.detach())


@pytest.mark.parametrize("seed", seeds())
@pytest.mark.parametrize("scale", [1.0, 8.0])
def test_a_thousand_steps_in_float32_stay_exact(scale, seed):
    x, h, weights = random_call(1000, torch.float32, scale, seed)
    reset = torch.rand(2, 1000, generator=torch.Generator().manual_seed(seed)) < 0.01
    inputs = [part.requires_grad_() for part in (x, h, *weights)]
    y, _, _ = ops.sequence("mingru", x, (h,), weights, reset=reset)
    arrays = [part.detach().double().numpy() for part in inputs]
    options = {"reset": reset.numpy()}
    expected, _, _ = mingru.forward(arrays[0], (arrays[1],), tuple(arrays[2:]), **options)
    assert_close("minGRU, scan, float32", y.detach(), expected)
    dy = np.full(y.shape, 1 / 1000)
    y.mul(torch.tensor(dy, dtype=torch.float32)).sum().backward()
    grads = mingru.backward(dy, None, arrays[0], (arrays[1],), tuple(arrays[2:]), **options)
    for tensor, b in zip(inputs, (grads.dx, *grads.dstate, *grads.dweights)):
        assert_close("minGRU, scan, float32", tensor.grad, b)


@pytest.mark.parametrize("start", [0.0, -3.0])
@pytest.mark.parametrize("a_z", [-100.0, 0.0, 100.0])
@pytest.mark.parametrize("a_n", [-100.0, 0.0, 100.0])
def test_constant_gates_give_the_closed_form(start, a_z, a_n):
    """With constant gates, h_t = n + z^t (h_0 - n), also at a = 0, where g has its kink."""
    T = 30
    x, h = torch.zeros(1, T, 1, dtype=torch.float64), torch.full((1, 1), start, dtype=torch.float64)
    bias = torch.tensor([a_z, a_n], dtype=torch.float64, requires_grad=True)
    y, _, _ = ops.sequence("mingru", x, (h,), (torch.ones(2, 1, dtype=torch.float64), bias))
    z = 1 / (1 + np.exp(-a_z))
    n = a_n + 0.5 if a_n >= 0 else 1 / (1 + np.exp(-a_n))
    assert_close("minGRU, scan", y[0, :, 0].detach(), n + z ** np.arange(1, T + 1) * (start - n))
    (dbias,) = torch.autograd.grad(y[0, -1, 0], bias)
    dn_da = 1.0 if a_n >= 0 else n * (1 - n)
    assert_close("minGRU, scan", dbias[1], (1 - z**T) * dn_da)


def test_only_the_states_are_kept_for_the_derivative():
    x, h, weights = random_call(50, H=8)
    gi_size = 2 * 50 * 2 * 8
    kept = []
    with torch.autograd.graph.saved_tensors_hooks(
        lambda tensor: kept.append(tensor) or tensor, lambda tensor: tensor
    ):
        ops.sequence("mingru", x, (h,), tuple(part.requires_grad_() for part in weights))
    storages = {
        tensor.untyped_storage().data_ptr(): tensor.untyped_storage().nbytes() // 8 for tensor in kept
    }
    assert sum(storages.values()) <= 1.6 * gi_size + x.numel() + 200


def test_per_sample_gradients_by_vmap():
    case = make_case("mingru", T=6)
    x, weights = torch.tensor(case.x), tuple(map(torch.tensor, case.weights))

    def loss(weights, row):
        return ops.sequence("mingru", row[None], None, weights)[0].square().sum()

    rows = torch.func.vmap(torch.func.grad(loss), in_dims=(None, 0))(weights, x)
    for b in range(len(x)):
        for a, expected in zip(rows, torch.func.grad(loss)(weights, x[b])):
            assert_close("composite gradients, float64", a[b], expected)
