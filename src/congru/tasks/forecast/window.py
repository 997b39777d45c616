"""What one window of a forecast looks like: how far it reads, in which pieces, what the network's numbers mean.

Legend: B windows, n steps of the network, F features per step, L look-back, s segment, h horizon, R lags, Q
quantiles, K known, P past-only and S static covariates, C calendar features.

The network reads the look-back in segments of s values (Lin et al. 2023, "SegRNN", arXiv 2308.11200): n = L / s steps
instead of L. With s = 1 it answers at every step and can be streamed; with s > 1 it answers at the end.

The forecast starts from R simple ones, the last value (lag 1) or the values one season before (lag m), and adds the network's
output:

    base_r[k] = y[t - lag_r + 1 + (k mod lag_r)]           k = 0 .. h-1, t the last known step
    median[k] = y[t] + sum_r softmax(mix[k])_r (base_r[k] - y[t]) + unit * delta[k]
    lo/hi     = median -/+ unit * cumulative sums of softplus(width[k])       (so quantiles never cross)
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Window:
    """The sizes of a window; stored in the model folder.

    >>> window = Window(horizon=24, input_size=336, segment=24, lags=(1, 24), levels=(80, 95))
    >>> window.num_steps, window.memory, window.num_features, window.num_outputs
    (14, 360, 48, 168)
    """

    horizon: int
    input_size: int
    segment: int
    lags: tuple[int, ...] = (1,)
    levels: tuple[int, ...] = ()
    num_known: int = 0
    cycles: tuple[int, ...] = ()
    num_past: int = 0
    num_static: int = 0

    @property
    def streaming(self) -> bool:
        """Whether one step of the series is one step of the network."""
        return self.segment == 1

    @property
    def num_steps(self) -> int:
        """n, the network's steps per window."""
        return self.input_size // self.segment

    @property
    def memory(self) -> int:
        """How many past values a window needs: the look-back and the longest lag before its first value."""
        return self.input_size + max(self.lags)

    @property
    def seasonal_lags(self) -> tuple[int, ...]:
        """The lags other than the last value."""
        return tuple(lag for lag in self.lags if lag > 1)

    @property
    def num_features(self) -> int:
        """F: levels and differences of a segment, calendar, known, past-only and static covariates."""
        values = 2 + len(self.seasonal_lags) if self.streaming else 1 + len(self.seasonal_lags)
        known = 1 + self.horizon if self.streaming else 2 * self.segment
        past = self.segment * self.num_past + self.num_static
        return self.segment * values + 2 * len(self.cycles) + known * self.num_known + past

    @property
    def num_widths(self) -> int:
        """Interval widths per step of the horizon: below and above for each level."""
        return 2 * len(self.levels)

    @property
    def num_mixed(self) -> int:
        """Weights per step of the horizon that mix the lags; a single lag needs none."""
        return len(self.lags) if len(self.lags) > 1 else 0

    @property
    def num_outputs(self) -> int:
        """O = h (1 + widths + mixing weights)."""
        return self.horizon * (1 + self.num_widths + self.num_mixed)

    def to_json(self) -> dict[str, Any]:
        """Plain values for config.json."""
        return {
            name: list(value) if isinstance(value, tuple) else value for name, value in asdict(self).items()
        }

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Window:
        """What :meth:`to_json` gave."""
        known: dict[str, Any] = {}
        for field in fields(cls):
            value = values.get(field.name, field.default)
            known[field.name] = tuple(value) if isinstance(value, list) else value
        return cls(**known)


def decode(out: NDArray[Any], bases: Array, window: Window) -> Array:
    """Forecasts [B, h, 1 + 2 levels] from the network's numbers, in units of each series relative to its last value.

    `out` [B, O]; `bases` [B, h, R] in the same units, relative to the last value. The last axis of the
    result: median, then lo and hi of each level.
    """
    values = np.asarray(out, np.float64).reshape(len(out), window.horizon, -1)
    median = values[..., 0]
    if window.num_mixed:
        logits = values[..., -window.num_mixed :]
        shares = np.exp(logits - logits.max(-1, keepdims=True))
        median = median + (shares * bases).sum(-1) / shares.sum(-1)
    else:
        median = median + bases[..., 0]
    widths = np.logaddexp(0.0, values[..., 1 : 1 + window.num_widths])
    below, above = np.cumsum(widths[..., 0::2], -1), np.cumsum(widths[..., 1::2], -1)
    parts = [median]
    for number in range(len(window.levels)):
        parts += [median - below[..., number], median + above[..., number]]
    return np.stack(parts, -1)


def decode_mean(outs: Sequence[NDArray[Any]], bases: Array, window: Window) -> Array:
    """The mean of the forecasts that several networks make, see :func:`decode`; of one the forecast itself."""
    forecasts = [decode(out, bases, window) for out in outs]
    return forecasts[0] if len(forecasts) == 1 else np.mean(forecasts, axis=0)
