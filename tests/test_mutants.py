"""Known mistakes, planted one at a time into a copy of the reference: the golden cases notice every one.

A golden suite that stayed green with one of these would prove nothing. A new bug adds a line here.
"""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import NamedTuple

import numpy as np
import pytest

import congru.reference
from golden.case_file import GoldenCase, load
from golden.check import OPTION_PATHS, PATHS, Reference, replay
from tolerances import LIMITS, relative_error

FOLDER = Path(congru.reference.__file__).parent
CASES = [load(path) for path in (*PATHS, *OPTION_PATHS)]
GRU_UNPACK = (
    "(W_r, W_z, W_n), (U_r, U_z, U_n), (b_ir, b_iz, b_in), (b_hr, b_hz, b_hn) = blocks(CELL, weights)"
)
AFTER = "tanh(x @ W_n.T + b_in + r * (h @ U_n.T + b_hn))"
BEFORE = "tanh(x @ W_n.T + b_in + (r * h) @ U_n.T + b_hn)"


SUMS = "project(v, M, gain, num_gates * form.num_heads)"
BIASED = "gain * normalise(v @ M.T + bias, num_gates * form.num_heads)[0] - bias"
PLAN = "reverse, _parts(zoneout), recurrent_mask\n    )\n    return sequence.run("
STEP = "new, gates = FORWARD[form.cell](x, seen, state, w, form)"
# m * (U h) in place of U (m * h): rows of U by the mask, one row of the batch at a time.
AFTER_THE_PRODUCT = """rows = []
    for b in range(len(x)):
        m = np.ones(seen.shape[1]) if recurrent_mask is None else recurrent_mask[b]
        scaled = {**w, "U": np.tile(m, len(w["U"]) // len(m))[:, None] * w["U"]}
        own = tuple(part[b : b + 1] for part in state)
        rows.append(FORWARD[form.cell](x[b : b + 1], own[0], own, scaled, form))
    new, gates = ([np.concatenate(part) for part in zip(*(row[k] for row in rows))] for k in range(2))"""


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
        "np.where(valid, state_prev[0], 0.0)",
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
        '_sense(row, z) == "write":\n        W, U, b_i, b_h = negate_z((W, U, b_i, b_h))\n    return',
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
        "return settled, bool(settled[row.reset] == before)",
        "return settled, False",
    ),
    # layer norm
    Mutant(
        "epsilon outside the root",
        "layer_norm",
        "1 / np.sqrt((centred * centred).mean(axis=2, keepdims=True) + eps)",
        "1 / (np.sqrt((centred * centred).mean(axis=2, keepdims=True)) + eps)",
    ),
    Mutant("epsilon of 1e-3", "layer_norm", "EPSILON = 1e-5", "EPSILON = 1e-3"),
    Mutant("no epsilon", "layer_norm", "keepdims=True) + eps)", "keepdims=True))"),
    Mutant(
        "missing mean", "layer_norm", "centred = parts - parts.mean(axis=2, keepdims=True)", "centred = parts"
    ),
    Mutant(
        "variance of n - 1",
        "layer_norm",
        "(centred * centred).mean(axis=2, keepdims=True)",
        "(centred * centred).sum(axis=2, keepdims=True) / (parts.shape[2] - 1)",
    ),
    Mutant(
        "gain inside the norm",
        "layer_norm",
        "gain * normalise(a, num_parts, eps)[0]",
        "normalise(gain * a, num_parts, eps)[0]",
    ),
    Mutant(
        "missing gain",
        "layer_norm",
        "gain * normalise(a, num_parts, eps)[0]",
        "normalise(a, num_parts, eps)[0]",
    ),
    Mutant(
        "one norm for all gates",
        "option_equations",
        SUMS,
        "project(v, M, gain, form.num_heads)",
    ),
    Mutant(
        "one norm for all heads",
        "option_equations",
        SUMS,
        "project(v, M, gain, num_gates)",
    ),
    Mutant("bias inside the norm", "option_equations", SUMS, f"({SUMS} if gain is None else {BIASED})"),
    Mutant(
        "swapped gains",
        "option_equations",
        '"i": ("W", "g_i", "b_i"), "h": ("U", "g_h", "b_h")',
        '"i": ("W", "g_h", "b_i"), "h": ("U", "g_i", "b_h")',
    ),
    Mutant(
        "no norm of c",
        "option_equations",
        "return (o * tanh(c_read), c), [i, f, g, o]",
        "return (o * tanh(c), c), [i, f, g, o]",
    ),
    Mutant(
        "the norm of c handed on",
        "option_equations",
        "return (o * tanh(c_read), c), [i, f, g, o]",
        "return (o * tanh(c_read), c_read), [i, f, g, o]",
    ),
    Mutant(
        "missing b_c", "option_equations", "gain * hat if bias is None else gain * hat + bias", "gain * hat"
    ),
    Mutant(
        "one norm of c for all heads", "option_equations", "normalise(c, form.num_heads)", "normalise(c, 1)"
    ),
    Mutant(
        "layer norm, b_hn outside r",
        "option_equations",
        "n = tanh(i_n + r * u_n)\n    return",
        "n = tanh(i_n + r * u_n + (1 - r) * np.split(w['b_h'], 3)[2])\n    return",
    ),
    Mutant(
        "layer norm, reset before instead of after",
        "option_equations",
        "    if form.reset_before:\n        (u_n,) = _sums",
        "    if True:\n        (u_n,) = _sums",
    ),
    Mutant(
        "layer norm, reset after instead of before",
        "option_equations",
        "    if form.reset_before:\n        (u_n,) = _sums",
        "    if False:\n        (u_n,) = _sums",
    ),
    # dreamer
    Mutant(
        "dreamer, epsilon of 1e-5", "option_equations", "DREAMER_EPSILON = 1e-3", "DREAMER_EPSILON = 1e-5"
    ),
    Mutant(
        "dreamer, update bias towards writing", "option_equations", "UPDATE_BIAS = 1.0", "UPDATE_BIAS = -1.0"
    ),
    Mutant("dreamer, no update bias", "option_equations", "UPDATE_BIAS = 1.0", "UPDATE_BIAS = 0.0"),
    Mutant(
        "dreamer, reset outside the candidate",
        "option_equations",
        "n = tanh(r * a_n)\n    return",
        "n = r * tanh(a_n)\n    return",
    ),
    Mutant(
        "dreamer, a norm for each gate",
        "option_equations",
        "a_r, a_z, a_n = np.split(project(v, M, g, 1, DREAMER_EPSILON)",
        "a_r, a_z, a_n = np.split(project(v, M, g, 3, DREAMER_EPSILON)",
    ),
    Mutant(
        "dreamer, bias missing inside the norm",
        "option_equations",
        "(none if b_h is None else b_h)[:, None]",
        "none[:, None]",
    ),
    Mutant(
        "dreamer, bias missing after the norm", "option_equations", "none if b_i is None else b_i", "none"
    ),
    Mutant(
        "dreamer, swapped biases",
        "option_equations",
        "W, U, b_i, b_h = (w[name] for name in PLAIN)",
        "W, U, b_h, b_i = (w[name] for name in PLAIN)",
    ),
    # zoneout, recurrent mask, heads
    Mutant(
        "swapped sense of zoneout", "options", "d * old + (1 - d) * part for", "(1 - d) * old + d * part for"
    ),
    Mutant("zoneout ignored", "options", "d * old + (1 - d) * part for", "part for"),
    Mutant("zoneout of h and c swapped", "options", "zip(zones, state, new)", "zip(zones[::-1], state, new)"),
    Mutant(
        "zoneout keeps what U sees",
        "options",
        "zip(zones, state, new)",
        "zip(zones, (seen, *state[1:]), new)",
    ),
    Mutant("recurrent mask ignored", "options", PLAN, PLAN.replace("recurrent_mask", "None")),
    Mutant(
        "recurrent mask on the whole state",
        "options",
        "(x, seen, state, w, form)",
        "(x, seen, (seen, *state[1:]), w, form)",
    ),
    Mutant("recurrent mask after the product", "options", STEP, AFTER_THE_PRODUCT),
    Mutant(
        "recurrent mask not on the candidate",
        "option_equations",
        '_sums("h", r * seen, w, form, slice(2, 3))\n        n = ',
        '_sums("h", r * h, w, form, slice(2, 3))\n        n = ',
    ),
    Mutant(
        "heads in reverse",
        "options",
        "whole[:, head, :, head] = U.reshape(",
        "whole[:, head, :, -1 - head] = U.reshape(",
    ),
    Mutant(
        "head before gate",
        "options",
        "U.reshape(num_gates, num_heads, size, size)[:, head]",
        "U.reshape(num_heads, num_gates, size, size)[head]",
    ),
    Mutant(
        "units before heads",
        "options",
        "U.reshape(num_gates, num_heads, size, size)[:, head]",
        "U.reshape(num_gates, size, num_heads, size)[:, :, head]",
    ),
    Mutant(
        "transposed heads",
        "options",
        "U.reshape(num_gates, num_heads, size, size)[:, head]",
        "U.reshape(num_gates, num_heads, size, size)[:, head].swapaxes(1, 2)",
    ),
]
# Files of the reference a mutant may change, those that others import first.
FILES = (
    "sequence", "gru", "lstm", "rnn", "mingru", "stack", "conventions", "layer_norm", "option_equations", "options",
)  # fmt: skip


def mutated(mutant: Mutant | None) -> Reference:
    """Return fresh copies of the reference's modules, wired to each other, one of them changed."""
    modules: dict[str, ModuleType] = {}
    for name in FILES:
        source = (FOLDER / f"{name}.py").read_text()
        if mutant is not None and mutant.file == name:
            assert source.count(mutant.old) == 1, f"{mutant.old!r} is not once in {name}.py"
            source = source.replace(mutant.old, mutant.new)
        modules[name] = ModuleType(f"mutated_{name}")
        exec(compile(source, f"mutated {name}.py", "exec"), modules[name].__dict__)
    for cell in modules["stack"].CELLS:
        modules[cell].sequence = modules["sequence"]
        modules["stack"].CELLS[cell] = modules[cell]
    modules["options"].sequence = modules["sequence"]
    for importer, source in (("option_equations", "layer_norm"), ("options", "option_equations")):
        own, original = modules[importer].__dict__, import_module(f"congru.reference.{source}").__dict__
        imported = [name for name, value in own.items() if name[0] != "_" and original.get(name) is value]
        own.update({name: modules[source].__dict__[name] for name in imported})
    return Reference(modules["stack"], modules["conventions"], modules["options"])


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
