"""Twin of attention over a memory."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from congru.nn.twins.twin import Run, Twin, padding_of, twin, uniform
from congru.runtime.nodes import Spec, attention


@twin(attention.Attention)
class AttentionTwin(Twin):
    """All steps at once: [B, T, S] scores, softmax over the valid positions, the weighted memory."""

    def __init__(self, node: attention.Attention, *x: Spec) -> None:
        super().__init__(node, *x)
        self.score, self.source = node.score, x[1].source
        for name, shape in node.weights(*x).items():
            self.register_parameter(name, uniform(*shape, fan_in=shape[-1]))

    def forward(self, run: Run, q: Tensor, memory: Tensor) -> Tensor:
        if self.score == "additive":
            asked = F.linear(q, self.get_parameter("query_weight"))[:, :, None]
            keys = F.linear(memory, self.get_parameter("memory_weight"))[:, None]
            s = torch.tanh(asked + keys) @ self.get_parameter("score_weight")
        else:
            turned = q @ self.get_parameter("weight") if self.score == "bilinear" else q
            s = turned @ memory.transpose(1, 2)
        counts = run.memory_lengths.get(self.source)
        if counts is not None:
            padding = padding_of(memory, counts)[:, None]
            s = s.masked_fill(padding, torch.finfo(s.dtype).min)
        w = s.softmax(-1) if memory.shape[1] else s
        if counts is not None:
            w = w.masked_fill(padding, 0.0)
        if run.pictures is not None:
            run.pictures[self.node_name] = w
        return w @ memory
