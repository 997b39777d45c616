"""Layers on the C core in everything that torch does with a module; each equals the same layer on `composite`."""

from __future__ import annotations

import copy
import pickle
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch.nn.utils import parametrizations, prune

from congru import nn
from congru.errors import BackendError, SettingsError
from congru.kernels import binding
from tolerances import assert_close

pytestmark = pytest.mark.skipif(binding._CORE is None, reason=f"no C core: {binding._REASON}")
LAYERS = {
    "GRU": nn.GRU,
    "GRU before": lambda *sizes, **keywords: nn.GRU(*sizes, reset_before=True, **keywords),
    "GRU layer norm": lambda *sizes, **keywords: nn.GRU(*sizes, layer_norm=True, **keywords),
    "LSTM": nn.LSTM,
    "RNN": nn.RNN,
}
every_layer = pytest.mark.parametrize("name", LAYERS)
ROW = "composite gradients, float64"


@pytest.fixture(autouse=True)
def seed():
    torch.manual_seed(0)


def parts(h):
    return h if isinstance(h, tuple) else (h,)


def pair(name, num_layers=2, **keywords):
    """The layer on the core and on composite, in float64, with the same weights."""
    keywords = {"bidirectional": True, "batch_first": True, "dtype": torch.float64, **keywords}
    layer = LAYERS[name](3, 5, num_layers, backend="native", **keywords)
    other = copy.deepcopy(layer)
    other.backend = "composite"
    return layer, other


