"""A torch model of your own as a model folder: it loads, equals the module to 1e-6, or the layer in the way is named."""

from __future__ import annotations

import re

import numpy as np
import pytest
import torch
from torch import nn

import congru
from congru.convert import from_torch
from congru.errors import ConventionError, DataError, SettingsError


class Parts(nn.Module):
    """The layers most models here are made of; subclasses say how they are wired."""

    def __init__(self, **options):
        super().__init__()
        self.embed = nn.Embedding(9, 4)
        self.rnn = nn.GRU(4, 5, 2, batch_first=True, **options)
        self.norm = nn.LayerNorm(5)
        self.drop = nn.Dropout(0.3)
        self.head = nn.Linear(5, 3)


class EveryStep(Parts):
    def forward(self, x, h=None):
        y, h = self.rnn(self.embed(x), h)
        return self.head(self.drop(self.norm(y))), h


class FinalState(Parts):
    def forward(self, x):
        _, h = self.rnn(self.embed(x))
        return self.head(torch.relu(h[-1]))


class LastAndMax(Parts):
    def forward(self, x):
        y = self.rnn(self.embed(x))[0]
        return self.head(y[:, -1] + y.max(dim=1)[0]), y.mean(1)


class ZerosByHand(nn.Module):
    def __init__(self):
        super().__init__()
        self.rnn = nn.LSTM(3, 4, 2, batch_first=True)
        self.head = nn.Linear(4, 1)

    def forward(self, x):
        h0 = torch.zeros(2, x.size(0), 4).to(x.device)
        c0 = torch.zeros(2, x.shape[0], 4, dtype=x.dtype)
        y, _ = self.rnn(x, (h0.to(x.dtype), c0))
        return self.head(y[:, -1, :])


class Tied(nn.Module):
    def __init__(self):
        super().__init__()
        self.embed = nn.Embedding(9, 5)
        self.rnn = nn.LSTM(5, 5, batch_first=True)
        self.head = nn.Linear(5, 9, bias=False)
        self.head.weight = self.embed.weight

    def forward(self, x):
        return self.head(self.rnn(self.embed(x))[0])


class TimeFirst(nn.Module):
    """Residual, both directions, another epsilon, batch norm of a row; time is the first axis."""

    def __init__(self):
        super().__init__()
        self.under = nn.LSTM(3, 6, bidirectional=True)
        self.project = nn.Linear(12, 6)
        self.over = congru.nn.RNN(6, 6)
        self.norm = nn.LayerNorm(6, eps=1e-3)
        self.batch = nn.BatchNorm1d(6)
        self.head = nn.Linear(12, 2)
        self.batch.running_mean.normal_()
        self.batch.running_var.uniform_(0.5, 2)

    def forward(self, x):
        y, _ = self.under(x)
        y = torch.tanh(self.project(y))
        z = self.norm(self.over(y)[0] + y)
        return self.head(torch.cat([self.batch(z.mean(0)), z[-1]], -1))


MODELS = {
    "every step": EveryStep,
    "final state": FinalState,
    "last and max": LastAndMax,
    "tied": Tied,
    "zeros by hand": ZerosByHand,
    "time first": TimeFirst,
    "sequential": lambda: nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.RNN(4, 4, batch_first=True)),
    "bare LSTM": lambda: nn.LSTM(3, 4, 2, bidirectional=True, batch_first=True),
    "our GRU": lambda: congru.nn.GRU(3, 4, batch_first=True, reset_before=True, learn_h0=True),
}


