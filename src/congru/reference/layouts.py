"""How each library stores one layer, one direction, of a GRU: names, written shapes, reading and writing.

A `Layout` is an entry of the table in `conventions`, which holds the meaning: this file only moves numbers. PyTorch, Keras
and ONNX store every cell so; the others' LSTM and RNN are in `congru.reference.lstm_layouts`.
`read` gives (W [GH, I], U [GH, H], b_i [GH] | None, b_h [GH] | None) with rows in the library's own order,
`write` is its inverse. Letters: G gates, H hidden, I input, L layers, D directions. b_h holds zeros where the
library has no such bias.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

Numbers: TypeAlias = npt.NDArray[Any]
Arrays: TypeAlias = Mapping[str, Numbers]
Options: TypeAlias = Mapping[str, Any]
Matrices: TypeAlias = tuple[Numbers, Numbers, Numbers | None, Numbers | None]
Read: TypeAlias = Callable[[Arrays, Options], Matrices]
Write: TypeAlias = Callable[[Numbers, Numbers, Numbers | None, Numbers | None, Options], dict[str, Numbers]]


class Layout(NamedTuple):
    """Names and written shapes of the arrays; `read` and `write`; which biases it has.

    In a shape, "GH" is one block of H rows per gate. `biases` is "two" (input and recurrent), "one" (a sum),
    or "one and b_hn" (a sum, and the candidate's recurrent bias apart). Names in `optional` are the biases.
    """

    shapes: Callable[[Options], dict[str, str]]
    optional: tuple[str, ...]
    biases: Callable[[Options], str]
    read: Read
    write: Write


def _split_b_hn(
    b: Numbers | None, b_n: Numbers | None, like: Numbers
) -> tuple[Numbers | None, Numbers | None]:
    """Return (b_i, b_h) of a library with one bias and the candidate's recurrent bias apart."""
    if b is None and b_n is None:
        return None, None
    zeros = np.zeros(len(like), like.dtype)
    b_h = zeros.copy()
    if b_n is not None:
        b_h[-len(b_n) :] = b_n
    return (zeros if b is None else b), b_h


def _read_pytorch(arrays: Arrays, _: Options) -> Matrices:
    return arrays["weight_ih"], arrays["weight_hh"], arrays.get("bias_ih"), arrays.get("bias_hh")


def _write_pytorch(
    W: Numbers, U: Numbers, b_i: Numbers | None, b_h: Numbers | None, _: Options
) -> dict[str, Numbers]:
    return present(weight_ih=W, weight_hh=U, bias_ih=b_i, bias_hh=b_h)


def present(**arrays: Numbers | None) -> dict[str, Numbers]:
    """Return the arrays that are there."""
    return {name: array for name, array in arrays.items() if array is not None}


def _read_keras(arrays: Arrays, _: Options) -> Matrices:
    bias = arrays.get("bias")
    b_i, b_h = (bias, None) if bias is None or bias.ndim == 1 else (bias[0], bias[1])
    return arrays["kernel"].T, arrays["recurrent_kernel"].T, b_i, b_h


def _write_keras(
    W: Numbers, U: Numbers, b_i: Numbers | None, b_h: Numbers | None, _: Options
) -> dict[str, Numbers]:
    bias = b_i if b_i is None or b_h is None else np.stack([b_i, b_h])
    return present(kernel=W.T, recurrent_kernel=U.T, bias=bias)


def _read_onnx(arrays: Arrays, options: Options) -> Matrices:
    d = options["direction"]
    b_i, b_h = np.split(arrays["B"][d], 2) if "B" in arrays else (None, None)
    return arrays["W"][d], arrays["R"][d], b_i, b_h


def _write_onnx(
    W: Numbers, U: Numbers, b_i: Numbers | None, b_h: Numbers | None, _: Options
) -> dict[str, Numbers]:
    B = None if b_i is None or b_h is None else np.concatenate([b_i, b_h])[None]
    return present(W=W[None], R=U[None], B=B)


def _read_tensorflow1(arrays: Arrays, _: Options) -> Matrices:
    num_hidden = arrays["candidate/kernel"].shape[1]
    both = np.concatenate([arrays["gates/kernel"], arrays["candidate/kernel"]], axis=1).T
    zeros = np.zeros(3 * num_hidden, both.dtype)
    b_gates = arrays.get("gates/bias", zeros[num_hidden:])
    b_candidate = arrays.get("candidate/bias", zeros[:num_hidden])
    return both[:, :-num_hidden], both[:, -num_hidden:], np.concatenate([b_gates, b_candidate]), None


def _write_tensorflow1(
    W: Numbers, U: Numbers, b_i: Numbers | None, _b_h: Numbers | None, _: Options
) -> dict[str, Numbers]:
    both, num_gates = np.concatenate([W, U], axis=1).T, 2 * U.shape[1]
    b = np.zeros(len(W), W.dtype) if b_i is None else b_i
    return {
        "gates/kernel": both[:, :num_gates],
        "gates/bias": b[:num_gates],
        "candidate/kernel": both[:, num_gates:],
        "candidate/bias": b[num_gates:],
    }


def _read_flax(arrays: Arrays, _: Options) -> Matrices:
    W = np.concatenate([arrays[f"i{gate}/kernel"].T for gate in "rzn"])
    U = np.concatenate([arrays[f"h{gate}/kernel"].T for gate in "rzn"])
    zeros = np.zeros(U.shape[1], U.dtype)
    b = np.concatenate([arrays.get(f"i{gate}/bias", zeros) for gate in "rzn"])
    return W, U, *_split_b_hn(b, arrays.get("hn/bias"), U)


def _write_flax(
    W: Numbers, U: Numbers, b_i: Numbers | None, b_h: Numbers | None, _: Options
) -> dict[str, Numbers]:
    b, b_n = (np.zeros(len(W), W.dtype) if part is None else part for part in (b_i, b_h))
    arrays = {f"i{gate}/kernel": part.T for gate, part in zip("rzn", np.split(W, 3))}
    arrays |= {f"h{gate}/kernel": part.T for gate, part in zip("rzn", np.split(U, 3))}
    arrays |= {f"i{gate}/bias": part for gate, part in zip("rzn", np.split(b, 3))}
    return {**arrays, "hn/bias": np.split(b_n, 3)[2]}


def _with_b_hn(W_name: str, U_name: str, b_name: str, b_hn_name: str) -> tuple[Read, Write]:
    """Return read and write of PyTorch's matrices with one bias [3H] and the candidate's recurrent bias
    [H].
    """

    def read(arrays: Arrays, _: Options) -> Matrices:
        W, U = arrays[W_name], arrays[U_name]
        return W, U, *_split_b_hn(arrays.get(b_name), arrays.get(b_hn_name), U)

    def write(
        W: Numbers, U: Numbers, b_i: Numbers | None, b_h: Numbers | None, _: Options
    ) -> dict[str, Numbers]:
        b_hn = None if b_h is None else np.split(b_h, 3)[2]
        return present(**{W_name: W, U_name: U, b_name: b_i, b_hn_name: b_hn})

    return read, write


def _read_haiku(arrays: Arrays, _: Options) -> Matrices:
    return arrays["w_i"].T, arrays["w_h"].T, arrays.get("b"), None


def _write_haiku(
    W: Numbers, U: Numbers, b_i: Numbers | None, _b_h: Numbers | None, _: Options
) -> dict[str, Numbers]:
    return {"w_i": W.T, "w_h": U.T, "b": np.zeros(len(W), W.dtype) if b_i is None else b_i}


def read_onednn(arrays: Arrays, options: Options) -> Matrices:
    """W, U and the biases of one layer and direction; a row of H more than there are gates is the bias b_hn."""
    at = options["layer"], options["direction"]
    W, U = (arrays[name][at] for name in ("weights_layer", "weights_iter"))
    num_gates = W.shape[1]
    W, U = (part.reshape(len(part), -1).T for part in (W, U))
    bias = arrays["bias"][at] if "bias" in arrays else None
    if bias is None or len(bias) == num_gates:
        return W, U, None if bias is None else bias.reshape(-1), None
    return W, U, *_split_b_hn(bias[:-1].reshape(-1), bias[-1], U)


def write_onednn(
    W: Numbers, U: Numbers, b_i: Numbers | None, b_h: Numbers | None, _: Options
) -> dict[str, Numbers]:
    """The inverse of `read_onednn`, for L = D = 1."""
    num_hidden = U.shape[1]
    W, U = (part.T.reshape(1, 1, part.shape[1], -1, num_hidden) for part in (W, U))
    bias = b_i
    if b_i is not None and b_h is not None:
        bias = np.concatenate([b_i, b_h[-num_hidden:]])
    return present(
        weights_layer=W,
        weights_iter=U,
        bias=None if bias is None else bias.reshape(1, 1, -1, num_hidden),
    )


def _read_ncnn(arrays: Arrays, options: Options) -> Matrices:
    d = options["direction"]
    W, U, bias = arrays["weight_xc"][d], arrays["weight_hc"][d], arrays["bias_c"][d]
    if len(bias) * U.shape[1] == len(U):
        return W, U, bias.reshape(-1), None
    return W, U, *_split_b_hn(bias[:-1].reshape(-1), bias[-1], U)


def _write_ncnn(
    W: Numbers, U: Numbers, b_i: Numbers | None, b_h: Numbers | None, _: Options
) -> dict[str, Numbers]:
    num_hidden = U.shape[1]
    bias = np.zeros(len(U), U.dtype) if b_i is None else b_i
    if len(U) == 3 * num_hidden:
        b_n = np.zeros(num_hidden, U.dtype) if b_h is None else b_h[-num_hidden:]
        bias = np.concatenate([bias, b_n])
    return {"weight_xc": W[None], "weight_hc": U[None], "bias_c": bias.reshape(1, -1, num_hidden)}


def _keras_shapes(options: Options) -> dict[str, str]:
    bias = "[2, GH]" if options.get("reset_after", False) else "[GH]"
    return {"recurrent_kernel": "[H, GH]", "kernel": "[I, GH]", "bias": bias}


def _flax_shapes(_: Options) -> dict[str, str]:
    shapes = {f"h{gate}/kernel": "[H, H]" for gate in "rzn"} | {f"i{gate}/kernel": "[I, H]" for gate in "rzn"}
    return {**shapes, "hn/bias": "[H]", **{f"i{gate}/bias": "[H]" for gate in "rzn"}}


def fixed_shapes(**shapes: str) -> Callable[[Options], dict[str, str]]:
    """Shapes that no option changes."""
    return lambda _: shapes


PYTORCH = Layout(
    shapes=fixed_shapes(weight_hh="[GH, H]", weight_ih="[GH, I]", bias_ih="[GH]", bias_hh="[GH]"),
    optional=("bias_ih", "bias_hh"),
    biases=lambda _: "two",
    read=_read_pytorch,
    write=_write_pytorch,
)
KERAS = Layout(
    shapes=_keras_shapes,
    optional=("bias",),
    biases=lambda options: "two" if options.get("reset_after", False) else "one",
    read=_read_keras,
    write=_write_keras,
)
ONNX = Layout(
    shapes=fixed_shapes(R="[D, GH, H]", W="[D, GH, I]", B="[D, 2GH]"),
    optional=("B",),
    biases=lambda _: "two",
    read=_read_onnx,
    write=_write_onnx,
)
TENSORFLOW1 = Layout(
    shapes=lambda _: {
        "candidate/kernel": "[I+H, H]",
        "gates/kernel": "[I+H, 2H]",
        "gates/bias": "[2H]",
        "candidate/bias": "[H]",
    },
    optional=("gates/bias", "candidate/bias"),
    biases=lambda _: "one",
    read=_read_tensorflow1,
    write=_write_tensorflow1,
)
FLAX = Layout(
    shapes=_flax_shapes,
    optional=("ir/bias", "iz/bias", "in/bias", "hn/bias"),
    biases=lambda _: "one and b_hn",
    read=_read_flax,
    write=_write_flax,
)
EQUINOX = Layout(
    fixed_shapes(weight_hh="[GH, H]", weight_ih="[GH, I]", bias="[GH]", bias_n="[H]"),
    ("bias", "bias_n"),
    lambda _: "one and b_hn",
    *_with_b_hn("weight_ih", "weight_hh", "bias", "bias_n"),
)
MLX = Layout(
    fixed_shapes(Wh="[GH, H]", Wx="[GH, I]", b="[GH]", bhn="[H]"),
    ("b", "bhn"),
    lambda _: "one and b_hn",
    *_with_b_hn("Wx", "Wh", "b", "bhn"),
)
HAIKU = Layout(
    shapes=fixed_shapes(w_h="[H, GH]", w_i="[I, GH]", b="[GH]"),
    optional=("b",),
    biases=lambda _: "one",
    read=_read_haiku,
    write=_write_haiku,
)
ONEDNN_GRU = Layout(
    shapes=fixed_shapes(weights_iter="[L, D, H, 3, H]", weights_layer="[L, D, I, 3, H]", bias="[L, D, 3, H]"),
    optional=("bias",),
    biases=lambda _: "one",
    read=read_onednn,
    write=write_onednn,
)
ONEDNN_LBR_GRU = ONEDNN_GRU._replace(
    shapes=fixed_shapes(weights_iter="[L, D, H, 3, H]", weights_layer="[L, D, I, 3, H]", bias="[L, D, 4, H]"),
    biases=lambda _: "one and b_hn",
)
NCNN_GRU = Layout(
    shapes=fixed_shapes(weight_hc="[D, GH, H]", weight_xc="[D, GH, I]", bias_c="[D, 4, H]"),
    optional=(),
    biases=lambda _: "one and b_hn",
    read=_read_ncnn,
    write=_write_ncnn,
)
NCNN_LSTM = NCNN_GRU._replace(biases=lambda _: "one")
NCNN_RNN = NCNN_LSTM._replace(
    shapes=fixed_shapes(weight_hc="[D, GH, H]", weight_xc="[D, GH, I]", bias_c="[D, 1, H]")
)
