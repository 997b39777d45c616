"""convert: the same results from the same parameters, and everything else that a layer holds goes along."""

from __future__ import annotations

import warnings

import pytest
import torch
from torch.nn.utils import parametrizations, prune
from torch.nn.utils.rnn import pack_sequence

from congru import nn
from congru.errors import SettingsError
from tolerances import assert_close

LAYERS = {
    "GRU": (torch.nn.GRU, {}),
    "LSTM": (torch.nn.LSTM, {}),
    "RNN": (torch.nn.RNN, {}),
    "RNN relu": (torch.nn.RNN, {"nonlinearity": "relu"}),
}
CELLS = {
    "GRUCell": (torch.nn.GRUCell, {}),
    "LSTMCell": (torch.nn.LSTMCell, {}),
    "RNNCell": (torch.nn.RNNCell, {}),
    "RNNCell relu": (torch.nn.RNNCell, {"nonlinearity": "relu"}),
}
every_layer = pytest.mark.parametrize("name", LAYERS)
OPTIONS = [
    {},
    {"num_layers": 3, "bidirectional": True},
    {"num_layers": 2, "batch_first": True, "dropout": 0.5},
    {"bias": False, "bidirectional": True, "batch_first": True},
    {"num_layers": 2, "dtype": torch.float64},
]


@pytest.fixture(autouse=True)
def seed():
    torch.manual_seed(0)


def make(name, **keywords):
    kind, own = {**LAYERS, **CELLS}[name]
    return kind(3, 5, **own, **keywords)


def flat(results):
    """Tensors of nested results, packed ones by their data."""
    if isinstance(results, torch.Tensor):
        return [results]
    if isinstance(results, torch.nn.utils.rnn.PackedSequence):
        return [results.data, results.batch_sizes, results.sorted_indices]
    return [part for result in results for part in flat(result)]


def agree(found, expected):
    found, expected = flat(found), flat(expected)
    assert len(found) == len(expected)
    for a, b in zip(found, expected):
        assert a.dtype == b.dtype
        assert_close("torch.nn, float32", a.detach(), b.detach())


@pytest.mark.parametrize("options", OPTIONS, ids=str)
@every_layer
def test_results_are_the_same_for_every_option_and_call(name, options):
    layer = make(name, **options).eval()
    dtype = options.get("dtype", torch.float32)
    rows = layer.num_layers * (2 if layer.bidirectional else 1)
    start = torch.randn(rows, 4, 5, dtype=dtype)
    start = (start, start.cos()) if "LSTM" in name else start
    x = torch.randn(*((4, 6) if layer.batch_first else (6, 4)), 3, dtype=dtype)
    packed = pack_sequence([x.reshape(24, 3)[:n] for n in (3, 6, 1, 2)], enforce_sorted=False)
    calls = [(x,), (x, start), (x[0],), (packed,), (packed, start)]
    expected = [layer(*call) for call in calls]
    converted = nn.convert(layer)
    assert type(converted).__module__.startswith("congru.nn.")
    assert repr(converted) == repr(layer) or name == "RNN relu"  # torch does not show the nonlinearity
    for call, results in zip(calls, expected):
        agree(converted(*call), results)


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("name", CELLS)
def test_cells(name, bias):
    cell = make(name, bias=bias)
    x, start = torch.randn(4, 3), torch.randn(4, 5)
    start = (start, start.cos()) if "LSTM" in name else start
    for call in ((x,), (x, start), (x[0],)):
        agree(nn.convert(cell)(*call), cell(*call))


class Model(torch.nn.Module):
    """Layers at several depths, one of them used in two places."""

    def __init__(self):
        super().__init__()
        self.encoder = torch.nn.ModuleDict({"rnn": torch.nn.GRU(3, 5, 2, batch_first=True, dropout=0.5)})
        self.stack = torch.nn.Sequential(torch.nn.Linear(5, 3), torch.nn.ModuleList([torch.nn.LSTM(3, 5)]))
        self.again = self.encoder["rnn"]
        self.cell = torch.nn.GRUCell(5, 5)

    def forward(self, x):
        y, h = self.encoder["rnn"](x)
        y, _ = self.again(self.stack[0](y), h)
        y, _ = self.stack[1][0](self.stack[0](y))
        return self.cell(y[:, -1])


