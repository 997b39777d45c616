"""Nats per frame of music models on the piano rolls of Boulanger-Lewandowski et al. (2012), and nats per note on ABC tunes.

    python -m bench.music jsb | nottingham | musedata | piano | variants | cells | tunes | originality

Beside the model stand keys that follow themselves and keys by frequency on the same test frames (of tunes: trigram and bigram of
events). Settings were chosen on the validation part; a run's model is its best evaluation there, and the test part is read once
by it. All frames count, the first of a piece too, pooled over the part. Every run has one thread.

originality: chorales that a model composes, beside the training pieces: the longest run of chords copied, and how its notes are
spread; the same of validation pieces beside it.
"""

from __future__ import annotations

import argparse
import re
import tempfile
import time
from pathlib import Path
from typing import Any

from bench.data import data_root
from bench.record import ROOT, write_result
from bench.runs import mean_and_spread, of_equal_parameters
from congru.tasks.music import originality
from congru.tasks.music.composer import Composer
from congru.tasks.music.composition import Wishes, compose
from congru.tasks.music.learner import FrameLearner, make_learner
from congru.tasks.music.settings import Settings
from congru.tasks.music.use import evaluate
from congru.train.loop import fit

COMMON: dict[str, Any] = {"threads": 1, "quiet": True}
JSB: dict[str, Any] = {"epochs": 40, "evaluations": 10}
LARGE: dict[str, Any] = {
    "evaluations": 5,
    "dropout": 0.5,
    "notes_dropout": 0.3,
    "input_dropout": 0.2,
    "learning_rate": 4e-3,
}
SETTINGS: dict[str, dict[str, Any]] = {
    "jsb": JSB,
    "nottingham": {"epochs": 5, **LARGE},
    "musedata": {"epochs": 3, **LARGE},
    "piano": {"epochs": 8, **LARGE},
    "variants": JSB,
    "cells": JSB,
    "originality": JSB,
    "tunes": {
        "unit": "events",
        "epochs": 6,
        "batch_size": 32,
        "dropout": 0.3,
        "input_dropout": 0.1,
        "bad": "skip",
    },
}
FILES = {
    "jsb": "JSB_Chorales",
    "nottingham": "Nottingham",
    "musedata": "MuseData",
    "piano": "Piano_midi",
    "variants": "JSB_Chorales",
    "cells": "JSB_Chorales",
    "originality": "JSB_Chorales",
}
VARIANTS: dict[str, dict[str, Any]] = {
    "keys, of the state alone": {"frame": "keys", "recall": False, "beat": 0},
    "keys, with beat and recall": {"frame": "keys"},
    "notes, without recall": {"recall": False},
    "notes, without beat and recall": {"recall": False, "beat": 0},
    "notes, with beat and recall": {},
}
PUBLISHED: dict[str, dict[str, float]] = {
    "jsb": {"GRU (Chung et al. 2014)": 8.54, "GRU (Bai et al. 2018)": 8.43, "TCN": 8.10, "RNN-NADE": 5.56},
    "nottingham": {
        "GRU (Chung et al. 2014)": 3.23,
        "GRU (Bai et al. 2018)": 3.46,
        "TCN": 3.07,
        "RNN-NADE": 2.31,
    },
}
COMPOSED, COMPOSED_FRAMES, TEMPERATURES = 20, 64, (1.0, 0.8)
TUNES = ("oneill_1850", "aird_airs")


def part_of_tune(text: str) -> str:
    """By the last digit of a tune's number: 8 is for validation, 9 for the test; a number's transcriptions go together.

    >>> part_of_tune("X: 628"), part_of_tune("X:0009"), part_of_tune("X:10")
    ('valid', 'test', 'train')
    """
    match = re.match(r"X:\s*(\d+)", text)
    number = int(match[1]) if match else 0
    return {8: "valid", 9: "test"}.get(number % 10, "train")


def write_tunes(folder: Path) -> None:
    """The ABC tunes by part, a file for each part of each collection's file."""
    for collection in TUNES:
        for path in sorted((data_root("music") / collection).glob("*.abc")):
            text = path.read_text(encoding="utf-8", errors="replace")
            for tune in re.split(r"(?m)^(?=X:)", text)[1:]:
                target = folder / part_of_tune(tune) / f"{collection}-{path.name}"
                target.parent.mkdir(parents=True, exist_ok=True)
                with target.open("a", encoding="utf-8") as file:
                    file.write(tune.rstrip("\n") + "\n\n")


def measure(data: str, settings: Settings) -> dict[str, Any]:
    """Train once; the metric on validation and test, what it took, and the baselines."""
    with tempfile.TemporaryDirectory() as folder:
        settings = settings.model_copy(update={"out": Path(folder, "run")})
        wall, cpu = time.perf_counter(), time.process_time()
        result = fit(make_learner(data, settings=settings), settings)
        seconds, cpu_seconds = time.perf_counter() - wall, time.process_time() - cpu
        began = time.perf_counter()
        rows = evaluate(Path(folder, "run"), data, part="test", bad=settings.bad, quiet=True)
        scoring = time.perf_counter() - began
        size = sum(path.stat().st_size for path in Path(folder, "run", "model").iterdir())
    metric = next(iter(rows["model"]))
    assert result.best is not None
    return {
        "metric": metric,
        "test": rows["model"][metric],
        "validation": result.best,
        "best_step": result.best_step,
        "steps": result.steps,
        "parameters": result.num_parameters,
        "seconds": round(seconds, 1),
        "cpu_seconds": round(cpu_seconds, 1),
        "scoring_seconds_without_torch": round(scoring, 1),
        "model_mb": round(size / 1e6, 2),
        "baselines": {name: round(row[metric], 3) for name, row in rows.items() if name != "model"},
    }


