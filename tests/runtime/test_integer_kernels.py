"""Integer kernels of the core: every one gives the integers of NumPy, in steps, sequences, together, and as sessions use them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import congru
from congru.errors import SettingsError, ShapeError
from congru.export.exporter import export_model
from congru.export.record import time_beside
from congru.kernels import binding
from congru.runtime.cells import run_cell
from congru.runtime.form import Form
from congru.runtime.integer import IntegerGRU, IntegerRecurrent, quantise
from congru.runtime.together import advance
from export_cases import save_networks
from nodes_cases import one

pytestmark = pytest.mark.skipif(not binding.is_available(), reason="no C core is here")
KERNELS = binding.extension().int8_kernels() if binding.is_available() else []
SIZES = [(1, 1), (7, 5), (64, 64), (33, 19), (18, 40), (3, 130)]


def cell_of(size: tuple[int, int], reset_before: bool, scale: float = 0.03) -> IntegerGRU:
    """A cell with weights that reach the ends of the gates, and biases inside and outside the reset."""
    I, H = size
    rng = np.random.default_rng(I * H)
    W, U = (quantise(rng.normal(0, 1.5, (3 * H, columns)).astype(np.float32)) for columns in (I, H))
    b_i, b_h = rng.normal(0, 1, (2, 3 * H)).astype(np.float32)
    form = Form("gru", "gru", H, reset_before=reset_before)
    return IntegerGRU(W, U, b_i, b_h, form, scale)


def inputs(cell: IntegerGRU, T: int, B: int) -> tuple[np.ndarray, np.ndarray]:
    """x [T, B, I] that goes beyond -127..127 and meets the middle of two steps, and h [B, H] with -1, 0 and 1."""
    rng = np.random.default_rng(1)
    x = rng.normal(0, 2.5, (T, B, cell.W.q.shape[1])).astype(np.float32)
    x[0, :, 0] = 0.5 * cell.scale
    h = rng.uniform(-1, 1, (B, cell.size)).astype(np.float32)
    h[0, : min(3, cell.size)] = [-1, 0, 1][: cell.size]
    return x, h


@pytest.mark.parametrize("reset_before", [False, True])
@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize("kernel", KERNELS)
def test_every_kernel_gives_the_integers_of_numpy(
    kernel: str, size: tuple[int, int], reset_before: bool
) -> None:
    cell = cell_of(size, reset_before)
    layer, (x, h) = cell.packed(kernel), inputs(cell, 7, 6)
    assert layer.kernel() == kernel
    lengths = np.array([7, 0, 3, 6, 7, 1])
    for counts, reverse in ((None, False), (lengths, False), (lengths, True), (None, True)):
        after = h.copy()
        expected, (state,) = run_cell(cell, x, (h,), counts, reverse)
        np.testing.assert_array_equal(layer.sequence(x, after, counts, reverse), expected)
        np.testing.assert_array_equal(after, state)
    expected, _ = run_cell(cell, x, (h,))
    batch, each = layer.stepper(6), [layer.stepper(1) for _ in range(6)]
    batch.write(h)
    for stepper, row in zip(each, h):
        stepper.write(row[None])
    each[2] = each[2].copy()
    for step, rows in zip(x, expected):
        np.testing.assert_array_equal(batch.step(step), rows)
        np.testing.assert_array_equal(layer.advance(each, step), rows)
    last = np.empty_like(h)
    batch.read(last)
    np.testing.assert_array_equal(last, expected[-1])


@pytest.fixture
def isa() -> Iterator[Any]:
    core = binding.extension()
    before = core.isa()
    yield core
    core.set_isa(before)


def test_the_instruction_set_in_use_chooses_the_kernel(isa: Any) -> None:
    chosen = {}
    for name in isa.isas():
        assert isa.set_isa(name)
        chosen[name] = cell_of((7, 5), False).packed().kernel()
    assert chosen["baseline"] == "plain"
    assert chosen[isa.isas()[0]] == KERNELS[0] or KERNELS[0] == "plain"
    assert chosen.get("avx2", "avx2") in ("avx2", "avxvnni")


def test_wrong_calls_have_one_line() -> None:
    cell = cell_of((7, 5), False)
    layer = cell.packed()
    with pytest.raises(SettingsError, match="kernel is 'mmx', expected one of int8_kernels"):
        cell.packed("mmx")
    with pytest.raises(
        ShapeError, match=r"x has shape \(1, 8\) and dtype float32, expected a contiguous float32 array"
    ):
        layer.stepper(1).step(np.zeros((1, 8), np.float32))
    with pytest.raises(ShapeError, match="h has shape"):
        layer.stepper(1).write(np.zeros((1, 6), np.float32))
    with pytest.raises(SettingsError, match="batch is -1, expected a whole number from 0"):
        layer.stepper(-1)
    one_stepper, x = layer.stepper(1), np.zeros((2, 7), np.float32)
    for steppers in (
        [one_stepper, one_stepper],
        [one_stepper, layer.stepper(2)],
        [one_stepper, cell.packed().stepper(1)],
        [1, 2],
    ):
        with pytest.raises(
            ShapeError, match=r"steppers\[\d\] is of other weights, of another batch or in use"
        ):
            layer.advance(steppers, x)
    one_stepper.step(x[:1])
    with pytest.raises(ShapeError, match="x has 3 axes or another size"):
        layer.sequence(np.zeros((2, 1, 8), np.float32), np.zeros((1, 5), np.float32), None, False)
    with pytest.raises(ShapeError, match="lengths has another size or kind of number, expected 1 of kind"):
        layer.sequence(
            np.zeros((2, 1, 7), np.float32), np.zeros((1, 5), np.float32), np.zeros(2, np.int64), False
        )
    with pytest.raises(ShapeError, match="U has another size or kind of number, expected 75 of kind 'b'"):
        type(layer)(cell.W.q, np.zeros((3, 5), np.int8), None, 1, None, 1, None, None, None, 1.0)


@pytest.mark.parametrize("reset_before", [False, True])
def test_a_loaded_folder_steps_on_the_core_and_keeps_its_weights_small(
    reset_before: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from congru.export.int8 import target

    monkeypatch.setattr(target, "time_beside", lambda calls: time_beside(calls, seconds=0.002))
    config = one(
        "gru", {"x": {"features": 6}}, hidden_size=20, num_layers=2, reset_before=reset_before, learn_h0=True
    )
    export_model(save_networks(tmp_path / "model", {"main": config}), "int8", tmp_path / "small")
    native, plain = congru.load(tmp_path / "small"), congru.load(tmp_path / "small", backend="numpy")
    (fast,), (slow,) = (list(model.network.computes.values()) for model in (native, plain))
    assert isinstance(fast, IntegerRecurrent)
    assert isinstance(slow, IntegerRecurrent)
    assert (fast.backend, slow.backend) == ("native", "numpy")
    x = np.random.default_rng(0).normal(0, 2, (3, 30, 6)).astype(np.float32)
    lengths = np.array([30, 4, 0])
    (y, state), (expected, after) = (model.run(x, lengths) for model in (native, plain))
    np.testing.assert_array_equal(y, expected)
    np.testing.assert_array_equal(state["node.h"], after["node.h"])
    sessions = [native.session() for _ in range(5)]
    rows = np.stack([advance(sessions, np.repeat(x[:1, t], 5, axis=0)) for t in range(30)])
    np.testing.assert_array_equal(rows[:, 3], expected[0])
    assert sessions[0].fork().step(x[1, 0]).tolist() == plain.session().feed(x[0]).step(x[1, 0]).tolist()
    stored = native.network.weights
    assert "node.weight_hh_l1" not in stored._plain  # type: ignore[attr-defined]
    np.testing.assert_array_equal(
        stored["node.weight_hh_l1"], dict(plain.network.weights)["node.weight_hh_l1"]
    )
    gates = native.network.trace(x)[2]["node"]
    np.testing.assert_array_equal(gates, plain.network.trace(x)[2]["node"])
