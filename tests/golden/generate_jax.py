"""Golden cases of three JAX libraries: GRU, LSTM and plain RNN of Flax (linen and nnx), Equinox and Haiku."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import equinox
import flax.linen
import haiku
import jax
import jax.numpy as jnp
import numpy as np
from case_file import GoldenCase, about, draw, record_versions, save
from flax import nnx

B, T, I, H = 3, 5, 3, 4
X = draw(100, B, T, I)
STATES = tuple(draw(101 + k, 1, B, H) for k in range(2))


def store(
    system: str, cell: str, arrays: dict[str, np.ndarray], step: Callable[[Any, Any], tuple[Any, Any]]
) -> None:
    """Run `step(x_t, (h,) or (h, c)) -> (y_t, state)` over X and save the case."""
    start = STATES if cell == "lstm" else STATES[:1]
    state, ys = tuple(jnp.asarray(part[0]) for part in start), []
    for t in range(T):
        y, state = step(jnp.asarray(X[:, t]), state)
        ys.append(np.asarray(y))
    final = tuple(np.asarray(part)[None] for part in state)
    stem = "relu_rnn" if cell == "rnn_relu" else cell
    save(
        f"{system}_{stem}",
        GoldenCase(about(system, cell), X, None, start, [arrays], np.stack(ys, axis=1), final),
    )


def swapped(cell: str, carry: Any) -> Any:
    """Flax carries (c, h); a case holds (h,) or (h, c)."""
    return (carry[1], carry[0]) if cell == "lstm" else (carry,)


def generate_flax(cell: str, kind: type) -> None:
    module = kind(features=H)
    carry = swapped(cell, STATES[0][0]) if cell != "lstm" else (STATES[1][0], STATES[0][0])
    carry = carry[0] if cell != "lstm" else carry
    parameters = module.init(jax.random.key(0), carry, jnp.asarray(X[:, 0]))["params"]
    shapes = {f"{name}/{k}": part.shape for name, parts in parameters.items() for k, part in parts.items()}
    arrays = {name: draw(seed, *shape) for seed, (name, shape) in enumerate(sorted(shapes.items()))}
    nested: dict[str, dict[str, np.ndarray]] = {}
    for name, array in arrays.items():
        outer, inner = name.split("/")
        nested.setdefault(outer, {})[inner] = array

    def step(x: Any, state: Any) -> tuple[Any, Any]:
        carry_in = (state[1], state[0]) if cell == "lstm" else state[0]
        carry, y = module.apply({"params": nested}, carry_in, x)
        return y, swapped(cell, carry)

    store("flax", cell, arrays, step)


def generate_nnx(cell: str, kind: type) -> None:
    module = kind(I, H, rngs=nnx.Rngs(0))
    arrays = {}
    for seed, (path, part) in enumerate(sorted(nnx.to_flat_state(nnx.state(module, nnx.Param)))):
        arrays["/".join(map(str, path))] = draw(seed, *part.get_value().shape)
    nnx.update(
        module,
        nnx.from_flat_state(
            [(tuple(name.split("/")), nnx.Param(jnp.asarray(v))) for name, v in arrays.items()]
        ),
    )

    def step(x: Any, state: Any) -> tuple[Any, Any]:
        carry, y = module((state[1], state[0]) if cell == "lstm" else state[0], x)
        return y, swapped(cell, carry)

    store("flax_nnx", cell, arrays, step)


def generate_equinox(cell: str, kind: type, names: tuple[str, ...]) -> None:
    module = kind(I, H, key=jax.random.key(0))
    arrays = {name: draw(seed, *getattr(module, name).shape) for seed, name in enumerate(names)}
    parts = [jnp.asarray(arrays[name]) for name in names]
    module = equinox.tree_at(lambda c: [getattr(c, name) for name in names], module, parts)

    def step(x: Any, state: Any) -> tuple[Any, Any]:
        if cell == "lstm":
            state = jax.vmap(module)(x, state)
            return state[0], state
        h = jax.vmap(module)(x, state[0])
        return h, (h,)

    store("equinox", cell, arrays, step)


def generate_haiku(cell: str, make: Callable[[], Any]) -> None:
    lstm = cell == "lstm"

    def call(x: Any, *state: Any) -> Any:
        return make()(x, haiku.LSTMState(*state) if lstm else state[0])

    transformed = haiku.without_apply_rng(haiku.transform(call))
    start = [part[0] for part in (STATES if lstm else STATES[:1])]
    tree = transformed.init(jax.random.key(0), X[:, 0], *start)
    flat = {f"{module}/{name}": part for module, parts in tree.items() for name, part in parts.items()}
    values = {name: draw(seed, *part.shape) for seed, (name, part) in enumerate(sorted(flat.items()))}
    nested = {module: {name: values[f"{module}/{name}"] for name in parts} for module, parts in tree.items()}

    def step(x: Any, state: Any) -> tuple[Any, Any]:
        y, new = transformed.apply(nested, x, *state)
        return y, tuple(new) if lstm else (new,)

    store("haiku", cell, {name.partition("/")[2]: value for name, value in values.items()}, step)


if __name__ == "__main__":
    generate_flax("gru", flax.linen.GRUCell)
    generate_flax("lstm", flax.linen.LSTMCell)
    generate_flax("rnn", flax.linen.SimpleCell)
    generate_nnx("gru", nnx.GRUCell)
    generate_nnx("lstm", nnx.OptimizedLSTMCell)
    generate_nnx("rnn", nnx.SimpleCell)
    generate_equinox("gru", equinox.nn.GRUCell, ("weight_ih", "weight_hh", "bias", "bias_n"))
    generate_equinox("lstm", equinox.nn.LSTMCell, ("weight_ih", "weight_hh", "bias"))
    generate_haiku("gru", lambda: haiku.GRU(H))
    generate_haiku("lstm", lambda: haiku.LSTM(H))
    generate_haiku("rnn_relu", lambda: haiku.VanillaRNN(H))
    record_versions("generate_jax.py", "jax", "flax", "equinox", "dm-haiku")
