"""Accuracy of classifiers on SST-2 (sentences; with phrases), five classes, sentence polarity and Korean film reviews.

    python -m bench.sentiment sst2 | phrases | five | polarity | nsmc | cells

Beside the GRU stand naive Bayes (words and pairs; 2 and 3 characters) and the most frequent class on the same test rows.
Settings were chosen on the dev rows; a run's model is its best evaluation on them, and the test rows are read once by it.
Sentence polarity has no split: ten folds, one run each, a tenth of each training part for validation. That set holds the
test sentences of SST-2, so nothing of it is used for the other figures. Every run has one thread.
"""

from __future__ import annotations

import argparse
import gzip
import re
import statistics
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from bench.data import data_root
from bench.record import ROOT, write_result
from bench.runs import CELLS, mean_and_spread, of_equal_parameters
from congru.tasks.class_scores import scores_of
from congru.tasks.sentiment.classifier import Classifier
from congru.tasks.sentiment.data import as_part, prepare
from congru.tasks.sentiment.features import Features, make_features
from congru.tasks.sentiment.learner import SentimentLearner
from congru.tasks.sentiment.rows import Rows, decode
from congru.tasks.sentiment.settings import Settings
from congru.train.loop import fit

Labelled = list[tuple[str, str]]

COMMON: dict[str, Any] = {"threads": 1, "quiet": True, "evaluations": 6}
PHRASES: dict[str, Any] = {
    "steps": 800,
    "batch_size": 256,
    "learning_rate": 3e-3,
    "hidden_size": 128,
    "embedding_size": 200,
    "dropout": 0.5,
    "embedding_dropout": 0.4,
    "ema": 0.99,
    "naive_bayes": "off",
    "pool": "attention",
}
SETTINGS: dict[str, dict[str, Any]] = {
    "sst2": {"steps": 450, "hidden_size": 64, "embedding_size": 100, "ema": 0.99},
    "phrases": PHRASES,
    "five": PHRASES,
    "polarity": {
        "steps": 900,
        "hidden_size": 64,
        "embedding_size": 100,
        "ema": 0.99,
        "pool": "attention",
        "dropout": 0.6,
        "embedding_dropout": 0.6,
        "word_dropout": 0.2,
        "reweight": True,
    },
    "nsmc": {
        "steps": 700,
        "batch_size": 64,
        "tokens": "bpe",
        "vocab_size": 4000,
        "pool": "max",
        "learning_rate": 4e-3,
        "naive_bayes": "bias",
    },
    "cells": {"steps": 450, "hidden_size": 64, "embedding_size": 100, "ema": 0.99},
}
PUBLISHED = {
    "sst2": {"naive Bayes, uni- and bigrams": 82.5},
    "phrases": {"LSTM, GloVe and phrases": 84.9, "BiLSTM, GloVe and phrases": 87.5},
    "five": {"RNTN": 45.7, "Tree-LSTM": 51.0},
    "polarity": {"naive Bayes, uni- and bigrams": 78.8},
    "nsmc": {"naive Bayes, characters": 84.6},
    "cells": {},
}


def phrases_of(tree: str) -> Labelled:
    """Every phrase of a tree in brackets with its label 0-4, the whole sentence first.

    >>> phrases_of("(3 (2 a) (4 good))")
    [('a good', '3'), ('a', '2'), ('good', '4')]
    """
    phrases: list[tuple[int, str, list[str]]] = []
    stack: list[tuple[int, str, list[str]]] = []
    for number, token in enumerate(re.findall(r"\(|\)|[^()\s]+", tree)):
        if token == "(":
            stack.append((number, "", []))
        elif token == ")":
            opening, label, words = stack.pop()
            phrases.append((opening, label, words))
            if stack:
                stack[-1][2].extend(words)
        elif not stack[-1][1]:
            stack[-1] = (stack[-1][0], token, stack[-1][2])
        else:
            stack[-1][2].append({"-LRB-": "(", "-RRB-": ")"}.get(token, token))
    return [(" ".join(words), label) for _, label, words in sorted(phrases)]


def trees(name: str) -> list[Labelled]:
    """The phrases of every tree of a part."""
    with gzip.open(data_root("sentiment") / f"sst_trees/{name}.txt.gz", "rt", encoding="utf-8") as file:
        return [phrases_of(line) for line in file if line.strip()]


def polar(rows: Labelled) -> Labelled:
    """Two classes of the five, without the neutral one."""
    return [(text, "0" if label in "01" else "1") for text, label in rows if label != "2"]


def table(name: str) -> Labelled:
    """Text and label of a table of the data folder."""
    path = data_root("sentiment") / name
    content = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    rows = [line.split("\t") for line in content.decode().rstrip("\n").split("\n")]
    return [(row[0], row[1].strip()) for row in rows if row[:2] != ["text", "label"]]


def parts_of(name: str) -> list[dict[str, Labelled]]:
    """Train, valid and test rows: one set, or ten for sentence polarity."""
    if name in ("sst2", "cells"):
        return [
            {"train": table("sst2/train.tsv"), "valid": table("sst2/dev.tsv"), "test": table("sst2/test.tsv")}
        ]
    if name == "nsmc":
        return [{part: table(f"nsmc_sample/{part}.tsv.gz") for part in ("train", "valid", "test")}]
    if name in ("phrases", "five"):
        keep = polar if name == "phrases" else list
        train = [row for tree in trees("train") for row in keep(tree)]
        others = {
            part: keep([tree[0] for tree in trees(file)])
            for part, file in (("valid", "dev"), ("test", "test"))
        }
        return [{"train": train, **others}]
    folder = data_root("sentiment") / "sentence_polarity"
    rows = [
        (line.strip(), label)
        for label, file in (("0", "rt-polarity.neg"), ("1", "rt-polarity.pos"))
        for line in decode((folder / file).read_bytes(), file)[0].rstrip("\n").split("\n")
    ]
    order = np.random.default_rng(0).permutation(len(rows))
    folds = [order[k::10] for k in range(10)]
    return [
        {
            "train": [rows[row] for other in folds if other is not fold for row in np.sort(other)],
            "test": [rows[row] for row in fold],
        }
        for fold in folds
    ]