@pytest.mark.parametrize("name", MODELS)
def test_the_folder_gives_what_the_module_gives(tmp_path, name):
    torch.manual_seed(0)
    module = MODELS[name]()
    with torch.no_grad():
        for part in module.parameters():
            part.add_(0.1 * torch.randn_like(part))
    mode = module.training
    report = from_torch(module, tmp_path / "model")
    assert module.training == mode
    assert report.worst < 1e-7
    model = congru.load(tmp_path / "model")
    rng = np.random.default_rng(1)
    x = rng.integers(0, 9, (3, 7)) if model.network.tokens else rng.normal(size=(3, 7, 3)).astype(np.float32)
    with torch.no_grad():
        tensor = torch.from_numpy(x)
        expected = module.eval()(tensor.transpose(0, 1) if name == "time first" else tensor)
    output = model.run(x)[0]
    if name == "last and max":
        pairs = zip(output.values(), expected)
    else:
        pairs = [(output, expected[0] if isinstance(expected, tuple) else expected)]
    for ours, theirs in pairs:
        np.testing.assert_allclose(ours, theirs.numpy(), rtol=0, atol=1e-6)


def test_a_session_carries_the_state_of_the_module(tmp_path):
    torch.manual_seed(0)
    module = EveryStep().eval()
    from_torch(module, tmp_path / "model")
    session = congru.load(tmp_path / "model").session()
    x, h = torch.randint(0, 9, (1, 6)), None
    for t in range(6):
        with torch.no_grad():
            y, h = module(x[:, t : t + 1], h)
        np.testing.assert_allclose(session.step(int(x[0, t])), y[0, 0].numpy(), atol=1e-6)


class Softmax(Parts):
    def forward(self, x):
        return torch.softmax(self.head(self.rnn(self.embed(x))[0]), -1)


class Branches(Parts):
    def forward(self, x):
        return self.head(self.rnn(self.embed(x))[0]) if x.sum() > 3 else x


class TwoEnds(Parts):
    def forward(self, x):
        return self.rnn(self.embed(x))[1][-1]


class Begins(Parts):
    def forward(self, x):
        return self.rnn(self.embed(x), torch.ones(2, 1, 5))[0]


class TwoInputs(Parts):
    def forward(self, x, other):
        return self.rnn(self.embed(x))[0] + other


class Convolves(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv1d(3, 4, 3)
        self.rnn = nn.GRU(4, 4)

    def forward(self, x):
        return self.rnn(self.conv(x))[0]


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (Softmax, ConventionError, "softmax in forward has no node in a model folder"),
        (Branches, ConventionError, "the forward of Branches can't be followed (symbolically traced variables"),
        (lambda: TwoEnds(bidirectional=True), ConventionError, "takes the final state of a bidirectional layer, expected"),
        (Begins, ConventionError, "rnn (GRU) starts from a state that the forward makes, expected none"),
        (TwoInputs, ConventionError, "TwoInputs.forward takes other too, expected one tensor"),
        (Convolves, ConventionError, "conv is a Conv1d, which a model folder has no node for, expected Embedding, GRU"),
        (lambda: nn.RNN(3, 4, nonlinearity="relu"), ConventionError, "rnn (RNN) applies relu, expected tanh"),
        (lambda: nn.utils.parametrizations.weight_norm(nn.GRU(3, 4), "weight_hh_l0"), ConventionError,
         "rnn (ParametrizedGRU) has parametrizations.weight_hh_l0.original0 (weight norm, pruning or a parametrization)"),
        (lambda: nn.GRU(3, 4, device="meta"), DataError, "rnn is on the device meta, expected numbers"),
        (lambda: nn.LSTM(3, 4, proj_size=2), ConventionError, "rnn (LSTM) has proj_size 2, expected 0"),
        (lambda: congru.nn.GRU(4, 4, num_heads=2), ConventionError, "has num_heads=2, expected 1: use congru.nn.Network"),
        (lambda: nn.Sequential(nn.Linear(2, 2)), ConventionError, "Sequential has no recurrent layer, expected a GRU"),
        (lambda: "model", SettingsError, "module is str, expected a torch.nn.Module"),
    ],
)  # fmt: skip
def test_what_stands_in_the_way_is_named(tmp_path, make, error, message):
    with pytest.raises(error, match=re.escape(message)) as caught:
        from_torch(make(), tmp_path / "model")
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "model").exists()
