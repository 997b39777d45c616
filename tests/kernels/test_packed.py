"""Packed weights: steppers, many at once, whole sequences, copies and threads have the bits of a call that packs its own."""

from __future__ import annotations

import copy
import threading
from typing import Any

import numpy as np
import pytest

from congru import ops
from congru.errors import CongruError, SettingsError, ShapeError
from congru.kernels import binding, packed
from option_cases import OPTION_FORMS, make_option_case

pytestmark = pytest.mark.skipif(binding._CORE is None, reason=f"no C core: {binding._REASON}")
DTYPES = (np.float32, np.float64)
# (cell, reset before, layer norm, num_heads, zoneout, weight dtype)
FORMS = [
    *((*form, heads, share, None) for form in OPTION_FORMS for heads, share in ((1, 0.0), (1, 0.25))),
    *((*form, 3, 0.25, None) for form in OPTION_FORMS if form[2] != "dreamer"),
    *((*form, 2, 0.0, "bfloat16") for form in OPTION_FORMS if not form[2]),
]


class Layer:
    """One layer with options: its arrays, packed, and the call that packs its own."""

    def __init__(self, form: tuple[Any, ...], dtype: Any = np.float32, B: int = 5, T: int = 6) -> None:
        cell, reset_before, norm, num_heads, share, weight_dtype = form
        case = make_option_case(cell, reset_before, norm, H=18, B=B, T=T, I=5, num_heads=num_heads)
        self.cell, self.x = cell, case.x.astype(dtype)
        self.state = tuple(part.astype(dtype) for part in case.state)
        self.weights = tuple(None if part is None else part.astype(dtype) for part in case.weights)
        self.form = {
            "reset_before": reset_before,
            "layer_norm": norm,
            "num_heads": num_heads,
            "weight_dtype": weight_dtype,
        }
        self.share = share
        self.packed = packed.pack(cell, self.weights, zoneout=share, **self.form)

    def expected(self, x: Any, state: Any, **options: Any) -> Any:
        zones = tuple(np.full((*x.shape[:2], 18), self.share, x.dtype) for _ in self.state)
        keep = {"zoneout": zones} if self.share else {}
        return ops.sequence(
            self.cell, x, state, self.weights, **self.form, **keep, **options, backend="native"
        )


def same(found: Any, expected: Any) -> None:
    """All arrays of two results, bit for bit."""
    for a, b in zip((found[0], *found[1], found[2]), (expected[0], *expected[1], expected[2])):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("form", FORMS, ids=str)
def test_a_sequence_has_the_bits_of_one_that_packs_its_own(form: tuple[Any, ...], dtype: Any) -> None:
    layer = Layer(form, dtype)
    lengths, reset = np.array([6, 0, 3, 5, 1]), np.random.default_rng(0).random((5, 6)) < 0.3
    for options in ({}, {"lengths": lengths, "reset": reset}, {"reverse": True, "lengths": lengths}):
        for T in (6, 1, 0):
            given = {
                name: np.minimum(part, T) if name == "lengths" else part for name, part in options.items()
            }
            if "reset" in given:
                given["reset"] = reset[:, :T]
            x = layer.x[:, :T]
            given["return_gates"] = True
            same(layer.packed.sequence(x, layer.state, **given), layer.expected(x, layer.state, **given))
    start = tuple(part[0] for part in layer.state)
    given = {"reset": reset, "h_reset": start}
    same(layer.packed.sequence(layer.x, **given), layer.expected(layer.x, None, **given))
    time_major = np.ascontiguousarray(layer.x.swapaxes(0, 1)).swapaxes(0, 1)
    same(layer.packed.sequence(time_major), layer.expected(layer.x, None))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("form", FORMS, ids=str)
