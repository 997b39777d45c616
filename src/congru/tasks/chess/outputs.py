"""Outputs of a chess model's networks in torch: arrays of plies in, scores of moves out, and the losses of what was played.

    log p(c) = s_c - log sum over the legal c' of exp(s_c')            with the board
    log p(c) = s_c - log sum over all moves of the side to move        moves only

Legend: B games or streams, T plies of each, C legal moves of all of them.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from congru.tasks.chess.attacks import Ints
from congru.tasks.chess.moves import MOVE_INDEX, NUM_MOVES
from congru.tasks.chess.plies import START_TOKEN
from congru.tasks.chess.positions import absolute, relative
from congru.tasks.chess.reading import Reader, chosen
from congru.train.networks import Networks


def arrays_of(
    reader: Reader, plies: Ints, with_board: bool, hidden: Ints | None = None
) -> dict[str, NDArray[Any]]:
    """Plies [B, T] as the arrays of a batch: [B, T, ...], those of the legal moves [C, ...]; `hidden` players [B, T]."""
    flat, shape = plies.ravel(), plies.shape
    positions = reader.positions(flat)
    inputs = reader.inputs_at(positions, flat, with_board, None if hidden is None else hidden.ravel())
    played, moves = reader.played(flat), {}
    steps: dict[str, NDArray[Any]] = {
        "ply": inputs.ply,
        "own": inputs.own,
        "their": inputs.their,
        "reset": flat == reader.games.offsets[reader.game_of(flat)],
        "result": reader.results(flat),
        "time": reader.times(flat),
    }
    if with_board:
        moves = {
            "tokens": inputs.tokens,
            "row": inputs.row,
            "played": chosen(inputs.row, inputs.code, played),
        }
        steps["board"] = inputs.board
    else:
        steps["last"], steps["moved"], steps["side"] = inputs.last, inputs.moved, positions.side
        steps["played"] = MOVE_INDEX[relative(played, positions.side)]
        steps["squares"] = absolute(positions.board, positions.side).astype("int64")
        code = relative(inputs.code, positions.side[inputs.row])  # twice relative: as white sees it
        moves = {"legal_row": inputs.row, "legal_move": MOVE_INDEX[code]}
    return {**{name: part.reshape(*shape, *part.shape[1:]) for name, part in steps.items()}, **moves}


def moves_of_plies(batch: Mapping[str, Tensor], wanted: Tensor) -> dict[str, Tensor]:
    """A batch with the board, and the legal moves of its `wanted` plies [B, T] only, n of them.

    :func:`read` gives the scores of those, :func:`move_nats` [n].
    """
    inside = wanted.flatten()
    kept, rank = inside[batch["row"]], inside.cumsum(0) - 1
    played = (kept.cumsum(0) - 1)[batch["played"]][inside]
    moves = {"row": rank[batch["row"]][kept], "tokens": batch["tokens"][kept], "played": played}
    return {**batch, **moves, "wanted": inside.nonzero().squeeze(1)}


class NetworkOutput(NamedTuple):
    """What the networks give for plies [B, T]: move scores, result logits [B, T, 3], the output [B, T, H] and state after.

    `scores`: [C] of the legal moves, or [B, T, 1968] of all moves of the side to move. `seen`: the output of the recurrent
    layer; without the board, that of the layer that tracks it. `time`: logits [B, T, 13] of the class of the time the move takes.
    """

    scores: Tensor
    result: Tensor
    seen: Tensor
    state: Any
    time: Tensor | None


class Seen(NamedTuple):
    """What the networks "board" [B, T, H] and "move" [C, K] give: of positions and their legal moves, whoever plays."""

    board: Tensor
    keys: Tensor


def see(networks: Networks, batch: Mapping[str, Tensor]) -> Seen:
    """Run the networks that know no player over the positions of plies [B, T]."""
    board = networks["board"](batch["board"])[0]
    keys = networks["move"](batch["tokens"][None])[0][0].float()  # a sum in bfloat16 is wrong by whole units
    return Seen(board, keys)


def read(
    networks: Networks,
    batch: Mapping[str, Tensor],
    carry: Any,
    vectors: Tensor | None = None,
    seen: Seen | None = None,
) -> NetworkOutput:
    """Run the networks over plies [B, T].

    `vectors` [players, E] stand in for the network "player", `seen` for those that :func:`see` runs.
    """

    def player(numbers: Tensor) -> Tensor:
        vector: Tensor = networks["player"](numbers)[0] if vectors is None else F.embedding(numbers, vectors)
        return vector

    inputs = {name: player(batch[name]) for name in ("own", "their")}
    inputs["ply"] = batch["ply"]
    if "board" not in batch:
        inputs |= {"last": batch["last"], "moved": batch["moved"]}
        out, state = networks["main"](inputs, carry, reset=batch["reset"])
        moves = out["move"][..., :START_TOKEN].unflatten(-1, (2, NUM_MOVES))
        own = moves.gather(-2, batch["side"][..., None, None].expand(*batch["side"].shape, 1, NUM_MOVES))
        return NetworkOutput(
            own.squeeze(-2).float(), out["result"].float(), out["tracker"], state, _time(out)
        )
    board, keys = see(networks, batch) if seen is None else seen
    inputs["board"] = board
    out, state = networks["main"](inputs, carry, reset=batch["reset"])
    query = out["query"].float().flatten(0, 1)
    if "wanted" in batch:
        query = query.index_select(0, batch["wanted"])
    scores = (query.index_select(0, batch["row"]) * keys).sum(-1) / keys.shape[-1] ** 0.5
    return NetworkOutput(scores, out["result"].float(), out["rnn"], state, _time(out))


def _time(out: Mapping[str, Tensor]) -> Tensor | None:
    return out["time"].float() if "time" in out else None


def move_nats(output: NetworkOutput, batch: Mapping[str, Tensor]) -> Tensor:
    """-log p [B, T] of the moves played."""
    if "row" not in batch:
        nats = F.cross_entropy(output.scores.flatten(0, 1), batch["played"].flatten(), reduction="none")
        return nats.view(batch["played"].shape)
    total = _log_sum_exp(output.scores, batch["row"], len(batch["played"]))
    nats = total - output.scores[batch["played"]]
    return nats if "wanted" in batch else nats.view(batch["reset"].shape)


def legal_nats(output: NetworkOutput, batch: Mapping[str, Tensor]) -> Tensor:
    """-log of the probability [B, T] of all legal moves together, moves only."""
    scores, row = output.scores.flatten(0, 1), batch["legal_row"]
    legal = _log_sum_exp(scores[row, batch["legal_move"]], row, len(scores))
    return (scores.logsumexp(-1) - legal).view(batch["reset"].shape)


def is_legal(output: NetworkOutput, batch: Mapping[str, Tensor]) -> Tensor:
    """Whether the most probable of all moves is legal, [B, T], moves only."""
    best = output.scores.flatten(0, 1).argmax(-1)
    row = batch["legal_row"]
    hit = (best[row] == batch["legal_move"]).to(torch.int64)
    return torch.zeros_like(best).index_add(0, row, hit).view(batch["reset"].shape) > 0


def _log_sum_exp(scores: Tensor, row: Tensor, count: int) -> Tensor:
    """log of the sum of exp(scores [C]) in every row, [count]; `row` [C] is the row of each."""
    largest = _largest(scores.detach(), row, count)
    return scores.new_zeros(count).index_add(0, row, (scores - largest[row]).exp()).log() + largest


def _largest(scores: Tensor, row: Tensor, count: int) -> Tensor:
    """The largest of the scores [C] in every row, [count]."""
    return scores.new_full((count,), -math.inf).scatter_reduce(0, row, scores, "amax")


def is_hit(output: NetworkOutput, batch: Mapping[str, Tensor]) -> Tensor:
    """Whether no move scores higher than the one played, [B, T]."""
    if "row" not in batch:
        return output.scores.argmax(-1) == batch["played"]
    scores, row = output.scores, batch["row"]
    largest = _largest(scores, row, batch["reset"].numel())
    return (scores[batch["played"]] >= largest).view(batch["reset"].shape)


def result_nats(output: NetworkOutput, batch: Mapping[str, Tensor]) -> Tensor:
    """-log p [B, T] of the game's result; 0 where it has none."""
    return _nats(output.result, batch["result"])


def time_nats(output: NetworkOutput, batch: Mapping[str, Tensor]) -> Tensor:
    """-log p [B, T] of the time that the move took; 0 where that is not known, or not predicted."""
    if output.time is None:
        return torch.zeros_like(batch["time"], dtype=torch.float32)
    return _nats(output.time, batch["time"])


def _nats(logits: Tensor, target: Tensor) -> Tensor:
    """-log p of targets [B, T] for logits [B, T, F]; 0 where the target is -1."""
    nats = F.cross_entropy(logits.flatten(0, 1), target.flatten(), ignore_index=-1, reduction="none")
    return nats.view(target.shape)
