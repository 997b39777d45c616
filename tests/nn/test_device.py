"""The layers on one device through the default door, each equal to float64 on the CPU within the table of tolerances.

On the CPU as part of every run; on a card by the same lines:

    CONGRU_TEST_DEVICE=cuda pytest tests/nn/test_device.py tests/train/test_on_a_device.py

Products of float32 are exact there: tf32 is off.
"""

from __future__ import annotations

import copy
import os

import pytest
import torch

from congru import nn
from tolerances import assert_close, seeds

DEVICE = os.environ.get("CONGRU_TEST_DEVICE", "cpu")
LAYERS = {
    "GRU": (nn.GRU, {}),
    "GRU before": (nn.GRU, {"reset_before": True}),
    "GRU norm": (nn.GRU, {"layer_norm": True}),
    "GRU dreamer": (nn.GRU, {"layer_norm": "dreamer"}),
    "GRU heads": (nn.GRU, {"num_heads": 2}),
    "LSTM": (nn.LSTM, {}),
    "LSTM norm": (nn.LSTM, {"layer_norm": True}),
    "RNN": (nn.RNN, {}),
    "MinGRU": (nn.MinGRU, {}),
}
CALLS = ("plain", "flags", "mask", "packed")
every_layer = pytest.mark.parametrize("name", LAYERS)


@pytest.fixture(autouse=True)
def exact_products():
    """No tf32, in the products of cuBLAS and of cuDNN."""
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("highest")
    # Not by assignment: torch's own test cases, once imported, forbid that.
    with torch.backends.cudnn.flags(enabled=True, allow_tf32=False):
        yield
    torch.set_float32_matmul_precision(before)


def make(name, seed=0, **more):
    """A layer in float64 on the CPU with random weights, gains and starts."""
    torch.manual_seed(seed)
    kind, options = LAYERS[name]
    layer = kind(3, 6, **options, **more).double()
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    return layer


def call_of(kind, dtype, device):
    """The input and keywords of a kind of call, B = 4, T = 7."""
    draw = torch.Generator().manual_seed(1)
    x = torch.randn(4, 7, 3, generator=draw, dtype=torch.float64).to(device, dtype)
    lengths = torch.tensor([7, 0, 3, 5], device=device)
    if kind == "flags":
        reset = (torch.rand(4, 7, generator=draw) < 0.3).to(device)
        return x, {"lengths": lengths, "reset": reset, "return_states": True}
    if kind == "mask":
        return x, {"mask": (torch.rand(4, 7, generator=draw) < 0.6).to(device)}
    if kind == "packed":
        packed = torch.nn.utils.rnn.pack_padded_sequence(
            x, torch.tensor([7, 1, 3, 5]), batch_first=True, enforce_sorted=False
        )
        return packed, {}
    return x, {}


def tensors_in(results):
    """All tensors of nested results, in order."""
    if isinstance(results, torch.Tensor):
        return [results]
    if isinstance(results, torch.nn.utils.rnn.PackedSequence):
        return [results.data]
    return [part for each in results if each is not None for part in tensors_in(each)]


def run(layer, x, **keywords):
    """Every result and the gradient of every parameter, as float64 on the CPU; all were where the layer is."""
    device = layer._first_weight().device.type
    results = tensors_in(layer(x, **keywords))
    loss = sum(
        (part.double() * torch.cos(torch.arange(part.numel(), device=part.device)).view(part.shape)).sum()
        for part in results
    )
    gradients = torch.autograd.grad(loss, list(layer.parameters()))
    assert all(part.device.type == device for part in (*results, *gradients))
    return [[part.detach().double().cpu() for part in group] for group in (results, gradients)]


def compare(actual, expected, dtype, normed):
    """Results and gradients within their rows of the table."""
    kind = str(dtype).removeprefix("torch.") + (", layer norm" if normed else "")
    for what, one, two in zip(("results", "gradients"), actual, expected):
        if normed and dtype != torch.float32 and what == "gradients":
            continue  # a norm of few units in 8 bits has no gradient to compare with
        for a, b in zip(one, two, strict=True):
            assert_close(f"device, {what}, {kind}", a, b)