def test_inside_a_model_parameters_are_the_same_objects_and_an_optimizer_goes_on():
    model = Model().eval()
    model.stack[1][0].weight_hh_l0.requires_grad_(False)
    model.encoder.train()
    expected_modes = {name: module.training for name, module in model.named_modules()}
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    before, state, random = dict(model.named_parameters()), model.state_dict(), torch.get_rng_state()
    x = torch.randn(2, 4, 3)
    torch.manual_seed(1)
    expected = model(x)
    torch.set_rng_state(random)
    assert nn.convert(model, backend="composite") is model
    assert torch.equal(torch.get_rng_state(), random)
    assert isinstance(model.encoder["rnn"], nn.GRU)
    assert model.again is model.encoder["rnn"]
    assert isinstance(model.stack[1][0], nn.LSTM)
    assert isinstance(model.cell, nn.GRUCell)
    assert model.cell.backend == model.again.backend == "composite"
    after = dict(model.named_parameters())
    assert list(after) == list(before)
    assert all(after[name] is before[name] for name in before)
    assert not model.stack[1][0].weight_hh_l0.requires_grad
    assert {name: module.training for name, module in model.named_modules()} == expected_modes
    torch.manual_seed(1)
    agree(model(x), expected)  # the same dropout masks, too
    model.load_state_dict(state)
    model.eval()
    loss = model(x).square().sum()
    loss.backward()
    optimizer.step()
    assert model(x).square().sum() < loss
    assert nn.convert(model) is model


def test_hooks_attributes_and_pruning_go_along():
    layer = torch.nn.GRU(3, 5)
    prune.l1_unstructured(layer, "weight_hh_l0", amount=0.5)
    layer.label, calls = "mine", []
    handle = layer.register_forward_hook(lambda module, arguments, result: calls.append(module))
    layer.register_load_state_dict_pre_hook(lambda module, *rest: calls.append(module))
    x = torch.randn(6, 4, 3)
    expected = layer(x)
    converted = nn.convert(layer)
    state = {name: value.clone() for name, value in layer.state_dict().items()}
    del layer
    calls.clear()
    agree(converted(x), expected)
    converted.load_state_dict(state)
    assert calls == [converted, converted]
    assert converted.label == "mine"
    with torch.no_grad():
        converted.weight_hh_l0_orig.mul_(2)
    assert (converted(x)[0] - expected[0]).abs().max() > 1e-3
    handle.remove()
    calls.clear()
    converted(x)
    assert calls == []
    prune.remove(converted, "weight_hh_l0")
    assert isinstance(converted.weight_hh_l0, torch.nn.Parameter)


class Own(torch.nn.GRU):
    def forward(self, *arguments):
        y, h = super().forward(*arguments)
        return 2 * y, h


def test_what_cannot_be_replaced_is_listed_once_and_left_alone():
    normed = parametrizations.weight_norm(torch.nn.GRU(3, 5), "weight_hh_l0")
    model = torch.nn.ModuleList([torch.nn.LSTM(3, 5, proj_size=2), Own(3, 5), normed, torch.nn.GRU(3, 5)])
    kept = list(model)[:3]
    with pytest.warns(UserWarning, match="convert left") as caught:
        nn.convert(model)
    assert [str(warning.message) for warning in caught] == [
        "convert left 3 layers as before: 0 (proj_size is 2, expected 0); "
        "1 (Own is a subclass, which may compute something else); "
        "2 (ParametrizedGRU is a subclass, which may compute something else)"
    ]
    assert list(model)[:3] == kept
    assert isinstance(model[3], nn.GRU)
    with pytest.warns(UserWarning, match=r"left 1 layer as before: the model \(proj_size is 2"):
        assert nn.convert(kept[0]) is kept[0]


