"""A layer follows its weights whoever changes them, and gives the same bits however a stream is cut, step by step too."""

from __future__ import annotations

import copy
import ctypes
import gc
import itertools
import os
import pickle
import sys
import threading
import weakref

import pytest
import torch
from torch.nn.utils import parametrizations, stateless

from congru import nn, ops
from congru.kernels import binding, native_plain

pytestmark = pytest.mark.skipif(binding._CORE is None, reason=f"no C core: {binding._REASON}")
I, H = 17, 65
FORMS = {
    "GRU": (nn.GRU, {}),
    "GRU before": (nn.GRU, {"reset_before": True}),
    "GRU layer norm": (nn.GRU, {"layer_norm": True}),
    "GRU dreamer": (nn.GRU, {"layer_norm": "dreamer"}),
    "GRU heads": (nn.GRU, {"num_heads": 5}),
    "GRU zoneout": (nn.GRU, {"zoneout": 0.3}),
    "GRU learned start": (nn.GRU, {"learn_h0": True}),
    "GRU without biases": (nn.GRU, {"bias": False}),
    "GRU of two layers": (nn.GRU, {"num_layers": 2}),
    "LSTM": (nn.LSTM, {}),
    "LSTM layer norm": (nn.LSTM, {"layer_norm": True}),
    "LSTM of two layers": (nn.LSTM, {"num_layers": 2}),
    "RNN": (nn.RNN, {}),
    "RNN zoneout": (nn.RNN, {"zoneout": 0.3}),
}
T = 14
CUTS = [(0, 1, 13, 14), (*range(15),), (0, 2, 4, 7, 14)]


def parts(h):
    return h if isinstance(h, tuple) else (h,)


def make(name="GRU", **changes):
    torch.manual_seed(0)
    kind, options = FORMS[name]
    layer = kind(I, H, batch_first=True, **{**options, **changes}).eval()
    for key, value in layer.named_parameters():
        if key in ("h0", "c0"):
            torch.nn.init.normal_(value)
    return layer


def in_pieces(layer, x, cuts, hx=None):
    outputs = []
    for begin, end in itertools.pairwise(cuts):
        y, hx = layer(x[:, begin:end], hx)
        outputs.append(y)
    return [torch.cat(outputs, 1), *parts(hx)]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("B", [1, 13])
@pytest.mark.parametrize("name", FORMS)
def test_the_same_bits_for_every_cutting_with_and_without_gradients(name, B, dtype):
    layer = make(name, dtype=dtype)
    x = torch.randn(B, T, I, dtype=dtype)
    count = layer.num_layers
    start = [torch.randn(count, B, H, dtype=dtype) for _ in range(2 if "LSTM" in name else 1)]
    hx = tuple(start) if len(start) == 2 else start[0]
    y, h = layer(x, hx)
    for cuts in CUTS:
        for mode in (torch.no_grad, torch.inference_mode, torch.enable_grad):
            with mode():
                found = in_pieces(layer, x, cuts, hx)
            for a, b in zip(found, [y, *parts(h)]):
                assert torch.equal(a, b), (cuts, mode)


def test_both_directions_and_rows_of_any_batch_have_the_same_bits():
    layer = make(bidirectional=True, num_layers=2)
    x = torch.randn(5, 3, I)
    with torch.no_grad():
        y, h = layer(x)
        options, _ = layer(x, lengths=torch.full((5,), 3))
        assert torch.equal(options, y)
        for row in range(5):
            alone, last = layer(x[row : row + 1])
            assert torch.equal(alone[0], y[row])
            assert torch.equal(last[:, 0], h[:, row])
            assert torch.equal(layer(x[row])[0], y[row])


def test_a_cell_has_the_bits_of_its_layer():
    layer = make()
    cell = nn.GRUCell(I, H)
    cell.load_state_dict({key.removesuffix("_l0"): value for key, value in layer.state_dict().items()})
    x, h = torch.randn(4, 6, I), torch.zeros(4, H)
    y, _ = layer(x)
    for gradient in (False, True):
        h = torch.zeros(4, H)
        with torch.set_grad_enabled(gradient):
            for t in range(6):
                h = cell(x[:, t], h)
                assert torch.equal(h, y[:, t])


def zero_one(tensor):
    tensor[3, 5] = 0


