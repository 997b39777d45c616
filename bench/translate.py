"""BLEU and chrF of translators trained on Multi30k (German to English) and Tatoeba (English to French), and their speed.

    python -m bench.translate multi30k | cased | fixed | tatoeba | cells --runs FOLDER [--slice SECONDS]

multi30k: lower-cased tokens, scored as the published figures are; cased: the raw sentences, scored cased and detokenised;
fixed: as multi30k without attention; cells: GRU, LSTM and RNN with as many parameters, 10 minutes each, two seeds. Beside each
stand a word-for-word dictionary (IBM model 1) and the source as it is. The length penalty is chosen on the validation sentences,
and the test sentences are read once. Runs lie in --runs and go on where they were cut off; with --slice the training stops after
so many seconds, to be called again. CPU seconds of all slices are added up in the run's folder.
"""

from __future__ import annotations

import argparse
import contextlib
import gzip
import json
import os
import resource
import signal
import statistics
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from bench.data import data_root
from bench.record import ROOT, cpu_seconds, write_result
from congru.kernels import binding
from congru.tasks.translate import dictionary
from congru.tasks.translate.learner import make_learner
from congru.tasks.translate.pairs import read_pairs
from congru.tasks.translate.scoring import Scores, score
from congru.tasks.translate.settings import Settings
from congru.tasks.translate.streaming import WordStream
from congru.tasks.translate.translator import Translator
from congru.train.compare import compare
from congru.train.interrupt import TrainingInterrupted
from congru.train.loop import fit

Result = TypeVar("Result")
SLICES = "slices.jsonl"

LOWER: dict[str, Any] = {
    "vocab_size": 6000,
    "dropout": 0.4,
    "learning_rate": 1.5e-3,
    "epochs": 24,
    "evaluations": 12,
    "ema": 0.998,
    "precision": "bfloat16",
    "bleu_tokenize": "none",
    "quiet": True,
}
SETTINGS: dict[str, dict[str, Any]] = {
    "multi30k": LOWER,
    "cased": {**LOWER, "bleu_tokenize": "13a"},
    "fixed": {**LOWER, "fixed_vector": True},
    "tatoeba": {
        **LOWER,
        "bleu_tokenize": "13a",
        "hidden_size": 192,
        "dropout": 0.2,
        "batch_size": 256,
        "epochs": 4,
        "evaluations": 4,
    },
    "cells": {
        **{key: value for key, value in LOWER.items() if key != "epochs"},
        "minutes": 10,
        "evaluations": 5,
    },
}
PUBLISHED = {
    name: {
        "LSTM": 13.8,
        "GRU": 20.6,
        "GRU and attention": 28.3,
        "convolution": 34.1,
        "transformer, 9 M parameters": 36.5,
    }
    for name in ("multi30k", "fixed", "cells")
}
ALPHAS = (0.0, 0.6, 1.0)
LENGTHS = (8, 11, 14, 18, 1000)  # words of the source, at most
STREAMED = 200  # test sentences that are also fed word by word
TEST = {"tatoeba": 2000}  # source sentences that a set without test part gives


def parts_of(name: str, runs: Path) -> dict[str, tuple[Path, ...]]:
    """The files of train, valid and test."""
    if name == "tatoeba":
        return tatoeba(data_root("translate") / "tatoeba_fra_eng" / "fra.txt.gz", runs / "tatoeba_parts")
    stems = {"train": "train", "valid": "val", "test": "test_2016_flickr"}
    kind, middle = ("raw", "") if name == "cased" else ("tok", ".lc.norm.tok")
    folder = data_root("translate") / "multi30k" / kind
    return {
        part: tuple(folder / f"{stem}{middle}.{side}.gz" for side in ("de", "en"))
        for part, stem in stems.items()
    }


def tatoeba(source: Path, folder: Path) -> dict[str, tuple[Path, ...]]:
    """Pairs cut into parts by their English sentence: 2,000 for test, 1,000 for validation, the others to train on."""
    with gzip.open(source, "rt", encoding="utf-8") as file:
        lines = [line.rstrip("\n").split("\t")[:2] for line in file if line.strip()]
    sentences = sorted({english for english, _ in lines})
    order = np.random.default_rng(0).permutation(len(sentences)).tolist()
    ends = {"test": TEST["tatoeba"], "valid": TEST["tatoeba"] + 1000, "train": len(order)}
    part_of: dict[str, str] = {}
    for part, end in ends.items():
        for k in order[len(part_of) : end]:
            part_of[sentences[k]] = part
    folder.mkdir(parents=True, exist_ok=True)
    for part in ends:
        chosen = ["\t".join(pair) for pair in lines if part_of[pair[0]] == part]
        (folder / f"{part}.tsv").write_text("\n".join(chosen) + "\n", encoding="utf-8")
    return {part: (folder / f"{part}.tsv",) for part in ends}


