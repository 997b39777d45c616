"""Each library's own equations, as the self-check runs them, give what the library gave; and a planted mistake is noticed."""

from __future__ import annotations

import re

import numpy as np
import pytest

from congru.convert import equations
from congru.errors import ConventionError, SettingsError
from golden.case_file import FOLDER, load
from golden.check import PATHS, RELU_PATHS
from tolerances import assert_close

SINGLE = [path for path in (*PATHS, *RELU_PATHS) if not re.search("clip|lengths|stack|both", path.stem)]


@pytest.mark.parametrize("path", SINGLE, ids=lambda path: path.stem)
def test_equations_give_what_the_library_gave(path):
    case = load(path)
    about = case.about
    options = (
        {"linear_before_reset": 0, **about["options"]} if about["system"] == "onnx" else about["options"]
    )
    state = tuple(part[0].astype(np.float64) for part in case.state)
    y, final = equations.run(
        about["system"], about["cell"], case.x.astype(np.float64), state, case.arrays[0], options
    )
    assert_close("golden", y, case.y)
    for ours, theirs in zip(final, case.final, strict=True):
        assert_close("golden", ours, theirs[0])


def test_every_library_is_held_by_a_case():
    held = {(load(path).about["system"], load(path).about["cell"]) for path in SINGLE}
    # ncnn's cases are files of their own, in test_files; the ONNX RNN's has lengths, and tests/gates runs the official ones.
    assert set(equations.STEPS) - held == {
        ("ncnn", "gru"),
        ("ncnn", "lstm"),
        ("ncnn", "rnn"),
        ("onnx", "rnn"),
    }


def test_backward_is_the_turned_input_turned_back():
    case = load(FOLDER / "mlx_lstm.npz")
    state = tuple(part[0] for part in case.state)
    arguments = ("mlx", "lstm", case.x[:, ::-1], state, case.arrays[0], {})
    y, _ = equations.run(*arguments, reverse=True)
    np.testing.assert_allclose(y[:, ::-1], equations.run("mlx", "lstm", case.x, state, case.arrays[0], {})[0])


def test_a_library_without_the_cell_has_its_line():
    with pytest.raises(SettingsError, match="system, cell are equinox, rnn, expected one of pytorch gru"):
        equations.run("equinox", "rnn", np.zeros((1, 1, 1)), (np.zeros((1, 1)),), {}, {})


def test_a_wrong_layout_is_noticed_and_nothing_is_written(tmp_path, monkeypatch):
    """The self-check is independent of the table of layouts: a wrong row order there is refused."""
    from congru.convert import to_folder
    from congru.reference import systems

    case = load(FOLDER / "flax_lstm.npz")
    np.savez(tmp_path / "cell.npz", **{f"cell/{name}": array for name, array in case.arrays[0].items()})
    to_folder(tmp_path / "cell.npz", tmp_path / "good")
    rows = dict(systems.SYSTEMS["flax"].rows, lstm="igfo")
    monkeypatch.setitem(systems.SYSTEMS, "flax", systems.SYSTEMS["flax"]._replace(rows=rows))
    with pytest.raises(
        ConventionError, match=r"differs from its source by .*, expected at most 1e-05: it computes another"
    ):
        to_folder(tmp_path / "cell.npz", tmp_path / "bad")
    assert not (tmp_path / "bad").exists()
