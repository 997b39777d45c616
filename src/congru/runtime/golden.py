"""Golden cases: inputs with the outputs and states the trained network gave, replayed by every `congru.load`.

Three cases k = 0, 1, 2 as flat arrays: `input_k` [B, T] or [B, T, I], `lengths_k` [B] (optional),
`state0_k.<name>` [L*D, B, H] (optional), `output_k` and `state_k.<name>`. Case 1 has lengths, case 2 starts
from a state that is not zero.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from congru.errors import CongruError
from congru.runtime.declaration import Layer, check_network, input_size, state_shapes
from congru.runtime.network import Network

NUM_CASES = 3
TOLERANCE = 1e-4  # relative to the largest absolute value of the expected array
_SMALLEST_SCALE = 1e-3

Arrays = dict[str, NDArray[Any]]
Run = Callable[
    [NDArray[Any], Arrays | None, NDArray[np.int64] | None], tuple[NDArray[Any], Mapping[str, NDArray[Any]]]
]


def make_golden(
    config: Mapping[str, Any], run: Run, *, seed: int = 0, batch_size: int = 2, steps: int = 5
) -> Arrays:
    """The golden cases of a network: inputs drawn here, outputs and states computed by `run`.

    `config` is the declarative network; `run(x, state, lengths)` -> (output, state) on NumPy arrays, best the
    torch network that was trained, so that loading compares two independent programs. Tokens are uniform,
    vectors standard normal.
    """
    layers = check_network(config)
    rng = np.random.default_rng(seed)
    arrays: Arrays = {}
    for case in range(NUM_CASES):
        x = _draw_input(layers, rng, (batch_size, steps))
        lengths = rng.integers(1, steps + 1, batch_size) if case == 1 else None
        state = None
        if case == 2:
            state = {
                name: rng.uniform(-0.5, 0.5, (depth, batch_size, hidden)).astype(np.float32)
                for name, (depth, hidden) in state_shapes(layers).items()
            }
        output, after = run(x, state, lengths)
        arrays[f"input_{case}"], arrays[f"output_{case}"] = x, np.asarray(output, np.float32)
        if lengths is not None:
            arrays[f"lengths_{case}"] = lengths
        arrays.update({f"state0_{case}.{name}": value for name, value in (state or {}).items()})
        arrays.update(
            {f"state_{case}.{name}": np.asarray(value, np.float32) for name, value in after.items()}
        )
    return arrays


def golden_problem(network: Network, golden: Mapping[str, NDArray[Any]]) -> str | None:
    """How replaying the golden cases differs from what they hold, as one clause; None where all agree."""
    for case in range(NUM_CASES):
        expected = {f"output_{case}": np.empty(0)} | {
            f"state_{case}.{name}": np.empty(0) for name in network.state_names
        }
        for name in (f"input_{case}", *expected):
            if name not in golden:
                return f"lacks {name!r}, expected {NUM_CASES} cases with input, output and state"
        state = {
            name: golden[key] for name in network.state_names if (key := f"state0_{case}.{name}") in golden
        }
        try:
            output, after = network.run(golden[f"input_{case}"], state or None, golden.get(f"lengths_{case}"))
        except CongruError as error:
            return f"does not fit its network in case {case}: {error}"
        found = {f"output_{case}": output} | {f"state_{case}.{name}": value for name, value in after.items()}
        for name, value in found.items():
            problem = _difference(name, value, golden[name])
            if problem:
                return problem
    return None


def _draw_input(layers: list[Layer], rng: np.random.Generator, shape: tuple[int, int]) -> NDArray[Any]:
    if layers[0]["type"] == "embedding":
        return rng.integers(0, layers[0]["num_embeddings"], shape)
    size = input_size(layers)
    assert size is not None  # held by check_network
    return rng.standard_normal((*shape, size)).astype(np.float32)


def _difference(name: str, found: NDArray[Any], expected: NDArray[Any]) -> str | None:
    if found.shape != expected.shape:
        return f"holds {name!r} with shape {expected.shape}, but the network gives {found.shape}"
    if not np.isfinite(expected).all():
        return f"holds {name!r} with NaN or infinite values, expected finite numbers"
    if expected.size == 0:
        return None
    scale = max(float(np.abs(expected).max()), _SMALLEST_SCALE)
    error = float(np.abs(found - expected).max()) / scale
    if error > TOLERANCE:
        return (
            f"differs from the replay: {name!r} by {error:.1e} of its largest value, expected {TOLERANCE:.0e}"
        )
    return None
