"""The training problem of chess: streams of games in, the loss of the next move among the legal ones.

    loss = -log p(move) - w_r log p(result) [ - w_c log p(time it takes) ] [ - w_t mean over the squares of log p(piece on it)
                                                          - w_l log p(legal) ]

p(move) is a softmax over the legal moves for a network with the board, and over all moves of the side to move for one
that reads moves only: it must learn by itself what is legal, and p(legal) is the sum of p over the legal moves.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from congru.nn.network import Network
from congru.runtime.answer import Answer
from congru.runtime.decoding.scores import log_softmax
from congru.tasks.chess.archive import ARCHIVE, Archive
from congru.tasks.chess.attacks import Ints
from congru.tasks.chess.data import ChessData, prepare
from congru.tasks.chess.moves import MOVE_INDEX
from congru.tasks.chess.networks import NUM_PIECES, declarations
from congru.tasks.chess.outputs import (
    arrays_of,
    is_hit,
    is_legal,
    legal_nats,
    move_nats,
    read,
    result_nats,
    time_nats,
)
from congru.tasks.chess.positions import Board, relative
from congru.tasks.chess.predict import PLAYERS, Predicted
from congru.tasks.chess.reading import Reader
from congru.tasks.chess.san import write_san
from congru.tasks.chess.scoring import legal_log_softmax
from congru.tasks.chess.settings import Settings
from congru.tasks.chess.streams import (
    BLACK_HIDDEN,
    CARRIED,
    WHITE_HIDDEN,
    Drawing,
    game_batches,
    pair_blocks,
    plies_of,
    stream_rows,
    unpack,
)
from congru.tasks.loading import start_model
from congru.train.base import Sample, TaskLearner
from congru.train.networks import Networks
from congru.train.start import take_weights

METRIC = "top1"
_EVALUATION_PLIES = 4096
_SAMPLE_PLIES = 40
_ANSWER_PLIES = 64


class ChessLearner(TaskLearner[Settings]):
    """See :class:`congru.train.base.TaskLearner`; a row is T plies of a stream, see :mod:`congru.tasks.chess.streams`."""

    task = "chess"
    metric = METRIC
    minimize = False
    evaluation_batch = 1
    teachers = ("teacher",)
    rate_factors: Mapping[str, float] = {
        "player.*": 3.0,  # a player's vector moves in the player's games only
        "main.tracker.*": 2.0,
    }
    uses = "Following a game of chess: how probable each legal move is for both players, and how the game will end."
    limits = (
        "It predicts what people play, not what is best, and looks no move ahead. It knows the players whose games it"
        " was trained on; others are read as an unknown player until a vector is fitted for them."
    )
    commands = ("congru eval MODEL GAMES", "congru inspect MODEL")

    def __init__(self, data: ChessData, settings: Settings) -> None:
        super().__init__(settings)
        self.data = data
        self.validation_words = f"{len(data.valid):,} game{'' if len(data.valid) == 1 else 's'}"
        self.baselines = data.baselines
        self.reader = Reader(data.games, data.numbers)
        self.with_board = settings.variant == "b"
        clocks = data.games.clocks
        self.with_times = clocks is not None and bool(
            (self.reader.times(plies_of(data.games.offsets, data.train)) >= 0).any()
        )

    def networks(self, cell: str, hidden_size: int) -> dict[str, Any]:
        """See :mod:`congru.tasks.chess.networks`."""
        return declarations(self.settings, cell, hidden_size, 1 + len(self.data.known), self.with_times)

    def build_network(self, name: str, declaration: Mapping[str, Any]) -> nn.Module:
        """One network in torch; its recurrent layer runs on the core, which knows where games begin in float32 only."""
        return Network(declaration, recurrent_float32=True)

    def start(self, networks: Networks) -> None:
        """Embeddings whose sum is about as large as one row of torch's; a tracker whose gates keep what it holds.

        The gate of GRU and LSTM that keeps is the second one. What a move changes must be able to open it: large embeddings.
        With `start_from`, then the weights of another chess model.
        """
        hidden = self.settings.hidden_size
        with torch.no_grad():
            for name, parameter in networks.named_parameters():
                if name.startswith(("main.rows.", "move.rows.")) or name in (
                    "player.vector.weight",
                    "main.moves.weight",
                ):
                    parameter.mul_(0.1)
                elif name.startswith("main.changes."):
                    parameter.mul_(2)
                elif name == "main.tracker.bias_ih_l0" and self.settings.cell in ("gru", "lstm"):
                    parameter[hidden : 2 * hidden] += 5
        if self.settings.start_from is not None:
            model = start_model(self.settings.start_from, self.task)
            same_players = json.loads(model.files[PLAYERS]) == self.data.known
            but = () if same_players else ("player.",)
            take_weights(networks, model.weights, model.folder, but, "variant and hidden_size")

    def rows(self, epoch: int) -> NDArray[np.int64]:
        """The streams of an epoch, [steps * B, T]."""
        settings = self.settings
        drawing = Drawing(settings.player_dropout, settings.carried)
        return stream_rows(
            self.data.games.offsets,
            self._blocks,
            settings.batch_size,
            settings.chunk,
            drawing,
            self.generator(epoch),
        )

    @cached_property
    def _blocks(self) -> list[Ints]:
        games = self.data.games
        return pair_blocks(self.data.train, games.white.astype(np.int64), games.black.astype(np.int64))

    def batch(self, rows: NDArray[np.int64]) -> dict[str, NDArray[Any]]:
        """What the networks read of rows [B, T], and what they are to say."""
        plies, flags = unpack(rows)
        arrays = arrays_of(self.reader, plies, self.with_board, flags & (WHITE_HIDDEN | BLACK_HIDDEN))
        arrays["reset"] &= flags & CARRIED == 0
        return arrays

    def loss(self, networks: Networks, batch: dict[str, Tensor], carry: Any) -> tuple[Tensor, int, Any]:
        """The summed loss of a batch's plies, how many there are, and the state to go on from."""
        settings = self.settings
        output = read(networks, batch, carry)
        total = move_nats(output, batch).sum() + settings.result_weight * result_nats(output, batch).sum()
        total = total + settings.time_weight * time_nats(output, batch).sum()
        if not self.with_board:
            squares = networks["teacher"](output.seen)[0].unflatten(-1, (64, NUM_PIECES)).float()
            nats = F.cross_entropy(squares.flatten(0, -2), batch["squares"].flatten(), reduction="sum")
            total = total + settings.teacher_weight / 64 * nats
            if settings.legal_weight:
                total = total + settings.legal_weight * legal_nats(output, batch).sum()
        return total, batch["reset"].numel(), output.state

    def validation_rows(self) -> range:
        """The groups of validation games that are read together."""
        return range(len(self._groups))

    @cached_property
    def _groups(self) -> list[Ints]:
        return game_batches(self.data.games.offsets, self.data.valid, _EVALUATION_PLIES)

    def evaluate(self, networks: Networks, rows: range) -> NDArray[np.float64]:
        """Sums over the plies of groups of games: plies, hits, nats of the moves; nats of the results, results; of the times;
        moves only: how often the most probable move is legal."""
        sums = np.zeros(8)
        for number in rows:
            games, offsets = self._groups[number], self.data.games.offsets
            lengths = offsets[games + 1] - offsets[games]
            plies = offsets[games][:, None] + np.minimum(np.arange(int(lengths.max())), lengths[:, None] - 1)
            inside = np.arange(plies.shape[1]) < lengths[:, None]
            counted = torch.from_numpy(inside).to(networks.device)
            batch = self.tensors(arrays_of(self.reader, plies, self.with_board), networks)
            batch["reset"] = torch.zeros_like(batch["reset"])
            output = read(networks, batch, None)
            nats, hits = move_nats(output, batch), is_hit(output, batch)
            result, time = result_nats(output, batch), time_nats(output, batch)
            known = [batch[name] >= 0 for name in ("result", "time")]
            legal = hits if self.with_board else is_legal(output, batch)
            values = (torch.ones_like(hits), hits, nats, result, known[0], time, known[1], legal)
            sums += [float((value * counted).sum()) for value in values]
        return sums

    def metrics(self, parts: Sequence[NDArray[np.float64]]) -> dict[str, float]:
        """The share of moves hit, bits a move, bits of the result, and of the time a move takes where that is predicted."""
        plies, hits, nats, result, results, time, times, legal = np.sum(parts, axis=0)
        values = {
            METRIC: hits / plies,
            "bits_per_move": nats / plies / math.log(2),
            "result_bits": result / max(results, 1) / math.log(2),
        }
        if self.with_times:
            values["time_bits"] = time / max(times, 1) / math.log(2)
        if not self.with_board:
            values["legal_rate"] = legal / plies
        return values

    def sample(self, networks: Networks) -> Sample:
        """A validation game, move by move: the probability of what was played, and what was thought most probable."""
        games, number = self.data.games, int(self.data.valid[0])
        plies = plies_of(games.offsets, self.data.valid[:1])[:_SAMPLE_PLIES]
        predicted, moves = self._predicted(networks, plies), games.moves[plies].tolist()
        lines = [f"{games.players[games.white[number]]} - {games.players[games.black[number]]}"]
        game = Board()
        for ply, code in enumerate(moves):
            begin, end = np.searchsorted(predicted.row, [ply, ply + 1])
            codes, p = predicted.code[begin:end], np.exp(predicted.log_p[begin:end])
            best = int(p.argmax())
            mark = (
                "" if codes[best] == code else f"   ({write_san(game.rules, int(codes[best]))} {p[best]:.0%})"
            )
            turn = f"{ply // 2 + 1}." if ply % 2 == 0 else ""
            lines.append(
                f"{turn:>3} {write_san(game.rules, code):<7} {float(p[codes == code][0]):4.0%}{mark}"
            )
            game.play(code)
        return Sample("\n".join(lines))

    def _predicted(self, networks: Networks, plies: Ints) -> Predicted:
        """What the networks say of the plies [T] of one game."""
        arrays = arrays_of(self.reader, plies[None], self.with_board)
        output = read(networks, self.tensors(arrays, networks), None)
        positions = self.reader.positions(plies)
        code = relative(positions.code, positions.side[positions.row])
        scores = output.scores if self.with_board else output.scores[0][positions.row, MOVE_INDEX[code]]
        log_p = legal_log_softmax(scores.float().cpu().numpy(), positions.row, len(plies))
        result = log_softmax(output.result[0].cpu().numpy())
        ones, state = np.ones(len(plies)), output.seen[0].cpu().numpy()
        time = None if output.time is None else log_softmax(output.time[0].cpu().numpy())
        return Predicted(
            0, positions.side, positions.row, code, log_p, result, state, state, ones, ones > 0, time
        )

    def task_config(self, parts: Sequence[Any]) -> dict[str, Any]:
        """Which of the two networks it is."""
        return {"variant": self.settings.variant}

    def files(self, parts: Sequence[Any]) -> dict[str, bytes]:
        """The names of the players with a vector, in the order of their numbers, and how their training games began."""
        names = (json.dumps(self.data.known, ensure_ascii=False, indent=0) + "\n").encode()
        return {PLAYERS: names, ARCHIVE: self._archive}

    @cached_property
    def _archive(self) -> bytes:
        return Archive.of(self.data.games, self.data.train, self.data.numbers).to_bytes()

    def answer(self, networks: Networks, task_config: Mapping[str, Any]) -> Answer:
        """log p of every legal move [C] and of the results [T, 3], for the beginning of a validation game."""
        games, number = self.data.games, int(self.data.valid[0])
        plies = plies_of(games.offsets, self.data.valid[:1])[:_ANSWER_PLIES]
        predicted = self._predicted(networks, plies)
        players = self.data.numbers[[games.white[number], games.black[number]]]
        inputs = {
            "moves": games.moves[plies].astype(np.int64),
            "players": players,
            "elo": games.elo[number][None].astype(np.int64),
        }
        if games.clocks is not None:
            inputs["clocks"] = games.clocks[plies].astype(np.float32)
        outputs = {"log_p": predicted.log_p, "result": predicted.result}
        if predicted.time is not None:
            outputs["time"] = predicted.time
        return Answer(inputs, outputs)

    def describe(self) -> dict[str, Any]:
        """What was read, and how it is cut into streams."""
        settings = self.settings
        streams = f"{settings.batch_size} x {self.steps_per_epoch} chunks of {settings.chunk} plies"
        return {**self.data.describe(), "streams": streams}


def make_learner(source: str, /, *, settings: Settings) -> ChessLearner:
    """Read games."""
    return ChessLearner(prepare(str(source), settings), settings)
