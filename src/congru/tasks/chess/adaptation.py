"""A player met for the first time: a vector fitted on their games, all weights fixed.

    v = u + s w,    w* = argmin  - sum over the player's moves of log p(move | v)  +  1/2 |w|^2

u is the vector of an unknown player and s_k^2 the variance of the known players' vectors around it: without games v = u,
and with many the games decide. Adam with a rate that falls to zero finds w.

Legend: E size of a player's vector.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
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
from congru.tasks.chess.outputs import Seen, arrays_of, move_nats, moves_of_plies, read, see
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


class _Part(NamedTuple):
    """Some games as a batch, what the networks see in them whoever plays, and which plies [B, T] are the player's own."""

    batch: dict[str, Tensor]
    seen: Seen | None
    own: Tensor


def fit_player(
    predictor: Predictor,
    games: Games,
    player: int,
    wanted: Ints,
    *,
    rounds: int = 40,
    rate: float = 0.2,
    progress: Callable[[int, int], None] | None = None,
) -> Fitted:
    """Fit the vector of a player (an index into ``games.players``) on some games, by `rounds` steps of Adam on all of them.

    `progress(done, rounds)` is called before the first round and after each; what it raises ends the fit.
    """
    networks = torch_networks(predictor)
    parts = list(_parts(predictor, networks, games, player, wanted))
    table = torch.from_numpy(predictor.vectors)
    unknown = table[0]
    spread = (table[1:] - unknown).square().mean(0) if len(table) > 1 else torch.ones_like(unknown)
    scale = spread.clamp(min=_LEAST_VARIANCE).sqrt()
    shift = torch.zeros_like(unknown, requires_grad=True)
    optimizer = torch.optim.Adam([shift], lr=rate)
    counted = sum(int(part.own.sum()) for part in parts)
    history = []
    for step in range(rounds + 1):
        if progress is not None:
            progress(step, rounds)
        optimizer.param_groups[0]["lr"] = rate * (1 - step / max(rounds, 1))
        optimizer.zero_grad(set_to_none=True)
        nats = 0.0
        for part in parts:
            loss = _nats(networks, part, torch.cat([table, (unknown + scale * shift)[None]]))
            loss.backward()  # type: ignore[no-untyped-call]
            nats += float(loss.detach())
        history.append(nats)
        (0.5 * shift.square().sum()).backward()  # type: ignore[no-untyped-call]
        if step < rounds:
            optimizer.step()
    vector = unknown + scale * shift
    bits = [value / max(counted, 1) / float(np.log(2)) for value in history]
    return Fitted(vector.detach().numpy().copy(), bits[0], bits[-1], counted)


def _parts(
    predictor: Predictor, networks: Networks, games: Games, player: int, wanted: Ints
) -> Iterator[_Part]:
    """The games in batches. What does not depend on the player, most of the work, is computed here, once."""
    fitted = len(predictor.vectors)  # the row that is fitted
    numbers = predictor.numbers_in(games)
    numbers[player] = fitted
    reader = Reader(games, numbers)
    for group in game_batches(games.offsets, wanted, _PLIES_AT_ONCE):
        lengths = games.offsets[group + 1] - games.offsets[group]
        plies = games.offsets[group][:, None] + np.minimum(
            np.arange(int(lengths.max())), lengths[:, None] - 1
        )
        batch, seen = to_tensors(arrays_of(reader, plies, predictor.with_board)), None
        batch["reset"] = torch.zeros_like(batch["reset"])
        own = torch.from_numpy(np.arange(plies.shape[1]) < lengths[:, None]) & (batch["own"] == fitted)
        if predictor.with_board:
            batch = moves_of_plies(batch, own)
            seen = see(networks, batch)
        yield _Part(batch, seen, own)


def _nats(networks: Networks, part: _Part, table: Tensor) -> Tensor:
    """The summed -log p of the player's own moves, with the players' vectors in `table`."""
    nats = move_nats(read(networks, part.batch, None, table, part.seen), part.batch)
    return (nats if part.seen is not None else nats[part.own]).sum()


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
