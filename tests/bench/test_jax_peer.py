"""The GRU in JAX, where it is installed: torch's results and gradients, before its time means anything."""

from __future__ import annotations

import pytest
import torch

from bench import jax_peer
from bench.cell_speed import check, inference, training


@pytest.fixture(scope="module")
def layer() -> torch.nn.GRU:
    torch.manual_seed(0)
    return torch.nn.GRU(3, 5, batch_first=True)


def test_the_peer_is_left_out_where_jax_is_not_installed(
    layer: torch.nn.GRU, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jax_peer, "installed", lambda: False)
    assert jax_peer.gru(layer, torch.zeros(2, 4, 3)) is None


@pytest.mark.parametrize(("threads", "eigen"), [(1, "false"), (2, "true")])
def test_threads_are_limited_before_jax_is_loaded(
    threads: int, eigen: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NPROC", "9")
    monkeypatch.setenv("XLA_FLAGS", "--other")
    monkeypatch.delitem(jax_peer.sys.modules, "jax", raising=False)
    jax_peer.limit_threads(threads)
    assert jax_peer.os.environ["NPROC"] == str(threads)
    assert jax_peer.os.environ["XLA_FLAGS"] == f"--other --xla_cpu_multi_thread_eigen={eigen}"
    monkeypatch.setitem(jax_peer.sys.modules, "jax", torch)
    with pytest.raises(RuntimeError, match="limit its threads before the first import"):
        jax_peer.limit_threads(threads)


@pytest.mark.skipif(not jax_peer.installed(), reason="jax is not installed: pip install jax")
def test_jax_gives_the_results_and_gradients_of_torch(layer: torch.nn.GRU) -> None:
    x, dy = torch.randn(2, 7, 3), torch.randn(2, 7, 5)
    infer, train = jax_peer.gru(layer, x), jax_peer.gru(layer, x, dy)
    assert infer is not None
    assert train is not None
    check("inference", infer(), inference(layer, x)())
    actual, expected = train(), training(layer, x, dy)()
    assert isinstance(actual, list)
    assert [part.shape for part in actual] == [part.shape for part in expected]
    check("training", actual, expected)
    with pytest.raises(SystemExit, match="wrong: result 0 differs"):
        check("wrong", [part + 1 for part in actual], expected)
