"""Streams of games and the losses of a training step, against plain NumPy."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from congru.errors import DataError, SettingsError
from congru.runtime.folder import load
from congru.tasks.chess.adaptation import fit_player, torch_networks
from congru.tasks.chess.data import TEST, TRAIN, VALID, prepare, split_games
from congru.tasks.chess.games import Games
from congru.tasks.chess.learner import ChessLearner, make_learner
from congru.tasks.chess.moves import MOVE_INDEX
from congru.tasks.chess.outputs import (
    arrays_of,
    is_legal,
    legal_nats,
    move_nats,
    moves_of_plies,
    read,
    see,
)
from congru.tasks.chess.positions import relative
from congru.tasks.chess.predict import Predictor
from congru.tasks.chess.reading import Reader
from congru.tasks.chess.scoring import legal_log_softmax
from congru.tasks.chess.settings import Settings
from congru.tasks.chess.sources import read_games
from congru.tasks.chess.streams import Drawing, game_batches, pair_blocks, plies_of, stream_rows, unpack
from congru.train.nests import to_tensors

SMALL = {"hidden_size": 12, "move_size": 8, "player_size": 4, "min_games": 5, "batch_size": 4, "chunk": 8}


def learner(games: Path, **settings: object) -> ChessLearner:
    return make_learner(str(games), settings=Settings.model_validate({**SMALL, **settings}))


def test_streams_hold_every_game_whole_and_pairs_stay_together() -> None:
    offsets = np.cumsum([0, 5, 3, 7, 4, 6, 2])
    blocks = pair_blocks(np.arange(6), np.array([0, 1, 0, 2, 1, 3]), np.array([1, 2, 1, 1, 0, 4]))
    assert [block.tolist() for block in blocks] == [[0, 2, 4], [1, 3], [5]]
    rows = stream_rows(offsets, blocks, 1, 3, Drawing(0.5, 1.0), np.random.default_rng(0))
    plies, flags = unpack(rows)
    stream = plies.ravel()
    assert len(set(stream.tolist())) == len(stream) == 27
    game = np.searchsorted(offsets, stream, side="right") - 1
    starts = np.flatnonzero(np.isin(stream, offsets[:-1]))
    order = game[starts].tolist()
    assert order.index(2) == order.index(0) + 1
    carried = dict(zip(order, (flags.ravel()[starts] & 4 > 0).tolist()))
    assert carried == {0: False, 2: True, 4: True, 1: False, 3: True, 5: False}
    for number in order:  # what is drawn holds for the whole game
        assert len(set(flags.ravel()[game == number].tolist())) == 1


def test_streams_side_by_side_go_on_in_the_next_step() -> None:
    offsets = np.array([0, 40])
    plies, _ = unpack(stream_rows(offsets, [np.array([0])], 2, 5, Drawing(0, 0), np.random.default_rng(0)))
    assert plies[:, 0].tolist() == [0, 20, 5, 25, 10, 30, 15, 35]


def test_batches_of_games_are_padded_little() -> None:
    offsets = np.cumsum([0, 5, 3, 7, 4])
    groups = game_batches(offsets, np.arange(4), 14)
    assert [group.tolist() for group in groups] == [[2, 0], [3, 1]]
    assert plies_of(offsets, groups[1]).tolist() == [15, 16, 17, 18, 5, 6, 7]


@pytest.mark.parametrize("variant", ["b", "m"])
def test_the_loss_of_the_moves_is_that_of_a_softmax_by_hand(games: Path, variant: str) -> None:
    task = learner(games, variant=variant)
    batch = to_tensors(task.batch(task.rows(0)[:4]))
    with torch.no_grad():
        output = read(task.module.eval(), batch, None)
        nats = move_nats(output, batch).numpy()
    if variant == "b":
        row, played = batch["row"].numpy(), batch["played"].numpy()
        expected = -legal_log_softmax(output.scores.numpy(), row, nats.size)[played].reshape(nats.shape)
    else:
        scores = output.scores.double().numpy()
        total = np.log(np.exp(scores).sum(-1))
        expected = total - np.take_along_axis(scores, batch["played"].numpy()[..., None], -1)[..., 0]
    np.testing.assert_allclose(nats, expected, atol=1e-5)
    total, count, _ = task.loss(task.module, batch, None)
    assert count == 32
    assert float(total.detach()) > nats.sum()


def test_scores_in_bfloat16_are_sums_in_float32(games: Path) -> None:
    """A part that all moves of a position share leaves the softmax as it is; a rounded sum would let it drown what differs."""
    task = learner(games)
    networks = task.module
    batch = task.tensors(task.batch(task.rows(0)[:4]), networks)
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        dict(networks.named_parameters())["main.query.bias"].add_(100.0)
        scores = read(networks, batch, None).scores
        inputs = {name: networks["player"](batch[name])[0] for name in ("own", "their")}
        inputs |= {"ply": batch["ply"], "board": networks["board"](batch["board"])[0]}
        query = networks["main"](inputs, None, reset=batch["reset"])[0]["query"]
        keys = networks["move"](batch["tokens"][None])[0][0]
    assert query.dtype == keys.dtype == torch.bfloat16
    exact = (query.double().flatten(0, 1)[batch["row"]] * keys.double()).sum(-1) / keys.shape[-1] ** 0.5
    assert scores.dtype == torch.float32
    assert exact.abs().max() > 1
    assert (scores - exact).abs().max() < 1e-5 * exact.abs().max()


def test_what_is_legal_is_learnt_and_measured_as_a_model_says_it(games: Path) -> None:
    task = learner(games, variant="m", legal_weight=1.0)
    networks = task.module.eval()
    plies = np.arange(24)[None]  # of one game, for both players
    batch = to_tensors(arrays_of(task.reader, plies, False))
    with torch.no_grad():
        output = read(networks, batch, None)
        loss = legal_nats(output, batch)[0].numpy()
        legal = is_legal(output, batch)[0].numpy()
    scores = output.scores[0].double().numpy()
    p = np.exp(scores - np.log(np.exp(scores).sum(1, keepdims=True)))
    positions = task.reader.positions(plies[0])
    code = relative(positions.code, positions.side[positions.row])
    allowed = np.zeros(p.shape, bool)
    allowed[positions.row, MOVE_INDEX[code]] = True
    assert allowed[np.arange(24), batch["played"][0].numpy()].all()
    np.testing.assert_allclose(loss, -np.log((p * allowed).sum(1)), atol=1e-5)
    assert legal.tolist() == allowed[np.arange(24), p.argmax(1)].tolist()
    silent = learner(games, variant="m", legal_weight=0.0)
    weighed = float(task.loss(networks, batch, None)[0].detach())
    assert weighed - float(silent.loss(networks, batch, None)[0].detach()) == pytest.approx(
        loss.sum(), rel=1e-4
    )


def test_training_starts_from_another_model(games: Path, model: Path) -> None:
    variant = "m" if "tracker" in (model / "config.json").read_text() else "b"
    sizes: dict[str, object] = {
        "variant": variant,
        "hidden_size": 16,
        "move_size": 8,
        "player_size": 4,
        "seed": 3,
    }
    task = learner(games, start_from=model, **sizes)
    stored, started = load(model).weights, task.module.state_dict()
    for name, value in stored.items():
        np.testing.assert_array_equal(started[name].numpy(), value)
    others = learner(games, start_from=model, **sizes)
    others.data.known.reverse()  # other players: their vectors start anew
    anew = others.module.state_dict()
    assert not np.array_equal(anew["player.vector.weight"].numpy(), stored["player.vector.weight"])
    assert torch.equal(anew["main.rnn.weight_hh_l0"], started["main.rnn.weight_hh_l0"])
    with pytest.raises(
        SettingsError, match=r"start_from is .*the same variant and hidden_size: give them as they were"
    ):
        _ = learner(
            games, start_from=model, **{**sizes, "hidden_size": 9, "move_size": 7, "player_size": 3}
        ).module
    text = Path(__file__).parents[1] / "folders" / "text-format-1"
    with pytest.raises(SettingsError, match="a model of the task 'text', expected one of congru train chess"):
        _ = learner(games, start_from=text, **sizes).module


def test_a_game_begins_anew_unless_its_state_is_carried(games: Path) -> None:
    task = learner(games, carried=1.0, player_dropout=0.0)
    rows = task.rows(0)
    batch = task.batch(rows[:40])
    plies, flags = unpack(rows[:40])
    starts = np.isin(plies, task.data.games.offsets)
    assert (batch["reset"] == (starts & (flags & 4 == 0))).all()
    assert batch["reset"].sum() < starts.sum()
    networks = task.module.eval()
    first = np.arange(8)[None]  # the first game
    arrays = to_tensors(arrays_of(task.reader, first, True))
    fresh = read(networks, arrays, None).seen
    state = {name: torch.ones_like(part) for name, part in read(networks, arrays, None).state.items()}
    torch.testing.assert_close(read(networks, arrays, state).seen, fresh)
    arrays["reset"] = torch.zeros_like(arrays["reset"])
    assert not torch.allclose(read(networks, arrays, state).seen, fresh, atol=1e-3)


def test_hidden_players_are_unknown_ones(games: Path) -> None:
    task = learner(games, player_dropout=0.9)
    plies, flags = unpack(task.rows(0)[:12])
    batch = task.batch(task.rows(0)[:12])
    side = task.reader.side_of(plies.ravel()).reshape(plies.shape)
    hidden = flags >> side & 1 == 1
    assert (batch["own"][hidden] == 0).all()
    assert (batch["own"][~hidden] > 0).all()
    assert hidden.mean() > 0.7


def test_the_game_is_split_by_its_moves_or_by_date(games: Path) -> None:
    read_ = read_games(games)[0]
    by_game, rule = split_games(read_, "auto")
    assert "sum over the moves" in rule
    again, _ = split_games(read_.select(np.arange(20)), "game")
    assert again.split.tolist() == by_game.split[:20].tolist()
    by_time, _ = split_games(read_, "time")
    assert by_time.date[by_time.split == TRAIN].max() <= by_time.date[by_time.split == VALID].min()
    assert by_time.date[by_time.split == VALID].max() <= by_time.date[by_time.split == TEST].min()
    assert np.bincount(by_time.split).tolist() == [64, 8, 8]


def test_a_game_that_cannot_be_followed_stops_or_is_left_out(tmp_path: Path, games: Path) -> None:
    file = tmp_path / "games.pgn"
    file.write_bytes(games.read_bytes() + b'\n[White "Ann"]\n[Black "Bob"]\n\n1. e4 e5 2. Ke3 *\n')
    left_out = prepare(str(file), Settings.model_validate(SMALL)).describe()["left out"]
    assert left_out.startswith("left out 1: illegal move")
    with pytest.raises(DataError, match=r"Ke3.*: mend the game or pass --bad skip$"):
        prepare(str(file), Settings.model_validate({**SMALL, "bad": "stop"}))


def test_games_can_be_filtered_and_too_few_are_one_line(games: Path) -> None:
    data = prepare(str(games), Settings.model_validate({**SMALL, "player": "block", "result": "1-0"}))
    block = data.games.players.index("Block, Bert")
    assert ((data.games.white == block) | (data.games.black == block)).all()
    with pytest.raises(DataError, match="no game is left, expected some"):
        prepare(str(games), Settings.model_validate({**SMALL, "min_elo": 3500}))
    with pytest.raises(DataError, match="validation games, expected at least 32000 plies"):
        prepare(str(games), Settings.model_validate({**SMALL, "batch_size": 4000}))


def test_what_no_player_changes_is_computed_once_and_is_the_same(model: Path, games: Path) -> None:
    """Scores, losses and gradients with `see` and `moves_of_plies` are those without them."""
    predictor, read_ = Predictor.load(model), read_games(games)[0]
    if not predictor.with_board:
        pytest.skip("it reads no board: all it computes depends on the players")
    networks = torch_networks(predictor)
    plies = read_.offsets[:3, None] + np.arange(12)
    batch = to_tensors(arrays_of(Reader(read_, predictor.numbers_in(read_)), plies, True))
    wanted = batch["own"] == batch["own"][0, 0]
    assert 0 < int(wanted.sum()) < wanted.numel()
    some = moves_of_plies(batch, wanted)
    results = []
    for part, seen in (
        (batch, None),
        (batch, see(networks, batch)),
        (some, None),
        (some, see(networks, some)),
    ):
        table = torch.from_numpy(predictor.vectors.copy()).requires_grad_()
        nats = move_nats(read(networks, part, None, table, seen), part)
        nats = nats[wanted] if part is batch else nats
        nats.sum().backward()
        results.append((nats.detach(), table.grad))
    for nats, gradient in results[1:]:
        torch.testing.assert_close(nats, results[0][0], rtol=1e-5, atol=1e-6)
        torch.testing.assert_close(gradient, results[0][1], rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(results[1][0], results[0][0], rtol=0, atol=0)


def test_a_fit_says_how_far_it_is_and_ends_where_that_raises(model: Path, games: Path) -> None:
    predictor, read_ = Predictor.load(model), read_games(games)[0]
    told: list[tuple[int, int]] = []
    fit_player(predictor, read_, 0, np.arange(2), rounds=3, progress=lambda *done: told.append(done))
    assert told == [(0, 3), (1, 3), (2, 3), (3, 3)]

    def stop(done: int, of: int) -> None:
        raise KeyboardInterrupt(f"{done} of {of}")

    with pytest.raises(KeyboardInterrupt, match="0 of 3"):
        fit_player(predictor, read_, 0, np.arange(2), rounds=3, progress=stop)


def test_an_unseen_player_gets_a_vector_that_fits_their_games(model: Path, games: Path) -> None:
    predictor, read_ = Predictor.load(model), read_games(games)[0]
    renamed = Games(**{**vars(read_), "players": tuple(f"New {name}" for name in read_.players)})
    player = renamed.players.index("New Block, Bert")
    own = np.flatnonzero((renamed.white == player) | (renamed.black == player))
    fitted = fit_player(predictor, renamed, player, own[:12], rounds=15)
    assert fitted.after < fitted.before
    assert fitted.plies > 100
    np.testing.assert_array_equal(predictor.vectors[0], Predictor.load(model).vectors[0])
    none = fit_player(predictor, renamed, player, own[:1], rounds=0)
    np.testing.assert_array_equal(none.vector, predictor.vectors[0])
