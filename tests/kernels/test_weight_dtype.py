"""bfloat16 weights: rounded as torch rounds them, and in the core the bits of float32 weights that were rounded before."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from backend_checks import extra
from cases import FORMS, make_case
from congru import ops
from congru.errors import BackendError, SettingsError
from congru.kernels import native, packed
from congru.kernels.rounding import rounded, to_bfloat16
from tolerances import assert_close

needs_core = pytest.mark.skipif(native._CORE is None, reason=f"no C core: {native._REASON}")
CELLS = [form for form in FORMS if form[0] != "mingru"]
ISAS = ("avx512", "avx2", "baseline")


def call_of(cell: str, **sizes: int) -> tuple[Any, Any, Any]:
    """x, state and weights in float32."""
    case = make_case(cell, **sizes)
    single = lambda parts: tuple(None if part is None else part.astype(np.float32) for part in parts)  # noqa: E731
    return case.x.astype(np.float32), single(case.state), single(case.weights)


def test_rounding_is_that_of_torch() -> None:
    rng = np.random.default_rng(0)
    bits = rng.integers(0, 2**32, 100_000, dtype=np.uint32)
    ties = (bits & np.uint32(0xFFFF0000)) | np.uint32(0x8000)
    special = np.array([0.0, -0.0, np.inf, -np.inf, np.nan, 3.4e38, -3.4e38, 1e-40], np.float32)
    values = np.concatenate([bits.view(np.float32), ties.view(np.float32), special])
    expected = torch.from_numpy(values).to(torch.bfloat16).to(torch.float32).numpy()
    found = to_bfloat16(values)
    np.testing.assert_array_equal(found, expected)
    np.testing.assert_array_equal(np.signbit(found[values == 0]), np.signbit(values[values == 0]))
    tensor = to_bfloat16(torch.from_numpy(values).double())
    np.testing.assert_array_equal(tensor.numpy().astype(np.float32), expected)


@needs_core
@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize(("cell", "reset_before"), CELLS)
def test_the_core_gives_the_bits_of_rounded_weights(cell: str, reset_before: bool, isa: str) -> None:
    core = native.extension()
    was = core.isa()
    if not core.set_isa(isa):
        pytest.skip(f"this processor has no {isa}")
    try:
        for B, I, H in ((1, 9, 45), (5, 4, 33), (9, 1, 16), (2, 7, 3)):
            x, state, weights = call_of(cell, B=B, T=30, I=I, H=H)
            W = weights[0]
            W.flat[::7] = (W.flat[::7].view(np.uint32) & np.uint32(0xFFFF0000) | np.uint32(0x8000)).view(
                np.float32
            )
            form = extra(reset_before)
            given = {**form, "backend": "native", "return_gates": True}
            y, final, gates = ops.sequence(cell, x, state, rounded(cell, weights), **given)
            found = ops.sequence(cell, x, state, weights, **given, weight_dtype="bfloat16")
            np.testing.assert_array_equal(found[0], y)
            np.testing.assert_array_equal(found[2], gates)
            for a, b in zip(found[1], final):
                np.testing.assert_array_equal(a, b)
            assert np.abs(y - ops.sequence(cell, x, state, weights, **given)[0]).max() > 1e-4
            stepper = packed.pack(cell, weights, weight_dtype="bfloat16", **form).stepper(B, state)
            steps = [stepper.step(np.ascontiguousarray(x[:, t])).copy() for t in range(30)]
            np.testing.assert_array_equal(np.stack(steps, 1), y)
    finally:
        core.set_isa(was)


@pytest.mark.parametrize("library", ["numpy", "torch"])
@pytest.mark.parametrize(("cell", "reset_before"), FORMS)
def test_every_backend_rounds(cell: str, reset_before: bool, library: str) -> None:
    case = make_case(cell, B=3, T=12, I=4, H=6)
    expected = ops.sequence(
        cell, case.x, case.state, rounded(cell, case.weights), **extra(reset_before), backend="reference"
    )
    x, state, weights = case.x, case.state, case.weights
    if library == "torch":
        x, state = torch.from_numpy(x), tuple(map(torch.from_numpy, state))
        weights = tuple(None if part is None else torch.from_numpy(part) for part in weights)
    for backend in ("reference",) if library == "numpy" else ("composite", "auto"):
        y, final, _ = ops.sequence(
            cell, x, state, weights, **extra(reset_before), weight_dtype="bfloat16", backend=backend
        )
        assert_close("composite, float64", np.asarray(y), expected[0])
        assert_close("composite, float64", np.asarray(final[0]), expected[1][0])
        (h, *_) = ops.step(
            cell, x[:, 0], state, weights, **extra(reset_before), weight_dtype="bfloat16", backend=backend
        )
        assert_close("composite, float64", np.asarray(h), expected[0][:, 0])


@needs_core
@pytest.mark.parametrize(("cell", "reset_before"), CELLS)
def test_tensors_give_the_bits_of_arrays(cell: str, reset_before: bool) -> None:
    x, state, weights = call_of(cell, B=3, T=30, I=9, H=20)
    form = {**extra(reset_before), "weight_dtype": "bfloat16", "backend": "native"}
    expected = ops.sequence(cell, x, state, weights, **form)
    tensors = [
        tuple(None if part is None else torch.from_numpy(part) for part in parts)
        for parts in (state, weights)
    ]

    def run(x: torch.Tensor) -> tuple[Any, ...]:
        return ops.sequence(cell, x, tensors[0], tensors[1], **form)[:2]

    with torch.no_grad():
        y, final = run(torch.from_numpy(x))
        compiled = torch.compile(run, fullgraph=True, backend="aot_eager")(torch.from_numpy(x))[0]
        mapped = torch.func.vmap(run)(torch.from_numpy(x)[None].expand(2, 3, 30, 9))[0][1]
    for found in (y, compiled, mapped):
        np.testing.assert_array_equal(found.numpy(), expected[0])
    np.testing.assert_array_equal(final[0].numpy(), expected[1][0])


@needs_core
def test_heads_zoneout_and_ragged_rows_in_bfloat16() -> None:
    rng = np.random.default_rng(0)
    x = rng.standard_normal((4, 9, 5)).astype(np.float32)
    weights = tuple(rng.standard_normal(shape).astype(np.float32) for shape in ((24, 5), (24, 4), 24, 24))
    given: dict[str, Any] = {
        "num_heads": 2,
        "zoneout": np.full((4, 9, 8), 0.25, np.float32),
        "lengths": np.array([9, 0, 3, 5]),
        "backend": "native",
    }
    y, final, _ = ops.sequence("gru", x, None, weights, **given, weight_dtype="bfloat16")
    expected, end, _ = ops.sequence("gru", x, None, rounded("gru", weights), **given)
    np.testing.assert_array_equal(y, expected)
    np.testing.assert_array_equal(final[0], end[0])


def test_wrong_calls() -> None:
    x, state, weights = call_of("gru", B=2, T=3, I=4, H=6)
    with pytest.raises(
        SettingsError,
        match=r"weight_dtype is 'int8', expected None \(as x\) or 'bfloat16': pass one of these",
    ):
        ops.sequence("gru", x, state, weights, weight_dtype="int8")
    tensors = tuple(None if part is None else torch.from_numpy(part).requires_grad_() for part in weights)
    with pytest.raises(
        SettingsError, match="'bfloat16', expected None where a gradient is wanted: call under"
    ):
        ops.sequence("gru", torch.from_numpy(x), None, tensors, weight_dtype="bfloat16")
    with torch.no_grad():
        ops.sequence("gru", torch.from_numpy(x), None, tensors, weight_dtype="bfloat16")
    gains = (*weights, np.ones(18, np.float32), np.ones(18, np.float32))
    given: dict[str, Any] = {"layer_norm": True, "weight_dtype": "bfloat16"}
    assert "runs on 'reference'" in ops.explain("gru", x, state, gains, **given)
    if native._CORE is not None:
        with pytest.raises(BackendError, match="it has no bfloat16 weights with layer norm"):
            ops.sequence("gru", x, state, gains, **given, backend="native")