def test_a_layer_with_dropout_that_does_nothing_is_not_warned_about_again():
    with pytest.warns(UserWarning, match="dropout"):
        layer = torch.nn.GRU(3, 5, dropout=0.5)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert nn.convert(layer).dropout == 0.5


def test_a_model_is_a_module():
    with pytest.raises(
        SettingsError, match=r"model is dict, expected a torch\.nn\.Module: pass the model itself"
    ):
        nn.convert({})


@pytest.mark.parametrize("options", OPTIONS, ids=str)
@pytest.mark.parametrize("name", [*LAYERS, *CELLS])
def test_back_gives_the_layers_of_torch_with_the_same_parameters(name, options):
    if "Cell" in name:
        options = {key: value for key, value in options.items() if key in ("bias", "dtype")}
    theirs = make(name, **options).eval()
    x = (
        torch.randn(4, 3, dtype=options.get("dtype"))
        if "Cell" in name
        else torch.randn(5, 4, 3, dtype=options.get("dtype"))
    )
    expected, parameters, shown = theirs(x), dict(theirs.named_parameters()), repr(theirs)
    back = nn.convert(nn.convert(theirs), back=True)
    assert type(back) is type(theirs)
    assert repr(back) == shown
    assert not back.training
    assert all(value is parameters[key] for key, value in back.named_parameters())
    assert vars(back).keys() == vars(theirs).keys()
    agree(back(x), expected)
    torch.nn.init.zeros_(back.weight_hh if "Cell" in name else back.weight_hh_l0)
    again = nn.convert(back)
    agree(again(x), back(x))


def test_back_keeps_hooks_pruning_and_the_optimizer():
    torch.manual_seed(0)
    model = torch.nn.Sequential(nn.GRU(3, 5, 2, bidirectional=True))
    prune.l1_unstructured(model[0], "weight_hh_l0", amount=0.5)
    seen = []
    model[0].register_forward_hook(lambda *call: seen.append(type(call[0])))
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    x = torch.randn(4, 2, 3)
    before = model(x)[0]
    nn.convert(model, back=True)
    assert type(model[0]) is torch.nn.GRU
    agree([model(x)[0]], [before])
    model(x)[0].sum().backward()
    optimizer.step()
    assert not torch.equal(model(x)[0], before)
    assert seen[:2] == [nn.GRU, torch.nn.GRU]
    scripted = torch.nn.Sequential(torch.nn.Linear(3, 3), nn.convert(nn.LSTM(3, 5), back=True))
    assert all(isinstance(part, torch.nn.Module) for part in scripted)


def test_back_leaves_what_torch_has_not_and_says_so():
    model = torch.nn.ModuleDict(
        {
            "before": nn.GRU(3, 4, reset_before=True),
            "norm": nn.LSTM(3, 4, layer_norm=True),
            "heads": nn.RNNCell(3, 4, num_heads=2),
            "zone": nn.GRU(3, 4, zoneout=0.1),
            "start": nn.GRU(3, 4, learn_h0=True),
            "min": nn.MinGRU(3, 4),
            "own": type("Own", (nn.GRU,), {})(3, 4),
            "plain": nn.GRU(3, 4),
        }
    )
    left = [
        "before (reset_before is True, which torch.nn has not)",
        "norm (layer_norm is True, which torch.nn has not)",
        "heads (num_heads is 2, which torch.nn has not)",
        "zone (zoneout is 0.1, which torch.nn has not)",
        "start (learn_h0 is True, which torch.nn has not)",
        "min (torch.nn has no minGRU)",
        "own (Own is a subclass, which may compute something else)",
    ]
    with pytest.warns(UserWarning, match="convert left 7") as caught:
        nn.convert(model, back=True)
    assert str(caught[0].message) == f"convert left 7 layers as before: {'; '.join(left)}"
    assert type(model["plain"]) is torch.nn.GRU
    assert type(model["before"]) is nn.GRU
    with pytest.raises(SettingsError, match="back is 'yes', expected True or False"):
        nn.convert(model, back="yes")
