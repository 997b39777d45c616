"""What the layers have beyond torch.nn: lengths, resets, gates, learned starts, reset_before, minGRU."""

from __future__ import annotations

import copy
import pickle
import subprocess
import sys

import pytest
import torch

from congru import nn, ops
from congru.errors import BackendError, CongruError, SettingsError, ShapeError
from tolerances import assert_close

LAYERS = {
    "GRU": nn.GRU,
    "GRU before": lambda *sizes, **keywords: nn.GRU(*sizes, reset_before=True, **keywords),
    "LSTM": nn.LSTM,
    "RNN": nn.RNN,
    "MinGRU": nn.MinGRU,
}
CELLS = {"GRU": nn.GRUCell, "LSTM": nn.LSTMCell, "RNN": nn.RNNCell, "MinGRU": nn.MinGRUCell}
ROWS = {"GRU": 3, "GRU before": 3, "LSTM": 4, "RNN": 1, "MinGRU": 2}
every_layer = pytest.mark.parametrize("name", LAYERS)


@pytest.fixture(autouse=True)
def seed():
    torch.manual_seed(0)


def parts(h):
    return h if isinstance(h, tuple) else (h,)


def close(a, b):
    for one, two in zip(parts(a), parts(b)):
        assert_close("torch.nn, float32", one.detach(), two.detach())


@every_layer
def test_padded_rows_give_what_each_row_gives_alone(name):
    layer = LAYERS[name](3, 5, 2, bidirectional=True, batch_first=True)
    x, lengths = torch.randn(4, 6, 3), torch.tensor([6, 0, 3, 1])
    y, h, gates = layer(x, lengths=lengths, return_gates=True)
    assert gates.shape == (2, 2, 4, 6, ROWS[name], 5)
    for b, length in enumerate(lengths.tolist()):
        alone = layer(x[b : b + 1, :length], return_gates=True)
        close(y[b : b + 1, :length], alone[0])
        close(tuple(part[:, b : b + 1] for part in parts(h)), alone[1])
        close(gates[:, :, b : b + 1, :length], alone[2])
        assert (y[b, length:] == 0).all()
        assert (gates[:, :, b, length:] == 0).all()


@every_layer
@pytest.mark.parametrize("learn_h0", [False, True])
def test_a_reset_starts_a_new_sequence_and_cuts_the_gradient(name, learn_h0):
    layer = LAYERS[name](3, 5, 2, bidirectional=True, batch_first=True, learn_h0=learn_h0)
    for start in (getattr(layer, part, None) for part in ("h0", "c0")):
        if start is not None:
            torch.nn.init.normal_(start)
    x = torch.randn(1, 7, 3, requires_grad=True)
    y, h = layer(x, reset=torch.arange(7)[None] == 2)
    for begin, end in ((0, 2), (2, 7)):
        close(y[:, begin:end], layer(x[:, begin:end])[0])
    (dx,) = torch.autograd.grad(y[:, 2:].sum(), x, retain_graph=True)
    assert (dx[:, :2] == 0).all()
    assert (dx[:, 2:] != 0).any()
    (dx,) = torch.autograd.grad(y[:, :2].sum(), x, retain_graph=True)
    assert (dx[:, 2:] == 0).all()
    for part, last in zip(parts(h), parts(layer(x[:, 2:])[1])):
        close(part[::2], last[::2])  # forward directions end where the second sequence ends


@every_layer
def test_a_learned_initial_state_gets_its_gradient_from_every_start(name):
    layer = LAYERS[name](3, 5, learn_h0=True, batch_first=True)
    assert "h0" in layer.state_dict()
    assert ("c0" in layer.state_dict()) == (name == "LSTM")
    assert (layer.h0 == 0).all()
    torch.nn.init.normal_(layer.h0)
    x = torch.randn(1, 4, 3)
    reset = torch.tensor([[False, False, True, False]])
    (whole,) = torch.autograd.grad(layer(x, reset=reset)[0].sum(), layer.h0)
    halves = [torch.autograd.grad(layer(half)[0].sum(), layer.h0)[0] for half in (x[:, :2], x[:, 2:])]
    close(whole, sum(halves))
    given = torch.zeros(1, 1, 5)
    given = (given, given) if name == "LSTM" else given
    (only_reset,) = torch.autograd.grad(layer(x, given, reset=reset)[0].sum(), layer.h0)
    close(only_reset, halves[1])
    plain = LAYERS[name](3, 5, batch_first=True)
    assert plain.load_state_dict(layer.state_dict(), strict=False).unexpected_keys[0] == "h0"


