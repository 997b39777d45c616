"""Other libraries' layouts: there and back, the sense of z, every refusal. The libraries: test_golden."""

from __future__ import annotations

import re

import numpy as np
import pytest

from cases import ROWS, make_case
from congru.errors import CongruError, ConventionError, SettingsError, ShapeError
from congru.reference import stack
from congru.reference.conventions import from_canonical, merge_biases, negate_z, to_canonical
from congru.reference.systems import SYSTEMS

I, H = 3, 4
FORGET = {("tensorflow1", "lstm"), ("haiku", "lstm")}  # they add 1 to the forget gate
# system, cell, reset_before: every cell of the table.
KINDS = [
    (system, cell, reset_before)
    for system, row in SYSTEMS.items()
    for cell in row.rows
    for reset_before in ((False, True) if cell == "gru" else (False,))
    if cell != "gru" or row.reset not in ("after", "before") or reset_before == (row.reset == "before")
]


def plain(cell):
    """The relu RNN has the arrays of the RNN; which function is applied does not matter here."""
    return "rnn" if cell == "rnn_relu" else cell


def forward(cell, weights, reset_before):
    case = make_case(plain(cell), B=2, T=4, I=I, H=H)
    options = {"reset_before": reset_before} if cell == "gru" else {}
    return stack.CELLS[plain(cell)].forward(case.x, case.state, weights, **options)


def weights_for(system, cell, reset_before):
    """Random weights that the system can hold: without b_hn where its GRU has no place for it."""
    weights = make_case(plain(cell), I=I, H=H).weights
    one_bias = SYSTEMS[system].layout_of(cell).biases({}) == "one"
    if cell == "gru" and not reset_before and one_bias and system != "keras":
        weights[3][2 * H :] = 0
    return weights


def test_the_table_is_that_of_the_design():
    grus = [system for system, cell, _ in KINDS if cell == "gru"]
    assert (
        len(grus) == len(set(grus)) + 2 == len(SYSTEMS) - 1 + 2
    )  # both forms of Keras and ONNX; onednn is apart
    cells = {
        cell: {system for system, other, _ in KINDS if other == cell} for cell in ("lstm", "rnn", "rnn_relu")
    }
    assert cells["lstm"] == set(SYSTEMS) - {"onednn_gru", "onednn_lbr_gru"}
    assert cells["rnn"] == cells["lstm"] - {"equinox", "haiku"}
    assert cells["rnn_relu"] == cells["lstm"] - {"equinox", "ncnn"}
    assert {name for name, row in SYSTEMS.items() if row.z == "write"} == {"haiku", "sonnet"}
    before = {system for system, cell, reset_before in KINDS if reset_before}
    assert before == {"keras", "onnx", "tensorflow1", "haiku", "sonnet", "onednn_gru"}


@pytest.mark.parametrize(("system", "cell", "reset_before"), KINDS)
def test_there_and_back_is_the_same_function(system, cell, reset_before):
    weights = weights_for(system, cell, reset_before)
    arrays, options = from_canonical(system, weights, reset_before, cell=cell)
    back = to_canonical(system, arrays, cell=cell, **options)
    assert back.reset_before == reset_before
    for a, b in zip(forward(cell, back.weights, reset_before), forward(cell, weights, reset_before)):
        np.testing.assert_allclose(a, b, rtol=0, atol=1e-14)
    if arrays.keys() & {"bias_hh", "B"}:
        for a, b in zip(back.weights, weights):
            np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize(("system", "cell", "reset_before"), KINDS)
def test_back_and_there_is_bit_exact_and_keeps_float32(system, cell, reset_before):
    weights = tuple(part.astype(np.float32) for part in weights_for(system, cell, reset_before))
    arrays, options = from_canonical(system, weights, reset_before, cell=cell)
    canonical = to_canonical(system, arrays, cell=cell, **options)
    again, _ = from_canonical(system, canonical.weights, reset_before, cell=cell)
    assert again.keys() == arrays.keys()
    for name, array in arrays.items():
        assert again[name].dtype == np.float32
        if (system, cell) in FORGET and "b" in name.rpartition("/")[2][0]:
            np.testing.assert_allclose(
                again[name], array, rtol=0, atol=2.5e-7
            )  # 1 is added, and taken off again
        else:
            np.testing.assert_array_equal(again[name], array)


