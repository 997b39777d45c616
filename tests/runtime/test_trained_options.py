"""A model with options from training to a folder to a process without torch: the outputs stay those of the torch layer."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import congru
from congru.nn import Network as TorchNetwork
from congru.runtime.folder import save_model
from congru.runtime.golden import make_golden
from congru.runtime.network import Network
from runtime_models import vector_config
from tolerances import assert_close

HEAD = {"type": "linear", "name": "head", "in": 6, "out": 2}
OPTIONS = [
    ("gru", {"layer_norm": True, "zoneout": 0.2, "num_heads": 2, "recurrent_dropout": 0.2}),
    ("gru", {"layer_norm": True, "reset_before": True, "num_layers": 2, "recurrent_dropout": 0.2}),
    ("gru", {"layer_norm": "dreamer", "zoneout": 0.1, "input_dropout": 0.1}),
    ("lstm", {"layer_norm": True, "zoneout": 0.2, "num_heads": 3, "learn_h0": True}),
    ("rnn", {"zoneout": 0.3, "num_heads": 2, "recurrent_dropout": 0.1}),
]
# Without torch: y of a whole run, of one session step after another, and of a session cut in two and saved between.
PROGRAM = """
import sys
sys.modules["torch"] = None  # importing it raises
import numpy as np
import congru
folder, given, saved, out = sys.argv[1:]
model, x = congru.load(folder), np.load(given)
session = model.session()
steps = np.stack([session.step(row) for row in x[0]])
first = model.session()
begun = first.run(x[0, :5])
first.save(saved)
ended = model.session().restore(saved).run(x[0, 5:])
pieces = np.concatenate([begun, ended])
np.savez(out, rows=model.run(x)[0], whole=model.run(x[:1])[0][0], steps=steps, pieces=pieces)
"""


def trained(config: dict[str, Any], steps: int = 5) -> TorchNetwork:
    """A network after a few steps of training, in evaluation mode."""
    torch.manual_seed(0)
    network = TorchNetwork(config)
    before = {name: part.detach().clone() for name, part in network.named_parameters()}
    optimizer = torch.optim.Adam(network.parameters(), lr=0.05)
    x, wanted = torch.randn(4, 12, 3), torch.randn(4, 12, 2)
    for _ in range(steps):
        optimizer.zero_grad()
        (network(x)[0] - wanted).square().mean().backward()
        optimizer.step()
    for name, part in network.named_parameters():
        assert not torch.equal(part, before[name]), f"{name} did not move"
    return network.eval()


@pytest.mark.parametrize(("cell", "options"), OPTIONS, ids=str)
def test_a_trained_model_runs_without_torch_as_the_layer_did(
    cell: str, options: dict[str, Any], tmp_path: Path
) -> None:
    config = vector_config(cell, HEAD, **options)
    network = trained(config)
    weights = {name: part.detach().numpy() for name, part in network.state_dict().items()}
    about = {"task": "text", "cell": cell, "networks": {"main": config}, "task_config": {}}
    golden = make_golden(config, Network(config, weights).run)
    save_model(
        tmp_path / "m",
        config=about,
        weights={"main": weights},
        golden={"main": golden},
        files={},
        card="# card\n",
    )
    x = np.random.default_rng(0).standard_normal((3, 20, 3)).astype(np.float32)
    np.save(tmp_path / "x.npy", x)
    names = [str(tmp_path / name) for name in ("m", "x.npy", "session", "out.npz")]
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, *names], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    with np.load(tmp_path / "out.npz") as without_torch:
        np.testing.assert_array_equal(without_torch["steps"], without_torch["whole"])
        np.testing.assert_array_equal(without_torch["pieces"], without_torch["whole"])
        with torch.no_grad():
            expected = network(torch.from_numpy(x))[0]
            in_training = network.train()(torch.from_numpy(x))[0]
        assert_close("runtime network, torch", without_torch["rows"], expected.numpy())
        assert_close("runtime network, torch", without_torch["whole"], expected[0].numpy())
        assert (in_training - expected).abs().max() > 1e-2  # dropout and zoneout do something there
        np.testing.assert_array_equal(congru.load(tmp_path / "m").run(x)[0], without_torch["rows"])