@every_layer
def test_gates_on_request(name):
    layer = LAYERS[name](3, 5, batch_first=True, return_gates=True)
    x = torch.randn(2, 4, 3)
    y, _, gates = layer(x)
    assert gates.shape == (1, 1, 2, 4, ROWS[name], 5)
    assert len(layer(x, return_gates=False)) == 2
    layer.return_gates = False
    assert len(layer(x)) == 2
    close(layer(x, return_gates=True)[2], gates)
    before = torch.cat([torch.zeros(2, 1, 5), y[:, :-1]], 1)
    if name in ("GRU", "GRU before", "MinGRU"):
        z, n = gates[0, 0, :, :, -2], gates[0, 0, :, :, -1]
        close(y, (1 - z) * n + z * before)
    if name == "RNN":
        close(y, gates[0, 0, :, :, 0])
    one = layer(x[0], return_gates=True)
    assert one[2].shape == (1, 1, 4, ROWS[name], 5)
    close(one[2], gates[:, :, 0])


@pytest.mark.parametrize(("name", "form"), [*((name, {}) for name in CELLS), ("GRU", {"reset_before": True})])
def test_a_cell_repeated_is_its_layer(name, form):
    layer, cell = getattr(nn, name)(3, 5, **form), CELLS[name](3, 5, **form)
    cell.load_state_dict({key.removesuffix("_l0"): value for key, value in layer.state_dict().items()})
    x = torch.randn(6, 2, 3)
    y, h = layer(x)
    state = None
    for t in range(6):
        state = cell(x[t], state)
        close(parts(state)[0], y[t])
    close(tuple(part[None] for part in parts(state)), h)


@every_layer
@pytest.mark.parametrize("batch_first", [False, True])
def test_nothing_in_nothing_out(name, batch_first):
    layer = LAYERS[name](3, 5, 2, bidirectional=True, batch_first=batch_first, return_gates=True)
    for B, T in ((2, 0), (0, 4), (0, 0)):
        sizes = (B, T) if batch_first else (T, B)
        h0 = tuple(torch.randn(4, B, 5) for _ in range(2 if name == "LSTM" else 1))
        y, h, gates = layer(torch.randn(*sizes, 3), h0 if name == "LSTM" else h0[0])
        assert y.shape == (*sizes, 10)
        assert gates.shape == (2, 2, B, T, ROWS[name], 5)
        assert all(part.shape == (4, B, 5) for part in parts(h))
        if T == 0:
            assert all(torch.equal(a, b) for a, b in zip(parts(h), h0))
    y, h, _ = layer(torch.randn(0, 3))
    assert y.shape == (0, 10)
    assert all((part == 0).all() for part in parts(h))


@every_layer
def test_copies_and_pickles_are_equal_and_apart(name):
    layer = LAYERS[name](3, 5, 2, learn_h0=True)
    x = torch.randn(4, 2, 3)
    expected = layer(x)[0]
    for other in (copy.deepcopy(layer), pickle.loads(pickle.dumps(layer))):
        assert torch.equal(other(x)[0], expected)
        with torch.no_grad():
            other.weight_ih_l0.zero_()
        assert not torch.equal(other(x)[0], expected)
    assert torch.equal(layer(x)[0], expected)


@every_layer
def test_replaced_and_parametrized_weights_are_used(name):
    layer = LAYERS[name](3, 5)
    x = torch.randn(4, 2, 3)
    expected = layer(x)[0]
    zeros = {key: torch.zeros_like(value) for key, value in layer.state_dict().items()}
    assert not torch.equal(torch.func.functional_call(layer, zeros, (x,))[0], expected)
    torch.nn.utils.parametrizations.weight_norm(layer, "weight_ih_l0")
    close(layer(x)[0], expected)
    layer(x)[0].sum().backward()
    assert layer.parametrizations.weight_ih_l0.original0.grad is not None


@every_layer
def test_any_device(name):
    """The meta device has shapes and no values: nothing is made on the CPU and no value is read."""
    layer = LAYERS[name](3, 5, 2, bidirectional=True, batch_first=True, learn_h0=True, device="meta")
    x, reset = torch.zeros(2, 4, 3, device="meta"), torch.zeros(2, 4, dtype=torch.bool, device="meta")
    for lengths in (torch.tensor([4, 0]), torch.tensor([4, 0], device="meta")):
        y, h, gates = layer(x, lengths=lengths, reset=reset, return_gates=True)
        assert {part.device.type for part in (y, gates, *parts(h))} == {"meta"}
        assert y.shape == (2, 4, 10)
    y.sum().backward()
    assert layer(x)[0].shape == (2, 4, 10)


