"""How each library stores one layer, one direction, of LSTM and plain RNN: names, shapes, reading, writing.

The types and the GRU's layouts are in `congru.reference.layouts`, the meaning in `congru.reference.conventions`. PyTorch,
Keras and ONNX store every cell alike; Flax nnx stores its GRU as it does its other cells, so that is here too. Letters:
G gates, H hidden, I input, L layers, D directions. A library's only bias is b_i here, whichever product its own code adds
it to.
"""

from __future__ import annotations

import numpy as np

from congru.reference.layouts import (
    Arrays,
    Layout,
    Matrices,
    Numbers,
    Options,
    Read,
    Write,
    fixed_shapes,
    present,
    read_onednn,
    write_onednn,
)


def _one_bias(_: Options) -> str:
    return "one"


def _joined(kernel: str, bias: str, num_gates: int) -> Layout:
    """One matrix [I+H, GH] for x and h side by side, and one bias, which the library always has."""

    def read(arrays: Arrays, _: Options) -> Matrices:
        both = arrays[kernel].T
        num_hidden = len(both) // num_gates
        return both[:, :-num_hidden], both[:, -num_hidden:], arrays.get(bias), None

    def write(
        W: Numbers, U: Numbers, b_i: Numbers | None, _b_h: Numbers | None, _: Options
    ) -> dict[str, Numbers]:
        b = np.zeros(len(W), W.dtype) if b_i is None else b_i
        return {kernel: np.concatenate([W, U], axis=1).T, bias: b}

    shapes = {bias: "[GH]", kernel: "[I+H, GH]"}
    return Layout(fixed_shapes(**shapes), (bias,), _one_bias, read, write)


def _two_matrices(W_name: str, U_name: str, b_name: str, *, columns: bool) -> Layout:
    """A matrix for x, one for h, and one bias; `columns`: a gate's units are columns, as in [I, GH]."""

    def turned(part: Numbers) -> Numbers:
        return part.T if columns else part

    def read(arrays: Arrays, _: Options) -> Matrices:
        return turned(arrays[W_name]), turned(arrays[U_name]), arrays.get(b_name), None

    def write(
        W: Numbers, U: Numbers, b_i: Numbers | None, _b_h: Numbers | None, _: Options
    ) -> dict[str, Numbers]:
        return present(**{W_name: turned(W), U_name: turned(U), b_name: b_i})

    axes = ("[H, GH]", "[I, GH]") if columns else ("[GH, H]", "[GH, I]")
    shapes = {U_name: axes[0], W_name: axes[1], b_name: "[GH]"}
    return Layout(fixed_shapes(**shapes), (b_name,), _one_bias, read, write)


def _gate_by_gate(gates: str) -> tuple[Read, Write]:
    """Flax: one Dense per gate and side; the recurrent side has the biases."""

    def read(arrays: Arrays, _: Options) -> Matrices:
        W = np.concatenate([arrays[f"i{gate}/kernel"].T for gate in gates])
        U = np.concatenate([arrays[f"h{gate}/kernel"].T for gate in gates])
        zeros = np.zeros(U.shape[1], U.dtype)
        return W, U, np.concatenate([arrays.get(f"h{gate}/bias", zeros) for gate in gates]), None

    def write(
        W: Numbers, U: Numbers, b_i: Numbers | None, _b_h: Numbers | None, _: Options
    ) -> dict[str, Numbers]:
        b = np.zeros(len(W), W.dtype) if b_i is None else b_i
        arrays: dict[str, Numbers] = {}
        for k, gate in enumerate(gates):
            own = slice(k * U.shape[1], (k + 1) * U.shape[1])
            arrays |= {f"i{gate}/kernel": W[own].T, f"h{gate}/kernel": U[own].T, f"h{gate}/bias": b[own]}
        return arrays

    return read, write


def _flax_lstm_shapes(_: Options) -> dict[str, str]:
    shapes = {f"h{gate}/kernel": "[H, H]" for gate in "ifgo"}
    shapes |= {f"i{gate}/kernel": "[I, H]" for gate in "ifgo"}
    return shapes | {f"h{gate}/bias": "[H]" for gate in "ifgo"}


FLAX_LSTM = Layout(
    _flax_lstm_shapes, tuple(f"h{gate}/bias" for gate in "ifgo"), _one_bias, *_gate_by_gate("ifgo")
)
NNX_GRU = _two_matrices("dense_i/kernel", "dense_h/kernel", "dense_i/bias", columns=True)
NNX_LSTM = _two_matrices("dense_i/kernel", "dense_h/kernel", "dense_h/bias", columns=True)
FLAX_RNN = _two_matrices("i/kernel", "h/kernel", "i/bias", columns=True)
EQUINOX_LSTM = _two_matrices("weight_ih", "weight_hh", "bias", columns=False)
MLX_LSTM = _two_matrices("Wx", "Wh", "bias", columns=False)
MLX_RNN = _two_matrices("Wxh", "Whh", "bias", columns=False)
HAIKU_RNN = Layout(
    fixed_shapes(
        **{"linear_1/w": "[H, GH]", "linear/w": "[I, GH]"},
        **{"linear/b": "[GH]", "linear_1/b": "[GH]"},
    ),
    ("linear/b", "linear_1/b"),
    lambda _: "two",
    lambda arrays, _: (
        arrays["linear/w"].T,
        arrays["linear_1/w"].T,
        arrays.get("linear/b"),
        arrays.get("linear_1/b"),
    ),
    lambda W, U, b_i, b_h, _: present(
        **{"linear/w": W.T, "linear_1/w": U.T},
        **{"linear/b": b_i, "linear_1/b": b_h},
    ),
)
HAIKU_LSTM = _joined("linear/w", "linear/b", 4)
SONNET_LSTM = _two_matrices("w_i", "w_h", "b", columns=True)
SONNET_RNN = _two_matrices("input_to_hidden/w", "hidden_to_hidden/w", "b", columns=True)
TENSORFLOW1_LSTM = _joined("kernel", "bias", 4)
TENSORFLOW1_RNN = _joined("kernel", "bias", 1)
ONEDNN_LSTM = Layout(
    fixed_shapes(weights_iter="[L, D, H, 4, H]", weights_layer="[L, D, I, 4, H]", bias="[L, D, 4, H]"),
    ("bias",), _one_bias, read_onednn, write_onednn,
)  # fmt: skip
ONEDNN_RNN = ONEDNN_LSTM._replace(
    shapes=fixed_shapes(weights_iter="[L, D, H, 1, H]", weights_layer="[L, D, I, 1, H]", bias="[L, D, 1, H]")
)