def test_steppers_alone_together_copied_and_in_a_batch_have_the_bits_of_the_sequence(
    form: tuple[Any, ...], dtype: Any
) -> None:
    layer = Layer(form, dtype)
    whole, final, _ = layer.expected(layer.x, layer.state)
    batch = layer.packed.stepper(5, layer.state)
    rows = [layer.packed.stepper(1, tuple(part[b : b + 1] for part in layer.state)) for b in range(5)]
    for t in range(6):
        x = np.ascontiguousarray(layer.x[:, t])
        twin = rows[3].copy()
        np.testing.assert_array_equal(twin.step(x[3:4]), whole[3:4, t])
        np.testing.assert_array_equal(layer.packed.advance(rows, x), whole[:, t])
        np.testing.assert_array_equal(batch.step(x), whole[:, t])
        rows[3] = twin
    states = tuple(np.empty_like(part) for part in final)
    batch.read(*states)
    for a, b in zip(states, final):
        np.testing.assert_array_equal(a, b)
    alone = tuple(np.empty_like(part[:1]) for part in final)
    for number, row in enumerate(rows):
        row.read(*alone)
        for a, b in zip(alone, final):
            np.testing.assert_array_equal(a[0], b[number])


def test_a_step_answers_in_the_steppers_own_array() -> None:
    layer = Layer(("gru", False, False, 1, 0.0, None))
    one, x = layer.packed.stepper(5), np.ascontiguousarray(layer.x[:, 0])
    first = one.step(x)
    copied = one.copy()
    assert copied.step(x) is not first
    assert one.step(x) is first
    np.testing.assert_array_equal(copied.step(x), one.step(x))
    none = layer.packed.stepper(0)
    assert none.step(x[:0]).shape == (0, 18)
    assert layer.packed.advance([], x[:0]).shape == (0, 18)
    assert copy.deepcopy(layer.packed) is layer.packed


def test_a_stepper_outlives_its_packed_weights_and_copies_are_independent() -> None:
    layer = Layer(("lstm", False, False, 1, 0.0, None))
    x = np.ascontiguousarray(layer.x[:1, 0])
    expected, _, _ = layer.expected(layer.x[:1, :1], None)
    one = layer.packed.stepper()
    layer.weights[0].fill(np.nan)  # copied: what happens to the arrays afterwards is not seen
    del layer
    twin = one.copy()
    np.testing.assert_array_equal(one.step(x), expected[:, 0])
    one.step(x)
    np.testing.assert_array_equal(twin.step(x), expected[:, 0])


@pytest.mark.parametrize("threads", [1, -2, -3])
def test_many_rows_through_chunks_and_threads(threads: int) -> None:
    core = binding.extension()
    layer, before = Layer(("gru", False, False, 1, 0.0, None), B=700, T=2), core.get_threads()
    weights = layer.packed
    whole, _, _ = layer.expected(layer.x, layer.state)
    rows = [weights.stepper(1, (layer.state[0][b : b + 1],)) for b in range(700)]
    batch = weights.stepper(700, layer.state)
    try:
        core.set_threads(threads)
        for t in range(2):
            x = np.ascontiguousarray(layer.x[:, t])
            np.testing.assert_array_equal(weights.advance(rows, x), whole[:, t])
            np.testing.assert_array_equal(batch.step(x), whole[:, t])
    finally:
        core.set_threads(before)