def inputs(B=4, T=6):
    x = torch.randn(B, T, 3, dtype=torch.float64, requires_grad=True)
    lengths = torch.tensor([T, 0, 1, T // 2, *range(B)])[:B]
    return x, {"lengths": lengths, "reset": torch.rand(B, T) < 0.3}


def results_and_gradients(call, module, x, **options):
    y, h, *gates = call(x, **options)
    loss = y.sin().sum() + sum(part.cos().sum() for part in (*parts(h), *gates))
    return [y, *parts(h), *gates, *torch.autograd.grad(loss, [x, *module.parameters()])]


def agree(found, expected, row=ROW):
    assert len(found) == len(expected)
    for a, b in zip(found, expected):
        assert_close(row, a.detach(), b.detach())


# aot_eager traces all that eager does, and the backward pass.
@pytest.mark.parametrize(("name", "backend"), [("GRU", "eager"), *((name, "aot_eager") for name in LAYERS)])
def test_torch_compile_makes_one_graph_forward_and_backward(name, backend):
    torch._dynamo.reset()
    layer, other = pair(name)
    x, options = inputs()
    compiled = torch.compile(layer, backend=backend, fullgraph=True)
    for given in ({}, {**options, "return_gates": True}):
        found = results_and_gradients(compiled, layer, x, **given)
        agree(found, results_and_gradients(other, other, x, **given))
    with torch.no_grad():
        agree(compiled(x)[:1], other(x)[:1])
    assert torch._dynamo.explain(layer)(x).graph_break_count == 0


@every_layer
def test_torch_compile_takes_other_sizes_of_batch_and_time(name):
    torch._dynamo.reset()
    layer, other = pair(name, num_layers=1)
    compiled = torch.compile(layer, backend="aot_eager", fullgraph=True, dynamic=True)
    with torch._dynamo.config.patch(error_on_recompile=True):
        for B, T in ((4, 6), (5, 9), (7, 3)):
            x, _ = inputs(B, T)
            agree(results_and_gradients(compiled, layer, x), results_and_gradients(other, other, x))


@pytest.mark.parametrize("frozen", [False, True])
@every_layer
def test_torch_export_with_dynamic_batch_and_time(name, frozen):
    layer, other = pair(name)
    layer.requires_grad_(not frozen)
    B, T = torch.export.Dim("B"), torch.export.Dim("T")
    x, reset = torch.randn(4, 6, 3).double(), torch.rand(4, 6) < 0.3
    shapes = {"input": {0: B, 1: T}, "reset": {0: B, 1: T}}
    exported = torch.export.export(layer, (x,), {"reset": reset}, dynamic_shapes=shapes)
    assert "congru.forward" in exported.graph_module.code
    for sizes in ((4, 6), (1, 1), (7, 19)):
        x, reset = torch.randn(*sizes, 3).double(), torch.rand(*sizes) < 0.3
        found, expected = exported.module()(x, reset=reset), other(x, reset=reset)
        agree([found[0], *parts(found[1])], [expected[0], *parts(expected[1])])


@every_layer
def test_gradients_of_every_sample(name):
    layer, other = pair(name)
    x, _ = inputs()
    x = x.detach()

    def each(module):
        def loss(weights, row):
            return torch.func.functional_call(module, weights, (row,))[0].square().sum()

        weights = {key: value.detach() for key, value in module.named_parameters()}
        return torch.func.vmap(torch.func.grad(loss), (None, 0))(weights, x)

    agree(each(layer).values(), each(other).values())


@every_layer
def test_vmap_over_models(name):
    """An ensemble: torch.func.stack_module_state maps the weights."""
    models = [pair(name)[0] for _ in range(3)]
    weights, buffers = torch.func.stack_module_state(models)
    x, _ = inputs()

    def call(weights, buffers, x):
        return torch.func.functional_call(models[0], (weights, buffers), (x,))[0]

    found = torch.func.vmap(call, (0, 0, None))(weights, buffers, x)
    for y, model in zip(found, models):
        assert torch.equal(y, model(x)[0])


@pytest.mark.filterwarnings("ignore:.*torch.jit.script. is deprecated:DeprecationWarning")
@every_layer
def test_forward_mode_and_hessian_vector_products(name):
    layer, other = pair(name)
    x, _ = inputs()
    v = torch.randn_like(x)

    def products(module):
        along = torch.func.jvp(lambda x: module(x)[0], (x.detach(),), (v,))[1]
        y, h = module(x)
        start = [x, *module.parameters()]
        loss = y.square().sum() + parts(h)[-1].sin().sum()
        first = torch.autograd.grad(loss, start, create_graph=True)
        return [along, *torch.autograd.grad(sum(part.sin().sum() for part in first), start)]

    agree(products(layer), products(other), "native, second derivatives")


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32])
@every_layer
def test_autocast_runs_in_float32_also_compiled(name, dtype):
    torch._dynamo.reset()
    layer = LAYERS[name](3, 5, 2, batch_first=True, backend="native")
    x = torch.randn(4, 6, 3).to(dtype).requires_grad_()
    expected = results_and_gradients(layer, layer, x.detach().float().requires_grad_())
    calls = [layer]
    if dtype == torch.bfloat16:
        calls.append(torch.compile(layer, backend="aot_eager", fullgraph=True))
    for call in calls:
        with torch.autocast("cpu", torch.bfloat16):
            found = results_and_gradients(call, layer, x)
        assert all(part.dtype == torch.float32 for part in (*found[:2], *found[-4:]))
        agree([*found[:2], *found[-4:]], [*expected[:2], *expected[-4:]], "torch.nn gradients, float32")


@every_layer
def test_frozen_parts_get_no_gradient_and_keep_theirs(name):
    layer, other = pair(name)
    x, _ = inputs()
    for module in (layer, other):
        module.weight_hh_l0.requires_grad_(False)
        module.weight_ih_l1_reverse.requires_grad_(False)
        module(x.detach())[0].sin().sum().backward()
    for a, b in zip(layer.parameters(), other.parameters()):
        assert (a.grad is None) == (b.grad is None) == (not a.requires_grad)
        if a.grad is not None:
            assert_close(ROW, a.grad, b.grad)
    layer.requires_grad_(False)
    assert not layer(x.detach())[0].requires_grad
    layer(x)[0].sum().backward()
    assert x.grad is not None


