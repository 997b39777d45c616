"""On which earlier moves a prediction stands, from the gates.

    h_t = a_0 + .. + a_t,   a_k = z_t * .. * z_(k+1) * (1 - z_k) * n_k        what step k wrote and the later gates kept
    bits_k = log2 p(move | h_t) - log2 p(move | h_t - a_k)

Step k reads the position before ply k, and with it the move of ply k - 1; step 0 is taken together with the state in which the
game began. The sum is exact for a GRU (both reset forms, layer norm included) and a minGRU, of the last layer. bits_k answers
"what if nothing had been written there" (`congru.gates.deletion`); the bits of different steps do not add up. Here the parts
grow with the game, a step at a time.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from congru.gates.deletion import bits_without
from congru.gates.parts import SUMS
from congru.runtime.run import State
from congru.tasks.chess.positions import relative
from congru.tasks.chess.predict import RECURRENT, LiveGame


@dataclass(frozen=True)
class MoveMemory:
    """What the steps so far left in the state of the last recurrent layer: `parts` [k, H], whose sum the state is.

    The first part is the state in which the game began; `parts` grows by a row with every ply. `read` is what the network "main"
    read last, [1, 1, ...] by input, and the state before it; None at the beginning.
    """

    parts: NDArray[np.float64]
    read: tuple[Mapping[str, NDArray[Any]], State] | None = None

    @classmethod
    def of(cls, live: LiveGame, state: State) -> MoveMemory | None:
        """The memory of a game that begins in a state; None for a cell whose state is no such sum (LSTM, RNN)."""
        if live.predictor.model.config["cell"] not in SUMS:
            return None
        return cls(np.asarray(state[f"{RECURRENT}.h"][-1], np.float64))

    def after(self, live: LiveGame, state: State) -> MoveMemory:
        """With the step that reads the position on the board from the state before it."""
        x = {name: np.asarray(value)[None, None] for name, value in live.inputs().items()}
        recording = live.predictor.main.record(x, state=state)
        rows = np.asarray(
            recording.gates[RECURRENT][-1, -1, 0, 0], np.float64
        )  # r, z, n of a GRU; z, n of a minGRU
        keep, candidate = rows[-2], rows[-1]
        parts = np.concatenate([keep * self.parts, ((1 - keep) * candidate)[None]])
        return MoveMemory(parts, (x, state))

    def shares(self, live: LiveGame, code: int) -> NDArray[np.float64]:
        """bits_k [plies + 1] of a legal move in the position on the board, which was read last; k = 0 with the start."""
        assert self.read is not None  # a position was read
        parts = np.concatenate([self.parts[:1] + self.parts[1:2], self.parts[2:]])
        plain, (x, state) = live.plain(), self.read
        index = np.flatnonzero(relative(plain.code, live.side) == code)[0]

        def log_p(states: NDArray[Any]) -> NDArray[Any]:
            at = live.predictor.log_p_at(plain, x, state, states.astype(np.float32))
            return np.asarray(at[:, index])

        return np.asarray(bits_without(parts.sum(axis=0), parts, log_p))
