"""One forecast of a forecaster in dates and units, as an exact sum over what was read.

    forecast = simple + constant + sum over steps of contributions       in the unit of the series

    simple         the last value, and what the lags' mixture adds to it
    contributions  share * unit * (w . parts_k), the mean over the networks: what step k left in the state that the read-out
                   reads (`congru.gates.memory`); and (1 - share) * what the simple forecasts make of step k
    constant       the biases, and what the networks' first state gives

The weights of the lags' mixture are the network's own and held as they were. The sum is the forecast from the look-back;
a network that carries its state over longer streams, and a bound such as `minimum`, can make :meth:`Forecaster.predict` differ.
A forecaster here is a :class:`congru.tasks.forecast.Forecaster`, whose file imports this one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from congru.errors import SettingsError
from congru.gates.inspect import inspect
from congru.tasks.forecast.future import known_ahead
from congru.tasks.forecast.outputs import outputs
from congru.tasks.forecast.store import SeriesStore
from congru.tasks.forecast.window import Array, decode
from congru.tasks.forecast.wording import name_step, say, times_in_words

_HALF = 0.5  # of the contributions, named by the fewest last steps that hold as much


@dataclass(frozen=True)
class Explanation:
    """What one forecast stands on: simple + constant + contributions.sum() = forecast, in the unit of the series."""

    series: Any
    time: str
    """The step that is forecast, in words."""
    forecast: float
    simple: float
    constant: float
    steps: tuple[str, ...]
    """[n] the times that the network's steps end with, oldest first."""
    contributions: Array
    """[n] of each step."""
    called: tuple[str, str]
    """What a step is called, and several."""
    unit: str = ""

    @property
    def last(self) -> tuple[int, float]:
        """The fewest last steps that hold half of all absolute contributions, and which share they hold."""
        sizes = np.abs(self.contributions)[::-1]
        if not sizes.sum():
            return len(sizes), 1.0
        shares = np.cumsum(sizes) / sizes.sum()
        count = int(np.argmax(shares >= _HALF))
        return count + 1, float(shares[count])

    def __str__(self) -> str:
        count, share = self.last
        moved = float(self.contributions.sum())
        last = f"the last {self.called[0]}" if count == 1 else f"the last {count} {self.called[1]}"
        return (
            f"{self.time}: {say(self.forecast, self.unit)}. The simple forecast is {say(self.simple)}; what was read"
            f" changes it by {'-' if moved < 0 else '+'}{say(abs(moved))}, which stands to {100 * share:.0f} % on {last} of"
            f" {len(self.steps)}."
        )


def explain(
    forecaster: Any, series: Any = None, step: int = 1, *, future: Any = None, unit: str = ""
) -> Explanation:
    """See :meth:`Forecaster.explain`."""
    store, window = forecaster.store, forecaster.window
    if not 1 <= step <= window.horizon:
        raise SettingsError(f"step is {step}, expected 1 to {window.horizon}: count the steps ahead from 1")
    if series is not None and series not in store.names:
        raise SettingsError(
            f"series is {series!r}, expected one of {len(store.names)} known: see store.names"
        )
    number, ahead = 0 if series is None else store.names.index(series), step - 1
    rows = np.array([number]), np.array([store.history.shape[1]])
    panel = store.panel(known_ahead(forecaster, future))
    x, bases = panel.inputs(*rows), panel.bases(*rows)
    last = float(store.history[number, -1])
    size = 0.0 if store.units.flat[number] else float(store.units.unit[number])
    share = 1.0 if store.simple is None or store.share is None else float(store.share[ahead])
    networks = list(forecaster.model.networks.values())
    told = ahead * (window.num_outputs // window.horizon)  # the network's number for this step ahead
    parts, constant, mixed = np.zeros(window.num_steps), 0.0, 0.0
    for network, out in zip(networks, outputs(forecaster.model, x, window)):
        memory = inspect(network, x).memory(told)
        parts += memory.contributions / len(networks)
        constant += (memory.start + memory.bias) / len(networks)
        mixed += (float(decode(out[None][:, 0], bases, window)[0, ahead, 0]) - float(out[0, told])) / len(
            networks
        )
    parts, constant = share * size * parts, share * size * constant
    if store.simple is not None and share < 1:
        own, bias = _of_simple(panel.history(len(store.simple) - 2, *rows)[0], store, number, ahead)
        own = np.r_[np.zeros(window.input_size - len(own)), own]
        parts = parts + (1 - share) * own.reshape(window.num_steps, -1).sum(1)
        constant += (1 - share) * bias
    simple = last + share * size * mixed
    read, forecast = times_in_words(store, number)
    return Explanation(
        series=store.names[number],
        time=forecast[ahead],
        forecast=simple + constant + float(parts.sum()),
        simple=simple,
        constant=constant,
        steps=tuple(read),
        contributions=parts,
        called=name_step(str(store.frequency), window.segment),
        unit=unit,
    )


def _of_simple(past: Array, store: SeriesStore, number: int, ahead: int) -> tuple[Array, float]:
    """What the simple forecasts add to the last value for each value of the look-back [L], and their constant."""
    assert store.simple is not None
    weights, units = store.simple[:, ahead], store.units.of(number)
    if units.flat[0]:
        return np.zeros(len(past)), 0.0
    own = (past - past[-1]) * weights[:-2]
    own[-1] += weights[-2] * (past[-1] - float(units.mean[0]))
    return own, float(weights[-1] * units.scale[0])
