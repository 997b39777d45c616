"""The reference gives what other libraries gave, through their own layouts."""

from __future__ import annotations

import json

import numpy as np
import pytest

from golden.case_file import FOLDER, load
from golden.check import OPTION_PATHS, PATHS, check


@pytest.mark.parametrize("path", [*PATHS, *OPTION_PATHS], ids=lambda path: path.stem)
def test_golden(path):
    check(load(path))


@pytest.mark.parametrize("path", [*PATHS, *OPTION_PATHS], ids=lambda path: path.stem)
def test_case_can_notice_mistakes(path):
    case = load(path)
    assert case.x.shape[1] >= 3
    assert case.x.shape[0] >= 2
    num_hidden = case.state[0].shape[2]
    assert case.x.shape[2] != num_hidden
    for part in case.state:
        assert np.all(part)
    for name, array in ((name, array) for arrays in case.arrays for name, array in arrays.items()):
        if name.startswith("zoneout") or name == "recurrent_mask":
            assert len(np.unique(array)) > 1
        else:
            assert np.all(array)
    biases = [
        name
        for arrays in case.arrays
        for name in arrays
        if "bias" in name or name.rpartition("/")[2] in ("b", "bhn", "B")
    ]
    assert biases
    if case.lengths is not None:
        assert len(set(case.lengths)) > 2
    assert np.abs(case.y).max() > 0.5


def test_every_system_and_form_is_there():
    abouts = [load(path).about for path in PATHS]
    forms = {(about["system"], about["cell"], *about["options"].values()) for about in abouts}
    assert forms >= {
        ("pytorch", "gru"),
        ("pytorch", "lstm"),
        ("pytorch", "rnn"),
        ("onnx", "gru", 0),
        ("onnx", "gru", 1),
        ("keras", "gru", True),
        ("keras", "gru", False),
        ("flax", "gru"),
        ("equinox", "gru"),
        ("haiku", "gru"),
        ("mlx", "gru"),
        ("flax_nnx", "gru"),
        *((system, "lstm") for system in ("keras", "onnx", "flax", "flax_nnx", "equinox", "haiku")),
        *((system, "rnn") for system in ("keras", "onnx", "flax", "flax_nnx")),
    }
    assert {about["clip"] for about in abouts} == {None, 0.8}


def test_every_option_is_there():
    abouts = [load(path).about for path in OPTION_PATHS]
    norms = {
        (about["cell"], about["options"]["layer_norm"], about["options"].get("reset_before", False))
        for about in abouts
        if "layer_norm" in about["options"]
    }
    assert norms == {
        ("gru", True, False),
        ("gru", True, True),
        ("lstm", True, False),
        ("gru", "dreamer", False),
    }
    for option in ("zoneout_0", "recurrent_mask"):
        cells = {load(path).about["cell"] for path in OPTION_PATHS if option in load(path).arrays[0]}
        assert cells == {"gru", "lstm", "rnn"}
    assert {about["cell"] for about in abouts if about["num_heads"] == 2} == {"gru", "lstm", "rnn"}


def test_each_generator_has_its_versions():
    versions = json.loads((FOLDER / "versions.json").read_text())
    assert set(versions) == {path.name for path in FOLDER.glob("generate_*.py")}