def prepared(parts: dict[str, Labelled], settings: Settings) -> Features:
    """The training and validation rows as a user's folder gives them, read once for all seeds."""
    with tempfile.TemporaryDirectory() as folder:
        for name in parts:
            if name != "test":
                lines = ["text\tlabel", *("\t".join(row) for row in parts[name])]
                Path(folder, f"{name}.tsv").write_text("\n".join(lines) + "\n", encoding="utf-8")
        return make_features(prepare(folder, settings), settings)


def measure(features: Features, rows: Labelled, settings: Settings) -> dict[str, Any]:
    """Train once; scores on the test rows, what it took, and the baselines."""
    with tempfile.TemporaryDirectory() as folder:
        settings = settings.model_copy(update={"out": Path(folder, "run")})
        wall, cpu = time.perf_counter(), time.process_time()
        result = fit(SentimentLearner(features, settings), settings)
        seconds, cpu_seconds = time.perf_counter() - wall, time.process_time() - cpu
        classifier = Classifier.load(result)
        size = sum(path.stat().st_size for path in Path(folder, "run", "model").iterdir())
    texts, labels = [text for text, _ in rows], [label for _, label in rows]
    test = as_part(Rows("test", [""] * len(texts), texts, labels), classifier.rules)
    began = time.perf_counter()
    logits = classifier.logits(test.texts)
    ms_a_text = 1e3 * (time.perf_counter() - began) / len(texts)
    baselines = {
        name: 100 * scores_of(scores, test.labels)["accuracy"]
        for name, scores in features.baseline_scores(test).items()
    }
    scores = scores_of(logits / classifier.temperature, test.labels)
    assert result.best is not None
    return {
        "accuracy": 100 * scores["accuracy"],
        "macro_f1": 100 * scores["macro_f1"],
        "nats": scores["nats"],
        "validation_accuracy": 100 * result.best,
        "seconds": round(seconds, 1),
        "cpu_seconds": round(cpu_seconds, 1),
        "parameters": result.num_parameters,
        "model_mb": round(size / 1e6, 2),
        "ms_a_text_without_torch": round(ms_a_text, 3),
        "baselines": {name: round(value, 2) for name, value in baselines.items()},
    }


def cells(seeds: Sequence[int]) -> dict[str, list[dict[str, Any]]]:
    """GRU, LSTM and RNN with as many parameters, the same steps and seeds."""
    (parts,) = parts_of("cells")
    runs: dict[str, list[dict[str, Any]]] = {cell: [] for cell in CELLS}
    settings = Settings(**COMMON, **SETTINGS["cells"])
    features = prepared(parts, settings)
    learner = SentimentLearner(features, settings)
    equal = list(of_equal_parameters(learner, settings))
    for seed in seeds:
        for one in equal:
            chosen = one.model_copy(update={"seed": seed})
            runs[one.cell].append(
                {**measure(features, parts["test"], chosen), "hidden_size": one.hidden_size}
            )
            print(one.cell, seed, runs[one.cell][-1], flush=True)
    return runs


def main() -> None:
    """Measure one set, and write results/sentiment_NAME.json."""
    parser = argparse.ArgumentParser()
    parser.add_argument("name", choices=sorted(SETTINGS))
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2, 3, 4])
    parser.add_argument("--folder", type=Path, default=ROOT / "results", help="where the result goes")
    arguments = parser.parse_args()
    name, seeds = arguments.name, arguments.seeds
    figures: dict[str, Any] = {"settings": {**COMMON, **SETTINGS[name]}}
    if name == "cells":
        by_cell = cells(seeds)
        for cell, runs in by_cell.items():
            figures[cell] = {"accuracy": mean_and_spread(runs, "accuracy"), "runs": runs}
        runs = by_cell["gru"]
    else:
        runs, sets = [], parts_of(name)
        settings = Settings(**COMMON, **SETTINGS[name])
        for number, parts in enumerate(sets):
            features = prepared(parts, settings)
            for seed in seeds if len(sets) == 1 else [number]:
                runs.append(measure(features, parts["test"], settings.model_copy(update={"seed": seed})))
                print(name, seed, runs[-1], flush=True)
        figures["runs"] = runs
        for key in ("accuracy", "macro_f1"):
            figures[key] = mean_and_spread(runs, key)
    baselines = {
        f"{baseline} (measured)": round(statistics.fmean(run["baselines"][baseline] for run in runs), 2)
        for baseline in runs[0]["baselines"]
    }
    written = "" if name == "polarity" else " --seeds " + " ".join(map(str, seeds))
    print(
        write_result(
            f"sentiment_{name}",
            f"python -m bench.sentiment {name}{written}",
            figures,
            repetitions=len(runs),
            spreads={"accuracy": mean_and_spread(runs, "accuracy")},
            baselines={**baselines, **PUBLISHED[name]},
            folder=arguments.folder,
        )
    )


if __name__ == "__main__":
    main()
