"""Known mistakes, planted one at a time into a copy of the reference: the golden cases notice every one.

A golden suite that stayed green with one of these would prove nothing. A new bug adds a line here.
"""

from __future__ import annotations

from pathlib import Path
from types import ModuleType
from typing import NamedTuple

import numpy as np
import pytest

import congru.reference
from golden.case_file import GoldenCase, load
from golden.check import PATHS, Reference, replay
from tolerances import LIMITS, relative_error

FOLDER = Path(congru.reference.__file__).parent
CASES = [load(path) for path in PATHS]
GRU_UNPACK = (
    "(W_r, W_z, W_n), (U_r, U_z, U_n), (b_ir, b_iz, b_in), (b_hr, b_hz, b_hn) = blocks(CELL, weights)"
)
AFTER = "tanh(x @ W_n.T + b_in + r * (h @ U_n.T + b_hn))"
BEFORE = "tanh(x @ W_n.T + b_in + (r * h) @ U_n.T + b_hn)"


class Mutant(NamedTuple):
    """In `file`, the one place that reads `old` becomes `new`."""

    what: str
    file: str
    old: str
    new: str


MUTANTS = [
    # GRU
    Mutant(
        "swapped r and z",
        "gru",
        GRU_UNPACK,
        GRU_UNPACK.replace("_r", "_#").replace("_z", "_r").replace("_#", "_z"),
    ),
    Mutant("swapped sense of z", "gru", "(1 - z) * n + z * h\n    return", "z * n + (1 - z) * h\n    return"),
    Mutant("reset before instead of after", "gru", AFTER, BEFORE),
    Mutant("reset after instead of before", "gru", BEFORE, AFTER),
    Mutant("b_hn outside r", "gru", AFTER, "tanh(x @ W_n.T + b_in + r * (h @ U_n.T) + b_hn)"),
    Mutant("missing b_hn", "gru", AFTER, "tanh(x @ W_n.T + b_in + r * (h @ U_n.T))"),
    Mutant("missing b_hn, reset before", "gru", BEFORE, "tanh(x @ W_n.T + b_in + (r * h) @ U_n.T)"),
    Mutant("missing b_hr", "gru", "b_ir + h @ U_r.T + b_hr", "b_ir + h @ U_r.T"),
    Mutant("missing b_iz", "gru", "+ b_iz + h @", "+ h @"),
    Mutant("tanh for the reset gate", "gru", "r = sigmoid(", "r = tanh("),
    Mutant("tanh for the update gate", "gru", "z = sigmoid(", "z = tanh("),
    Mutant("sigmoid for the candidate", "gru", f"n = {AFTER}", f"n = {AFTER.replace('tanh', 'sigmoid')}"),
    Mutant("transposed U_n", "gru", AFTER, AFTER.replace("U_n.T", "U_n")),
    Mutant("transposed U_r", "gru", "h @ U_r.T", "h @ U_r"),
    Mutant("reset gate on the x side", "gru", AFTER, "tanh(r * (x @ W_n.T + b_in) + h @ U_n.T + b_hn)"),
    Mutant("reset gate on both sides", "gru", AFTER, "tanh(r * (x @ W_n.T + b_in + h @ U_n.T + b_hn))"),
    Mutant("no reset gate", "gru", AFTER, "tanh(x @ W_n.T + b_in + h @ U_n.T + b_hn)"),
    Mutant("update gate from the reset state", "gru", "b_iz + h @ U_z.T", "b_iz + (r * h) @ U_z.T"),
    Mutant("hard sigmoid", "gru", "z = sigmoid(", "z = (lambda a: np.clip(0.2 * a + 0.5, 0, 1))("),
    Mutant("clip ignored", "gru", "clipped(clip)", "clipped(None)"),
    Mutant(
        "reset_before ignored",
        "gru",
        "partial(step, reset_before=reset_before, clip=clip)",
        "partial(step, clip=clip)",
    ),
    # LSTM and RNN
    Mutant("swapped i and f", "lstm", "c_new = f * c + i * g\n", "c_new = i * c + f * g\n"),
    Mutant(
        "swapped g and o",
        "lstm",
        "(W_i, W_f, W_g, W_o), (U_i, U_f, U_g, U_o)",
        "(W_i, W_f, W_o, W_g), (U_i, U_f, U_o, U_g)",
    ),
    Mutant("no tanh on the cell state", "lstm", "h_new = o * tanh(c_new)", "h_new = o * c_new"),
    Mutant("forget bias of one added", "lstm", "f = sigmoid(x", "f = sigmoid(1 + x"),
    Mutant(
        "output gate on the cell state", "lstm", "c_new = f * c + i * g\n", "c_new = (f * c + i * g) * o\n"
    ),
    Mutant("swapped h and c", "lstm", "x, (h, c), weights =", "x, (c, h), weights ="),
    Mutant("missing b_h", "rnn", "h @ U.T + b_h)", "h @ U.T)"),
    Mutant("transposed U", "rnn", "h @ U.T", "h @ U"),
    # time
    Mutant("h0 ignored", "sequence", "state = check_state(cell, state,", "state = check_state(cell, None,"),
    Mutant("state not carried across time", "sequence", "zip(p.start, state))", "zip(p.start, p.state))"),
    Mutant("reverse direction runs forward", "sequence", "order.reverse()", "pass"),
    Mutant(
        "lengths ignored",
        "sequence",
        "np.arange(num_steps) < lengths[:, None]",
        "np.ones((num_batch, num_steps), bool)",
    ),
    Mutant(
        "one step too long", "sequence", "np.arange(num_steps) < lengths", "np.arange(num_steps) <= lengths"
    ),
    Mutant("final state runs through padding", "sequence", "np.where(valid, after, before)", "after"),
    Mutant("output of padding not zero", "sequence", "np.where(valid, new[0], 0.0)", "new[0]"),
    Mutant(
        "output before the step",
        "sequence",
        "np.where(valid, new[0], 0.0)",
        "np.where(valid, entering[0], 0.0)",
    ),
    # layers and directions
    Mutant(
        "state of the first layer in every layer",
        "stack",
        "states[k],\n                part",
        "states[direction],\n                part",
    ),
    Mutant(
        "output not carried to the second layer",
        "stack",
        "inputs[layer],\n                states[k],\n                part",
        "inputs[layer] * (layer == 0),\n                states[k],\n                part",
    ),
    Mutant(
        "second layer reads swapped directions",
        "stack",
        "np.concatenate(ys, axis=2)",
        "np.concatenate(ys[::-1], axis=2)",
    ),
    Mutant(
        "reverse direction with forward weights",
        "stack",
        "states[k],\n                part,",
        "states[k],\n                directions[0],",
    ),
    Mutant("final states of the directions swapped", "stack", "zip(*finals)", "zip(*finals[::-1])"),
    # conventions
    Mutant(
        "write read as keep",
        "conventions",
        '_sense(found, z) == "write":\n        W, U, b_i, b_h = negate_z((W, U, b_i, b_h))\n    return',
        "False:\n        W, U, b_i, b_h = negate_z((W, U, b_i, b_h))\n    return",
    ),
    Mutant(
        "z rows of the biases not negated",
        "conventions",
        "negate(W), negate(U), None if b_i is None else negate(b_i)",
        "negate(W), negate(U), b_i",
    ),
    Mutant(
        "rows of Keras and ONNX not reordered",
        "conventions",
        "blocks = dict(zip(rows,",
        "blocks = dict(zip(wanted,",
    ),
    Mutant(
        "reset form of Keras and ONNX ignored",
        "conventions",
        "return settled, bool(settled[found.reset] == before)",
        "return settled, False",
    ),
]