def test_threads_share_packed_weights() -> None:
    layer = Layer(("lstm", False, False, 1, 0.0, None), T=40)
    whole, _, _ = layer.expected(layer.x, layer.state)
    wrong: list[int] = []

    def run(b: int) -> None:
        one = layer.packed.stepper(1, tuple(part[b : b + 1] for part in layer.state))
        y = [layer.packed.advance([one], np.ascontiguousarray(layer.x[b : b + 1, t])) for t in range(40)]
        if not np.array_equal(np.concatenate(y), whole[b]):
            wrong.append(b)

    threads = [threading.Thread(target=run, args=(b,)) for b in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_memory_and_time_of_steppers() -> None:
    """A stepper of 512 units is a few kilobytes, and a fork costs less than two steps."""
    import resource
    import time

    rng = np.random.default_rng(0)
    shapes = ((1536, 64), (1536, 512), (1536,), (1536,))
    weights = packed.pack("gru", [rng.standard_normal(shape).astype(np.float32) for shape in shapes])
    one, x = weights.stepper(), np.zeros((1, 64), np.float32)
    one.step(x)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    held = [one.copy() for _ in range(4000)]
    for stepper in held:
        stepper.step(x)
    assert (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024 / len(held) < 12_000
    seconds: dict[str, list[float]] = {"fork": [], "step": []}
    for _ in range(200):
        for name, call in (("fork", one.copy), ("step", lambda: one.step(x))):
            start = time.perf_counter()
            call()
            seconds[name].append(time.perf_counter() - start)
    assert min(seconds["fork"]) < 2 * min(seconds["step"])


def gru(**changed: Any) -> Any:
    weights = {"W": np.ones((6, 3), "f"), "U": np.ones((6, 2), "f"), "b_i": np.ones(6, "f"), "b_h": None}
    return tuple({**weights, **changed}.values())


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"W": np.ones((5, 3), "f")}, r"W has shape \(5, 3\), expected \[3H, I\]: gru has 3 blocks"),
        ({"W": np.ones((6, 3), "i")}, "W has dtype int32, expected float32 or float64: convert it"),
        (
            {"U": np.ones((6, 3), "f")},
            r"U has shape \(6, 3\), expected \[3H, H\] = \(6, 2\): give it the rows",
        ),
        ({"U": np.ones((6, 2))}, "U has dtype float64, expected float32 as W: convert it"),
        ({"U": None}, "U is None, expected an array for gru: only a bias may be None"),
        ({"b_i": np.ones(5, "f")}, r"b_i has shape \(5,\), expected \[3H\] = \(6,\): pass one value"),
        ({"g_i": np.ones(6, "f")}, r"weights has 5 arrays, expected 4 for gru: pass \(W, U, b_i, b_h\)"),
    ],
)
def test_weights_that_do_not_fit(changed: dict[str, Any], message: str) -> None:
    with pytest.raises(ShapeError, match=message):
        packed.pack("gru", gru(**changed))


@pytest.mark.parametrize(
    ("cell", "form", "message"),
    [
        ("mingru", {}, "cell is 'mingru', expected one of gru, lstm, rnn: the core packs no other"),
        ("gru", {"weight_dtype": "int8"}, "weight_dtype is 'int8', expected None or 'bfloat16'"),
        ("gru", {"zoneout": 1.5}, "zoneout is 1.5, expected 0 to below 1: pass the share"),
        ("gru", {"layer_norm": "rms"}, "layer_norm is 'rms', expected False, True or 'dreamer'"),
        ("gru", {"num_heads": 4}, "num_heads is 4"),
        (
            "gru",
            {"layer_norm": True, "weight_dtype": "bfloat16"},
            "weight_dtype is 'bfloat16', expected None with layer norm: the core has no such",
        ),
    ],
)
def test_options_that_cannot_be(cell: str, form: dict[str, Any], message: str) -> None:
    with pytest.raises(CongruError, match=message):
        packed.pack(cell, gru(), **form)


def test_arrays_that_do_not_fit_a_stepper() -> None:
    weights = packed.pack("gru", gru())
    one, x = weights.stepper(), np.ones((1, 3), "f")
    fix = r"pass np.require\(x, dtype, 'CA'\) of \[B, I\]"
    for wrong, shown in (
        (np.ones(3, "f"), r"x has shape \(3,\) and dtype float32"),
        (np.ones((3, 1), "f"), r"x has shape \(3, 1\) and dtype float32"),
        (np.ones((1, 4), "f"), r"x has shape \(1, 4\) and dtype float32"),
        (np.ones((1, 3)), r"x has shape \(1, 3\) and dtype float64"),
        (np.ones((1, 6), "f")[:, ::2], r"x has shape \(1, 3\) and dtype float32"),
        (np.ones((1, 3), ">f4"), r"x has shape \(1, 3\) and dtype >f4"),
        (
            np.frombuffer(b"\0" * 13, np.uint8)[1:].view("f").reshape(1, 3),
            r"x has shape \(1, 3\) and dtype float32",
        ),
        ([[1.0, 2.0, 3.0]], "x is <class 'list'>"),
    ):
        with pytest.raises(
            ShapeError, match=rf"{shown}, expected a contiguous float32 array \(1, 3\): {fix}"
        ):
            one.step(wrong)
    h = np.empty((1, 2), "f")
    with pytest.raises(
        ShapeError, match=r"h has shape \(2, 1\) and dtype float32, expected .* \(1, 2\): pass"
    ):
        one.read(h.T)
    h.flags.writeable = False
    with pytest.raises(ShapeError, match=r"h has shape .*: pass a writable, contiguous array"):
        one.read(h)
    with pytest.raises(TypeError, match="expected 1 arrays, the state of the cell"):
        one.write(h, h)
    with pytest.raises(
        SettingsError, match="batch is -1, expected a whole number from 0: pass 1 for one row"
    ):
        weights.stepper(-1)
    with pytest.raises(ShapeError, match=r"h has shape \(2, 2\), expected \[B, H\] = \(1, 2\): pass None"):
        weights.stepper(1, (np.ones((2, 2), "f"),))
    with pytest.raises(ShapeError, match=r"state has 2 arrays, expected 1 for gru: pass \(h,\)"):
        weights.stepper(1, (h, h))
    np.testing.assert_array_equal(one.step(x), weights.stepper().step(x))


