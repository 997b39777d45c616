"""The sessions of every series with networks that stream: one step per new row, at constant cost.

Legend: E networks, N series, O numbers of a forecast, F features of a step.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from congru.runtime.model import Model
from congru.runtime.session import Session
from congru.tasks.forecast.outputs import outputs_and_states
from congru.tasks.forecast.store import SeriesStore

Index = NDArray[np.int64]


class SeriesSessions:
    """The state of each network in each series, and its last output: `out` [E, N, O]."""

    def __init__(self, model: Model, store: SeriesStore) -> None:
        """The look-back of every series read once, or the state that was saved with the store."""
        self._model, self._store = model, store
        everyone, saved = np.arange(len(store.names)), store.state
        if saved:
            out, names = saved["out"], list(model.networks)
            self.out = (out if out.ndim == 3 else out[None]).copy()
            states = [_of_network(saved, name, len(names)) for name in names]
        else:
            self.out, states = self._read(everyone)
        self._sessions = [self._from(states, number) for number in everyone.tolist()]

    def add(self, numbers: Index) -> None:
        """Series that were added to the store: their look-backs read in one pass."""
        out, states = self._read(numbers)
        self.out = np.concatenate([self.out, out], axis=1)
        self._sessions += [self._from(states, row) for row in range(len(numbers))]

    def step(self, number: int) -> None:
        """One step of the networks for a series that has a new value."""
        features = self.features(number)
        for index, session in enumerate(self._sessions[number]):
            self.out[index, number] = session.step(features)

    def features(self, number: int) -> NDArray[np.float32]:
        """What the networks read for the last step of a series, [F]."""
        cutoff = np.array([self._store.history.shape[1]])
        features: NDArray[np.float32] = self._store.last_step(number).inputs(np.array([0]), cutoff)[0, 0]
        return features

    def state(self) -> dict[str, NDArray[np.float32]]:
        """The states of all sessions and their last outputs, as a store keeps them."""
        single = len(self._model.networks) == 1
        joined: dict[str, NDArray[np.float32]] = {"out": self.out[0] if single else self.out}
        for index, network in enumerate(self._model.networks):
            states = [sessions[index].state for sessions in self._sessions]
            prefix = "" if single else f"{network}/"
            for name in states[0]:
                joined[prefix + name] = np.concatenate([state[name] for state in states], 1)
        return joined

    def _read(self, numbers: Index) -> tuple[NDArray[np.float32], list[dict[str, Any]]]:
        """The last outputs [E, B, O] and the states of the networks after the look-back of some series."""
        cutoff = np.full(len(numbers), self._store.history.shape[1])
        return outputs_and_states(self._model, self._store.panel().inputs(numbers, cutoff))

    def _from(self, states: Sequence[Mapping[str, Any]], row: int) -> list[Session]:
        """A session of each network from one row of their states."""
        sessions = []
        for name, state in zip(self._model.networks, states):
            session = self._model.session(network=name)
            session.state = {part: value[:, row : row + 1] for part, value in state.items()}
            sessions.append(session)
        return sessions


def _of_network(saved: Mapping[str, NDArray[Any]], network: str, count: int) -> dict[str, NDArray[Any]]:
    """The saved state of one of `count` networks; that of a single one has plain names."""
    if count == 1:
        return {name: value for name, value in saved.items() if name != "out"}
    return {n.removeprefix(f"{network}/"): v for n, v in saved.items() if n.startswith(f"{network}/")}
