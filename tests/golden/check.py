"""Replay a golden case with the reference, or with a changed copy of it (`test_mutants.py`).

Cases of the options (`generate_options.py`) hold one layer each; `option_call` reads them for any implementation.
"""

from __future__ import annotations

from types import ModuleType
from typing import Any, NamedTuple

import numpy as np

from congru.reference import conventions, options, stack
from golden.case_file import FOLDER, GoldenCase
from tolerances import assert_close

OPTION_PATHS = sorted(FOLDER.glob("option_*.npz"))
RELU_PATHS = sorted(
    FOLDER.glob("*_relu_rnn.npz")
)  # the reference has no relu RNN: tests/convert replays these
PATHS = sorted(set(FOLDER.glob("*.npz")) - set(OPTION_PATHS) - set(RELU_PATHS))


class Reference(NamedTuple):
    """The modules that a replay runs."""

    stack: ModuleType = stack
    conventions: ModuleType = conventions
    options: ModuleType = options


def replay(case: GoldenCase, reference: Reference) -> tuple[np.ndarray, tuple[np.ndarray, ...]]:
    """Return y and the final state that the stack, or for clipped cases the cell itself, computes."""
    about, cell = case.about, case.about["cell"]
    if about["system"] == "options":
        weights, state, options = option_call(case)
        y, final, _ = reference.options.forward(cell, case.x, state, weights, **options)
        return y, tuple(part[None] for part in final)
    read = [
        reference.conventions.to_canonical(about["system"], arrays, cell=cell, **about["options"])
        for arrays in case.arrays
    ]
    options = {"reset_before": read[0].reset_before} if cell == "gru" else {}
    if about["clip"] is None:
        D = about["num_directions"]
        weights = [[part.weights for part in read[k : k + D]] for k in range(0, len(read), D)]
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
        for d, part in enumerate(read)
    ]
    return np.concatenate([run[0] for run in runs], axis=2), (np.stack([run[1][0] for run in runs]),)


def option_call(case: GoldenCase) -> tuple[tuple[np.ndarray, ...], tuple[np.ndarray, ...], dict[str, Any]]:
    """The canonical weights, the state and the keywords of `congru.ops.sequence` of a case of the options."""
    options = {"num_heads": case.about["num_heads"], **case.about["options"]}
    (arrays,) = case.arrays
    zoneout = tuple(arrays[name] for name in ("zoneout_0", "zoneout_1") if name in arrays)
    if zoneout:
        options["zoneout"] = zoneout
    if "recurrent_mask" in arrays:
        options["recurrent_mask"] = arrays["recurrent_mask"]
    state = tuple(part[0] for part in case.state)
    if "kernel" in arrays:
        return _of_dreamer(arrays, case.x.shape[2]), state, options
    names = ["weight_ih", "weight_hh", "bias_ih", "bias_hh", "gain_ih", "gain_hh", "gain_c", "bias_c"]
    if options["num_heads"] == 1:
        return tuple(arrays[name] for name in names if name in arrays), state, options
    heads = [
        [arrays[f"head_{k}/{name}"] for name in names if f"head_{k}/{name}" in arrays]
        for k in range(options["num_heads"])
    ]
    num_units = state[0].shape[1] // len(heads)
    return tuple(_gate_by_gate(parts, num_units) for parts in zip(*heads)), state, options


def _gate_by_gate(parts: tuple[np.ndarray, ...], num_units: int) -> np.ndarray:
    """The rows of all heads: those of one gate together, head after head."""
    blocks = [part.reshape(-1, num_units, *part.shape[1:]) for part in parts]
    return np.concatenate([head[gate] for gate in range(len(blocks[0])) for head in blocks])


def _of_dreamer(arrays: dict[str, np.ndarray], num_inputs: int) -> tuple[np.ndarray, ...]:
    """Rows reset, candidate, update as r, z, n; z is what is kept, so what becomes their update is negated."""

    def rows(array: np.ndarray, sign: float = 1.0) -> np.ndarray:
        reset, candidate, update = np.split(array, 3)
        return np.concatenate([reset, sign * update, candidate])

    kernel = arrays["kernel"].T
    W, U, b_h = rows(kernel[:, :num_inputs]), rows(kernel[:, num_inputs:]), rows(arrays["bias"])
    return W, U, rows(arrays["offset"], -1), b_h, rows(arrays["scale"], -1)


def check(case: GoldenCase, reference: Reference | None = None) -> None:
    """Fail unless y and the final state are those of the library that made the case."""
    y, final = replay(case, reference or Reference())
    assert_close("golden", y, case.y, "y")
    for k, (a, b) in enumerate(zip(final, case.final, strict=True)):
        assert_close("golden", a, b, f"final state {k}")