def settings_of(name: str, parts: dict[str, tuple[Path, ...]], out: Path) -> Settings:
    """The settings of a run, which goes on where its folder holds one."""
    asked = {**SETTINGS[name], "valid": parts["valid"], "out": out}
    return Settings(**asked, resume=(out / "config.yaml").exists())


def in_slices(work: Callable[[], Result], out: Path, slice_seconds: float | None) -> Result | None:
    """What a training returns, or None where the slice ended it; its seconds are added to the folder's log."""
    timer = threading.Timer(slice_seconds or 0, os.kill, (os.getpid(), signal.SIGTERM))
    timer.daemon = True
    if slice_seconds is not None:
        timer.start()
    began, cpu = time.perf_counter(), cpu_seconds()
    result: Result | None = None
    with contextlib.suppress(TrainingInterrupted):
        result = work()
    timer.cancel()
    out.mkdir(parents=True, exist_ok=True)
    with (out / SLICES).open("a", encoding="utf-8") as file:
        entry = {"seconds": time.perf_counter() - began, "cpu_seconds": cpu_seconds() - cpu}
        file.write(json.dumps(entry) + "\n")
    return result


def spent(out: Path) -> dict[str, float]:
    """Seconds of all slices of a run."""
    slices = [json.loads(line) for line in (out / SLICES).read_text(encoding="utf-8").splitlines()]
    return {
        "cpu_seconds_of_training": round(sum(one["cpu_seconds"] for one in slices), 1),
        "slices": len(slices),
    }


def one_run(
    name: str, parts: dict[str, tuple[Path, ...]], out: Path, slice_seconds: float | None
) -> dict[str, Any] | None:
    """Train one model and measure it; None where it is not over yet."""
    settings = settings_of(name, parts, out)
    learner = make_learner(*map(str, parts["train"]), settings=settings)
    result = in_slices(lambda: fit(learner, settings), out, slice_seconds)
    if result is None:
        return None
    return {
        "settings": SETTINGS[name],
        "seconds": round(result.seconds, 1),
        **spent(out),
        "parameters": result.num_parameters,
        "steps": result.steps,
        "precision": learner.precision,
        "validation_bleu_greedy": round(float(result.best or 0.0), 2),
        **measure(out, settings, parts),
    }


def cells(
    parts: dict[str, tuple[Path, ...]], out: Path, slice_seconds: float | None
) -> dict[str, Any] | None:
    """GRU, LSTM and RNN of equal parameters and minutes, two seeds; BLEU of the test sentences by each run."""
    settings = settings_of("cells", parts, out)
    files = [str(path) for path in parts["train"]]
    comparison = in_slices(
        lambda: compare(make_learner, files, settings, ("gru", "lstm", "rnn"), (0, 1), say=print),
        out,
        slice_seconds,
    )
    if comparison is None:
        return None
    rows: dict[str, Any] = {}
    for row in comparison.rows:
        runs = [measure(Path(folder), settings, parts) for folder in row.folders]
        rows[row.cell] = {
            "bleu": round(statistics.fmean(run["bleu"] for run in runs), 2),
            "hidden_size": row.hidden_size,
            "parameters": row.num_parameters,
            "steps": row.steps,
            "seconds": round(row.seconds, 1),
            "runs": runs,
        }
    return {
        "settings": SETTINGS["cells"],
        **spent(out),
        **rows,
        "baselines": rows["gru"]["runs"][0]["baselines"],
    }


def translations(translator: Translator, texts: Sequence[str], beam: int, alpha: float) -> list[str]:
    """The best translation of each text."""
    return [one[0].text for one in translator.translate(texts, beam_size=beam, alpha=alpha, batch_size=64)]


def by_length(
    texts: Sequence[str], hypotheses: Sequence[str], references: Sequence[list[str]], tokenize: str
) -> list[dict[str, float]]:
    """BLEU of sentences by their number of source words."""
    rows, least = [], 1
    lengths = [len(text.split()) for text in texts]
    for most in LENGTHS:
        chosen = [k for k, length in enumerate(lengths) if least <= length <= most]
        if chosen:
            bleu = score([hypotheses[k] for k in chosen], [references[k] for k in chosen], tokenize).bleu
            rows.append({"from": least, "to": most, "sentences": len(chosen), "bleu": round(bleu, 2)})
        least = most + 1
    return rows


def speed(translator: Translator, texts: Sequence[str]) -> dict[str, float]:
    """Sentences a second without torch: one at a time and 64 at a time, greedy and with a beam of 5; the median of three."""
    per_second = {}
    for name, beam in (("greedy", 1), ("beam_5", 5)):
        for how, size, count in (("single", 1, 60), ("batched", 64, 512)):
            some = list(texts[:count])
            translator.translate(some[:8], beam_size=beam, batch_size=size)
            rates = []
            for _ in range(3):
                began = time.perf_counter()
                translator.translate(some, beam_size=beam, batch_size=size)
                rates.append(len(some) / (time.perf_counter() - began))
            per_second[f"{name}_{how}"] = round(sorted(rates)[1], 1)
    return per_second