@pytest.mark.parametrize("sizes", [(0, 4), (3, 0), (0, 0)])
@every_layer
def test_empty_batch_and_no_steps_with_a_state_that_wants_a_gradient(name, sizes):
    layer, _ = pair(name)
    B, T = sizes
    start = [torch.randn(4, B, 5).double().requires_grad_() for _ in range(2 if name == "LSTM" else 1)]
    y, h = layer(torch.randn(B, T, 3).double(), tuple(start) if name == "LSTM" else start[0])
    assert y.shape == (B, T, 10)
    gradients = torch.autograd.grad(y.sum() + sum(part.square().sum() for part in parts(h)), start)
    for gradient, part in zip(gradients, start):
        assert torch.equal(gradient, 2 * part)


@pytest.mark.parametrize("learn_h0", [False, True])
@every_layer
def test_a_state_that_wants_a_gradient_gets_it(name, learn_h0):
    layer, other = pair(name, learn_h0=learn_h0)
    x, options = inputs()
    start = [torch.randn(4, 4, 5).double().requires_grad_() for _ in range(2 if name == "LSTM" else 1)]
    wanted = [torch.randn(4, 5).double() for _ in start]
    found = []
    for module in (layer, other):
        for part, value in zip([getattr(module, key) for key in module._start_names()], wanted):
            part.data.copy_(value)
        y, h = module(x, tuple(start) if name == "LSTM" else start[0], **options)
        loss = y.sin().sum() + sum(part.sin().sum() for part in parts(h))
        targets = [*start, *(getattr(module, key) for key in module._start_names())]
        found.append(torch.autograd.grad(loss, targets))
    agree(*found)


@every_layer
def test_weight_norm_and_pruning(name):
    layer, other = pair(name)
    x, _ = inputs()
    for module in (layer, other):
        parametrizations.weight_norm(module, "weight_hh_l0")
        prune.l1_unstructured(module, "weight_ih_l0_reverse", amount=0.5)
    agree(results_and_gradients(layer, layer, x), results_and_gradients(other, other, x))
    (gradient,) = torch.autograd.grad(layer(x)[0].sum(), layer.weight_ih_l0_reverse_orig)
    assert (gradient[layer.weight_ih_l0_reverse_mask == 0] == 0).all()
    with torch.no_grad():
        before = layer(x)[0]
        layer.parametrizations.weight_hh_l0.original0.mul_(2)
    assert not torch.equal(layer(x)[0], before)


@every_layer
def test_copies_and_checkpoints(name):
    layer, _ = pair(name)
    x, _ = inputs()
    expected = layer(x)[0]
    for twin in (copy.deepcopy(layer), pickle.loads(pickle.dumps(layer))):
        assert twin.backend == "native"
        assert torch.equal(twin(x)[0], expected)
        torch.nn.init.zeros_(twin.weight_ih_l0)
        assert torch.equal(layer(x)[0], expected)
    if name not in ("GRU", "LSTM", "RNN"):
        return
    theirs = getattr(torch.nn, name)(3, 5, 2, bidirectional=True, batch_first=True, dtype=torch.float64)
    theirs.load_state_dict(layer.state_dict())
    agree([expected], [theirs(x)[0]])
    torch.nn.init.normal_(theirs.weight_hh_l1)
    layer.load_state_dict(theirs.state_dict())
    agree([layer(x)[0]], [theirs(x)[0]])


# Ends by os._exit: gloo's own threads may abort an interpreter that shuts down while the other process still talks.
DISTRIBUTED = """
import os, sys, torch
import torch.distributed as dist
from congru import nn
rank, folder = int(sys.argv[1]), sys.argv[2]
torch.set_num_threads(1)
dist.init_process_group("gloo", init_method=f"file://{folder}/store", rank=rank, world_size=2)
layers, x = torch.load(f"{folder}/start.pt", weights_only=False)
for name, layer in layers.items():
    parallel = torch.nn.parallel.DistributedDataParallel(layer)
    for _ in range(2):
        layer.zero_grad()
        parallel(x[rank::2])[0].sin().sum().backward()
    if rank == 0:
        torch.save([part.grad for part in layer.parameters()], f"{folder}/{name}.pt")
dist.barrier()
os._exit(0)
"""


