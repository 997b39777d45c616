"""The recurrent layers of a network: all their depths and directions, their states and their gates.

Each direction of each depth runs either on the NumPy steps of cells.py or through `congru.ops` (the native
core, or the reference). Arrays are time-major here: x [T, B, F]; states are [L*D, B, H] by name.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from congru import ops
from congru.errors import BackendError, SettingsError
from congru.kernels.call import CELLS
from congru.kernels.rounding import to_bfloat16
from congru.runtime import cells
from congru.runtime.cells import Array
from congru.runtime.declaration import Layer, directions, gain_stems, recurrent_layers
from congru.runtime.layers import Lengths
from congru.runtime.option_cells import OptionCell, has_options

BACKENDS = ("auto", "numpy", "native", "reference")
WEIGHT_DTYPES = ("float32", "bfloat16")
State = dict[str, Array]
Weights = Mapping[str, Array]


class Pass:
    """One run through the layers: the state going in, the state coming out, and the gates where asked for."""

    def __init__(self, state: State, lengths: Lengths, gates: dict[str, Array] | None) -> None:
        self.state, self.after, self.lengths, self.gates = state, dict[str, Array](), lengths, gates


class Recurrent:
    """One GRU, LSTM, RNN or minGRU with all its depths (L) and directions (D)."""

    def __init__(self, layer: Layer, weights: Weights, backend: str, weight_dtype: str) -> None:
        self.name = layer["name"]
        self.parts = state_names(layer)
        self.num_directions, self.num_layers = directions(layer), layer["num_layers"]
        self.backend, self.form = backend, _form(layer, weight_dtype)
        self.keep = layer.get("zoneout", 0.0)
        self.kind = layer["type"]
        self.weights = depth_weights(layer, weights)
        self.cells = [_cell(layer, parts) for parts in self.weights]

    def __call__(self, x: Array, run: Pass) -> Array:
        """y [T, B, D*H] of x [T, B, F]; the states after are added to `run`, the gates where it holds
        some.
        """
        states = [run.state[part] for part in self.parts]
        finals: list[cells.State] = []
        traces = self._trace_arrays(x, states[0], run)
        for depth in range(self.num_layers):
            outputs = []
            for way in range(self.num_directions):
                index = depth * self.num_directions + way
                state = tuple(part[index] for part in states)
                y, final = self._run_direction(index, x, state, run.lengths, traces[index])
                outputs.append(y)
                finals.append(final)
            x = outputs[0] if len(outputs) == 1 else np.concatenate(outputs, axis=-1)
        for number, part in enumerate(self.parts):
            arrays = [final[number] for final in finals]
            run.after[part] = arrays[0][None] if len(arrays) == 1 else np.stack(arrays)
        return x

    def _run_direction(
        self, index: int, x: Array, state: cells.State, lengths: Lengths, gates: Array | None
    ) -> tuple[Array, cells.State]:
        reverse = index % self.num_directions == 1
        if self.backend == "numpy":
            return cells.run_cell(self.cells[index], x, state, lengths, reverse, gates)
        y, final, found = ops.sequence(
            self.kind,
            np.ascontiguousarray(x.swapaxes(0, 1)),
            state,
            self.weights[index],
            lengths=lengths,
            reverse=reverse,
            return_gates=gates is not None,
            backend=self.backend,
            **self.form,
            **_zoneout(self.keep, x.swapaxes(0, 1), state),
        )
        if gates is not None and found is not None:
            gates[...] = found.swapaxes(0, 1)
        return np.ascontiguousarray(y.swapaxes(0, 1)), final

    def _trace_arrays(self, x: Array, h: Array, run: Pass) -> list[Array | None]:
        """Time-major [T, B, G, H] arrays to be filled, views of run.gates[name] [L, D, B, T, G, H]; or None
        each.
        """
        if run.gates is None:
            return [None] * len(self.cells)
        steps, batch_size = x.shape[:2]
        rows, hidden = self.cells[0].gate_rows, h.shape[-1]
        shape = (self.num_layers, self.num_directions, batch_size, steps, rows, hidden)
        run.gates[self.name] = np.zeros(shape, np.float32)
        flat = run.gates[self.name].reshape(len(self.cells), *shape[2:])
        return [part.swapaxes(0, 1) for part in flat]


def choose_backend(
    layers: list[Layer], weights: Weights, backend: str, weight_dtype: str = "float32"
) -> tuple[str, str]:
    """The backend by name, and why: "auto" becomes native where it runs all recurrent layers, else numpy.

    Raises :class:`BackendError` where one asked for by name cannot run.
    """
    if backend not in BACKENDS:
        raise BackendError(
            f"backend is {backend!r}, expected one of {', '.join(BACKENDS)}: pass one of these"
        )
    wanted = "native" if backend == "auto" else backend
    try:
        for layer in recurrent_layers(layers) if wanted != "numpy" else ():
            _ask(layer, weights, wanted, weight_dtype)
    except BackendError as error:
        if backend != "auto":
            raise
        return "numpy", f"because 'native' cannot: {error}"
    return wanted, "the first that can" if backend == "auto" else "as asked"


def _ask(layer: Layer, weights: Weights, backend: str, weight_dtype: str) -> None:
    """Raise BackendError unless `backend` runs every direction of a layer on float32, with lengths and
    gates.
    """
    for end in _ends(layer):
        parts = _weights(layer, weights, end)
        assert parts[0] is not None
        x = np.zeros((1, 1, parts[0].shape[1]), np.float32)
        options = {"reverse": end.endswith("_reverse"), **_form(layer, weight_dtype)}
        states = tuple(np.zeros((1, layer["hidden_size"]), np.float32) for _ in state_names(layer))
        options |= _zoneout(layer.get("zoneout", 0.0), x, states)
        ops.explain(
            layer["type"],
            x,
            None,
            parts,
            lengths=np.ones(1, int),
            return_gates=True,
            backend=backend,
            **options,
        )


def _form(layer: Layer, weight_dtype: str) -> dict[str, Any]:
    """The keywords of `congru.ops.sequence` that say which equations a layer computes, and in what weights."""
    plain = {"reset_before": False, "layer_norm": False, "num_heads": 1}
    form = {key: layer.get(key, value) for key, value in plain.items()}
    return form if weight_dtype == "float32" else {**form, "weight_dtype": weight_dtype}


def in_weight_dtype(layers: list[Layer], weights: Weights, weight_dtype: str) -> Weights:
    """The weights, with those that recurrent products read rounded to `weight_dtype`; all stay float32 arrays.

    Raises :class:`SettingsError` for another dtype than those of `WEIGHT_DTYPES`.
    """
    if weight_dtype not in WEIGHT_DTYPES:
        raise SettingsError(
            f"weight_dtype is {weight_dtype!r}, expected one of {', '.join(WEIGHT_DTYPES)}: pass one of these"
        )
    if weight_dtype == "float32":
        return weights
    names = {layer["name"] for layer in recurrent_layers(layers)}
    return {
        name: to_bfloat16(array)
        if name.partition(".")[0] in names and name.partition(".")[2].startswith(("weight_ih", "weight_hh"))
        else array
        for name, array in weights.items()
    }


def _zoneout(keep: float, x: Array, state: cells.State) -> dict[str, Any]:
    """Zoneout's expectation on x [B, T, F] as keyword of `congru.ops.sequence`; nothing where there is none."""
    if not keep:
        return {}
    sizes = (*x.shape[:2], state[0].shape[1])
    return {"zoneout": tuple(np.broadcast_to(np.float32(keep), sizes) for _ in state)}


