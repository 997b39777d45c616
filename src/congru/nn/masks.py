"""The random masks of a recurrent layer: drawn once for all steps, or for zoneout once for every step.

    input_dropout      x * m            m [B, 1, I] is 0 with probability p, else 1 / (1 - p)
    recurrent_dropout  U (m * h)        m [B, H], likewise (Gal & Ghahramani 2016, arXiv 1512.05287)
    zoneout            d h + (1 - d) h' d [B, T, H] is 1 with probability p (Krueger et al. 2016, arXiv 1606.01305)

In evaluation the dropouts do nothing and zoneout is its expectation, d = p everywhere.
"""

from __future__ import annotations

from numbers import Real
from typing import Any

from torch import Tensor

from congru.errors import SettingsError


def check_rates(**rates: Any) -> None:
    """Raise `SettingsError` unless each is a number from 0 up to, not including, 1."""
    for name, rate in rates.items():
        if isinstance(rate, bool) or not isinstance(rate, Real) or not 0 <= float(rate) < 1:
            raise SettingsError(
                f"{name} is {rate!r}, expected a number from 0 up to, not including, 1: pass 0.0 for none"
            )


def dropout_rate(rate: Any) -> float:
    """The rate between layers as torch.nn takes it, from 0 to 1."""
    if isinstance(rate, bool) or not isinstance(rate, Real) or not 0 <= float(rate) <= 1:
        raise SettingsError(f"dropout is {rate!r}, expected a number from 0 to 1: pass 0.0 for none")
    return float(rate)


def dropout_mask(like: Tensor, rate: float, *sizes: int) -> Tensor:
    """A mask of these sizes: 0 with probability `rate`, else 1 / (1 - rate)."""
    return like.new_empty(sizes).bernoulli_(1 - rate).div_(1 - rate)


def zoneout_rows(x: Tensor, rate: float, hidden_size: int, training: bool) -> Tensor:
    """The share d of the old state that is kept, [B, T, H]."""
    B, T = x.shape[:2]
    if not training:
        return x.new_full((1, 1, hidden_size), rate).expand(B, T, hidden_size)
    return x.new_empty(B, T, hidden_size).bernoulli_(rate)


def masks_of_call(layer: Any, x: Tensor, num_states: int) -> dict[str, Any]:
    """The keywords of `congru.ops.sequence` for one layer and direction on x [B, T, I]."""
    masks: dict[str, Any] = {}
    if layer.zoneout:
        sizes = layer.zoneout, layer.hidden_size, layer.training
        masks["zoneout"] = tuple(zoneout_rows(x, *sizes) for _ in range(num_states))
    if layer.recurrent_dropout and layer.training:
        masks["recurrent_mask"] = dropout_mask(x, layer.recurrent_dropout, x.shape[0], layer.hidden_size)
    return masks