def share_with(layer):
    """The memory of weight_hh_l0 as an array of another library."""
    address = layer.weight_hh_l0.data_ptr()
    return (ctypes.c_float * layer.weight_hh_l0.numel()).from_address(address)


def by_optimizer(layer):
    layer(torch.ones(1, 2, I))[0].sum().backward()
    torch.optim.SGD(layer.parameters(), 0.1).step()


def by_fused_optimizer(layer):
    layer(torch.ones(1, 2, I))[0].sum().backward()
    torch.optim.Adam(layer.parameters(), 0.1, fused=True).step()


def in_place(layer):
    with torch.no_grad():
        layer.weight_hh_l0.add_(0.1)


def one_value_in_inference_mode(layer):
    with torch.inference_mode():
        zero_one(layer.weight_hh_l0)


def new_data_twice(layer):  # the second may lie where the first lay
    for _ in range(2):
        layer.weight_hh_l0.data = layer.weight_hh_l0.data + 0.1


def average_through_data(layer):
    for part in layer.parameters():
        part.data.mul_(0.9).add_(torch.ones_like(part.data), alpha=0.1)


def by_load_state_dict(layer, **options):
    layer.load_state_dict({key: value + 0.1 for key, value in layer.state_dict().items()}, **options)


def by_another_parameter(layer):
    layer.weight_hh_l0 = torch.nn.Parameter(layer.weight_hh_l0.detach() + 0.1)


def by_swap(layer):
    other = torch.nn.Parameter(layer.weight_hh_l0.detach() + 0.1)
    torch.utils.swap_tensors(layer.weight_hh_l0, other)


def by_apply_with_swaps(layer):
    torch.__future__.set_swap_module_params_on_conversion(True)
    try:
        layer._apply(lambda tensor: tensor + 0.1)
    finally:
        torch.__future__.set_swap_module_params_on_conversion(False)


def by_parametrization(layer):
    parametrizations.weight_norm(layer, "weight_hh_l0")
    with torch.no_grad():
        layer.parametrizations.weight_hh_l0.original0.mul_(2)


CHANGES = {
    "optimizer": by_optimizer,
    "fused optimizer": by_fused_optimizer,
    "in place": in_place,
    "one value in inference mode": one_value_in_inference_mode,
    "p.data =": new_data_twice,
    "p.data.add_": lambda layer: layer.weight_hh_l0.data.add_(0.1),
    "p.data.copy_": lambda layer: layer.weight_hh_l0.data.copy_(layer.weight_hh_l0.data * 0.5),
    "one value of p.data": lambda layer: zero_one(layer.weight_hh_l0.data),
    "clamping p.data": lambda layer: layer.weight_hh_l0.data.clamp_(-0.1, 0.1),
    "average through p.data": average_through_data,
    "bias alone": lambda layer: layer.bias_hh_l0.data.add_(0.1),
    "memory of another library": lambda layer: share_with(layer).__setitem__(7, 0.5),
    "NumPy": lambda layer: layer.weight_ih_l0.detach().numpy().__setitem__((2, 3), 0.5),
    "load_state_dict": by_load_state_dict,
    "load_state_dict, assigned": lambda layer: by_load_state_dict(layer, assign=True),
    "another parameter": by_another_parameter,
    "swap_tensors": by_swap,
    "conversion by swaps": by_apply_with_swaps,
    "parametrization": by_parametrization,
    "initialisation": lambda layer: layer.reset_parameters(),
    "another dtype and back": lambda layer: layer.to(torch.bfloat16).to(torch.float32),
}


@pytest.mark.parametrize("change", CHANGES)
def test_the_next_call_sees_every_change(change):
    layer = make()
    x = torch.randn(1, 1, I)
    h = torch.randn(1, 1, H)
    with torch.no_grad():
        before = layer(x, h)[0]
        assert torch.equal(layer(x, h)[0], before)
    CHANGES[change](layer)
    weights = tuple(getattr(layer, name).detach().clone() for name in ("weight_ih_l0", "weight_hh_l0"))
    biases = tuple(getattr(layer, name).detach().clone() for name in ("bias_ih_l0", "bias_hh_l0"))
    for mode in (torch.no_grad, torch.inference_mode):
        with mode():
            after = layer(x, h)[0]
            expected, _, _ = ops.sequence("gru", x, (h[0],), weights + biases, backend="composite")
            torch.testing.assert_close(after, expected, rtol=0, atol=1e-5)
            assert not torch.equal(after, before)