def is_normed(name):
    return "norm" in name or "dreamer" in name


@pytest.mark.parametrize("seed", seeds())
@pytest.mark.parametrize("kind", CALLS)
@every_layer
def test_float32(name, kind, seed):
    layer = make(name, seed, num_layers=2, bidirectional=True, batch_first=True, learn_h0=True)
    x, keywords = call_of(kind, torch.float64, "cpu")
    expected = run(layer, x, **keywords, return_gates=True)
    x, keywords = call_of(kind, torch.float32, DEVICE)
    actual = run(copy.deepcopy(layer).to(DEVICE, torch.float32), x, **keywords, return_gates=True)
    compare(actual, expected, torch.float32, is_normed(name))


@pytest.mark.parametrize("seed", seeds())
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=str)
@pytest.mark.parametrize("kind", ["plain", "flags"])
@every_layer
def test_half_precision(name, kind, dtype, seed):
    layer = make(name, seed, batch_first=True)
    rounded = copy.deepcopy(layer).to(dtype)
    x, keywords = call_of(kind, dtype, "cpu")
    expected = run(copy.deepcopy(rounded).double(), x.double(), **keywords)
    x, keywords = call_of(kind, dtype, DEVICE)
    compare(run(rounded.to(DEVICE), x, **keywords), expected, dtype, is_normed(name))


@pytest.mark.parametrize("kind", ["plain", "flags"])
@pytest.mark.parametrize("name", ["GRU", "GRU norm", "LSTM", "MinGRU"])
def test_masks_of_dropout_and_zoneout_and_recompute(name, kind):
    """What is drawn differs between devices; the two ways of the same device draw alike."""
    options = {"input_dropout": 0.3} | (
        {} if name == "MinGRU" else {"zoneout": 0.2, "recurrent_dropout": 0.3}
    )
    layer = make(name, batch_first=True, **options).to(DEVICE)
    x, keywords = call_of(kind, torch.float64, DEVICE)
    runs = []
    for recompute in (False, True):
        layer.recompute = recompute
        torch.manual_seed(3)
        runs.append(run(layer, x, **keywords))
    for one, two in zip(*runs):
        for a, b in zip(one, two):
            assert_close("composite gradients, float64", a, b)


@pytest.mark.parametrize("kind", ["plain", "flags"])
@every_layer
def test_second_derivatives(name, kind):
    seconds = []
    for device in ("cpu", DEVICE):
        layer = make(name, batch_first=True, backend="composite").to(device)
        x, keywords = call_of(kind, torch.float64, device)
        y = layer(x, **keywords)[0]
        first = torch.autograd.grad(y.square().sum(), list(layer.parameters()), create_graph=True)
        loss = sum(part.square().sum() for part in first)
        seconds.append([part.cpu() for part in torch.autograd.grad(loss, list(layer.parameters()))])
    for a, b in zip(*seconds):
        assert_close("composite gradients, float64", a / b.abs().max(), b / b.abs().max())


@every_layer
def test_autocast(name):
    layer = make(name, batch_first=True)
    x, keywords = call_of("flags", torch.float64, "cpu")
    expected = run(layer, x, **keywords)
    x, keywords = call_of("flags", torch.float32, DEVICE)
    layer = layer.to(DEVICE, torch.float32)
    with torch.autocast(DEVICE, torch.bfloat16):
        results = tensors_in(layer(x, **keywords))
    assert all(part.dtype == torch.float32 for part in results)
    row = "device, results, bfloat16" + (", layer norm" if is_normed(name) else "")
    for a, b in zip(results, expected[0]):
        assert_close(row, a.detach().cpu(), b)


@every_layer
def test_the_same_call_has_the_same_gradients(name):
    layer = make(name, num_layers=2, batch_first=True).to(DEVICE, torch.float32)
    x, keywords = call_of("flags", torch.float32, DEVICE)
    one, two = run(layer, x, **keywords), run(layer, x, **keywords)
    assert all(torch.equal(a, b) for a, b in zip(one[0] + one[1], two[0] + two[1]))


