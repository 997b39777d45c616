"""Golden cases of the GRU in three JAX libraries: Flax linen, Equinox, Haiku."""

from __future__ import annotations

import equinox
import flax.linen
import haiku
import jax
import jax.numpy as jnp
import numpy as np
from case_file import GoldenCase, about, draw, record_versions, save

B, T, I, H = 3, 5, 3, 4
X, STATE = draw(100, B, T, I), draw(101, 1, B, H)


def store(system: str, arrays: dict[str, np.ndarray], ys: list[jax.Array]) -> None:
    y = np.stack([np.asarray(part) for part in ys], axis=1)
    final = (y[:, -1][None],)
    save(f"{system}_gru", GoldenCase(about(system, "gru"), X, None, (STATE,), [arrays], y, final))


def generate_flax() -> None:
    cell = flax.linen.GRUCell(features=H)
    parameters = cell.init(jax.random.key(0), jnp.asarray(STATE[0]), jnp.asarray(X[:, 0]))["params"]
    shapes = {
        f"{gate}/{name}": part.shape for gate, parts in parameters.items() for name, part in parts.items()
    }
    arrays = {name: draw(seed, *shape) for seed, (name, shape) in enumerate(sorted(shapes.items()))}
    nested: dict[str, dict[str, np.ndarray]] = {}
    for name, array in arrays.items():
        gate, part = name.split("/")
        nested.setdefault(gate, {})[part] = array
    h, ys = jnp.asarray(STATE[0]), []
    for t in range(T):
        h, y = cell.apply({"params": nested}, h, X[:, t])
        ys.append(y)
    store("flax", arrays, ys)


def generate_equinox() -> None:
    cell = equinox.nn.GRUCell(I, H, key=jax.random.key(0))
    names = ("weight_ih", "weight_hh", "bias", "bias_n")
    arrays = {name: draw(seed, *getattr(cell, name).shape) for seed, name in enumerate(names)}
    parts = [jnp.asarray(arrays[name]) for name in names]
    cell = equinox.tree_at(lambda c: [getattr(c, name) for name in names], cell, parts)
    h, ys = jnp.asarray(STATE[0]), []
    for t in range(T):
        h = jax.vmap(cell)(jnp.asarray(X[:, t]), h)
        ys.append(h)
    store("equinox", arrays, ys)


def generate_haiku() -> None:
    step = haiku.without_apply_rng(haiku.transform(lambda x, h: haiku.GRU(H)(x, h)))
    (module, parameters), *_ = step.init(jax.random.key(0), X[:, 0], STATE[0]).items()
    arrays = {name: draw(seed, *part.shape) for seed, (name, part) in enumerate(sorted(parameters.items()))}
    h, ys = jnp.asarray(STATE[0]), []
    for t in range(T):
        y, h = step.apply({module: arrays}, X[:, t], h)
        ys.append(y)
    store("haiku", arrays, ys)


if __name__ == "__main__":
    generate_flax()
    generate_equinox()
    generate_haiku()
    record_versions("generate_jax.py", "jax", "flax", "equinox", "dm-haiku")