def test_weights_of_inference_mode_have_no_version_and_may_change():
    with torch.inference_mode():
        layer = make()
        x = torch.randn(1, 1, I)
        before = layer(x)[0]
        layer.weight_ih_l0.mul_(0.5)
        assert not torch.equal(layer(x)[0], before)
        layer.weight_ih_l0.mul_(2)
        assert torch.equal(layer(x)[0], before)


def test_copies_have_weights_of_their_own():
    layer, x = make(), torch.randn(1, 1, I)
    with torch.no_grad():
        before = layer(x)[0]
        for twin in (copy.deepcopy(layer), pickle.loads(pickle.dumps(layer)), copy.copy(layer)):
            assert torch.equal(twin(x)[0], before)
        twin = copy.deepcopy(layer)
        twin.weight_hh_l0.zero_()
        twin.weight_ih_l0.zero_()
        assert torch.equal(layer(x)[0], before)
        assert not torch.equal(twin(x)[0], before)


@pytest.mark.filterwarnings("ignore:.*torch.jit.script. is deprecated:DeprecationWarning")
def test_functional_calls_use_the_weights_they_are_given():
    layer, x = make(), torch.randn(1, 1, I)
    other = {key: value.detach() * 0.5 for key, value in layer.named_parameters()}
    changed = make()
    changed.load_state_dict(other)
    with torch.no_grad():
        before, expected = layer(x)[0], changed(x)[0]
        assert torch.equal(torch.func.functional_call(layer, other, (x,))[0], expected)
        with stateless._reparametrize_module(layer, other):
            assert torch.equal(layer(x)[0], expected)
        assert torch.equal(layer(x)[0], before)
        mapped = torch.func.vmap(lambda row: layer(row)[0])(x[None].expand(3, 1, 1, I))
        torch.testing.assert_close(mapped, before.expand(3, 1, 1, H), rtol=0, atol=1e-6)
        _, tangent = torch.func.jvp(lambda given: layer(given)[0], (x,), (torch.ones_like(x),))
        assert tangent.abs().sum() > 0
        low = torch.autocast("cpu", torch.bfloat16)
        with low:
            assert layer(x)[0].dtype in (torch.bfloat16, torch.float32)


@pytest.mark.parametrize("T", [1, 2])
def test_compiled_and_exported_graphs_follow_the_weights(T):
    torch._dynamo.reset()
    layer, x = make(), torch.randn(1, T, I)
    compiled = torch.compile(layer, backend="aot_eager", fullgraph=True)
    exported = torch.export.export(layer, (x,)).module()
    with torch.no_grad():
        for _ in range(2):
            expected = layer(x)[0]
            assert torch.equal(compiled(x)[0], expected)
            layer.weight_hh_l0.data.mul_(0.5)
        assert "congru.forward" in torch.export.export(layer, (x,)).graph_module.code
        assert exported(x)[0].shape == (1, T, H)


def test_a_forked_process_may_change_and_step_its_own():
    layer, x = make(), torch.randn(1, 1, I)
    with torch.no_grad():
        before = layer(x)[0]
        read, write = os.pipe()
        child = os.fork()
        if child == 0:
            same = torch.equal(layer(x)[0], before)
            layer.weight_hh_l0.data.mul_(0.5)
            layer.weight_ih_l0.data.mul_(0.5)
            os.write(write, bytes([same, not torch.equal(layer(x)[0], before)]))
            os._exit(0)
        os.close(write)
        assert os.read(read, 2) == bytes([True, True])
        os.waitpid(child, 0)
        os.close(read)
        assert torch.equal(layer(x)[0], before)


