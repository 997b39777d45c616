"""A player met for the first time: a vector fitted on their games, all weights fixed.

    v = u + s w,    w* = argmin  - sum over the player's moves of log p(move | v)  +  1/2 |w|^2

u is the vector of an unknown player and s_k^2 the variance of the known players' vectors around it: without games v = u,
and with many the games decide. Adam with a rate that falls to zero finds w.

Legend: E size of a player's vector.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from congru.nn.network import Network
from congru.runtime.folder import declared_networks
from congru.runtime.tensors import of_owner
from congru.tasks.chess.attacks import Ints
from congru.tasks.chess.games import Games
from congru.tasks.chess.outputs import arrays_of, move_nats, read
from congru.tasks.chess.predict import Predictor
from congru.tasks.chess.reading import Reader
from congru.tasks.chess.streams import game_batches
from congru.train.nests import to_tensors
from congru.train.networks import Networks

_PLIES_AT_ONCE = 2048
_LEAST_VARIANCE = 1e-4


class Fitted(NamedTuple):
    """The vector [E], and the bits per move of the player's own moves in these games, before and after."""

    vector: NDArray[np.float32]
    before: float
    after: float
    plies: int


def fit_player(
    predictor: Predictor, games: Games, player: int, wanted: Ints, *, rounds: int = 40, rate: float = 0.2
) -> Fitted:
    """Fit the vector of a player (an index into ``games.players``) on some games, by `rounds` steps of Adam on all of them."""
    networks = torch_networks(predictor)
    numbers = predictor.numbers_in(games)
    numbers[player] = len(predictor.vectors)  # the row that is fitted
    reader = Reader(games, numbers)
    batches = []
    for group in game_batches(games.offsets, wanted, _PLIES_AT_ONCE):
        lengths = games.offsets[group + 1] - games.offsets[group]
        plies = games.offsets[group][:, None] + np.minimum(
            np.arange(int(lengths.max())), lengths[:, None] - 1
        )
        batch = to_tensors(arrays_of(reader, plies, predictor.with_board))
        batch["reset"] = torch.zeros_like(batch["reset"])
        inside = torch.from_numpy(np.arange(plies.shape[1]) < lengths[:, None])
        batches.append((batch, inside & (batch["own"] == len(predictor.vectors))))
    table = torch.from_numpy(predictor.vectors)
    unknown = table[0]
    spread = (table[1:] - unknown).square().mean(0) if len(table) > 1 else torch.ones_like(unknown)
    scale = spread.clamp(min=_LEAST_VARIANCE).sqrt()
    shift = torch.zeros_like(unknown, requires_grad=True)
    optimizer = torch.optim.Adam([shift], lr=rate)
    counted = sum(int(own.sum()) for _, own in batches)
    history = []
    for step in range(rounds + 1):
        optimizer.param_groups[0]["lr"] = rate * (1 - step / max(rounds, 1))
        optimizer.zero_grad(set_to_none=True)
        nats = 0.0
        for batch, own in batches:
            part = _nats(networks, batch, own, torch.cat([table, (unknown + scale * shift)[None]]))
            part.backward()  # type: ignore[no-untyped-call]
            nats += float(part.detach())
        history.append(nats)
        (0.5 * shift.square().sum()).backward()  # type: ignore[no-untyped-call]
        if step < rounds:
            optimizer.step()
    vector = unknown + scale * shift
    bits = [value / max(counted, 1) / float(np.log(2)) for value in history]
    return Fitted(vector.detach().numpy().copy(), bits[0], bits[-1], counted)


def _nats(networks: Networks, batch: dict[str, Tensor], own: Tensor, table: Tensor) -> Tensor:
    """The summed -log p of the player's own moves, with the players' vectors in `table`."""
    return (move_nats(read(networks, batch, None, table), batch) * own).sum()


def torch_networks(predictor: Predictor) -> Networks:
    """The networks of a loaded model in torch, their weights fixed, in evaluation mode."""
    model = predictor.model
    modules = {}
    for name, declaration in declared_networks(model.config).items():
        module = Network(declaration, recurrent_float32=True)
        weights = of_owner(model.weights, name, ".")
        module.load_state_dict({part: torch.from_numpy(value) for part, value in weights.items()})
        modules[name] = module
    networks = Networks(modules).eval()
    networks.requires_grad_(False)
    return networks
