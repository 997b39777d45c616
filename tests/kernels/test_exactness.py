"""float32 inference in the C core gives the same bits step by step, in any chunks, whole, for any batch and number of threads:
hashes over 2,000 steps, for every cell and instruction set; and AVX2 gives the bits of AVX-512.
"""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np
import pytest

from backend_checks import extra
from cases import FORMS, Case, make_case
from congru import ops
from congru.kernels import binding, packed

pytestmark = pytest.mark.skipif(binding._CORE is None, reason=f"no C core: {binding._REASON}")
CELLS = [form for form in FORMS if form[0] != "mingru"]
ISAS = ("avx512", "avx2", "baseline")
B, T = 9, 2000
Arrays = tuple[np.ndarray, ...]


def case_of(cell: str) -> Case:
    """A call whose state neither dies out nor explodes, H not a multiple of any vector."""
    case = make_case(cell, B=B, T=T, I=9, H=45)
    W, U, *rest = (None if part is None else part.astype(np.float32) for part in case.weights)
    assert U is not None
    state = tuple(part.astype(np.float32) for part in case.state)
    return case._replace(x=case.x.astype(np.float32), state=state, weights=(W, U * np.float32(0.25), *rest))


def digest(y: np.ndarray, state: Arrays) -> str:
    """One hash of the outputs [B, T, H] and the final state."""
    whole = hashlib.sha256(np.ascontiguousarray(y).tobytes())
    for part in state:
        whole.update(np.ascontiguousarray(part).tobytes())
    return whole.hexdigest()


def run(
    cell: str, reset_before: bool, x: np.ndarray, state: Arrays, weights: Any
) -> tuple[np.ndarray, Arrays]:
    y, final, _ = ops.sequence(cell, x, state, weights, **extra(reset_before), backend="native")
    return y, final


def in_chunks(cell: str, reset_before: bool, case: Case, length: int) -> str:
    outputs, state = [], case.state
    for begin in range(0, T, length):
        y, state = run(cell, reset_before, case.x[:, begin : begin + length], state, case.weights)
        outputs.append(y)
    return digest(np.concatenate(outputs, axis=1), state)


def step_by_step(cell: str, reset_before: bool, case: Case) -> str:
    stepper = packed.pack(cell, case.weights, **extra(reset_before)).stepper(B, case.state)
    time_major = np.ascontiguousarray(case.x.swapaxes(0, 1))
    y = np.stack([stepper.step(x).copy() for x in time_major], axis=1)
    state = tuple(np.empty_like(part) for part in case.state)
    stepper.read(*state)
    return digest(y, state)


def in_batches(cell: str, reset_before: bool, case: Case, size: int) -> str:
    parts = []
    for row in range(0, B, size):
        rows = slice(row, row + size)
        parts.append(run(cell, reset_before, case.x[rows], tuple(s[rows] for s in case.state), case.weights))
    final = tuple(np.concatenate(part) for part in zip(*(state for _, state in parts)))
    return digest(np.concatenate([y for y, _ in parts]), final)


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize(("cell", "reset_before"), CELLS)
def test_the_same_bits_however_it_is_cut(core: Any, cell: str, reset_before: bool, isa: str) -> None:
    if not core.set_isa(isa):
        pytest.skip(f"this processor has no {isa}")
    case = case_of(cell)
    core.set_threads(1)
    expected = digest(*run(cell, reset_before, case.x, case.state, case.weights))
    found = {"step by step": step_by_step(cell, reset_before, case)}
    found |= {f"chunks of {n}": in_chunks(cell, reset_before, case, n) for n in (1, 2, 3, 64, 999)}
    found |= {f"batches of {n}": in_batches(cell, reset_before, case, n) for n in (1, 4)}
    row = tuple(part[:1] for part in case.state)
    alone = digest(*run(cell, reset_before, case.x[:1], row, case.weights))
    for threads in (
        2,
        3,
    ):  # exactly so many, whether they pay or not: nine rows are split by rows, one by units
        core.set_threads(-threads)
        found[f"{threads} threads"] = digest(*run(cell, reset_before, case.x, case.state, case.weights))
    assert digest(*run(cell, reset_before, case.x[:1], row, case.weights)) == alone
    assert found == dict.fromkeys(found, expected)


@pytest.mark.parametrize(("cell", "reset_before"), CELLS)
def test_avx2_gives_the_bits_of_avx512(core: Any, cell: str, reset_before: bool) -> None:
    if not {"avx2", "avx512"} <= set(core.isas()):
        pytest.skip("this processor has not both")
    case = case_of(cell)
    hashes = set()
    for isa in ("avx2", "avx512"):
        core.set_isa(isa)
        hashes.add(digest(*run(cell, reset_before, case.x, case.state, case.weights)))
    assert len(hashes) == 1