def test_many_threads_step_one_layer():
    layer = make()
    streams = [torch.randn(1, 30, I) for _ in range(8)]
    with torch.no_grad():
        expected = [layer(x)[0] for x in streams]
    results = [None] * len(streams)

    def run(number):
        with torch.inference_mode():
            results[number] = in_pieces(layer, streams[number], range(31))[0]

    threads = [threading.Thread(target=run, args=(number,)) for number in range(len(streams))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for y, whole in zip(results, expected):
        assert torch.equal(y, whole)


def test_weights_are_freed_with_the_layer_and_nothing_is_kept():
    layer, x = make(), torch.randn(1, 1, I)
    before = [sys.getrefcount(part) for part in layer.parameters()]
    with torch.no_grad():
        layer(x)
        layer(x)
    assert [sys.getrefcount(part) for part in layer.parameters()] == before
    gone = [weakref.ref(layer), *(weakref.ref(part) for part in layer.parameters())]
    del layer
    gc.collect()
    assert [ref() for ref in gone] == [None] * len(gone)


def test_a_training_step_has_the_gradients_of_composite():
    layer, x = make(), torch.randn(2, 1, I)
    other = make(backend="composite")
    found, expected = [], []
    for module, gradients in ((layer, found), (other, expected)):
        with torch.no_grad():
            module(x)
        module(x)[0].sin().sum().backward()
        gradients += [part.grad for part in module.parameters()]
    for a, b in zip(found, expected):
        torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-6)


def refused(**changes):
    """The plain call with something changed: None, so that the call takes the way with every check."""
    given = {
        "cell": "gru",
        "x": torch.zeros(1, 2, I),
        "state": (torch.zeros(1, 2, H),),
        "weights": tuple(part.detach() for part in make().parameters()),
        **changes,
    }
    return native_plain.sequence(*given.values(), False, False, False) is None


class Marked(torch.Tensor):
    pass


def test_what_is_not_plain_is_left_to_the_checked_way():
    W, U, b_i, b_h = (part.detach() for part in make().parameters())
    x, h = torch.zeros(1, 2, I), torch.zeros(1, 2, H)
    assert not refused()
    assert not refused(state=None)
    assert not refused(weights=(W, U, None, b_h))
    assert not refused(x=torch.zeros(2, 1, I).transpose(0, 1))
    assert not refused(x=torch.zeros(1, 1, I).expand(1, 2, I))
    wrong_inputs = [x[..., 1:], x.double(), x.to("meta"), x.bfloat16(), x[0], x[:0], x.to_sparse(), "x"]
    wrong_inputs += [x.as_subclass(Marked), torch.zeros(1, 2, 2 * I)[..., ::2], x.clone().requires_grad_()]
    for wrong in wrong_inputs:
        assert refused(x=wrong)
    for wrong in ((), (h, h), [h], (h[0],), (h[:, :1],), (h.double(),), (torch.zeros(2, 2, H),), (None,), h):
        assert refused(state=wrong)
    for wrong in (
        (W, U, b_i),
        [W, U, b_i, b_h],
        (W[:-1], U, b_i, b_h),
        (W, U.t().contiguous(), b_i, b_h),
        (torch.zeros(I, 3 * H).t(), U, b_i, b_h),
        (W, U, b_i[:-1], b_h),
        (W, U, b_i, torch.zeros(6 * H)[::2]),
        (W, U, b_i.double(), b_h),
        (None, U, b_i, b_h),
        (W, None, b_i, b_h),
        (W, U.clone().requires_grad_(), b_i, b_h),
    ):
        assert refused(weights=wrong)
    assert refused(cell="mingru")
    with torch.no_grad():
        assert not refused(weights=(W, U.clone().requires_grad_(), b_i, b_h))
    with torch.autocast("cpu", torch.bfloat16):  # the core computes in float32 there too
        assert not refused()
        assert refused(x=x.bfloat16())


def test_where_there_is_no_core_nothing_is_plain(monkeypatch):
    monkeypatch.setattr(binding, "_CORE", None)
    assert native_plain._load()() is None


@pytest.mark.parametrize("name", ["GRU", "LSTM", "RNN"])
def test_flat_weights_are_those_of_torch_in_its_order_and_cannot_be_set(name):
    ours, theirs = (getattr(module, name)(3, 4, 2, bidirectional=True) for module in (nn, torch.nn))
    ours.load_state_dict(theirs.state_dict())
    assert all(torch.equal(a, b) for a, b in zip(ours._flat_weights, theirs._flat_weights, strict=True))
    with pytest.raises(TypeError):
        ours._flat_weights[0] = theirs._flat_weights[0]