def test_steppers_that_cannot_advance_together() -> None:
    weights, others = packed.pack("gru", gru()), packed.pack("gru", gru())
    one, two, x = weights.stepper(), weights.stepper(), np.ones((2, 3), "f")
    before = np.empty((1, 2), "f")
    one.read(before)
    for second, message in (
        (one, r"steppers\[1\] is in use, expected each stepper once and in no other call: pass a copy\(\)"),
        (
            others.stepper(),
            r"steppers\[1\] is none of these packed weights, expected one made by stepper\(\)",
        ),
        (weights.stepper(2), r"steppers\[1\] has another batch, expected batch 1: call its step\(\)"),
        (None, r"steppers\[1\] is none of these packed weights"),
    ):
        with pytest.raises(ShapeError, match=message):
            weights.advance([one, second], x)
    with pytest.raises(ShapeError, match=r"x has shape \(2, 3\) .*, expected .* \(1, 3\): pass"):
        weights.advance([one], x)
    after = np.empty((1, 2), "f")
    one.read(after)
    np.testing.assert_array_equal(after, before)
    assert weights.advance((one, two), x).shape == (2, 2)
    heads = packed.pack("gru", gru(U=np.ones((6, 1), "f")), num_heads=2)
    with pytest.raises(ShapeError, match=r"steppers\[0\] is Stepper, expected one made by stepper\(\)"):
        heads.advance([one], x[:1])
    with pytest.raises(TypeError, match="expected 1 arrays, the state of the cell"):
        heads.stepper().read(after, after)
    with pytest.raises(ShapeError, match=r"h has shape \(2, 1\), expected \[B, H\] = \(1, 2\)"):
        heads.stepper().write(np.ones((2, 1), "f"))


def test_sequences_that_do_not_fit() -> None:
    weights, x = packed.pack("gru", gru()), np.ones((2, 4, 3), "f")
    for arguments, message in (
        ({"x": x[..., :2]}, r"x has shape \(2, 4, 2\), expected \[B, T, I\] = \(any, any, 3\)"),
        ({"x": x.astype(float)}, "x has dtype float64, expected float32 as the weights: convert it"),
        ({"lengths": [1, 2, 3]}, r"lengths has shape \(3,\), expected \[B\] = \(2,\): pass one length"),
        ({"lengths": [1, 5]}, r"lengths is \[1, 5\], expected 0 to T = 4: count the valid steps"),
        ({"reset": np.ones((2, 3), bool)}, r"reset has shape \(2, 3\), expected \[B, T\] = \(2, 4\)"),
        ({"h_reset": (np.ones(3, "f"),)}, r"h_reset has shape \(3,\), expected \[H\] = \(2,\): pass one"),
        ({"state": (np.ones((1, 2), "f"),)}, r"h has shape \(1, 2\), expected \[B, H\] = \(2, 2\)"),
    ):
        given = {"x": x, **arguments}
        if "lengths" in given:
            given["lengths"] = np.array(given["lengths"])
        with pytest.raises(ShapeError, match=message):
            weights.sequence(given.pop("x"), **given)