@every_layer
def test_autocast_runs(name):
    layer = LAYERS[name](3, 5, batch_first=True)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        y, _ = layer(torch.randn(2, 4, 3), lengths=torch.tensor([4, 1]))
    y.float().sum().backward()
    assert layer.weight_ih_l0.grad.isfinite().all()


# torch.compile instantiates autograd functions while it traces them, and warns about it.
@pytest.mark.filterwarnings("ignore:.*should not be instantiated:DeprecationWarning")
@every_layer
def test_torch_compile_follows_the_whole_call(name):
    torch._dynamo.reset()
    layer = LAYERS[name](3, 5, batch_first=True)
    compiled = torch.compile(layer, backend="eager", fullgraph=True)
    x, options = torch.randn(2, 4, 3), {"lengths": torch.tensor([4, 1]), "reset": torch.rand(2, 4) < 0.5}
    close(compiled(x)[0], layer(x)[0])
    close(compiled(x, **options)[0], layer(x, **options)[0])


def test_lengths_and_resets_may_be_lists_and_belong_to_one_sequence():
    layer = nn.GRU(3, 5, batch_first=True)
    x = torch.randn(2, 4, 3)
    reset = [[False, True, False, False], [False, False, True, False]]
    y, h = layer(x, lengths=[4, 2], reset=reset)
    expected = layer(x, lengths=torch.tensor([4, 2]), reset=torch.tensor(reset))
    close((y, h), expected)
    one = layer(x[1], lengths=torch.tensor(2), reset=torch.tensor(reset[1]))
    close(one[0], y[1])
    close(one[1], h[:, 1])


def test_time_first_input_still_takes_resets_batch_first():
    layer = nn.GRU(3, 5)
    x, reset = torch.randn(6, 2, 3), torch.rand(2, 6) < 0.5
    y, h = layer(x, reset=reset)
    layer.batch_first = True
    expected = layer(x.transpose(0, 1), reset=reset)
    close(y, expected[0].transpose(0, 1))
    close(h, expected[1])


def test_repr_shows_what_differs():
    assert (
        nn.GRU(3, 5, reset_before=True, learn_h0=True).extra_repr()
        == "3, 5, learn_h0=True, reset_before=True"
    )
    assert nn.MinGRU(3, 5, return_gates=True, backend="composite").extra_repr() == (
        "3, 5, return_gates=True, backend=composite"
    )
    assert nn.RNNCell(3, 5, nonlinearity="relu").extra_repr() == "3, 5, nonlinearity=relu"
    assert nn.GRUCell(3, 5, False, reset_before=True).extra_repr() == "3, 5, bias=False, reset_before=True"


def test_device_and_dtype():
    layer = nn.GRU(3, 5, device="meta", dtype=torch.float64)
    assert {(part.device.type, part.dtype) for part in layer.parameters()} == {("meta", torch.float64)}
    assert (
        nn.LSTM(3, 5, 1, True, False, 0.0, False, 0, "cpu", torch.float64).weight_hh_l0.dtype == torch.float64
    )
    assert nn.LSTMCell(3, 5, True, "cpu", torch.float64).weight_hh.dtype == torch.float64


def test_explain(monkeypatch):
    monkeypatch.setitem(ops._loaded, "native", None)
    x = torch.randn(4, 2, 3)
    assert "runs on 'bptt'" in nn.GRU(3, 5).explain(x)
    with torch.no_grad():
        assert "runs on 'aten'" in nn.GRU(3, 5).explain(x)
    assert "runs on 'composite'" in nn.GRU(3, 5, reset_before=True, batch_first=True).explain(x)
    assert "neither lengths" in nn.GRU(3, 5).explain(x, lengths=torch.tensor([1, 2]))


def test_a_backend_asked_for_runs_or_says_why():
    x = torch.randn(4, 2, 3)
    with pytest.raises(
        BackendError, match="backend is 'aten', expected one that runs this mingru: PyTorch has no"
    ):
        nn.MinGRU(3, 5, backend="aten")(x)
    with pytest.raises(BackendError, match="backend is 'fast', expected auto, native"):
        nn.GRUCell(3, 5, backend="fast")(x[0])


