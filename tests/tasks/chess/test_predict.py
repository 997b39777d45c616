"""A trained model without torch: games at once and move by move, scores by hand, players, the board in the state."""

from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load as parse_tensors

import congru
from congru.errors import DataError, ModelFolderError, SettingsError
from congru.runtime.folder import save_again
from congru.tasks.chess import story
from congru.tasks.chess.data import split_games
from congru.tasks.chess.evaluation import bootstrap, by_ply, calibration, score, summary
from congru.tasks.chess.games import SPLITS, Games
from congru.tasks.chess.identification import Middles, Points, accuracy, identify
from congru.tasks.chess.player_table import save_with_player
from congru.tasks.chess.predict import PLAYERS, Predictor
from congru.tasks.chess.probes import board_probe
from congru.tasks.chess.scoring import legal_log_softmax, ranks
from congru.tasks.chess.sources import read_games
from congru.tasks.chess.use import adapt, evaluate, run
from printed import type_next


@pytest.fixture(scope="module")
def read(games: Path) -> Games:
    return read_games(games)[0]


def test_a_game_followed_move_by_move_is_the_game_read_at_once(model: Path, read: Games) -> None:
    predictor = Predictor.load(model)
    whole = {predicted.game: predicted for predicted in predictor.predict(read, np.array([3, 5]))}
    for number, predicted in whole.items():
        names = read.players[read.white[number]], read.players[read.black[number]]
        live = predictor.follow(*names, elo=tuple(read.elo[number].tolist()))
        for ply, code in enumerate(read.of(number).tolist()):
            begin, end = np.searchsorted(predicted.row, [ply, ply + 1])
            now = live.prediction()
            assert now.code.tolist() == predicted.code[begin:end].tolist()
            np.testing.assert_allclose(now.log_p, predicted.log_p[begin:end], atol=1e-5)
            np.testing.assert_allclose(now.result[0], predicted.result[ply], atol=1e-5)
            assert now.best(1)[0][1] == pytest.approx(predicted.best(1, ply)[0][1], abs=1e-5)
            live.play(code)


def test_probabilities_are_of_the_legal_moves_alone(model: Path, read: Games) -> None:
    for predicted in Predictor.load(model).predict(read, np.array([0, 1, 2])):
        sums = np.bincount(predicted.row, weights=np.exp(predicted.log_p))
        np.testing.assert_allclose(sums, 1, atol=1e-6)
        np.testing.assert_allclose(np.exp(predicted.result).sum(axis=1), 1, atol=1e-5)
        assert (predicted.legal_mass <= 1 + 1e-6).all()
        if Predictor.load(model).with_board:
            assert predicted.free_legal.all()
        else:
            assert predicted.legal_mass.min() < 0.999


def test_a_fork_looks_ahead_and_the_game_stays(model: Path) -> None:
    live = Predictor.load(model).follow()
    before = live.prediction()
    ahead = live.fork().play(before.best(1)[0][0])
    assert ahead.side == 1
    assert ahead.prediction().code.tolist() != before.code.tolist()
    assert live.prediction() is before
    assert live.side == 0
    live.play(before.best(1)[0][0])
    np.testing.assert_allclose(live.prediction().log_p, ahead.prediction().log_p, atol=1e-6)


def test_the_state_of_a_game_reaches_the_next_one_of_the_pair(model: Path) -> None:
    predictor = Predictor.load(model)
    first, fresh = predictor.follow(), predictor.follow()
    for _ in range(6):
        first.play(first.prediction().best(1)[0][0])
    again = first.again().prediction()
    assert again.code.tolist() == fresh.prediction().code.tolist()
    assert np.abs(again.log_p - fresh.prediction().log_p).max() > 1e-6


def test_a_known_player_is_read_differently_from_an_unknown_one(model: Path) -> None:
    predictor = Predictor.load(model)
    assert sorted(predictor.players) == ["Attack, Anna", "Block, Bert", "Castle, Carl"]
    known = predictor.follow("Block, Bert").prediction().log_p
    unknown = predictor.follow("Nobody").prediction().log_p
    assert np.abs(known - unknown).max() > 1e-4
    own = predictor.vectors[predictor.number_of("Block, Bert")]
    np.testing.assert_array_equal(known, predictor.follow(vectors=(own, None)).prediction().log_p)


def test_scores_are_those_counted_by_hand(model: Path, read: Games) -> None:
    predictor, wanted = Predictor.load(model), np.array([7, 2])
    scored = score(predictor, read, wanted)
    hits = nats = count = 0.0
    for predicted in predictor.predict(read, wanted):
        for ply, code in enumerate(read.of(predicted.game).tolist()):
            begin, end = np.searchsorted(predicted.row, [ply, ply + 1])
            log_p = dict(zip(predicted.code[begin:end].tolist(), predicted.log_p[begin:end].tolist()))
            hits += log_p[code] == max(log_p.values())
            nats -= log_p[code]
            count += 1
    whole = summary(scored)
    assert whole["plies"] == count
    assert whole["top1"] == pytest.approx(hits / count)
    assert whole["bits_per_move"] == pytest.approx(nats / count / np.log(2))
    assert scored.game.tolist() == [2] * len(read.of(2)) + [7] * len(read.of(7))
    bands = by_ply(scored)
    assert sum(row["plies"] for row in bands.values()) == count
    assert sum(row["plies"] * row["top1"] for row in bands.values()) == pytest.approx(hits)


