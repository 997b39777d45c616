"""How a chess model grows with the number of games, and with the recurrent cell; on the validation games of pgnmentor20.

    CONGRU_DATA=FOLDER python -m bench.chess_study curve [--steps 3000]
    CONGRU_DATA=FOLDER python -m bench.chess_study cells [--minutes 15]

    curve   the same network with the board, as many steps each, from ever more games: some of pgnmentor20's training games, drawn
            by lot, then all of them with games of masters (as `bench.chess_masters` chooses them)
    cells   GRU, LSTM and RNN with as many parameters that read moves only, as many minutes each; the GRU has --hidden-size units

With --runs the run folders stay, and a run that is there already (of the same commit) goes on or is not repeated.
"""

from __future__ import annotations

import argparse
import csv
import gzip
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from bench.chess_masters import choose, games_table
from bench.data import data_root
from bench.record import ROOT, write_result
from bench.runs import kept_training, of_equal_parameters
from congru.tasks.chess.learner import make_learner
from congru.tasks.chess.settings import Settings
from congru.train.loop import fit

COMMON: dict[str, Any] = {"threads": 1, "quiet": True, "evaluations": 4}
SETTINGS: dict[str, dict[str, Any]] = {
    "curve": {"hidden_size": 256, "learning_rate": 1.5e-3},
    "cells": {"hidden_size": 256, "learning_rate": 1.5e-3, "variant": "m"},
}
SHARES = (2000, 8000)  # of pgnmentor20's training games; then all
MASTERS = (60_000, None)  # games of masters beside all of these; None: all


def sources(folder: Path) -> Iterator[tuple[int, Path]]:
    """Files with ever more training games and the same validation games; the number of training games of each."""
    header, own = games_table("pgnmentor20")
    rng = np.random.default_rng(0)
    train, valid = ([line for line in own if line.startswith(f"{part}\t")] for part in ("train", "valid"))
    further = choose(own, games_table("masters")[1]).lines
    train, further = ([lines[k] for k in rng.permutation(len(lines))] for lines in (train, further))
    for chosen in (
        *(train[:count] for count in SHARES),
        train,
        *([*train, *further[:count]] for count in MASTERS),
    ):
        path = folder / f"{len(chosen)}.tsv.gz"
        with gzip.open(path, "wt", encoding="utf-8", compresslevel=1) as file:
            file.write("\n".join([header, *chosen, *valid]) + "\n")
        yield len(chosen), path


def trained(learner: Any, settings: Settings, folder: Path) -> dict[str, Any]:
    """Train once into a folder, or read what came of it: scores on the validation games, and what it took."""

    def run(resume: bool) -> dict[str, Any]:
        own = settings.model_copy(update={"out": folder, "resume": resume})
        learner.settings = own
        result = fit(learner, own)
        with (folder / "metrics.csv").open() as file:
            rows = [
                row for row in csv.reader(file) if row[2] == "validation" and row[0] == str(result.best_step)
            ]
        return {
            **{row[3]: float(row[4]) for row in rows},
            "best_step": result.best_step,
            "steps": result.steps,
            "plies": result.steps * own.batch_size * own.chunk,
            "seconds": round(result.seconds, 1),
            "parameters": result.num_parameters,
            "hidden_size": own.hidden_size,
            "precision": learner.precision,
        }

    return kept_training(folder, run)


def curve(settings: Settings, runs: Path) -> dict[str, Any]:
    """The scores by the number of training games."""
    figures = {}
    with tempfile.TemporaryDirectory() as folder:
        for count, path in sources(Path(folder)):
            figures[str(count)] = trained(
                make_learner(str(path), settings=settings), settings, runs / f"curve-{count}"
            )
            print(count, figures[str(count)], flush=True)
    return figures


def cells(settings: Settings, runs: Path) -> dict[str, Any]:
    """The scores by the cell."""
    source = str(data_root("chess") / "pgnmentor20" / "games.tsv.gz")
    learner = make_learner(source, settings=settings)
    figures = {}
    for one in of_equal_parameters(learner, settings):
        figures[one.cell] = trained(make_learner(source, settings=one), one, runs / f"cells-{one.cell}")
        print(one.cell, figures[one.cell], flush=True)
    return figures


def main() -> None:
    """Measure, and write results/chess_curve.json or results/chess_cells.json."""
    parser = argparse.ArgumentParser()
    parser.add_argument("name", choices=sorted(SETTINGS))
    parser.add_argument("--steps", type=int, default=3000, help="of the curve")
    parser.add_argument("--minutes", type=float, default=15.0, help="of the cells")
    parser.add_argument("--hidden-size", type=int, default=256)
    parser.add_argument("--precision", default="auto", choices=("auto", "float32", "bfloat16"))
    parser.add_argument("--runs", type=Path, help="where run folders stay")
    options = parser.parse_args()
    budget = {"steps": options.steps} if options.name == "curve" else {"minutes": options.minutes}
    changed = {"hidden_size": options.hidden_size, "precision": options.precision}
    settings = Settings(**{**COMMON, **SETTINGS[options.name], **changed, **budget})
    with tempfile.TemporaryDirectory() as folder:
        measure = curve if options.name == "curve" else cells
        figures = measure(settings, options.runs or Path(folder))
    (key, value), *_ = budget.items()
    words = f"python -m bench.chess_study {options.name} --{key} {value} --precision {options.precision}"
    written = settings.model_dump(mode="json", exclude_unset=True)
    target = write_result(f"chess_{options.name}", words, {"settings": written, "runs": figures})
    print(target.relative_to(ROOT))


if __name__ == "__main__":
    main()