def state_names(layer: Layer) -> list[str]:
    """The names of a recurrent layer's states: "<layer>.h", for lstm also "<layer>.c"."""
    return [f"{layer['name']}.{part}" for part in CELLS[layer["type"]].states]


def depth_weights(layer: Layer, weights: Weights) -> list[tuple[Array | None, ...]]:
    """The weights of every depth and direction in the order of `congru.ops`."""
    return [_weights(layer, weights, end) for end in _ends(layer)]


def _ends(layer: Layer) -> list[str]:
    suffixes = ("", "_reverse")[: directions(layer)]
    return [f"l{depth}{suffix}" for depth in range(layer["num_layers"]) for suffix in suffixes]


def _weights(layer: Layer, weights: Weights, end: str) -> tuple[Array | None, ...]:
    """One direction's weights in the order of `congru.ops`: (W, U, b_i, b_h, gains), for mingru (W, b_i)."""
    stems = (
        ("weight_ih", "bias_ih")
        if layer["type"] == "mingru"
        else ("weight_ih", "weight_hh", "bias_ih", "bias_hh", *gain_stems(layer))
    )
    return tuple(weights.get(f"{layer['name']}.{stem}_{end}") for stem in stems)


def _cell(layer: Layer, parts: tuple[Array | None, ...]) -> cells.Cell:
    W = parts[0]
    assert W is not None  # held by weight_problem
    if layer["type"] == "mingru":
        return cells.MinGRU(W, parts[1])
    if has_options(layer):
        return OptionCell(layer, parts)
    _, U, b_i, b_h = parts
    assert U is not None
    if layer["type"] == "gru":
        return cells.GRU(W, U, b_i, b_h, layer["reset_before"])
    cell = cells.LSTM if layer["type"] == "lstm" else cells.RNN
    return cell(W, U, b_i, b_h)
