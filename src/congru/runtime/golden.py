"""Golden cases: inputs with the outputs and states the trained network gave, replayed by every `congru.load`.

Three cases k = 0, 1, 2 of every network as flat arrays: `input_k.<input>`, `lengths_k.<input or "steps">` (optional),
`state0_k.<name>` [N, B, F] (optional), `output_k.<output>` and `state_k.<name>`. Case 1 has lengths, case 2 starts
from a state that is not zero. In the file of a model folder each name begins with "<network>/".
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from congru.errors import CongruError
from congru.runtime.chain import INPUT
from congru.runtime.graph import Graph, alone
from congru.runtime.network import Network
from congru.runtime.nodes import Spec
from congru.runtime.tensors import relative_error

NUM_CASES = 3
TOLERANCE = 1e-4  # relative to the largest absolute value of the expected array
_MOST_STEPS = 65_536  # rows times steps of an input

Arrays = dict[str, NDArray[Any]]
# (x, state, lengths) -> (output, state), as Network.run takes and returns them
NetworkRun = Callable[[Any, Arrays | None, Any], tuple[Any, Mapping[str, NDArray[Any]]]]


def make_golden(
    config: Mapping[str, Any], run: NetworkRun, *, seed: int = 0, batch_size: int = 2, steps: int = 5
) -> Arrays:
    """The golden cases of a network: inputs drawn here, outputs and states computed by `run`.

    `config` is the network's declaration; `run(x, state, lengths)` -> (output, state) on NumPy arrays, best the
    torch network that was trained, so that loading compares two independent programs. Tokens are uniform,
    vectors standard normal.
    """
    graph = Graph(config)
    rng = np.random.default_rng(seed)
    arrays: Arrays = {}
    for case in range(NUM_CASES):
        inputs = {name: _draw(spec, rng, batch_size, steps) for name, spec in graph.inputs.items()}
        lengths: Arrays = {}
        if case == 1:
            names = (*(("steps",) if graph.step_inputs else ()), *_memories(graph))
            lengths = {name: rng.integers(1, steps + 1, batch_size) for name in names}
        state = None
        if case == 2:
            state = {
                name: rng.uniform(-0.5, 0.5, (depth, batch_size, size)).astype(np.float32)
                for name, (depth, size) in graph.state_shapes.items()
            }
        output, after = run(alone(inputs), state, _bare_lengths(lengths))
        outputs = graph.named_outputs(output)
        for what, parts in (
            ("input", inputs),
            ("lengths", lengths),
            ("state0", state or {}),
            ("output", {name: np.asarray(value, np.float32) for name, value in outputs.items()}),
            ("state", {name: np.asarray(value, np.float32) for name, value in after.items()}),
        ):
            arrays.update({f"{what}_{case}.{name}": value for name, value in parts.items()})
    return arrays


def golden_problem(network: Network, golden: Mapping[str, NDArray[Any]]) -> str | None:
    """How replaying the golden cases differs from what they hold, as one clause; None where all agree."""
    graph = network.graph
    for case in range(NUM_CASES):
        inputs = [f"input_{case}.{name}" for name in graph.inputs]
        outputs = [f"output_{case}.{name}" for name in graph.outputs]
        states = [f"state_{case}.{name}" for name in network.state_names]
        for name in (*inputs, *outputs, *states):
            if name not in golden:
                return f"lacks {name!r}, expected {NUM_CASES} cases with input, output and state"
            if golden[name].size == 0:
                return f"holds {name!r} with shape {golden[name].shape}, expected some rows and steps: it proves nothing"
        for name in inputs:
            if math.prod(golden[name].shape[:2]) > _MOST_STEPS:
                return f"holds {name!r} with shape {golden[name].shape}, expected at most {_MOST_STEPS} rows times steps"
        x, lengths, state = (_part(golden, f"{what}_{case}.") for what in ("input", "lengths", "state0"))
        try:
            output, after = network.run(alone(x), state or None, _bare_lengths(lengths))
        except CongruError as error:
            return f"does not fit its network in case {case}: {error}"
        replayed = {f"output_{case}.{name}": value for name, value in graph.named_outputs(output).items()}
        replayed |= {f"state_{case}.{name}": value for name, value in after.items()}
        for name, value in replayed.items():
            problem = _difference(name, value, golden[name])
            if problem:
                return problem
    return None


def golden_of_chain(golden: Mapping[str, NDArray[Any]], graph: Graph) -> Arrays:
    """The cases of a folder of format 1 (`input_k`, `lengths_k`, `output_k`) under today's names."""
    ends = {"input": INPUT, "lengths": "steps", "output": next(iter(graph.outputs))}
    renamed = {}
    for name, value in golden.items():
        what = name.partition("_")[0]
        renamed[f"{name}.{ends[what]}" if what in ends and "." not in name else name] = value
    return renamed


def _memories(graph: Graph) -> list[str]:
    return [name for name, spec in graph.inputs.items() if spec.axes == "memory"]


def _bare_lengths(lengths: Arrays) -> Any:
    return lengths.get("steps") if set(lengths) <= {"steps"} else lengths


def _part(golden: Mapping[str, NDArray[Any]], prefix: str) -> Arrays:
    return {name.removeprefix(prefix): value for name, value in golden.items() if name.startswith(prefix)}


def _draw(spec: Spec, rng: np.random.Generator, batch_size: int, steps: int) -> NDArray[Any]:
    shape = (batch_size,) if spec.axes == "row" else (batch_size, steps)
    if spec.tokens is None:
        return rng.standard_normal((*shape, *spec.size)).astype(np.float32)
    columns = [rng.integers(0, count, shape) for count in spec.tokens]
    return np.stack(columns, axis=-1) if spec.size else columns[0]


def _difference(name: str, replayed: NDArray[Any], expected: NDArray[Any]) -> str | None:
    if replayed.shape != expected.shape:
        return f"holds {name!r} with shape {expected.shape}, but the network gives {replayed.shape}"
    if not np.isfinite(expected).all():
        return f"holds {name!r} with NaN or infinite values, expected finite numbers"
    error = relative_error(replayed, expected)
    if not error <= TOLERANCE:
        return (
            f"differs from the replay: {name!r} by {error:.1e} of its largest value, expected {TOLERANCE:.0e}"
        )
    return None
