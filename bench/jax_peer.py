"""A GRU as it is written in JAX, as a peer of bench/cell_speed.py: compiled, one `lax.scan` over time.

    gi = W x + b_i for all steps in one product, before the scan
    r, z = s(gi_rz + U_rz h + b_rz)    n = tanh(gi_n + r (U_n h + b_n))    h' = (1 - z) n + z h

Threads: XLA makes as many as the environment variable NPROC says when JAX starts (without it one per core), and
`--xla_cpu_multi_thread_eigen` in XLA_FLAGS says whether a product may use more than one. Both are read once, so
`limit_threads` comes before the first import of JAX. Python's and XLA's threads that only hand out work stay.
"""

from __future__ import annotations

import importlib.util
import os
import sys
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

Run = Callable[[], object]


def limit_threads(threads: int) -> None:
    """Let JAX compute on `threads` threads; raises `RuntimeError` once it is loaded."""
    if "jax" in sys.modules:
        raise RuntimeError(
            "jax is loaded already, expected not yet: limit its threads before the first import"
        )
    os.environ["NPROC"] = str(threads)
    flag = f"--xla_cpu_multi_thread_eigen={'true' if threads > 1 else 'false'}"
    os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} {flag}".strip()


def installed() -> bool:
    """Whether JAX can be imported."""
    return importlib.util.find_spec("jax") is not None


def forward(weights: tuple[Any, ...], x: Any) -> Any:
    """y [B, T, H] of x [B, T, I] from h = 0; `weights` are W, U, b_i and b_h."""
    import jax
    import jax.numpy as jnp

    W, U, b_i, b_h = weights
    H = U.shape[1]

    def step(h: Any, gi: Any) -> tuple[Any, Any]:
        gh = h @ U.T + b_h
        r, z = jnp.split(jax.nn.sigmoid(gi[:, : 2 * H] + gh[:, : 2 * H]), 2, axis=1)
        n = jnp.tanh(gi[:, 2 * H :] + r * gh[:, 2 * H :])
        h = (1 - z) * n + z * h
        return h, h

    gi = jnp.einsum("bti,gi->tbg", x, W) + b_i
    _, y = jax.lax.scan(step, jnp.zeros((x.shape[0], H), x.dtype), gi)
    return y.swapaxes(0, 1)


def gru(layer: torch.nn.Module, x: Tensor, dy: Tensor | None = None) -> Run | None:
    """A run with the weights of a torch layer: y, or with `dy` the list of y and the gradients of x, W, U, b_i and b_h.

    None where JAX is not installed.
    """
    if not installed():
        return None
    import jax
    import jax.numpy as jnp

    weights = tuple(jnp.asarray(part.detach().numpy()) for part in layer.parameters())
    inputs = jnp.asarray(x.detach().numpy())
    if dy is None:
        infer = jax.jit(forward)
        return lambda: _tensor(infer(weights, inputs).block_until_ready())

    def gradients(weights: tuple[Any, ...], x: Any, dy: Any) -> list[Any]:
        y, vjp = jax.vjp(forward, weights, x)
        dweights, dx = vjp(dy)
        return [y, dx, *dweights]

    train, arriving = jax.jit(gradients), jnp.asarray(dy.numpy())
    return lambda: [_tensor(part) for part in jax.block_until_ready(train(weights, inputs, arriving))]


def _tensor(array: Any) -> Tensor:
    """The same memory as a torch tensor."""
    return torch.from_dlpack(array)