@pytest.mark.parametrize(("system", "cell", "reset_before"), KINDS)
def test_without_bias(system, cell, reset_before):
    W, U, *_ = make_case(plain(cell), I=I, H=H).weights
    arrays, options = from_canonical(system, (W, U, None, None), reset_before, cell=cell)
    optional = SYSTEMS[system].layout_of(cell).optional
    if (system, cell) in FORGET:
        (bias,) = (array for name, array in arrays.items() if name in optional)
        assert sorted(set(bias)) == [-1, 0]  # what the library will add
        return
    assert all(name not in optional or not array.any() for name, array in arrays.items())
    # Left out where it is optional in the library, zeros where the library always has it.
    without = {name: array for name, array in arrays.items() if name not in optional}
    for stored in (arrays, without):
        back = to_canonical(system, stored, cell=cell, **options)
        for a, b in zip(
            forward(cell, back.weights, reset_before), forward(cell, (W, U, None, None), reset_before)
        ):
            np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("missing", [2, 3])
@pytest.mark.parametrize(("system", "cell", "reset_before"), KINDS)
def test_one_bias_is_kept_in_its_place(system, cell, reset_before, missing):
    weights = tuple(
        None if k == missing else part for k, part in enumerate(weights_for(system, cell, reset_before))
    )
    arrays, options = from_canonical(system, weights, reset_before, cell=cell)
    back = to_canonical(system, arrays, cell=cell, **options)
    for a, b in zip(forward(cell, back.weights, reset_before), forward(cell, weights, reset_before)):
        np.testing.assert_allclose(a, b, rtol=0, atol=1e-14)


def test_tensorflow1_with_one_of_its_biases():
    arrays, _ = from_canonical("tensorflow1", make_case("gru", I=I, H=H).weights, True)
    for name in ("gates/bias", "candidate/bias"):
        zeros = {**arrays, name: np.zeros_like(arrays[name])}
        expected = to_canonical("tensorflow1", zeros).weights[2]
        del zeros[name]
        np.testing.assert_array_equal(to_canonical("tensorflow1", zeros).weights[2], expected)


def test_layer_and_direction_choose():
    weights = [
        [make_case("gru", seed=2 * layer + d, I=H, H=H).weights for d in range(2)] for layer in range(2)
    ]
    parts = [[from_canonical("onednn_lbr_gru", part).arrays for part in directions] for directions in weights]
    joined = {
        name: np.concatenate(
            [np.concatenate([part[name] for part in directions], axis=1) for directions in parts], axis=0
        )
        for name in parts[0][0]
    }
    read = to_canonical("onednn_lbr_gru", joined, layer=1, direction=0).weights
    np.testing.assert_array_equal(read[1], weights[1][0][1])
    joined = {
        name: np.concatenate([from_canonical("onnx", part).arrays[name] for part in weights[0]])
        for name in "WRB"
    }
    read = to_canonical("onnx", joined, linear_before_reset=1, direction=1).weights
    for a, b in zip(read, weights[0][1]):
        np.testing.assert_array_equal(a, b)


def test_z_that_writes():
    """h' = (1 - z) h + z n with the given weights equals the canonical cell with the z rows negated."""
    case = make_case("gru", B=2, T=1, I=I, H=H)
    _, gates = stack.CELLS["gru"].step(case.x[:, 0], case.state, case.weights)
    _, z, n = np.moveaxis(gates, 1, 0)
    writes = (1 - z) * case.state[0] + z * n
    state, _ = stack.CELLS["gru"].step(case.x[:, 0], case.state, negate_z(case.weights))
    np.testing.assert_allclose(state[0], writes, rtol=0, atol=1e-15)
    # As an option: weights in PyTorch's layout of a cell that writes; Haiku's of one that keeps.
    arrays, _ = from_canonical("pytorch", case.weights)
    read = to_canonical("pytorch", arrays, z="write").weights
    for a, b, c in zip(read, negate_z(case.weights), case.weights):
        np.testing.assert_array_equal(a, b)
        assert not np.array_equal(a, c)
    back, _ = from_canonical("pytorch", read, z="write")
    np.testing.assert_array_equal(back["weight_ih"], arrays["weight_ih"])
    haiku, _ = from_canonical("haiku", case.weights, True, z="keep")
    np.testing.assert_array_equal(haiku["w_h"][:, :H], case.weights[1][H : 2 * H].T)


@pytest.mark.parametrize(
    "system", ["pytorch", "cudnn", "flax", "flax_nnx", "equinox", "mlx", "onednn_lbr_gru", "ncnn"]
)
def test_reset_before_cannot_be_written_as_reset_after(system):
    message = (
        f"reset_before is True, expected False for {system}, which resets after the recurrent product: these"
    )
    with pytest.raises(ConventionError, match=re.escape(message)):
        from_canonical(system, make_case("gru").weights, True)


