"""The golden cases of a model folder as an exported program replays them: whole sequences, or step by step.

What stands in padding is nobody's business: outputs are compared at the valid steps of every sequence.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from congru.errors import ExportError
from congru.runtime.folder import GOLDEN
from congru.runtime.golden import NUM_CASES, golden_of_chain
from congru.runtime.model import Model
from congru.runtime.network import Network
from congru.runtime.tensors import of_owner, parse_tensors, relative_error

TOLERANCE = 1e-4  # the largest error of an export, relative to the largest value of each array
Arrays = dict[str, NDArray[Any]]


class Case(NamedTuple):
    """Inputs [B, T, ..] with the outputs and states the trained network gave; `lengths` names padding where there is any."""

    inputs: Arrays
    lengths: Arrays
    state: Arrays
    outputs: Arrays
    after: Arrays

    def rows(self, network: Network) -> Iterator[Case]:
        """Each sequence alone and without its padding: inputs [1, T_b, ..]."""
        graph = network.graph
        for b in range(len(next(iter(self.inputs.values())))):
            ends = {
                name: int(self.lengths["steps" if spec.axes == "steps" else name][b])
                for name, spec in graph.inputs.items()
                if spec.axes != "row" and ("steps" if spec.axes == "steps" else name) in self.lengths
            }
            end = int(self.lengths["steps"][b]) if "steps" in self.lengths else None
            yield Case(
                {
                    name: value[b : b + 1, : ends[name]] if name in ends else value[b : b + 1]
                    for name, value in self.inputs.items()
                },
                {},
                {name: value[:, b : b + 1] for name, value in self.state.items()},
                {
                    name: value[b : b + 1, :end] if graph.outputs[name].axes == "steps" else value[b : b + 1]
                    for name, value in self.outputs.items()
                },
                {name: value[:, b : b + 1] for name, value in self.after.items()},
            )


def golden_cases(model: Model) -> dict[str, list[Case]]:
    """The golden cases of every network of a loaded folder."""
    golden = parse_tensors((model.folder / GOLDEN).read_bytes())
    return {name: _cases(model, network, golden, name) for name, network in model.networks.items()}


def _cases(model: Model, network: Network, golden: Mapping[str, NDArray[Any]], name: str) -> list[Case]:
    if "networks" in model.config:
        return cases_in(network, of_owner(golden, name, "/"))
    return cases_in(network, golden_of_chain(golden, network.graph))


def cases_in(network: Network, golden: Mapping[str, NDArray[Any]]) -> list[Case]:
    """The cases of one network in arrays as `congru.runtime.golden` names them; all parts in the order of the network."""
    graph, cases = network.graph, []
    for k in range(NUM_CASES):
        inputs, lengths, state, outputs, after = (
            {name: golden[f"{what}_{k}.{name}"] for name in names if f"{what}_{k}.{name}" in golden}
            for what, names in (
                ("input", graph.inputs),
                ("lengths", ["steps", *graph.constant_inputs]),
                ("state0", graph.state_shapes),
                ("output", graph.outputs),
                ("state", graph.state_shapes),
            )
        )
        batch = len(next(iter(inputs.values())))
        cases.append(Case(inputs, lengths, state or network.initial_state(batch), outputs, after))
    return cases


class Replay:
    """The largest error seen so far, and where."""

    def __init__(self) -> None:
        self.error, self.where = 0.0, "nothing"

    def compare(self, name: str, actual: NDArray[Any], expected: NDArray[Any]) -> None:
        """Take in one array of the target beside what the folder holds. Raises :class:`ExportError` for another shape."""
        if actual.shape != expected.shape:
            raise ExportError(
                f"the export gives {name!r} with shape {actual.shape}, expected {expected.shape}: please report this model"
            )
        error = relative_error(actual, expected) if np.isfinite(actual).all() else float("inf")
        if error > self.error:
            self.error, self.where = error, name

    def check(self, what: str, tolerance: float = TOLERANCE) -> float:
        """The largest error; raises :class:`ExportError` where it is above `tolerance`."""
        if not self.error <= tolerance:
            raise ExportError(
                f"{what} differs from the golden cases of its folder: {self.where!r} by {self.error:.1e} of its largest"
                f" value, expected {tolerance:.0e} at most: nothing was written, please report this model"
            )
        return self.error


Sequence = Callable[[Case], tuple[Arrays, Arrays]]
Step = Callable[[Arrays, Arrays, Arrays], tuple[Arrays, Arrays]]


def replay_sequences(network: Network, cases: Iterable[Case], run: Sequence, what: str) -> float:
    """The largest error of `run(case)` -> (outputs, states after) on whole golden cases."""
    replay, outputs = Replay(), network.graph.outputs
    for case in cases:
        actual, after = run(case)
        for name, expected in case.outputs.items():
            value = actual[name]
            if outputs[name].axes == "steps" and "steps" in case.lengths and value.shape == expected.shape:
                valid = np.arange(expected.shape[1]) < case.lengths["steps"][:, None]
                value, expected = value[valid], expected[valid]
            replay.compare(name, value, expected)
        for name, expected in case.after.items():
            replay.compare(name, after[name], expected)
    return replay.check(what)


def replay_steps(network: Network, cases: Iterable[Case], step: Step, what: str) -> float:
    """The largest error of `step(inputs, constants, state)` -> (outputs, state after), one sequence after the other.

    Inputs of a step are [1, ..], constants rows [1, F] and memories [1, S, F] cut to their lengths.
    """
    replay, graph = Replay(), network.graph
    for case in cases:
        for row in case.rows(network):
            constants = {name: row.inputs[name] for name in graph.constant_inputs}
            state, outputs = row.state, list[Arrays]()
            count = row.inputs[graph.step_inputs[0]].shape[1] if graph.step_inputs else 1
            for t in range(count):
                inputs = {name: row.inputs[name][:, t] for name in graph.step_inputs}
                out, state = step(inputs, constants, state)
                outputs.append(out)
            for name, expected in row.outputs.items():
                values = [out[name] for out in outputs]
                steps = graph.outputs[name].axes == "steps"
                replay.compare(name, np.stack(values, axis=1) if steps else values[-1], expected)
            for name, expected in row.after.items():
                replay.compare(name, state[name], expected)
    return replay.check(what)
