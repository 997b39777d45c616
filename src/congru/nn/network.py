"""The declarative network of a model folder in torch; `congru.runtime.network` runs the same in NumPy.

Parameters are called "<layer>.<torch parameter name>": `state_dict()` holds the tensors of model.safetensors.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from congru.errors import SettingsError, ShapeError
from congru.nn.gru import GRU
from congru.nn.lstm import LSTM
from congru.nn.mingru import MinGRU
from congru.nn.recurrent import RecurrentLayer
from congru.nn.rnn import RNN
from congru.runtime.declaration import GATE_ROWS, Layer, check_network, every_layer, state_shapes

_RECURRENT: dict[str, type[RecurrentLayer]] = {"gru": GRU, "lstm": LSTM, "rnn": RNN, "mingru": MinGRU}
_ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "relu": F.relu,
    "tanh": torch.tanh,
    "gelu": F.gelu,
    "silu": F.silu,
    "sigmoid": torch.sigmoid,
}


class Network(nn.Module):
    """A network built from {"layers": [...]}; `congru.runtime.declaration` has the keys and checks them.

    `backend` goes to its recurrent layers. Raises `SettingsError` for a wrong declaration.

    >>> layers = [{"type": "embedding", "name": "embed", "num_embeddings": 9, "size": 4},
    ...           {"type": "gru", "name": "rnn", "input_size": 4, "hidden_size": 4},
    ...           {"type": "linear", "name": "head", "in": 4, "out": 9, "tied": "embed"}]
    >>> network = Network({"layers": layers})
    >>> out, state = network(torch.zeros(2, 5, dtype=torch.int64))
    >>> tuple(out.shape), {name: tuple(part.shape) for name, part in state.items()}
    ((2, 5, 9), {'rnn.h': (1, 2, 4)})
    """

    def __init__(self, config: Mapping[str, Any], *, backend: str = "auto") -> None:
        super().__init__()
        self.layers = check_network(config)
        self.state_names = tuple(state_shapes(self.layers))
        for layer in every_layer(self.layers):
            name = layer.get("name")
            if name is not None:
                if hasattr(self, name):
                    raise SettingsError(
                        f"network: the name {name!r} is one of torch.nn.Module's, expected another: rename it"
                    )
                self.add_module(name, _module(layer, backend))

    def recurrent_layers(self) -> dict[str, RecurrentLayer]:
        """The recurrent layers by name, in order."""
        return {name: module for name, module in self.named_children() if isinstance(module, RecurrentLayer)}

    def forward(
        self,
        x: Tensor,
        state: Mapping[str, Tensor] | None = None,
        *,
        lengths: Tensor | None = None,
        reset: Tensor | None = None,
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the output [B, T, O] (pooled: [B, O]) for x [B, T] tokens or [B, T, I], and the state after.

        `state` maps "<layer>.h", for LSTM also "<layer>.c", to [L*D, B, H]; None = the initial state.
        `lengths` [B] and `reset` [B, T] are those of the layers. Raises `ShapeError` for other names.
        """
        if state is not None and set(state) != set(self.state_names):
            raise ShapeError(
                f"state has the names {sorted(state)}, expected {sorted(self.state_names)}:"
                " pass the state this network returned"
            )
        if lengths is not None:
            lengths = torch.as_tensor(lengths, device=x.device)
        after: dict[str, Tensor] = {}
        return self._run(self.layers, x, state, after, lengths, reset), after

    def _run(
        self,
        layers: list[Layer],
        x: Tensor,
        state: Mapping[str, Tensor] | None,
        after: dict[str, Tensor],
        lengths: Tensor | None,
        reset: Tensor | None,
    ) -> Tensor:
        for layer in layers:
            kind, name = layer["type"], layer.get("name", "")
            if kind in GATE_ROWS:
                parts = (f"{name}.h", f"{name}.c") if kind == "lstm" else (f"{name}.h",)
                given = None if state is None else tuple(state[part] for part in parts)
                hx = given[0] if given is not None and len(given) == 1 else given
                x, final = self.get_submodule(name)(x, hx, lengths=lengths, reset=reset)
                after.update(zip(parts, final if kind == "lstm" else (final,)))
            elif kind == "residual":
                x = x + self._run(layer["layers"], x, state, after, lengths, reset)
            elif kind == "dropout":
                x = F.dropout(x, layer["p"], self.training)
            elif kind == "last":
                x = _last(x, lengths)
            elif kind == "mean":
                x = _mean(x, lengths)
            elif kind in _ACTIVATIONS:
                x = _ACTIVATIONS[kind](x)
            elif kind == "linear" and layer["tied"] is not None:
                head, embedding = self.get_submodule(name), self.get_submodule(layer["tied"])
                assert isinstance(head, _TiedLinear)
                assert isinstance(embedding, nn.Embedding)
                x = F.linear(x, embedding.weight, head.bias)
            else:
                x = self.get_submodule(name)(x)
        return x


class _TiedLinear(nn.Module):
    """The bias of a linear layer whose weight is an embedding's; starts as torch.nn.Linear's does."""

    bias: nn.Parameter | None

    def __init__(self, in_features: int, out_features: int, bias: bool) -> None:
        super().__init__()
        bound = in_features**-0.5
        start = nn.Parameter(torch.empty(out_features).uniform_(-bound, bound)) if bias else None
        self.register_parameter("bias", start)


def _module(layer: Layer, backend: str) -> nn.Module:
    """The torch module that holds the parameters of a named layer."""
    kind = layer["type"]
    if kind == "embedding":
        return nn.Embedding(layer["num_embeddings"], layer["size"])
    if kind == "linear":
        linear = nn.Linear if layer["tied"] is None else _TiedLinear
        return linear(layer["in"], layer["out"], layer["bias"])
    if kind == "layer_norm":
        return nn.LayerNorm(layer["size"])
    options = {key: value for key, value in layer.items() if key not in ("type", "name")}
    return _RECURRENT[kind](**options, batch_first=True, backend=backend)


def _last(x: Tensor, lengths: Tensor | None) -> Tensor:
    """The last valid step of every sequence, [B, T, F] -> [B, F]; zeros where there is none."""
    batch, steps, size = x.shape
    if steps == 0:
        return x.new_zeros(batch, size)
    if lengths is None:
        return x[:, -1]
    index = (lengths.to(torch.int64) - 1).clamp(min=0)
    picked = x.gather(1, index[:, None, None].expand(-1, 1, size)).squeeze(1)
    return picked.masked_fill((lengths == 0)[:, None], 0.0)


def _mean(x: Tensor, lengths: Tensor | None) -> Tensor:
    """The mean over the valid steps, [B, T, F] -> [B, F]; zeros where there is none."""
    if lengths is None:
        return x.sum(1) / max(x.shape[1], 1)
    padding = torch.arange(x.shape[1], device=x.device) >= lengths[:, None]
    return x.masked_fill(padding[:, :, None], 0.0).sum(1) / lengths.clamp(min=1)[:, None]
