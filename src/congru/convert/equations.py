"""One step of each library's cell as that library writes it, on its own arrays: what a conversion is checked against.

Nothing here reads `congru.reference.conventions`, which knows the same layouts by other means: a wrong row order or sign
there shows as a difference. Plain NumPy in float64; x [B, I], a state is (h,) or (h, c) of [B, H]. The golden cases in
tests/golden, made by the libraries themselves, hold these lines.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from congru.errors import SettingsError

Array: TypeAlias = npt.NDArray[Any]
Arrays: TypeAlias = Mapping[str, Array]
State: TypeAlias = tuple[Array, ...]
# (x, state, arrays, options) -> new state
Step: TypeAlias = Callable[[Array, State, Arrays, Mapping[str, Any]], State]


def sigmoid(a: Array) -> Array:
    """1 / (1 + exp(-a)), finite for any a.

    >>> sigmoid(np.array([-1e4, 0.0])).tolist()
    [0.0, 0.5]
    """
    return np.asarray(0.5 * (1 + np.tanh(0.5 * a)))


def run(
    system: str,
    cell: str,
    x: Array,
    state: State,
    arrays: Arrays,
    options: Mapping[str, Any],
    reverse: bool = False,
) -> tuple[Array, State]:
    """Return y [B, T, H] and the last state of one layer in one direction, by the library's own equations.

    Raises SettingsError for a system or cell without equations here.

    >>> arrays = {"Wxh": np.eye(2), "Whh": np.zeros((2, 2)), "bias": np.zeros(2)}
    >>> y, _ = run("mlx", "rnn", np.array([[[0.0, 100.0]]]), (np.zeros((1, 2)),), arrays, {})
    >>> y.tolist()
    [[[0.0, 1.0]]]
    """
    if (system, cell) not in STEPS:
        raise SettingsError(
            f"system, cell are {system}, {cell}, expected one of {', '.join(map(' '.join, STEPS))}"
        )
    step = STEPS[system, cell]
    wide = {name: np.asarray(array, np.float64) for name, array in arrays.items()}
    y = np.empty((*x.shape[:2], state[0].shape[-1]))
    for t in range(x.shape[1] - 1, -1, -1) if reverse else range(x.shape[1]):
        state = step(x[:, t], state, wide, options)
        y[:, t] = state[0]
    return y, state


def _bias(arrays: Arrays, name: str) -> Any:
    return arrays.get(name, 0.0)


def _lstm(i: Array, f: Array, g: Array, o: Array, c: Array) -> State:
    new = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
    return sigmoid(o) * np.tanh(new), new


# PyTorch: torch.nn.GRU, LSTM, RNN, from their documentation.


def _torch_sums(x: Array, h: Array, w: Arrays) -> tuple[Array, Array]:
    return x @ w["weight_ih"].T + _bias(w, "bias_ih"), h @ w["weight_hh"].T + _bias(w, "bias_hh")


def _torch_gru(x: Array, state: State, w: Arrays, _: Mapping[str, Any]) -> State:
    (h,) = state
    (x_r, x_z, x_n), (h_r, h_z, h_n) = (np.split(part, 3, axis=1) for part in _torch_sums(x, h, w))
    r, z = sigmoid(x_r + h_r), sigmoid(x_z + h_z)
    return ((1 - z) * np.tanh(x_n + r * h_n) + z * h,)


def _torch_lstm(x: Array, state: State, w: Arrays, _: Mapping[str, Any]) -> State:
    i, f, g, o = np.split(sum(_torch_sums(x, state[0], w)), 4, axis=1)
    return _lstm(i, f, g, o, state[1])


def _torch_rnn(x: Array, state: State, w: Arrays, options: Mapping[str, Any]) -> State:
    return (np.tanh(sum(_torch_sums(x, state[0], w))),)


# Keras: GRU with both reset_after, LSTM, SimpleRNN.


def _keras_gru(x: Array, state: State, w: Arrays, options: Mapping[str, Any]) -> State:
    (h,), U, size = state, w["recurrent_kernel"], w["recurrent_kernel"].shape[0]
    bias = w.get("bias", np.zeros(3 * size))
    on_x, on_h = bias if bias.ndim == 2 else (bias, 0.0)
    x_z, x_r, x_h = np.split(x @ w["kernel"] + on_x, 3, axis=1)
    if options.get("reset_after", True):
        h_z, h_r, h_h = np.split(h @ U + on_h, 3, axis=1)
        z, r = sigmoid(x_z + h_z), sigmoid(x_r + h_r)
        new = np.tanh(x_h + r * h_h)
    else:
        z, r = sigmoid(x_z + h @ U[:, :size]), sigmoid(x_r + h @ U[:, size : 2 * size])
        new = np.tanh(x_h + (r * h) @ U[:, 2 * size :])
    return (z * h + (1 - z) * new,)


def _keras_lstm(x: Array, state: State, w: Arrays, _: Mapping[str, Any]) -> State:
    sums = x @ w["kernel"] + state[0] @ w["recurrent_kernel"] + _bias(w, "bias")
    i, f, c, o = np.split(sums, 4, axis=1)
    return _lstm(i, f, c, o, state[1])


def _keras_rnn(x: Array, state: State, w: Arrays, options: Mapping[str, Any]) -> State:
    return (np.tanh(x @ w["kernel"] + state[0] @ w["recurrent_kernel"] + _bias(w, "bias")),)


# ONNX, from the operators' specification: gates of W, R and B in the order zrh, iofc.


def _onnx_parts(w: Arrays, options: Mapping[str, Any], count: int) -> tuple[Any, Any, Any, Any]:
    d = options.get("direction", 0)
    B = w["B"][d] if "B" in w else np.zeros(2 * len(w["R"][d]))
    on_x, on_h = np.split(B, 2)
    return tuple(np.split(part, count) for part in (w["W"][d], w["R"][d], on_x, on_h))  # type: ignore[return-value]


def _onnx_gru(x: Array, state: State, w: Arrays, options: Mapping[str, Any]) -> State:
    (h,), (W, R, Wb, Rb) = state, _onnx_parts(w, options, 3)
    z = sigmoid(x @ W[0].T + h @ R[0].T + Wb[0] + Rb[0])
    r = sigmoid(x @ W[1].T + h @ R[1].T + Wb[1] + Rb[1])
    if options.get("linear_before_reset", 0):
        new = np.tanh(x @ W[2].T + r * (h @ R[2].T + Rb[2]) + Wb[2])
    else:
        new = np.tanh(x @ W[2].T + (r * h) @ R[2].T + Rb[2] + Wb[2])
    return ((1 - z) * new + z * h,)


def _onnx_lstm(x: Array, state: State, w: Arrays, options: Mapping[str, Any]) -> State:
    W, R, Wb, Rb = _onnx_parts(w, options, 4)
    i, o, f, c = (x @ W[k].T + state[0] @ R[k].T + Wb[k] + Rb[k] for k in range(4))
    return _lstm(i, f, c, o, state[1])


def _onnx_rnn(x: Array, state: State, w: Arrays, options: Mapping[str, Any]) -> State:
    W, R, Wb, Rb = _onnx_parts(w, options, 1)
    return (np.tanh(x @ W[0].T + state[0] @ R[0].T + Wb[0] + Rb[0]),)


# TensorFlow 1: tf.nn.rnn_cell.GRUCell, BasicLSTMCell, BasicRNNCell.


def _tensorflow1_gru(x: Array, state: State, w: Arrays, _: Mapping[str, Any]) -> State:
    (h,) = state
    both = np.concatenate([x, h], axis=1) @ w["gates/kernel"] + _bias(w, "gates/bias")
    r, u = np.split(sigmoid(both), 2, axis=1)
    c = np.concatenate([x, r * h], axis=1) @ w["candidate/kernel"] + _bias(w, "candidate/bias")
    return (u * h + (1 - u) * np.tanh(c),)


def _tensorflow1_lstm(x: Array, state: State, w: Arrays, options: Mapping[str, Any]) -> State:
    sums = np.concatenate([x, state[0]], axis=1) @ w["kernel"] + _bias(w, "bias")
    i, j, f, o = np.split(sums, 4, axis=1)
    return _lstm(i, f + options.get("forget_bias", 1.0), j, o, state[1])


def _tensorflow1_rnn(x: Array, state: State, w: Arrays, options: Mapping[str, Any]) -> State:
    return (np.tanh(np.concatenate([x, state[0]], axis=1) @ w["kernel"] + _bias(w, "bias")),)


# Flax linen: GRUCell, LSTMCell, SimpleCell: one Dense per gate and side.


def _dense(x: Array, w: Arrays, name: str) -> Array:
    return np.asarray(x @ w[f"{name}/kernel"] + _bias(w, f"{name}/bias"))


def _flax_gru(x: Array, state: State, w: Arrays, _: Mapping[str, Any]) -> State:
    (h,) = state
    r = sigmoid(_dense(x, w, "ir") + _dense(h, w, "hr"))
    z = sigmoid(_dense(x, w, "iz") + _dense(h, w, "hz"))
    n = np.tanh(_dense(x, w, "in") + r * _dense(h, w, "hn"))
    return ((1 - z) * n + z * h,)


def _flax_lstm(x: Array, state: State, w: Arrays, _: Mapping[str, Any]) -> State:
    i, f, g, o = (_dense(x, w, f"i{gate}") + _dense(state[0], w, f"h{gate}") for gate in "ifgo")
    return _lstm(i, f, g, o, state[1])


def _flax_rnn(x: Array, state: State, w: Arrays, options: Mapping[str, Any]) -> State:
    return (np.tanh(_dense(x, w, "i") + _dense(state[0], w, "h")),)


# Flax nnx: GRUCell, OptimizedLSTMCell, SimpleCell: one Dense per side. Its GRU has no recurrent bias.


def _nnx_gru(x: Array, state: State, w: Arrays, _: Mapping[str, Any]) -> State:
    (h,) = state
    (x_r, x_z, x_n), (h_r, h_z, h_n) = (
        np.split(_dense(part, w, name), 3, axis=1) for part, name in ((x, "dense_i"), (h, "dense_h"))
    )
    z = sigmoid(x_z + h_z)
    return ((1 - z) * np.tanh(x_n + sigmoid(x_r + h_r) * h_n) + z * h,)


def _nnx_lstm(x: Array, state: State, w: Arrays, _: Mapping[str, Any]) -> State:
    i, f, g, o = np.split(_dense(x, w, "dense_i") + _dense(state[0], w, "dense_h"), 4, axis=1)
    return _lstm(i, f, g, o, state[1])


def _nnx_rnn(x: Array, state: State, w: Arrays, _: Mapping[str, Any]) -> State:
    return (np.tanh(_dense(x, w, "dense_i") + _dense(state[0], w, "dense_h")),)


# Equinox and MLX: PyTorch's matrices, one bias, and the candidate's recurrent bias apart.


def _apart_gru(names: tuple[str, str, str, str]) -> Step:
    W, U, b, b_n = names

    def step(x: Array, state: State, w: Arrays, _: Mapping[str, Any]) -> State:
        (h,) = state
        x_r, x_z, x_n = np.split(x @ w[W].T + _bias(w, b), 3, axis=1)
        h_r, h_z, h_n = np.split(h @ w[U].T, 3, axis=1)
        z = sigmoid(x_z + h_z)
        n = np.tanh(x_n + sigmoid(x_r + h_r) * (h_n + _bias(w, b_n)))
        return (n + z * (h - n),)

    return step


def _apart_lstm(W: str, U: str, b: str) -> Step:
    def step(x: Array, state: State, w: Arrays, _: Mapping[str, Any]) -> State:
        i, f, g, o = np.split(x @ w[W].T + state[0] @ w[U].T + _bias(w, b), 4, axis=1)
        return _lstm(i, f, g, o, state[1])

    return step


def _mlx_rnn(x: Array, state: State, w: Arrays, options: Mapping[str, Any]) -> State:
    return (np.tanh(x @ w["Wxh"].T + state[0] @ w["Whh"].T + _bias(w, "bias")),)


# Haiku and Sonnet 2: z writes; Haiku's LSTM adds one to the forget gate.


def _haiku_gru(x: Array, state: State, w: Arrays, _: Mapping[str, Any]) -> State:
    (h,), size = state, w["w_h"].shape[0]
    x_z, x_r, x_a = np.split(x @ w["w_i"] + _bias(w, "b"), 3, axis=1)
    z = sigmoid(x_z + h @ w["w_h"][:, :size])
    r = sigmoid(x_r + h @ w["w_h"][:, size : 2 * size])
    a = np.tanh(x_a + (r * h) @ w["w_h"][:, 2 * size :])
    return ((1 - z) * h + z * a,)


def _haiku_lstm(x: Array, state: State, w: Arrays, options: Mapping[str, Any]) -> State:
    sums = np.concatenate([x, state[0]], axis=1) @ w["linear/w"] + _bias(w, "linear/b")
    i, g, f, o = np.split(sums, 4, axis=1)
    return _lstm(i, f + options.get("forget_bias", 1.0), g, o, state[1])


def _haiku_rnn(x: Array, state: State, w: Arrays, _: Mapping[str, Any]) -> State:
    on_x = x @ w["linear/w"] + _bias(w, "linear/b")
    return (np.maximum(on_x + state[0] @ w["linear_1/w"] + _bias(w, "linear_1/b"), 0),)


def _sonnet_lstm(x: Array, state: State, w: Arrays, _: Mapping[str, Any]) -> State:
    i, f, g, o = np.split(x @ w["w_i"] + state[0] @ w["w_h"] + _bias(w, "b"), 4, axis=1)
    return _lstm(i, f, g, o, state[1])


def _sonnet_rnn(x: Array, state: State, w: Arrays, options: Mapping[str, Any]) -> State:
    sums = x @ w["input_to_hidden/w"] + state[0] @ w["hidden_to_hidden/w"] + _bias(w, "b")
    return (np.tanh(sums),)


# ncnn: GRU with R, U, N and the biases R, U, WN, BN; LSTM with I, F, O, G.


def _ncnn_gru(x: Array, state: State, w: Arrays, options: Mapping[str, Any]) -> State:
    (h,), d = state, options.get("direction", 0)
    W, U = (np.split(w[name][d], 3) for name in ("weight_xc", "weight_hc"))
    b_R, b_U, b_WN, b_BN = w["bias_c"][d]
    R, update = sigmoid(x @ W[0].T + h @ U[0].T + b_R), sigmoid(x @ W[1].T + h @ U[1].T + b_U)
    N = np.tanh(b_WN + R * (b_BN + h @ U[2].T) + x @ W[2].T)
    return ((1 - update) * N + update * h,)


def _ncnn_lstm(x: Array, state: State, w: Arrays, options: Mapping[str, Any]) -> State:
    d = options.get("direction", 0)
    W, U = (np.split(w[name][d], 4) for name in ("weight_xc", "weight_hc"))
    i, f, o, g = (x @ W[k].T + state[0] @ U[k].T + w["bias_c"][d][k] for k in range(4))
    return _lstm(i, f, g, o, state[1])


def _ncnn_rnn(x: Array, state: State, w: Arrays, options: Mapping[str, Any]) -> State:
    d = options.get("direction", 0)
    return (np.tanh(x @ w["weight_xc"][d].T + state[0] @ w["weight_hc"][d].T + w["bias_c"][d][0]),)


STEPS: dict[tuple[str, str], Step] = {
    ("pytorch", "gru"): _torch_gru,
    ("pytorch", "lstm"): _torch_lstm,
    ("pytorch", "rnn"): _torch_rnn,
    ("keras", "gru"): _keras_gru,
    ("keras", "lstm"): _keras_lstm,
    ("keras", "rnn"): _keras_rnn,
    ("onnx", "gru"): _onnx_gru,
    ("onnx", "lstm"): _onnx_lstm,
    ("onnx", "rnn"): _onnx_rnn,
    ("tensorflow1", "gru"): _tensorflow1_gru,
    ("tensorflow1", "lstm"): _tensorflow1_lstm,
    ("tensorflow1", "rnn"): _tensorflow1_rnn,
    ("flax", "gru"): _flax_gru,
    ("flax", "lstm"): _flax_lstm,
    ("flax", "rnn"): _flax_rnn,
    ("flax_nnx", "gru"): _nnx_gru,
    ("flax_nnx", "lstm"): _nnx_lstm,
    ("flax_nnx", "rnn"): _nnx_rnn,
    ("equinox", "gru"): _apart_gru(("weight_ih", "weight_hh", "bias", "bias_n")),
    ("equinox", "lstm"): _apart_lstm("weight_ih", "weight_hh", "bias"),
    ("mlx", "gru"): _apart_gru(("Wx", "Wh", "b", "bhn")),
    ("mlx", "lstm"): _apart_lstm("Wx", "Wh", "bias"),
    ("mlx", "rnn"): _mlx_rnn,
    ("haiku", "gru"): _haiku_gru,
    ("haiku", "lstm"): _haiku_lstm,
    ("haiku", "rnn_relu"): _haiku_rnn,
    ("sonnet", "gru"): _haiku_gru,
    ("sonnet", "lstm"): _sonnet_lstm,
    ("sonnet", "rnn"): _sonnet_rnn,
    ("ncnn", "gru"): _ncnn_gru,
    ("ncnn", "lstm"): _ncnn_lstm,
    ("ncnn", "rnn"): _ncnn_rnn,
}
