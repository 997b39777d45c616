"""Replay a golden case with the reference, or with a changed copy of it (`test_mutants.py`)."""

from __future__ import annotations

from types import ModuleType
from typing import NamedTuple

import numpy as np

from congru.reference import conventions, stack
from golden.case_file import FOLDER, GoldenCase
from tolerances import assert_close

PATHS = sorted(FOLDER.glob("*.npz"))


class Reference(NamedTuple):
    """The modules that a replay runs."""

    stack: ModuleType = stack
    conventions: ModuleType = conventions


def replay(case: GoldenCase, reference: Reference) -> tuple[np.ndarray, tuple[np.ndarray, ...]]:
    """Return y and the final state that the stack, or for clipped cases the cell itself, computes."""
    about, cell = case.about, case.about["cell"]
    found = [
        reference.conventions.to_canonical(about["system"], arrays, cell=cell, **about["options"])
        for arrays in case.arrays
    ]
    options = {"reset_before": found[0].reset_before} if cell == "gru" else {}
    if about["clip"] is None:
        D = about["num_directions"]
        weights = [[part.weights for part in found[k : k + D]] for k in range(0, len(found), D)]
        y, final, _ = reference.stack.forward(
            cell, case.x, case.state, weights, lengths=case.lengths, **options
        )
        return y, final
    assert about["num_layers"] == 1
    assert case.lengths is None
    options["clip"] = about["clip"]
    runs = [
        reference.stack.CELLS[cell].forward(
            case.x, (case.state[0][d],), part.weights, reverse=d == 1, **options
        )
        for d, part in enumerate(found)
    ]
    return np.concatenate([run[0] for run in runs], axis=2), (np.stack([run[1][0] for run in runs]),)


def check(case: GoldenCase, reference: Reference | None = None) -> None:
    """Fail unless y and the final state are those of the library that made the case."""
    y, final = replay(case, reference or Reference())
    assert_close("golden", y, case.y, "y")
    for k, (a, b) in enumerate(zip(final, case.final, strict=True)):
        assert_close("golden", a, b, f"final state {k}")