def measure_originality(data: str, settings: Settings) -> dict[str, Any]:
    """Train once, compose at several temperatures; medians over the pieces, and over validation pieces as long."""
    learner = make_learner(data, settings=settings)
    assert isinstance(learner, FrameLearner)
    with tempfile.TemporaryDirectory() as folder:
        fit(learner, settings.model_copy(update={"out": Path(folder, "run")}))
        composer = Composer.load(Path(folder, "run"))
    training = [piece.roll for piece in learner.train]
    unseen = [piece.roll[:COMPOSED_FRAMES] for piece in learner.validation if len(piece) >= COMPOSED_FRAMES]
    figures = {"validation pieces": _in_words(originality.usual(unseen, training, COMPOSED))}
    for temperature in TEMPERATURES:
        began = time.perf_counter()
        rolls = [compose(composer, COMPOSED_FRAMES, Wishes((temperature,)), seed) for seed in range(COMPOSED)]
        ms_a_frame = 1e3 * (time.perf_counter() - began) / COMPOSED / COMPOSED_FRAMES
        row = _in_words(originality.usual(rolls, training, COMPOSED))
        figures[f"temperature {temperature:g}"] = {**row, "ms_a_frame_without_torch": round(ms_a_frame, 2)}
    return figures


def _in_words(medians: originality.Originality | None) -> dict[str, float]:
    assert medians is not None
    return {
        "chords": medians.chords,
        "longest_run": medians.same_key.chords,
        "longest_run_in_any_key": medians.any_key.chords,
        "pitch_class_distance": round(medians.pitch_classes, 3),
        "step_distance": round(medians.steps, 3),
    }


def settings_of(name: str, data: str, seed: int) -> dict[str, Settings]:
    """The settings of every model that a measurement compares, by its name; "" where there is one."""
    base = Settings(**{**COMMON, **SETTINGS[name], "seed": seed})
    if name == "variants":
        return {title: base.model_copy(update=more) for title, more in VARIANTS.items()}
    if name != "cells":
        return {"": base}
    learner = make_learner(data, settings=base)
    return {settings.cell: settings for settings in of_equal_parameters(learner, base)}


def main() -> None:
    """Measure one set, and write results/music_NAME.json."""
    parser = argparse.ArgumentParser()
    parser.add_argument("name", choices=sorted(SETTINGS))
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--folder", type=Path, default=ROOT / "results", help="where the result goes")
    arguments = parser.parse_args()
    name, seeds = arguments.name, arguments.seeds
    if name == "originality":
        print(_originality(arguments.folder))
        return
    runs: dict[str, list[dict[str, Any]]] = {}
    with tempfile.TemporaryDirectory() as folder:
        if name == "tunes":
            write_tunes(Path(folder))
            data = folder
        else:
            data = str(data_root("music") / "boulanger" / f"{FILES[name]}.mat")
        for seed in seeds:
            for title, settings in settings_of(name, data, seed).items():
                runs.setdefault(title, []).append(measure(data, settings))
                print(name, title, seed, runs[title][-1], flush=True)
    models = {
        title: {
            "test": mean_and_spread(own, "test"),
            "validation": mean_and_spread(own, "validation"),
            "runs": own,
        }
        for title, own in runs.items()
    }
    first = next(iter(runs.values()))
    figures: dict[str, Any] = {"settings": {**COMMON, **SETTINGS[name]}, "metric": first[0]["metric"]}
    figures |= models.get("", {"models": models})
    beside = {f"{title} (measured)": value for title, value in first[0]["baselines"].items()}
    print(
        write_result(
            f"music_{name}",
            f"python -m bench.music {name} --seeds " + " ".join(map(str, seeds)),
            figures,
            repetitions=len(seeds),
            spreads={"test": mean_and_spread(first, "test")},
            baselines={**beside, **published(name)},
            folder=arguments.folder,
        )
    )


def _originality(folder: Path) -> Path:
    settings = Settings(**COMMON, **SETTINGS["originality"])
    measured = measure_originality(str(data_root("music") / "boulanger/JSB_Chorales.mat"), settings)
    unseen = measured.pop("validation pieces")
    figures = {"settings": {**COMMON, **SETTINGS["originality"]}, "frames": COMPOSED_FRAMES, **measured}
    return write_result(
        "music_originality",
        "python -m bench.music originality",
        figures,
        repetitions=COMPOSED,
        baselines={"validation pieces": unseen},
        folder=folder,
    )


def published(name: str) -> dict[str, float]:
    """The published figures of the set that a measurement reads."""
    own = [figures for known, figures in PUBLISHED.items() if FILES[known] == FILES.get(name)]
    return own[0] if own else {}


if __name__ == "__main__":
    main()