def test_eval_prints_bands_and_baselines(
    model: Path, games: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = evaluate(model, str(games), part="all", games=30, players=True, probe=True)
    printed = capsys.readouterr().out
    assert "plies 10-20" in printed
    assert "Elo 2500-2600" in printed
    assert rows["random legal move"]["top1"] < rows["model"]["top5"]
    assert rows["players named right"]["chance"] == pytest.approx(1 / 3)
    assert 0 < rows["board from the state"]["squares"] <= 1
    assert evaluate(model, str(games), quiet=True)["opening book + 4-gram"]["top1"] > 0


def test_run_follows_moves_and_games_of_a_file(
    model: Path, games: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run(model, moves="1. e4 e5 2. Nf3", black="Block, Bert", top=3)
    printed = capsys.readouterr().out
    assert printed.startswith("1. White is likely to play")
    assert printed.count("   then ") == 12
    assert "\n2... Black is likely to play\n" in printed
    run(model, moves="f3 e5 g4 Qh4#")
    assert "the game is over: checkmate" in capsys.readouterr().out
    run(model, games, number=2, earlier=games, as_json=True, top=1)
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line["ply"] for line in lines] == list(range(25))
    with pytest.raises(
        DataError, match=r"number is 99, expected 1 to 80, the games of .*games.pgn that can be"
    ):
        run(model, games, number=99)


def test_names_that_are_missing_are_one_line(model: Path, tmp_path: Path) -> None:
    loaded = congru.load(model)
    save_again(loaded, tmp_path / "other", {**loaded.files, PLAYERS: b"{}"})
    with pytest.raises(ModelFolderError, match=r"players.json is missing or no JSON list of names"):
        Predictor.load(tmp_path / "other")


def test_the_teacher_stays_at_home(model: Path) -> None:
    weights = parse_tensors((model / "model.safetensors").read_bytes())
    assert not [name for name in weights if name.startswith("teacher")]
    assert "teacher" not in congru.load(model).networks


def test_ranks_and_softmax_of_ragged_rows() -> None:
    scores, row = np.array([1.0, 2.0, 0.5, 3.0, 3.0]), np.array([0, 0, 0, 1, 1])
    log_p = legal_log_softmax(scores, row, 2)
    np.testing.assert_allclose(np.bincount(row, weights=np.exp(log_p)), 1)
    assert ranks(log_p, row, np.array([0, 4])).tolist() == [1, 0]


def test_middles_find_players_that_differ_and_not_those_that_do_not() -> None:
    rng = np.random.default_rng(0)
    player = np.repeat(np.arange(4), 60)
    apart = rng.normal(size=(240, 6)) + 1.5 * rng.normal(size=(4, 6))[player]
    nothing = np.zeros((120, 4))
    middles = Middles(Points(apart[::2], player[::2], nothing), 4)
    held_out = Points(apart[1::2], player[1::2], nothing)
    assert accuracy(middles, held_out, 5) > 0.95
    assert accuracy(middles, held_out, 1) < accuracy(middles, held_out, 5)
    same = rng.normal(size=(240, 6))
    alike, others = (Points(same[k::2], player[k::2], nothing) for k in (0, 1))
    assert accuracy(Middles(alike, 4), others, 1) < 0.45
    told = others._replace(evidence=20.0 * np.eye(4)[others.player])
    assert accuracy(Middles(alike, 4), told, 1) > 0.95, "what they chose before tells them apart"


def test_players_of_made_up_games_are_named_better_than_by_chance(model: Path, read: Games) -> None:
    half = np.arange(len(read)) % 2 == 0
    shares = identify(Predictor.load(model), read, np.flatnonzero(half), np.flatnonzero(~half), sizes=(1, 5))
    assert shares["from 5 games, by the state alone"] > shares["chance"] + 0.1
    assert shares["from 5 games"] > 0.85, "each of them has an own first move with White"


def test_a_probe_reads_the_start_better_than_its_control(model: Path, read: Games) -> None:
    probe = board_probe(Predictor.load(model), read, np.arange(60), np.arange(60, 80))
    assert probe.squares > probe.control
    assert probe.plies == int(read.lengths[60:80].sum())


def test_the_bounds_of_a_mean_hold_it_and_whole_games_are_drawn() -> None:
    rng = np.random.default_rng(1)
    games = np.repeat(np.arange(40), 25)
    gains = 0.3 + rng.normal(size=40)[games]
    mean, low, high = bootstrap(gains, games)
    assert low < mean < high
    assert high - low > 0.4  # 40 games say what 40 numbers say, not what 1,000 do


def test_a_model_that_knows_is_calibrated(model: Path, read: Games) -> None:
    scored = score(Predictor.load(model), read, np.arange(40))
    error, bins = calibration(scored)
    assert sum(count for _, _, count in bins) == len(scored.rank)
    assert 0 <= error < 0.5
    sure = scored.take(scored.rank == 0)
    assert calibration(sure)[0] == pytest.approx(float(1 - sure.highest.mean()), abs=1e-9)


def test_games_in_a_block_are_read_from_the_state_of_the_one_before(model: Path, read: Games) -> None:
    predictor = Predictor.load(model)
    blocks = [np.array([4, 9]), np.array([2])]
    predicted = {one.game: one for one in predictor.predict(read, blocks=blocks)}
    assert sorted(predicted) == [2, 4, 9]
    alone = {one.game: one for one in predictor.predict(read, np.array([2, 4, 9]))}
    for number in (2, 4):
        np.testing.assert_allclose(predicted[number].log_p, alone[number].log_p, atol=1e-5)
    assert np.abs(predicted[9].log_p - alone[9].log_p).max() > 1e-6
    again = next(
        k for k in range(5, len(read)) if (read.white[k], read.black[k]) == (read.white[4], read.black[4])
    )
    followed = {one.game: one for one in predictor.predict(read, blocks=[np.array([4, again])])}[again]
    live = predictor.follow(read.players[read.white[4]], read.players[read.black[4]], elo=tuple(read.elo[4]))
    for code in read.of(4).tolist():
        live.play(code)
    looked = live.fork()
    looked.prediction()  # looking at the end of a game leaves no trace in the next one
    for game in (live, looked):
        first = game.again().prediction().log_p
        np.testing.assert_allclose(first, followed.log_p[: len(first)], atol=1e-5)


def test_a_player_more_is_saved_beside_the_others(model: Path, tmp_path: Path) -> None:
    predictor = Predictor.load(model)
    vector = np.full(4, 0.5, np.float32)
    save_with_player(predictor, "Newcomer, Nora", vector, tmp_path / "more")
    more = Predictor.load(tmp_path / "more")
    assert more.players == [*predictor.players, "Newcomer, Nora"]
    np.testing.assert_array_equal(more.vectors[:-1], predictor.vectors)
    log_p = more.follow("Newcomer, Nora").prediction().log_p
    np.testing.assert_array_equal(log_p, predictor.follow(vectors=(vector, None)).prediction().log_p)
    save_with_player(more, "Newcomer, Nora", -vector, tmp_path / "again")
    again = Predictor.load(tmp_path / "again")
    assert again.players == more.players
    np.testing.assert_array_equal(again.vectors[-1], -vector)
    with pytest.raises(SettingsError, match=r"vector has shape \(3,\), expected \(4,\)"):
        save_with_player(predictor, "A", vector[:3], tmp_path / "wrong")


def test_adapt_writes_a_model_that_knows_one_player_more(
    model: Path,
    games: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    text = games.read_text().replace("Block, Bert", "Block, Bertha")
    (tmp_path / "new.pgn").write_text(text)
    adapt(model, str(tmp_path / "new.pgn"), player="bertha", out=tmp_path / "an out", most=8, rounds=3)
    shown = capsys.readouterr().out
    assert shown.startswith("Block, Bertha: 8 games")
    assert Predictor.load(tmp_path / "an out").players[-1] == "Block, Bertha"
    monkeypatch.setattr("sys.stdin", io.StringIO("e4\n"))
    type_next(shown, 1)
    with pytest.raises(DataError, match="player 'nobody' is in none of the games"):
        adapt(model, str(tmp_path / "new.pgn"), player="nobody", out=tmp_path / "out")
    (tmp_path / "two.pgn").write_text(text.replace("Castle, Carl", "Block, Anton"))
    with pytest.raises(DataError, match="player is 'block', which is Block, "):
        adapt(model, str(tmp_path / "two.pgn"), player="block", out=tmp_path / "out")


def test_a_part_without_games_is_one_line(model: Path, games: Path, tmp_path: Path) -> None:
    (tmp_path / "one.pgn").write_text(games.read_text().split("\n[White ")[0] + "\n")
    split = split_games(read_games(tmp_path / "one.pgn")[0], "game")[0].split
    names = {"valid": "validation", "test": "test"}
    empty = next(name for part, name in names.items() if not (split == SPLITS.index(part)).any())
    with pytest.raises(DataError, match=f"one.pgn has no {empty} part, expected one of"):
        evaluate(model, str(tmp_path / "one.pgn"), part=empty)


def test_the_story_of_a_father_and_his_son_ends_with_a_line_that_runs(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(""))
    story.main([str(model), str(tmp_path / "a story"), "--games", "2", "--rounds", "1"])
    type_next(capsys.readouterr().out, 3)  # one after each of the two players, and the last game