@pytest.mark.parametrize("system", ["tensorflow1", "haiku", "sonnet", "onednn_gru"])
def test_reset_after_cannot_be_written_as_reset_before(system):
    message = (
        f"reset_before is False, expected True for {system}, which resets before the recurrent product: these"
    )
    with pytest.raises(ConventionError, match=re.escape(message)):
        from_canonical(system, make_case("gru").weights, False)


def test_b_hn_cannot_be_merged_under_reset_after():
    *_, b_i, b_h = make_case("gru", I=I, H=H).weights
    with pytest.raises(
        ConventionError, match="b_hn is not zero, expected zeros to merge it into b_in: reset after"
    ):
        merge_biases(b_i, b_h, reset_after=True)
    np.testing.assert_array_equal(merge_biases(b_i, b_h, reset_after=False), b_i + b_h)
    b_h[2 * H :] = 0
    np.testing.assert_array_equal(merge_biases(b_i, b_h, reset_after=True), b_i + b_h)
    assert merge_biases(None, None, reset_after=True) is None


@pytest.mark.parametrize(
    ("system", "cell", "options", "message"),
    [
        (
            "keras",
            "gru",
            {"recurrent_activation": "hard_sigmoid"},
            "recurrent_activation is 'hard_sigmoid', expected",
        ),
        (
            "keras",
            "lstm",
            {"recurrent_activation": "hard_sigmoid"},
            "expected 'sigmoid': a layer with another recurr",
        ),
        (
            "keras",
            "gru",
            {"activation": "relu"},
            "activation is 'relu', expected 'tanh': a layer with another activa",
        ),
        (
            "onnx",
            "gru",
            {"clip": 3.0},
            "clip is 3.0, expected None: a layer with another clip computes another func",
        ),
        (
            "onnx",
            "lstm",
            {"input_forget": 1},
            "input_forget is 1, expected 0: a layer with another input_forget",
        ),
        (
            "onnx",
            "gru",
            {"activations": ["HardSigmoid", "Tanh"]},
            "expected ['Sigmoid', 'Tanh']: a layer with",
        ),
        (
            "onnx",
            "gru",
            {"activations": ["Sigmoid", "Tanh"] * 3},
            "expected ['Sigmoid', 'Tanh']: a layer with",
        ),
        (
            "onnx",
            "rnn",
            {"activations": ["Relu"]},
            "activations is ['Relu'], expected ['Tanh']: a layer with another",
        ),
    ],
)
def test_other_functions_are_refused(system, cell, options, message):
    arrays, written = from_canonical(system, make_case(cell, I=I, H=H).weights, cell=cell)
    with pytest.raises(ConventionError, match=re.escape(message)):
        to_canonical(system, arrays, cell=cell, **{**written, **options})


@pytest.mark.parametrize(
    ("system", "cell", "options"),
    [
        ("keras", "gru", {"recurrent_activation": "sigmoid", "activation": "tanh"}),
        ("onnx", "gru", {"activations": ["sigmoid", "TANH"], "clip": None}),
        ("onnx", "gru", {"activations": ["Sigmoid", "Tanh", "Sigmoid", "Tanh"], "input_forget": 0}),
        ("onnx", "lstm", {"activations": ["Sigmoid", "Tanh", "Tanh"]}),
    ],
)
def test_defaults_said_aloud_are_accepted(system, cell, options):
    weights = make_case(cell, I=I, H=H).weights
    arrays, written = from_canonical(system, weights, cell=cell)
    for a, b in zip(to_canonical(system, arrays, cell=cell, **written, **options).weights, weights):
        if system == "onnx" or cell == "gru":
            np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            {"system": "theano"},
            "system is 'theano', expected one of pytorch, cudnn, keras, onnx, tensorflow1, flax",
        ),
        ({"cell": "sru"}, "cell is 'sru', expected one of gru, lstm, rnn, rnn_relu: pass one of these"),
        (
            {"system": "equinox", "cell": "rnn"},
            "system is 'equinox', expected one of pytorch, cudnn, keras, onnx, tensorflow1, flax, flax_nnx, mlx, sonnet, on",
        ),
        ({"z": "half"}, "z is 'half', expected 'keep' or 'write': z=None takes the system's own sense"),
        (
            {"reset_after": True},
            "reset_after is not an option of pytorch for gru, expected one of none: leave it out",
        ),
        (
            {"system": "onnx", "linear_before_reset": 2},
            "linear_before_reset is 2, expected 1 or 0: pass one of them",
        ),
        ({"system": "onnx", "direction": 1}, "direction is 1, expected 0 to 0: the arrays have 1"),
        ({"system": "onednn_lbr_gru", "layer": -1}, "layer is -1, expected 0 to 0: the arrays have 1"),
    ],
)
def test_wrong_names_and_options(call, message):
    call = {"system": "pytorch", "cell": "gru", **call}
    known = call["system"] in SYSTEMS and call["cell"] == "gru"
    arrays, _ = from_canonical(call["system"] if known else "pytorch", make_case("gru", I=I, H=H).weights)
    with pytest.raises(SettingsError, match=re.escape(message)):
        to_canonical(arrays=arrays, **call)