def test_data_parallel_processes_average_the_gradients(tmp_path: Path):
    x, _ = inputs()
    layers = {name: pair(name)[0] for name in LAYERS}
    torch.save((layers, x.detach()), tmp_path / "start.pt")
    commands = [[sys.executable, "-c", DISTRIBUTED, str(rank), str(tmp_path)] for rank in range(2)]
    processes = [subprocess.Popen(command, stderr=subprocess.PIPE, text=True) for command in commands]
    for process in processes:
        _, errors = process.communicate(timeout=240)
        assert process.returncode == 0, errors
    for name, layer in layers.items():
        whole = torch.autograd.grad(layer(x.detach())[0].sin().sum() / 2, list(layer.parameters()))
        agree(torch.load(tmp_path / f"{name}.pt"), whole)


def saved_bytes(module, x, **options):
    """Bytes that a forward keeps for its backward, parameters and x apart."""
    known = {part.untyped_storage().data_ptr() for part in (x, *module.parameters())}
    kept = {}

    def pack(tensor):
        storage = tensor.untyped_storage()
        kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        result = module(x, **options)
    del result
    return sum(size for address, size in kept.items() if address not in known)


@pytest.mark.parametrize("options", [{}, {"lengths": torch.tensor([6, 0, 1, 3])}])
@pytest.mark.parametrize("backend", ["native", "composite", "auto"])
@every_layer
def test_recompute_gives_the_same_gradients_from_fewer_bytes(name, backend, options):
    layer, _ = pair(name)
    x, _ = inputs()
    layer.backend = backend
    expected = results_and_gradients(layer, layer, x, **options)
    before = saved_bytes(layer, x, **options)
    layer.recompute = True
    agree(results_and_gradients(layer, layer, x, **options), expected)
    after = saved_bytes(layer, x, **options)
    assert after < before or (
        name == "RNN" and backend != "composite" and after == before
    )  # the core keeps y alone
    if backend == "native":
        states = (2 if name == "LSTM" else 1) * 2 * 2 * x.shape[0] * x.shape[1] * 5 * 8
        small = 2 * 2 * 2 * x.shape[0] * 5 * 8 + 8 * 4 * x.shape[0]
        between = 10 * x.shape[0] * x.shape[1] * 8  # the first layer's output, both directions side by side
        assert saved_bytes(layer, x, **options) <= states + between + small


def test_recompute_of_mingru_keeps_its_arguments_alone():
    layer = nn.MinGRU(3, 5, 2, batch_first=True, dtype=torch.float64)
    x, options = inputs()
    expected, before = results_and_gradients(layer, layer, x, **options), saved_bytes(layer, x, **options)
    layer.recompute = True
    agree(results_and_gradients(layer, layer, x, **options), expected)
    assert saved_bytes(layer, x, **options) < before / 2


@pytest.mark.usefixtures("without_native")
def test_recompute_is_said_and_refused():
    x = torch.randn(4, 2, 3)
    assert nn.GRU(3, 5, recompute=True).extra_repr() == "3, 5, recompute=True"
    with pytest.raises(SettingsError, match="recompute is 1, expected True or False"):
        nn.GRU(3, 5, recompute=1)
    for backend, reason in {"aten": "PyTorch's kernels keep", "bptt": "it keeps"}.items():
        with pytest.raises(BackendError, match=f"{reason} the gates for the backward"):
            nn.GRU(3, 5, recompute=True, backend=backend)(x)
        with torch.no_grad():  # nothing is kept, so nothing is to be said
            assert backend != "aten" or nn.GRU(3, 5, recompute=True, backend=backend)(x)[0].shape == (4, 2, 5)
    layer = nn.GRU(3, 5, recompute=True, backend="composite")
    assert "keeps the gates" in nn.GRU(3, 5, recompute=True).explain(x)
    with pytest.raises(BackendError, match=r"torch\.func cannot compute a forward again"):
        torch.func.grad(lambda x: layer(x)[0].sum())(x)
