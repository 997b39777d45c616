"""Nodes that look at neighbours: causal convolution over time, stacking of frames, convolution of pictures, a GRU of pictures."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from congru.errors import SettingsError
from congru.runtime.activations import sigmoid, tanh
from congru.runtime.cells import Array
from congru.runtime.dense import dense
from congru.runtime.nodes.node import Compute, Node, PointwiseNode, Shapes, Spec, Weights, flag, whole
from congru.runtime.run import Run


class _Window(Node):
    """Reads the last K inputs of every step; before the first there are zeros. Its state is the last K - 1 inputs."""

    def taps(self) -> int:
        """K."""
        raise NotImplementedError

    def state(self, *x: Spec) -> dict[str, tuple[int, int]]:
        """past [K - 1, B, F]."""
        return {"past": (self.taps() - 1, x[0].features)} if self.taps() > 1 else {}

    def windows(self, run: Run, x: Array) -> Array:
        """[T, B, K * F]: the oldest input of every window first; the state after goes to `run`."""
        taps, name = self.taps(), f"{self.name}.past"
        if taps == 1:
            return x
        whole_input = np.concatenate([run.state[name], x])
        if run.lengths is None:
            run.after[name] = whole_input[len(x) :].copy()
        else:
            rows = run.lengths + np.arange(taps - 1)[:, None]
            run.after[name] = whole_input[rows, np.arange(x.shape[1])]
        return np.concatenate([whole_input[k : k + len(x)] for k in range(taps)], axis=-1)


@dataclass(frozen=True, kw_only=True)
class CausalConvolution(_Window, type="causal_conv"):
    """y_t = b + sum_k W_k x_(t - K + 1 + k), K = `kernel`.

    `look_ahead` of these inputs lie in the future of the step that y_t speaks of: y_t belongs to input step t - look_ahead
    (`Spec.delay`), and nothing else changes.
    """

    size: int = whole()
    kernel: int = whole()
    look_ahead: int = whole(0, least=0)
    bias: bool = flag(True)

    def __post_init__(self) -> None:
        if self.look_ahead >= self.kernel:
            raise SettingsError(
                f"{self}: look_ahead is {self.look_ahead}, expected less than kernel = {self.kernel}: lower it"
            )

    def taps(self) -> int:
        """K."""
        return self.kernel

    def infer(self, *x: Spec) -> Spec:
        """[T, B, size], `look_ahead` steps later."""
        value = self.need_sequence(x[0])
        return value._replace(size=(self.size,), delay=value.delay + self.look_ahead)

    def weights(self, *x: Spec) -> Shapes:
        """weight [size, K * F], the oldest input first; bias [size]."""
        shapes: Shapes = {"weight": (self.size, self.kernel * x[0].features)}
        return {**shapes, "bias": (self.size,)} if self.bias else shapes

    def build(self, weights: Weights, *x: Spec, **how: Any) -> Compute:
        """A product with every window."""
        product = dense(weights["weight"], weights.get("bias"), how.get("backend", "numpy"))
        return lambda run, value: product(self.windows(run, value))


@dataclass(frozen=True, kw_only=True)
class Stack(_Window, type="stack"):
    """The last `frames` inputs side by side, the oldest first."""

    frames: int = whole(least=2)

    def taps(self) -> int:
        """K."""
        return self.frames

    def infer(self, *x: Spec) -> Spec:
        """[T, B, frames * F]."""
        value = self.need_sequence(x[0])
        return value._replace(size=(self.frames * value.features,))

    def build(self, weights: Weights, *x: Spec, **how: Any) -> Compute:
        """The windows themselves."""
        return self.windows


@dataclass(frozen=True, kw_only=True)
class PictureConvolution(PointwiseNode, type="conv2d"):
    """A convolution over the rows and columns of every picture [C, H, W], as torch.nn.Conv2d: `padding` zeros at each edge."""

    channels: int = whole()
    kernel: int = whole()
    stride: int = whole(1)
    padding: int = whole(0, least=0)
    bias: bool = flag(True)

    def infer(self, *x: Spec) -> Spec:
        """[.., channels, H', W'], H' = (H + 2 padding - kernel) // stride + 1."""
        (value,) = x
        self.need(
            value.tokens is None and len(value.size) == 3, value, "pictures of channels x rows x columns"
        )
        sides = [(side + 2 * self.padding - self.kernel) // self.stride + 1 for side in value.size[1:]]
        self.need(min(sides) >= 1, value, f"at least {self.kernel} rows and columns with the padding")
        return value._replace(size=(self.channels, *sides))

    def weights(self, *x: Spec) -> Shapes:
        """weight [channels, C, kernel, kernel], bias [channels]."""
        shapes: Shapes = {"weight": (self.channels, x[0].size[0], self.kernel, self.kernel)}
        return {**shapes, "bias": (self.channels,)} if self.bias else shapes

    def function(self, weights: Weights, *x: Spec, backend: str) -> Any:
        """One product per picture."""
        return picture_convolution(weights["weight"], weights.get("bias"), self.stride, self.padding, backend)


def picture_convolution(
    weight: Array, bias: Array | None, stride: int, padding: int, backend: str
) -> Callable[[Array], Array]:
    """The function of pictures [.., C, H, W]: one product per picture, so that each has the bits it has alone."""
    channels, kernel = weight.shape[0], weight.shape[-1]
    product = dense(weight.reshape(channels, -1), bias, backend)
    edge = (padding, padding)

    def convolve(pictures: Array) -> Array:
        lead = pictures.shape[:-3]
        padded = np.pad(pictures, [(0, 0)] * (len(lead) + 1) + [edge, edge])
        patches = sliding_window_view(padded, (kernel, kernel), axis=(-2, -1))[..., ::stride, ::stride, :, :]
        rows, columns = patches.shape[-4], patches.shape[-3]
        flat = np.moveaxis(patches, -5, -3).reshape(*lead, rows * columns, weight[0].size)
        y = product(flat)
        out: Array = np.ascontiguousarray(np.swapaxes(y, -1, -2)).reshape(*lead, channels, rows, columns)
        return out

    return convolve


@dataclass(frozen=True, kw_only=True)
class ConvolutionalGru(Node, type="conv_gru"):
    """A GRU whose state is a picture: its products are convolutions with zeros at the edges (Ballas et al. 2016).

    r = sigmoid(W_r * x + b_ir + U_r * h + b_hr);  z = sigmoid(W_z * x + b_iz + U_z * h + b_hz);
    n = tanh(W_n * x + b_in + r (U_n * h + b_hn));  h' = z h + (1 - z) n: the share z is kept, reset after the product.
    """

    channels: int = whole()
    kernel: int = whole(3)

    def __post_init__(self) -> None:
        if self.kernel % 2 == 0:
            raise SettingsError(
                f"{self}: kernel is {self.kernel}, expected an odd number, so that pictures keep their size: change it"
            )

    def infer(self, *x: Spec) -> Spec:
        """[T, B, channels, H, W]."""
        (value,) = x
        fits = value.axes == "steps" and value.tokens is None and len(value.size) == 3
        self.need(fits, value, "pictures of channels x rows x columns, one per step")
        return value._replace(size=(self.channels, *value.size[1:]))

    def weights(self, *x: Spec) -> Shapes:
        """weight_ih [3 channels, C, kernel, kernel], weight_hh [3 channels, channels, kernel, kernel]; rows r, z, n."""
        rows, square = 3 * self.channels, (self.kernel, self.kernel)
        return {
            "weight_ih": (rows, x[0].size[0], *square),
            "weight_hh": (rows, self.channels, *square),
            "bias_ih": (rows,),
            "bias_hh": (rows,),
        }

    def state(self, *x: Spec) -> dict[str, tuple[int, int]]:
        """h [1, B, channels * H * W]."""
        return {"h": (1, self.channels * x[0].size[1] * x[0].size[2])}

    def build(self, weights: Weights, *x: Spec, **how: Any) -> Compute:
        """The inputs' convolution for all steps at once, the state's step by step."""
        edge, backend = self.kernel // 2, how.get("backend", "numpy")
        of_input = picture_convolution(weights["weight_ih"], weights["bias_ih"], 1, edge, backend)
        of_state = picture_convolution(weights["weight_hh"], weights["bias_hh"], 1, edge, backend)
        sigmoid_of, tanh_of = sigmoid(backend), tanh(backend)
        name, size = f"{self.name}.h", (self.channels, *x[0].size[1:])

        def compute(run: Run, value: Array) -> Array:
            flat = run.state[name][0]
            batch = flat.shape[0]
            h, c = flat.reshape(batch, *size), self.channels
            after, driven = flat.copy(), of_input(value)
            y = np.empty((len(value), batch, *size), np.float32)
            for t in range(len(value)):
                a = of_state(h)
                r, z = np.split(sigmoid_of(driven[t, :, : 2 * c] + a[:, : 2 * c]), 2, axis=1)
                n = tanh_of(driven[t, :, 2 * c :] + r * a[:, 2 * c :])
                h = z * h + (n - z * n)
                y[t] = h
                going_on = slice(None) if run.lengths is None else run.lengths > t
                after[going_on] = h.reshape(batch, -1)[going_on]
            run.after[name] = after[None]
            return y

        return compute