def test_from_canonical_refuses_a_reset_form_for_a_cell_without_reset():
    with pytest.raises(
        SettingsError, match="reset_before is True, expected False for lstm: only the GRU has a reset"
    ):
        from_canonical("keras", make_case("lstm").weights, True, cell="lstm")


@pytest.mark.parametrize(
    ("system", "cell", "change", "message"),
    [
        (
            "onnx",
            "lstm",
            {"P": np.ones((1, 3 * H))},
            "expected R, W and at most B for onnx lstm: P has no place in",
        ),
        (
            "keras",
            "gru",
            {"kernel": None},
            "expected recurrent_kernel, kernel and at most bias for keras gru: add ke",
        ),
        (
            "keras",
            "gru",
            {"bias": np.ones(3 * H)},
            "bias has shape (12,), expected [2, 3H] with H = 4, I = 3 (keras, ",
        ),
        (
            "keras",
            "gru",
            {"kernel": np.ones((3, 11))},
            "kernel has shape (3, 11), expected [I, 3H] with H = 4",
        ),
        (
            "pytorch",
            "gru",
            {"weight_hh": np.ones((H, 3 * H))},
            "weight_hh has shape (4, 12), expected [3H, H] with",
        ),
        (
            "pytorch",
            "gru",
            {"bias_hh": np.ones(H)},
            "bias_hh has shape (4,), expected [3H] with H = 4, I = 3 (pytorch",
        ),
        (
            "onnx",
            "gru",
            {"B": np.ones((1, 3 * H))},
            "B has shape (1, 12), expected [D, 6H] with D = 1, H = 4, I = 3",
        ),
        ("onnx", "gru", {"W": np.ones((3 * H, I))}, "W has shape (12, 3), expected [D, 3H, I] with"),
        (
            "tensorflow1",
            "gru",
            {"gates/kernel": np.ones((7, 4))},
            "gates/kernel has shape (7, 4), expected [I+H, 2H]",
        ),
        (
            "onednn_lbr_gru",
            "gru",
            {"bias": np.ones((1, 1, 3, H))},
            "bias has shape (1, 1, 3, 4), expected [L, D, 4, H",
        ),
        (
            "mlx",
            "gru",
            {"bhn": np.ones(3 * H)},
            "bhn has shape (12,), expected [H] with H = 4, I = 3 (mlx): pass one",
        ),
    ],
)
def test_wrong_arrays(system, cell, change, message):
    reset_before = SYSTEMS[system].reset == "before"
    arrays, options = from_canonical(system, make_case(cell, I=I, H=H).weights, reset_before, cell=cell)
    arrays = {name: array for name, array in {**arrays, **change}.items() if array is not None}
    with pytest.raises((ShapeError, ConventionError), match=re.escape(message)):
        to_canonical(system, arrays, cell=cell, **options)


def test_reading_with_the_wrong_reset_form_is_not_silent_where_the_shapes_tell():
    arrays, _ = from_canonical("keras", make_case("gru", I=I, H=H).weights, True)
    assert arrays["bias"].shape == (ROWS["gru"] * H,)
    with pytest.raises(CongruError, match="reset_after=True"):
        to_canonical("keras", arrays)


def test_what_a_library_adds_to_the_forget_gate_is_an_option():
    weights = make_case("lstm", I=I, H=H).weights
    for amount in (0.0, 1.0, 2.5):
        arrays, options = from_canonical("tensorflow1", weights, cell="lstm", forget_bias=amount)
        assert options == {"forget_bias": amount}
        back = to_canonical("tensorflow1", arrays, cell="lstm", **options).weights
        for a, b in zip(forward("lstm", back, False), forward("lstm", weights, False)):
            np.testing.assert_allclose(a, b, rtol=0, atol=1e-14)
        # igfo: the third block is the forget gate's.
        np.testing.assert_allclose(
            arrays["bias"][2 * H : 3 * H], (weights[2] + weights[3])[H : 2 * H] - amount, rtol=0, atol=1e-14
        )
    with pytest.raises(SettingsError, match="forget_bias is not an option of keras for lstm"):
        from_canonical("keras", weights, cell="lstm", forget_bias=1.0)


def test_nnx_has_no_place_for_b_hn():
    with pytest.raises(ConventionError, match="b_hn is not zero, expected zeros to merge it"):
        from_canonical("flax_nnx", make_case("gru", I=I, H=H).weights)