GRU, LSTM, CELL = nn.GRU(3, 5), nn.LSTM(3, 5), nn.GRUCell(3, 5)
x, h = torch.zeros(4, 2, 3), torch.zeros(1, 2, 5)
packed = torch.nn.utils.rnn.pack_padded_sequence(x, torch.tensor([4, 2]))


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: nn.GRU(0, 5), SettingsError, "input_size is 0, expected a positive integer: pass 1 or more"),
        (lambda: nn.GRU(3, 5.0), SettingsError, r"hidden_size is 5\.0, expected a positive integer"),
        (lambda: nn.GRU(3, 5, True), SettingsError, "num_layers is True, expected a positive integer"),
        (
            lambda: nn.GRU(3, 5, 1, 1),
            SettingsError,
            "bias is 1, expected True or False: pass arguments by keyword",
        ),
        (lambda: nn.GRU(3, 5, batch_first=1), SettingsError, "batch_first is 1, expected True or False"),
        (lambda: nn.GRU(3, 5, learn_h0="yes"), SettingsError, "learn_h0 is 'yes', expected True or False"),
        (
            lambda: nn.GRU(3, 5, 2, dropout=2),
            SettingsError,
            "dropout is 2, expected a number from 0 to 1: pass 0.0",
        ),
        (
            lambda: nn.LSTM(3, 5, proj_size=2),
            SettingsError,
            "proj_size is 2, expected 0: congru computes no projections",
        ),
        (
            lambda: nn.RNN(3, 5, nonlinearity="elu"),
            SettingsError,
            "nonlinearity is 'elu', expected 'tanh' or 'relu'",
        ),
        (lambda: nn.GRUCell(3, 0), SettingsError, "hidden_size is 0, expected a positive integer"),
        (lambda: nn.GRUCell(3, 5, "no"), SettingsError, "bias is 'no', expected True or False"),
        (
            lambda: GRU(x[0, 0]),
            ShapeError,
            r"input has shape \(3,\), expected \[T, B, I\] = \(any, any, 3\): give",
        ),
        (
            lambda: GRU(x[..., :2]),
            ShapeError,
            r"input has shape \(4, 2, 2\), expected \[T, B, I\] = \(any, any, 3\)",
        ),
        (
            lambda: GRU(x, h[0]),
            ShapeError,
            r"hx has shape \(2, 5\), expected \[L\*D, B, H\] = \(1, 2, 5\): pass hx=None",
        ),
        (
            lambda: GRU(x, h[:, :1]),
            ShapeError,
            r"hx has shape \(1, 1, 5\), expected \[L\*D, B, H\] = \(1, 2, 5\)",
        ),
        (
            lambda: GRU(packed, h[:, :1]),
            ShapeError,
            r"hx has shape \(1, 1, 5\), expected \[L\*D, B, H\] = \(1, 2, 5\)",
        ),
        (lambda: GRU(x, (h, h)), ShapeError, r"hx has 2 tensors, expected one tensor \[L\*D, B, H\]: pass h"),
        (
            lambda: LSTM(x, h),
            ShapeError,
            r"hx has 1 tensors, expected a pair \(h, c\) of \[L\*D, B, H\]: pass h, c",
        ),
        (
            lambda: GRU(packed, lengths=[1, 2]),
            SettingsError,
            "lengths is given with a PackedSequence, expected None",
        ),
        (
            lambda: GRU(packed, reset=[[True]]),
            SettingsError,
            "reset is given with a PackedSequence, expected None",
        ),
        (
            lambda: GRU(x, lengths=torch.tensor([5, 1])),
            CongruError,
            "lengths holds 5, expected 0 to T = 4: count",
        ),
        (
            lambda: GRU(x, reset=torch.zeros(4, 2).bool()),
            ShapeError,
            r"reset has shape \(4, 2\), expected \[B, T\] = \(2, 4\)",
        ),
        (
            lambda: GRU(x.double()),
            ShapeError,
            r"input has dtype torch.float64, expected torch.float32 as the weights: pass input.to\(torch.float32\), or",
        ),
        (
            lambda: CELL(x),
            ShapeError,
            r"input has shape \(4, 2, 3\), expected \[B, I\] = \(any, 3\): one step has no",
        ),
        (lambda: CELL(x[0, :, :2]), ShapeError, r"input has shape \(2, 2\), expected \[B, I\] = \(any, 3\)"),
        (
            lambda: CELL(x[0], h),
            ShapeError,
            r"hx has shape \(1, 2, 5\), expected \[B, H\] = \(2, 5\): pass None",
        ),
    ],
)
def test_a_wrong_argument_has_its_line(call, error, message):
    with pytest.raises(error, match=message) as caught:
        call()
    assert "\n" not in str(caught.value)


