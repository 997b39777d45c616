"""Twins of the nodes that see a window of steps or a picture."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from congru.nn.twins.twin import Run, Twin, twin, uniform
from congru.runtime.nodes import Spec, convolution


class _Window(Twin):
    """The last K inputs of every step; before the first, and before the state's, zeros."""

    def __init__(self, node: Any, *x: Spec) -> None:
        super().__init__(node, *x)
        self.taps = node.taps()

    def windows(self, run: Run, x: Tensor) -> Tensor:
        """[B, T, K * F], the oldest first."""
        self.refuse_reset(run)
        if self.taps == 1:
            return x
        batch, steps, size = x.shape
        name = f"{self.node_name}.past"
        past = run.before(name, x.new_zeros(self.taps - 1, batch, size)).transpose(0, 1)
        whole = torch.cat([past, x], 1)
        if run.lengths is None:
            after = whole[:, steps:]
        else:
            rows = run.lengths.to(torch.int64)[:, None] + torch.arange(self.taps - 1, device=x.device)
            after = whole.gather(1, rows[:, :, None].expand(-1, -1, size))
        run.after[name] = after.transpose(0, 1)
        return torch.cat([whole[:, k : k + steps] for k in range(self.taps)], -1)


@twin(convolution.CausalConvolution)
class CausalConvolutionTwin(_Window):
    """A linear map of every window."""

    def __init__(self, node: convolution.CausalConvolution, *x: Spec) -> None:
        super().__init__(node, *x)
        fan_in = node.kernel * x[0].features
        self.weight = uniform(node.size, fan_in, fan_in=fan_in)
        self.register_parameter("bias", uniform(node.size, fan_in=fan_in) if node.bias else None)

    def forward(self, run: Run, x: Tensor) -> Tensor:
        return F.linear(self.windows(run, x), self.weight, self._parameters["bias"])


@twin(convolution.Stack)
class StackTwin(_Window):
    """The windows themselves."""

    def forward(self, run: Run, x: Tensor) -> Tensor:
        return self.windows(run, x)


@twin(convolution.PictureConvolution)
class PictureConvolutionTwin(Twin):
    """torch.nn.Conv2d on every picture."""

    def __init__(self, node: convolution.PictureConvolution, *x: Spec) -> None:
        super().__init__(node, *x)
        self.stride, self.padding = node.stride, node.padding
        shape = node.weights(*x)["weight"]
        fan_in = shape[1] * shape[2] * shape[3]
        self.weight = uniform(*shape, fan_in=fan_in)
        self.register_parameter("bias", uniform(node.channels, fan_in=fan_in) if node.bias else None)

    def forward(self, run: Run, x: Tensor) -> Tensor:
        flat = x.flatten(0, -4)
        if x.device.type == "cpu":
            flat = flat.contiguous(memory_format=torch.channels_last)  # a sixth of a step of training less
        y = F.conv2d(flat, self.weight, self._parameters["bias"], self.stride, self.padding)
        return y.reshape(*x.shape[:-3], *y.shape[1:])


@twin(convolution.ConvolutionalGru)
class ConvolutionalGruTwin(Twin):
    """The equations of the node, step by step."""

    def __init__(self, node: convolution.ConvolutionalGru, *x: Spec) -> None:
        super().__init__(node, *x)
        self.edge, self.size = node.kernel // 2, (node.channels, *x[0].size[1:])
        fan_in = node.channels * node.kernel**2
        for part, shape in node.weights(*x).items():
            self.register_parameter(part, uniform(*shape, fan_in=fan_in))

    def forward(self, run: Run, x: Tensor) -> Tensor:
        self.refuse_reset(run)
        weight_ih, weight_hh = self.get_parameter("weight_ih"), self.get_parameter("weight_hh")
        bias_ih, bias_hh = self.get_parameter("bias_ih"), self.get_parameter("bias_hh")
        batch, steps = x.shape[:2]
        name, c = f"{self.node_name}.h", self.size[0]
        flat = run.before(name, x.new_zeros(1, batch, c * self.size[1] * self.size[2]))[0]
        h, after = flat.reshape(batch, *self.size), flat
        driven = F.conv2d(x.flatten(0, 1), weight_ih, bias_ih, 1, self.edge)
        driven = driven.reshape(batch, steps, *driven.shape[1:])
        outputs = []
        for t in range(steps):
            a = F.conv2d(h, weight_hh, bias_hh, 1, self.edge)
            r, z = torch.sigmoid(driven[:, t, : 2 * c] + a[:, : 2 * c]).chunk(2, 1)
            n = torch.tanh(driven[:, t, 2 * c :] + r * a[:, 2 * c :])
            h = z * h + (1 - z) * n
            outputs.append(h)
            going_on = x.new_tensor(True) if run.lengths is None else (run.lengths > t)[:, None]
            after = torch.where(going_on.bool(), h.flatten(1), after)
        run.after[name] = after[None]
        return torch.stack(outputs, 1) if outputs else x.new_zeros(batch, 0, *self.size)