@pytest.mark.parametrize("kind", ["plain", "flags"])
@pytest.mark.parametrize("name", ["GRU", "LSTM", "MinGRU"])
def test_compiled_and_exported(name, kind):
    layer = make(name, batch_first=True).to(DEVICE, torch.float32)
    x, keywords = call_of(kind, torch.float32, DEVICE)
    with torch.no_grad():
        whole = tensors_in(layer(x, **keywords))
        # The layer is not the outermost module: its own __call__ decides how it is traced.
        compiled = tensors_in(torch.compile(layer, backend="aot_eager")(x, **keywords))
        exported = torch.export.export(layer, (x,), keywords).module()
        for a, b, c in zip(whole, compiled, tensors_in(exported(x, **keywords))):
            assert_close("device, results, float32", b.cpu(), a.cpu())
            assert_close("device, results, float32", c.cpu(), a.cpu())


@pytest.mark.parametrize("name", ["GRU", "GRU norm", "LSTM", "MinGRU"])
def test_a_few_steps_of_training_agree(name):
    losses = []
    for device, dtype in (("cpu", torch.float64), (DEVICE, torch.float32)):
        layer = make(name, batch_first=True).to(device, dtype)
        optimizer = torch.optim.SGD(layer.parameters(), lr=0.05)
        x, keywords = call_of("flags", dtype, device)
        for _ in range(5):
            loss = layer(x, **keywords)[0].square().mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        losses.append(loss.detach().cpu())
    assert_close("device, results, float32, layer norm", losses[1], losses[0])


def test_saved_on_one_device_and_loaded_on_another(tmp_path):
    layer = make("GRU", batch_first=True).to(DEVICE, torch.float32)
    torch.save(layer.state_dict(), tmp_path / "weights.pt")
    other = nn.GRU(3, 6, batch_first=True)
    other.load_state_dict(torch.load(tmp_path / "weights.pt", map_location="cpu", weights_only=True))
    x, _ = call_of("plain", torch.float32, DEVICE)
    assert_close("device, results, float32", layer(x)[0].detach().cpu(), other(x.cpu())[0].detach())


@pytest.mark.skipif(DEVICE == "cpu", reason="CONGRU_TEST_DEVICE names no other device")
def test_arguments_on_two_devices_are_one_line():
    layer = make("GRU", batch_first=True).to(DEVICE, torch.float32)
    with pytest.raises(ValueError, match=r"expected .*, move it with|is on cpu, expected"):
        layer(torch.zeros(1, 2, 3))


@pytest.mark.parametrize("kind", ["plain", "flags", "mask"])
@pytest.mark.parametrize("recompute", [False, True])
@every_layer
def test_no_tensor_of_a_call_is_elsewhere_and_no_value_is_read(name, recompute, kind):
    """On "meta", which has no values and joins no other device: what is an error there is an error, or a wait, on a card."""
    options = {"input_dropout": 0.3, "dropout": 0.2, "learn_h0": True, "recompute": recompute}
    options |= {} if name == "MinGRU" else {"zoneout": 0.2, "recurrent_dropout": 0.3}
    layer = make(name, num_layers=2, bidirectional=True, batch_first=True, **options).to("meta")
    x, keywords = call_of(kind, torch.float64, "cpu")
    keywords = {
        key: part.to("meta") if isinstance(part, torch.Tensor) else part for key, part in keywords.items()
    }
    results = tensors_in(layer(x.to("meta").requires_grad_(), **keywords, return_gates=True))
    gradients = torch.autograd.grad(sum(part.sum() for part in results), list(layer.parameters()))
    assert all(part.is_meta for part in (*results, *gradients))


@pytest.mark.parametrize("name", ["GRU", "LSTM", "RNN", "MinGRU"])
def test_no_tensor_of_one_step_is_elsewhere(name):
    cell = getattr(nn, f"{name}Cell")(3, 6, device="meta")
    results = tensors_in(cell(torch.zeros(4, 3, device="meta")))
    assert all(part.is_meta for part in results)