def streamed(
    translator: Translator, texts: Sequence[str], references: Sequence[list[str]], tokenize: str, alpha: float
) -> dict[str, float]:
    """BLEU of sentences fed word by word, and the mean share of the source that was read when a word was written."""
    hypotheses, read = [], []
    for text in texts:
        stream, words = WordStream(translator, alpha=alpha), text.split()
        for number, word in enumerate(words, 1):
            gained = stream.push(word, last=number == len(words))
            read += [number / len(words)] * len(gained)
        hypotheses.append(stream.text)
    return {
        "bleu": round(score(hypotheses, references, tokenize).bleu, 2),
        "share_read": round(statistics.fmean(read), 3) if read else 1.0,
        "sentences": len(texts),
    }


def held_sentences(files: tuple[Path, ...], settings: Settings) -> tuple[list[str], list[list[str]]]:
    """Source sentences and their references; equal sources of a table stand once, with all their translations."""
    pairs = read_pairs(files, settings)
    if len(files) == 2:
        return pairs.source, [[one] for one in pairs.target]
    grouped: dict[str, list[str]] = {}
    for source, target in zip(pairs.source, pairs.target):
        grouped.setdefault(source, []).append(target)
    return list(grouped), list(grouped.values())


def measure(out: Path, settings: Settings, parts: dict[str, tuple[Path, ...]]) -> dict[str, Any]:
    """The length penalty by validation sentences, then the test sentences, read once."""
    translator, tokenize = Translator.load(out), settings.bleu_tokenize
    texts, references = held_sentences(parts["valid"], settings)
    on_valid = {
        alpha: score(translations(translator, texts, 5, alpha), references, tokenize).bleu for alpha in ALPHAS
    }
    alpha = max(on_valid, key=lambda one: on_valid[one])
    texts, references = held_sentences(parts["test"], settings)
    hypotheses = translations(translator, texts, 5, alpha)
    scores: dict[str, Scores] = {
        "beam": score(hypotheses, references, tokenize),
        "greedy": score(translations(translator, texts, 1, alpha), references, tokenize),
        "word for word": score(
            [dictionary.word_for_word(translator.dictionary, text) for text in texts], references, tokenize
        ),
        "source as it is": score(list(texts), references, tokenize),
    }
    size = sum(path.stat().st_size for path in (out / "model").iterdir())
    return {
        "bleu": round(scores["beam"].bleu, 2),
        "chrf": round(scores["beam"].chrf, 2),
        "bleu_greedy": round(scores["greedy"].bleu, 2),
        "signatures": list(scores["beam"].signatures),
        "baselines": {name: round(scores[name].bleu, 2) for name in ("word for word", "source as it is")},
        "alpha": alpha,
        "validation_bleu_by_alpha": {str(one): round(value, 2) for one, value in on_valid.items()},
        "by_length": by_length(texts, hypotheses, references, tokenize),
        "sentences_a_second": speed(translator, texts),
        "streamed": streamed(translator, texts[:STREAMED], references[:STREAMED], tokenize, alpha),
        "model_mb": round(size / 1e6, 2),
        "peak_memory_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
        "test_sentences": len(texts),
    }


def main() -> None:
    """Train one, and write results/translate_NAME.json when it is over."""
    parser = argparse.ArgumentParser()
    parser.add_argument("name", choices=sorted(SETTINGS))
    parser.add_argument(
        "--runs", type=Path, required=True, help="folder of the runs, which go on where they were"
    )
    parser.add_argument(
        "--slice", type=float, help="seconds after which the training stops, to be called again"
    )
    parser.add_argument("--folder", type=Path, default=ROOT / "results", help="where the result goes")
    arguments = parser.parse_args()
    name = arguments.name
    parts = parts_of(name, arguments.runs)
    out = arguments.runs / name
    if name == "cells":
        figures = cells(parts, out, arguments.slice)
    else:
        figures = one_run(name, parts, out, arguments.slice)
    if figures is None:
        print(f"{name}: not over yet, call again to go on")
        return
    figures["instructions"] = binding.extension().isa()
    baselines = {f"{key} (measured)": value for key, value in figures.pop("baselines").items()}
    path = write_result(
        f"translate_{name}",
        f"python -m bench.translate {name} --runs runs",
        figures,
        baselines={**baselines, **PUBLISHED.get(name, {})},
        packages=["sacrebleu", "tokenizers"],
        folder=arguments.folder,
    )
    print(path)


if __name__ == "__main__":
    main()