def mutated(mutant: Mutant | None) -> Reference:
    """Return fresh copies of the reference's modules, wired to each other, one of them changed."""
    modules: dict[str, ModuleType] = {}
    for name in ("sequence", "gru", "lstm", "rnn", "mingru", "stack", "conventions"):
        source = (FOLDER / f"{name}.py").read_text()
        if mutant is not None and mutant.file == name:
            assert source.count(mutant.old) == 1, f"{mutant.old!r} is not once in {name}.py"
            source = source.replace(mutant.old, mutant.new)
        modules[name] = ModuleType(f"mutated_{name}")
        exec(compile(source, f"mutated {name}.py", "exec"), modules[name].__dict__)
    for cell in modules["stack"].CELLS:
        modules[cell].sequence = modules["sequence"]
        modules["stack"].CELLS[cell] = modules[cell]
    return Reference(modules["stack"], modules["conventions"])


def notices(case: GoldenCase, reference: Reference) -> bool:
    """Return whether the numbers of a golden case differ, or are NaN; a crash would be no wrong number."""
    with np.errstate(over="ignore"):
        y, final = replay(case, reference)
    errors = [relative_error(a, b) for a, b in zip((y, *final), (case.y, *case.final), strict=True)]
    return not all(error <= LIMITS["golden"] for error in errors)


def test_the_unchanged_copy_passes():
    reference = mutated(None)
    assert not any(notices(case, reference) for case in CASES)


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.what)
def test_golden_cases_notice(mutant):
    reference = mutated(mutant)
    assert any(notices(case, reference) for case in CASES), f"no golden case notices: {mutant.what}"


def test_names_are_unique_and_many():
    assert len({mutant.what for mutant in MUTANTS}) == len(MUTANTS) >= 11
