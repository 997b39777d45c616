"""The network of a model folder in torch; `congru.runtime.network` runs the same in NumPy.

Parameters are called "<node>.<part>": `state_dict()` holds the tensors of a network in model.safetensors.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import nullcontext
from typing import Any

import torch
from torch import Tensor, nn

from congru.errors import SettingsError, ShapeError
from congru.nn.nodes import Run, twin_of
from congru.nn.recurrent import RecurrentLayer
from congru.runtime.graph import Graph, alone
from congru.runtime.nodes import Spec
from congru.runtime.nodes.pointwise import Linear
from congru.runtime.nodes.recurrent import RecurrentNode


class Network(nn.Module):
    """A network built from its declaration; `congru.runtime.graph` has the keys and checks them.

    `backend` goes to its recurrent layers. `recurrent_float32` keeps these in float32 where autocast asks for another dtype:
    only there has the compiled core layers with lengths, resets or layer norm. Raises `SettingsError` for a wrong declaration.

    >>> config = {"inputs": {"text": {"tokens": 9}},
    ...           "nodes": [{"type": "embedding", "name": "embed", "size": 4},
    ...                     {"type": "gru", "name": "rnn", "hidden_size": 4},
    ...                     {"type": "linear", "name": "head", "size": 9, "tied": "embed"}],
    ...           "outputs": ["head"]}
    >>> out, state = Network(config)(torch.zeros(2, 5, dtype=torch.int64))
    >>> tuple(out.shape), {name: tuple(part.shape) for name, part in state.items()}
    ((2, 5, 9), {'rnn.h': (1, 2, 4)})
    """

    def __init__(
        self, config: Mapping[str, Any], *, backend: str = "auto", recurrent_float32: bool = False
    ) -> None:
        super().__init__()
        self.recurrent_float32 = recurrent_float32
        self.graph = Graph(config)
        self.state_names = tuple(self.graph.state_shapes)
        for node, inputs, _ in self.graph.placed:
            if hasattr(self, node.name):
                raise SettingsError(
                    f"network: the name {node.name!r} is one of torch.nn.Module's, expected another: rename it"
                )
            self.add_module(node.name, twin_of(node, inputs, backend))

    def recurrent_layers(self) -> dict[str, RecurrentLayer]:
        """The recurrent layers by name, in order."""
        return {name: module for name, module in self.named_children() if isinstance(module, RecurrentLayer)}

    def forward(
        self,
        x: Tensor | Mapping[str, Tensor],
        state: Mapping[str, Tensor] | None = None,
        *,
        lengths: Tensor | Mapping[str, Tensor] | None = None,
        reset: Tensor | None = None,
        pictures: dict[str, Tensor] | None = None,
    ) -> tuple[Any, dict[str, Tensor]]:
        """Return the output [B, T, O] (pooled: [B, O]) for x [B, T] tokens or [B, T, I], and the state after.

        Several inputs or outputs are dictionaries by name. `state` maps "<node>.<part>" to [N, B, F]; None = the initial
        state. `lengths` [B], with memories a dictionary by input ("steps" for the steps), and `reset` [B, T] are those of the
        layers. `pictures` takes the weights of attention. Raises `ShapeError` for other names.
        """
        if state is not None and set(state) != set(self.state_names):
            raise ShapeError(
                f"state has the names {sorted(state)}, expected {sorted(self.state_names)}:"
                " pass the state this network returned"
            )
        values: dict[str, Tensor] = self.graph.named_inputs(x)
        device = next(iter(values.values())).device
        by_name = lengths if isinstance(lengths, Mapping) else {} if lengths is None else {"steps": lengths}
        counts = {name: torch.as_tensor(count, device=device) for name, count in by_name.items()}
        run = Run(state, counts.pop("steps", None), counts, reset, pictures=pictures)
        for node, inputs, _ in self.graph.placed:
            of = [values[name] for name in node.of]
            values[node.name] = self._call(node, inputs, of, run)
        outputs = {name: values[name] for name in self.graph.outputs}
        return alone(outputs), run.after

    def _call(self, node: Any, inputs: tuple[Spec, ...], of: list[Tensor], run: Run) -> Tensor:
        module = self.get_submodule(node.name)
        if isinstance(node, RecurrentNode):
            parts = [f"{node.name}.{part}" for part in node.state_parts]
            before = None if run.state is None else tuple(run.state[part] for part in parts)
            hx = before[0] if before is not None and len(before) == 1 else before
            x = of[0].float() if self.recurrent_float32 else of[0]
            with torch.autocast(x.device.type, enabled=False) if self.recurrent_float32 else nullcontext():
                y, final = module(x, hx, lengths=run.lengths, reset=run.reset)
            run.after.update(zip(parts, final if len(parts) > 1 else (final,)))
            out: Tensor = y
        elif isinstance(node, Linear) and node.tied:
            out = module(run, of[0], self.get_submodule(node.tied).get_parameter("weight"))
        else:
            out = module(run, *of)
        return out
