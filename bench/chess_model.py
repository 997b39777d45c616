"""How well do trained chess models predict the moves of the test games?

Reads a run folder that `congru train chess` left and the test part of pgnmentor20, once: hits and bits by ply and rating,
microseconds of a step; with the board earlier games of a pair carried in the state; moves only legality before other moves are
ruled out, and the board in the state. The model was chosen on the validation part.

    CONGRU_DATA=FOLDER python -m bench.chess_model RUN [--games 4310] [--with-masters GAMES.tsv.gz]

`--with-masters` names the file that `bench.chess_masters` wrote, where the run learnt from that: the baselines
then count its games.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

import numpy as np

from bench.data import data_root
from bench.record import ROOT, write_result
from congru.tasks.chess.attacks import Ints
from congru.tasks.chess.data import TEST, TRAIN, baseline_rows
from congru.tasks.chess.evaluation import Scored, bootstrap, by_elo, by_ply, calibration, score, summary
from congru.tasks.chess.games import Games
from congru.tasks.chess.predict import Predictor
from congru.tasks.chess.probes import board_probe
from congru.tasks.chess.sources import read_games
from congru.tasks.chess.use import spread

EARLIER, PAIRS = 3, 300


def scores(predictor: Predictor, games: Games, test: Ints) -> tuple[dict[str, Any], Scored]:
    """How well a model predicts the test games, and how fast."""
    scored = score(predictor, games, test)
    figures: dict[str, Any] = {
        "all": summary(scored),
        "by_ply": by_ply(scored),
        "by_elo": by_elo(scored),
        "calibration": [[round(value, 4) for value in row] for row in calibration(scored)[1]],
        "step_us": step_microseconds(predictor, games, test),
        "parameters": predictor.model.num_parameters,
    }
    print("all", figures["all"], flush=True)
    return figures, scored


def gain(after: Scored, before: Scored, wanted: Any) -> dict[str, Any]:
    """How much better the same plies are predicted, with the bounds of a bootstrap over games."""
    hits = ((after.rank == 0).astype(np.float64) - (before.rank == 0))[wanted]
    bits = ((before.nats - after.nats) / np.log(2))[wanted]
    game = after.game[wanted]
    return {
        "plies": len(hits),
        "top1_before": float((before.rank[wanted] == 0).mean()),
        "top1_after": float((after.rank[wanted] == 0).mean()),
        "top1_gain": [round(value, 5) for value in bootstrap(hits, game)],
        "bits_gain": [round(value, 5) for value in bootstrap(bits, game)],
    }


def training_of(folder: Path) -> dict[str, Any]:
    """How the model was trained: the settings that differ from the defaults, and what they came to."""
    status = json.loads((folder / "status.json").read_text())
    card = (folder / "model" / "README.md").read_text()
    lines = card.split("## Measured")[1].split("## Meant for")[0].strip().splitlines()
    return {
        "status": {key: status.get(key) for key in ("state", "step", "seconds", "best")},
        "card": [line for line in lines if not line.startswith(("- source:", "- out:"))],
    }


def step_microseconds(predictor: Predictor, games: Games, test: Ints, plies: int = 60) -> dict[str, float]:
    """The median microseconds of a ply of a live game: the network alone, and everything with the rules and features."""
    network, whole = [], []
    for number in test[:10].tolist():
        live = predictor.follow()
        for code in games.of(number)[:plies].tolist():
            start = time.perf_counter()
            plain = live.plain()
            rows = live.rows(plain)
            middle = time.perf_counter()
            live.read(plain, rows)
            end = time.perf_counter()
            network.append(end - middle)
            whole.append(end - start)
            live.play(code)
    tenths = {
        "network": np.quantile(network, (0.1, 0.5)),
        "with rules and features": np.quantile(whole, (0.1, 0.5)),
    }
    return {
        f"{name}, {key}": round(1e6 * float(value), 1)
        for name, pair in tenths.items()
        for key, value in zip(("best tenth", "median"), pair)
    }


def earlier_games(predictor: Predictor, games: Games, test: Ints) -> dict[str, Any]:
    """Test games of a pair that met before: read after up to three earlier games, and alone."""
    pair = np.sort(np.stack([games.white, games.black]), axis=0)
    code = pair[0].astype(np.int64) * len(games.players) + pair[1]
    order = np.argsort(games.date, kind="stable")
    rank = np.empty(len(games), np.int64)
    rank[order] = np.arange(len(games))
    blocks = []
    for number in spread(test, 4 * PAIRS).tolist():
        same = np.flatnonzero((code == code[number]) & (rank < rank[number]) & (games.split != TEST))
        if len(same) and games.date[same].max() < games.date[number]:
            blocks.append(np.append(same[np.argsort(rank[same])][-EARLIER:], number))
    last = np.array([block[-1] for block in blocks[:PAIRS]])
    carried = score_last(predictor, games, blocks[:PAIRS], last)
    return {
        "games": len(last),
        **gain(carried, score(predictor, games, last), np.ones(len(carried.rank), bool)),
    }


def score_last(predictor: Predictor, games: Games, blocks: list[Ints], last: Ints) -> Scored:
    """The scores of the last game of each block."""
    scored = score(predictor, games, np.concatenate(blocks), blocks=blocks)
    return scored.take(np.isin(scored.game, last))


def with_board(predictor: Predictor, games: Games, test: Ints) -> dict[str, Any]:
    """What is measured of a network with the board; what it knows of players is in `bench.chess_players`."""
    figures, _ = scores(predictor, games, test)
    figures["earlier_games"] = earlier_games(predictor, games, test)
    return figures


def moves_only(predictor: Predictor, games: Games, test: Ints) -> dict[str, Any]:
    """What is measured of a network that reads moves only: legality, and the board in its state."""
    figures, _ = scores(predictor, games, test)
    fitted = spread(np.flatnonzero(games.split == TRAIN), 400)
    figures["board_probe"] = board_probe(predictor, games, fitted, spread(test, 200))._asdict()
    return figures


def asked() -> tuple[argparse.Namespace, Games, Ints, Predictor]:
    """The arguments of a measurement of a trained model, the games of pgnmentor20, the test games to read, the model."""
    parser = argparse.ArgumentParser()
    parser.add_argument("run", type=Path, help="the run folder of a training")
    parser.add_argument("--games", type=int, help="test games at most; default: all")
    parser.add_argument(
        "--with-masters", type=Path, help="the file of bench.chess_masters, if the run learnt from it"
    )
    arguments = parser.parse_args()
    games = read_games(data_root("chess") / "pgnmentor20" / "games.tsv.gz")[0]
    test = spread(np.flatnonzero(games.split == TEST), arguments.games)
    predictor = Predictor.load(arguments.run)
    return arguments, games, test, predictor


def main() -> None:
    """Measure, and write results/chess_model.json, of a model that reads moves only results/chess_model_moves.json."""
    arguments, games, test, predictor = asked()
    kind = "with_board" if predictor.with_board else "moves_only"
    figures = (
        with_board(predictor, games, test) if predictor.with_board else moves_only(predictor, games, test)
    )
    figures["training"] = training_of(arguments.run)
    counted = read_games(arguments.with_masters)[0] if arguments.with_masters else games
    scored = spread(np.flatnonzero(counted.split == TEST), arguments.games)
    baselines = baseline_rows(counted, np.flatnonzero(counted.split == TRAIN), scored)
    words = ["python -m bench.chess_model RUN", *([f"--games {arguments.games}"] if arguments.games else [])]
    words += ["--with-masters GAMES"] * bool(arguments.with_masters)
    name = "chess_model" + "_moves" * (not predictor.with_board) + "_masters" * bool(arguments.with_masters)
    target = write_result(name, " ".join(words), {"games": len(test), kind: figures}, baselines=baselines)
    print(target.relative_to(ROOT))


if __name__ == "__main__":
    main()