def test_without_torch_the_line_names_the_extra():
    code = "import sys; sys.modules['torch'] = None; import congru; congru.nn.GRU"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert "torch is not installed, expected by this command: pip install 'congru[train]'" in done.stderr


@pytest.mark.parametrize("batch_first", [False, True])
@pytest.mark.parametrize("name", ["GRU", "LSTM", "RNN"])
def test_short_calls_have_the_values_and_layout_of_torch(name, batch_first):
    for bias in (True, False):
        theirs = getattr(torch.nn, name)(3, 5, bias=bias, batch_first=batch_first)
        ours = getattr(nn, name)(3, 5, bias=bias, batch_first=batch_first)
        ours.load_state_dict(theirs.state_dict())
        for T in (1, 2, 3):
            x, part = torch.randn((2, T, 3) if batch_first else (T, 2, 3)), torch.randn(1, 2, 5)
            for hx in (None, (part, -part) if name == "LSTM" else part):
                with torch.no_grad():
                    (y, h), (expected, last) = ours(x, hx), theirs(x, hx)
                torch.testing.assert_close(y, expected)
                assert y.is_contiguous()
                for a, b in zip(h if name == "LSTM" else [h], last if name == "LSTM" else [last]):
                    torch.testing.assert_close(a, b)
                    assert a.is_contiguous()


@pytest.mark.parametrize(
    "changes",
    [
        {"zoneout": 0.5},
        {"recurrent_dropout": 0.5},
        {"input_dropout": 0.5},
        {"layer_norm": True},
        {"num_heads": 2},
        {"reset_before": True},
        {"learn_h0": True},
        {"num_layers": 2},
        {"bidirectional": True},
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_short_calls_keep_the_options(changes):
    torch.manual_seed(0)
    layer, plain = nn.GRU(4, 6, **changes), nn.GRU(4, 6)
    torch.nn.init.ones_(layer.h0) if "learn_h0" in changes else None
    with torch.no_grad():
        for name, part in plain.named_parameters():
            if part.shape == getattr(layer, name).shape:
                part.copy_(getattr(layer, name))
        x = torch.randn(2, 3, 4)
        found, expected = layer(x)[0], plain(x)[0]
    assert found.shape != expected.shape or not torch.equal(found, expected)


@pytest.mark.parametrize("T", [1, 9])
def test_the_errors_of_short_and_long_calls_are_the_same(T):
    layer, x = nn.GRU(3, 5), torch.zeros(T, 2, 3)
    for call, message in (
        (
            lambda: layer(x, torch.zeros(1, 3, 5)),
            r"hx has shape \(1, 3, 5\), expected \[L\*D, B, H\] = \(1, 2, 5\)",
        ),
        (
            lambda: layer(x, torch.zeros(2, 2, 5)),
            r"hx has shape \(2, 2, 5\), expected \[L\*D, B, H\] = \(1, 2, 5\)",
        ),
        (lambda: layer(x[..., :2]), r"input has shape \(\d, 2, 2\), expected \[T, B, I\] = \(any, any, 3\)"),
        (
            lambda: layer(x.double()),
            r"input has dtype torch\.float64, expected torch\.float32 as the weights",
        ),
        (
            lambda: layer(x, torch.zeros(1, 2, 5).double()),
            r"hx has dtype torch\.float64, expected torch\.float32 as the weights",
        ),
        (lambda: layer(x.to("meta")), "input is on meta, expected cpu as the weights"),
    ):
        for _ in range(2):
            with pytest.raises(ShapeError, match=message):
                call()
            layer(x)


def test_parametrized_and_pruned_weights_are_found():
    layer, x = nn.GRU(3, 5), torch.randn(1, 2, 3)
    torch.nn.utils.parametrizations.weight_norm(layer, "weight_hh_l0")
    plain = nn.GRU(3, 5)
    plain.load_state_dict({name: getattr(layer, name).detach() for name, _ in plain.named_parameters()})
    assert torch.equal(layer(x)[0], plain(x)[0])
    with torch.no_grad():
        layer.parametrizations.weight_hh_l0.original0.mul_(2)
        assert not torch.equal(layer(x, torch.ones(1, 2, 5))[0], plain(x, torch.ones(1, 2, 5))[0])
