"""Word error rates of recognisers on AN4, coffee orders (barista), spoken digits (FSDD) and yes/no; cost of a stream.

    python -m bench.speech an4 | both | cells | barista | barista_both | barista_cut | orders | fsdd | speakers | yesno
                           | yesno_cut | voices | stream

    an4        one direction, as it streams: the official test, best path, a flat word list, trigrams of the training texts;
               and the ten test recordings that are there as waveforms, as files and as a stream
    both       the same, both directions
    cells      GRU, LSTM and RNN with as many parameters
    barista    waveforms of 50 voices, one direction: word errors, and orders with all slots right; barista_both: both directions;
               barista_cut: one direction, half of the readings being runs of words, cut by the barista_both of the same --runs
    orders     the networks of barista and barista_both together, from their --runs of whatever commit
    fsdd       the official split; speakers: each of the six speakers left out once, a run is the mean of the six
    yesno      31 recordings to train, 29 to test; yesno_cut: the same, half of the readings being runs of words, cut by a
               network trained before
    voices     digit strings by espeak-ng, other voices in the test
    stream     processor time over time of audio, and of a piece of 0.1 s, on one core without torch, features included

Validation utterances come from the training part (AN4: whole speakers); a run's model is its best evaluation on them, weights of
language models are chosen on them, and the test utterances are read once at the end. With --runs the run folders stay, and a
run that is there already (of the same commit) goes on or is not repeated.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
import wave
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from bench.data import data_root
from bench.orders import Orders
from bench.record import ROOT, write_result
from bench.runs import CELLS, kept_training, mean_and_spread, of_equal_parameters
from congru.tasks.speech.arpa import NGrams, read_words
from congru.tasks.speech.audio import read_audio
from congru.tasks.speech.data import part_of
from congru.tasks.speech.decoding import Decoding
from congru.tasks.speech.ensemble import Ensemble
from congru.tasks.speech.evaluation import reading_of
from congru.tasks.speech.learner import make_learner
from congru.tasks.speech.recognizer import Recognizer
from congru.tasks.speech.scoring import error_rates, exact
from congru.tasks.speech.settings import Settings
from congru.tasks.speech.utterances import Utterance, read_utterances
from congru.tasks.speech.voices import plan, speak
from congru.tasks.speech.words import text_of
from congru.train.loop import fit

COMMON: dict[str, Any] = {"threads": 1, "quiet": True, "evaluations": 8}
AN4: dict[str, Any] = {
    "features": "sphinx",
    "speaker": r"-(\w+)-",
    "validation": 0.08,
    "epochs": 150,
    "batch_size": 16,
    "learning_rate": 3e-3,
    "stack": 3,
    "ema": 0.995,  # chosen on the validation speakers
}
SMALL: dict[str, Any] = {
    "hidden_size": 128,
    "num_layers": 2,
    "conv_size": 128,
    "kernel": 9,
    "look_ahead": 4,
    "learning_rate": 4e-3,
}
ORDERS: dict[str, Any] = {
    "epochs": 150,
    "batch_size": 8,
    "learning_rate": 2e-3,
    "features": "fbank",
    "stack": 2,
    "ema": 0.99,
    "evaluations": 12,
}
YESNO: dict[str, Any] = {
    **SMALL,
    "steps": 500,
    "batch_size": 8,
    "learning_rate": 6e-3,
    "num_layers": 1,
    "conv_size": 64,
    "hidden_size": 64,
}
SETTINGS: dict[str, dict[str, Any]] = {
    "an4": AN4,
    "both": {
        **AN4,
        "bidirectional": True,
        "hidden_size": 128,
        "seeds": 2,
        "consistency": 0.2,
        "time_masks": 5,
        "epochs": 100,  # chosen on the validation speakers, docs/LOG.md
    },
    "cells": {**AN4, **SMALL, "minutes": 10.0, "epochs": None},
    "barista": ORDERS,
    "barista_both": {**ORDERS, "bidirectional": True, "hidden_size": 128},
    "barista_cut": ORDERS,
    "fsdd": {**SMALL, "epochs": 40, "batch_size": 32, "features": "fbank", "num_layers": 1, "dropout": 0.1},
    "speakers": {
        **SMALL,
        "epochs": 30,
        "batch_size": 32,
        "features": "fbank",
        "num_layers": 1,
        "dropout": 0.1,
    },
    "yesno": YESNO,
    "yesno_cut": YESNO,
    "voices": {**SMALL, "epochs": 20, "batch_size": 16, "num_layers": 1, "dropout": 0.1},
}
PUBLISHED = {
    "an4": {
        "DeepSpeech2 (GRU)": 5.09,
        "Kaldi, speaker-independent": 9.06,
        "ESPnet": 7.4,
        "ResNet + CTC": 16.5,
    },
    "fsdd": {"the same digit always": 10.0},
    "speakers": {"the same digit always": 10.0},
}
SPEAKERS = ("george", "jackson", "lucas", "nicolas", "theo", "yweweler")
NOTHING_SAID = {"nothing": 100.0}  # word errors
BARISTA_BEAM = 48  # texts side by side; 16 lose the beginnings of orders
LM_WEIGHTS, BONUSES = (0.3, 0.5, 0.8), (0.0, 1.0, 2.0)
PIECE_SECONDS = 0.1


def train(source: Path, settings: Settings, folder: Path) -> dict[str, Any]:
    """Train once into a folder, going on with what is there; what it took."""

    def run(resume: bool) -> dict[str, Any]:
        own = settings.model_copy(update={"out": folder, "resume": resume})
        result = fit(make_learner(str(source), settings=own), own)
        assert result.best is not None
        return {
            "validation_wer": 100 * result.best,
            "seconds": round(result.seconds, 1),
            "steps": result.steps,
            "parameters": result.num_parameters,
        }

    return kept_training(folder, run)


class Scored:
    """Trained recognisers, one or several together, with the log-probabilities of some utterances."""

    def __init__(self, ensemble: Ensemble, utterances: Sequence[Utterance]) -> None:
        self.ensemble, self.references = ensemble, [one.text for one in utterances]
        self._log_p = [ensemble.log_probabilities(one.frames) for one in utterances]

    def heard(self, decoding: Decoding) -> list[str]:
        """What is heard in every utterance."""
        return [text_of(self.ensemble.words_of_log_p(one, decoding)) for one in self._log_p]

    def rates(self, decoding: Decoding) -> dict[str, float]:
        """wer, cer and exact in per cent."""
        return self.rates_of(self.heard(decoding))

    def rates_of(self, heard: Sequence[str]) -> dict[str, float]:
        """wer, cer and exact, in per cent, of what was heard."""
        rates = {**error_rates(self.references, heard), "exact": exact(self.references, heard)}
        return {name: 100 * value for name, value in rates.items()}


def scored(recognizer: Recognizer, source: Path, part: str, *others: Recognizer) -> Scored:
    """Of a part of a source, read as in training."""
    utterances = read_utterances(source, reading_of(recognizer, "stop"), {})
    _, rows = part_of(utterances, part, float(recognizer.config["validation"]), str(source))
    return Scored(Ensemble([recognizer, *others]), rows)


def best_decoding(
    validation: Scored,
    words: Sequence[str],
    ngrams: NGrams | None,
    beam: int = 16,
    bonuses: Sequence[float] = BONUSES,
) -> Decoding:
    """The weights with the fewest word errors on validation utterances; the smallest of equals."""
    weights = LM_WEIGHTS if ngrams is not None else (0.0,)
    choices = [Decoding(beam, words, ngrams, weight, bonus) for weight in weights for bonus in bonuses]
    return min(choices, key=lambda one: validation.rates(one)["wer"])


def an4(name: str, seed: int, folder: Path) -> dict[str, Any]:
    """Train on AN4 and score its test."""
    source = data_root("speech") / "an4/an4_mfcc13.npz"
    took = train(source, Settings(**COMMON, **SETTINGS[name], seed=seed), folder)
    recognizer = Recognizer.load(folder)
    words = sorted({*read_words(data_root("speech") / "an4/an4.ug.lm"), *recognizer.ngrams.words})
    validation = scored(recognizer, source, "validation")
    flat = best_decoding(validation, words, None)
    trigram = best_decoding(validation, words, recognizer.ngrams)
    test = scored(recognizer, source, "test")
    figures = {
        **took,
        "greedy": test.rates(Decoding()),
        "word list": {**test.rates(flat), "word_bonus": flat.word_bonus},
        "trigram": {**test.rates(trigram), "word_bonus": trigram.word_bonus, "lm_weight": trigram.lm_weight},
    }
    return {**figures, "waveforms": waveforms(recognizer)}


def waveforms(recognizer: Recognizer) -> dict[str, Any]:
    """Word errors on the ten test recordings of AN4, as files and, if it reads one way, as a stream."""
    folder = data_root("speech") / "an4_wav"
    lines = (folder / "transcripts.tsv").read_text().strip().split("\n")[1:]
    rows = [line.split("\t") for line in lines if line.startswith("test/")]
    references, paths = [text for _, text in rows], [folder / path for path, _ in rows]
    heard = {"file": [recognizer.text(path) for path in paths]}
    if recognizer.streams:
        heard["stream"] = [streamed(recognizer, path) for path in paths]
    words = sum(len(text.split()) for text in references)
    return {
        "words": words,
        **{how: 100 * error_rates(references, texts)["wer"] for how, texts in heard.items()},
    }


def streamed(recognizer: Recognizer, path: Path) -> str:
    """The text of a file, given in pieces of 0.1 s."""
    audio = read_audio(path)
    listener, size = recognizer.listen(audio.rate_hz), round(PIECE_SECONDS * audio.rate_hz)
    words = [
        word
        for begin in range(0, len(audio.samples), size)
        for word in listener.feed(audio.samples[begin : begin + size])
    ]
    return text_of([*words, *listener.finish()])


def rates_with_slots(orders: Orders, test: Scored, decoding: Decoding) -> dict[str, float]:
    """wer, cer, exact and slots of the test, in per cent."""
    heard = test.heard(decoding)
    return {**test.rates_of(heard), "slots": orders.right(heard)}


def barista(name: str, seed: int, folder: Path) -> dict[str, Any]:
    """Train on coffee orders; word errors, and the share of orders with all slots right."""
    orders = Orders()
    settings = Settings(**{**COMMON, **SETTINGS[name]}, seed=seed)
    if name == "barista_cut":
        settings = settings.model_copy(update={"cut_by": finished(folder.parent, f"barista_both-{seed}")})
    took = train(orders.source, settings, folder)
    recognizer = Recognizer.load(folder)
    validation = scored(recognizer, orders.source, "validation")
    trigram = best_decoding(validation, recognizer.ngrams.words, recognizer.ngrams, BARISTA_BEAM)
    test = scored(recognizer, orders.source, "test")
    return {
        **took,
        "weights": [trigram.lm_weight, trigram.word_bonus],
        "beam": trigram.beam,
        "greedy": rates_with_slots(orders, test, Decoding()),
        "trigram": rates_with_slots(orders, test, trigram),
        "slots read from the true texts": orders.right(test.references),
    }


def orders_together(seeds: Sequence[int], folder: Path) -> dict[str, Any]:
    """The networks that `barista` and `barista_both` left in a folder, together: a pair of both kinds for every seed, and all.

    The weights are chosen for all of them on the validation orders.

    Raises:
        SystemExit: one is not there.
    """
    pairs = [[f"{kind}-{seed}" for kind in ("barista", "barista_both")] for seed in seeds]
    names = [name for pair in pairs for name in pair]
    for name in names:
        finished(folder, name)
    orders, members = Orders(), {name: Recognizer.load(folder / name) for name in names}

    def together(part: str, group: Sequence[str]) -> Scored:
        first, *others = (members[name] for name in group)
        return scored(first, orders.source, part, *others)

    ngrams, validation = members[names[0]].ngrams, together("validation", names)
    trigram = best_decoding(validation, ngrams.words, ngrams, BARISTA_BEAM, BONUSES[:1])
    runs = [{"trigram": rates_with_slots(orders, together("test", pair), trigram)} for pair in pairs]
    return {
        "members": {name: json.loads((folder / name / "took.json").read_text()) for name in names},
        "weights": [trigram.lm_weight, trigram.word_bonus],
        "beam": trigram.beam,
        **spreads_of(runs),
        "runs": runs,
        "all": rates_with_slots(orders, together("test", names), trigram),
    }


def finished(folder: Path, name: str) -> Path:
    """A run that an earlier call has finished.

    Raises:
        SystemExit: it is not there.
    """
    if not (folder / name / "took.json").is_file():
        raise SystemExit(
            f"runs is {folder}, which has no finished {name}: run {name.partition('-')[0]} with it first"
        )
    return folder / name


def digits(seed: int, folder: Path, left_out: str | None = None) -> dict[str, Any]:
    """Spoken digits as recordings of one word: the official split, or one speaker left out."""
    with np.load(data_root("speech") / "fsdd/fsdd.npz") as arrays:
        names, audio, offsets = arrays["names"].tolist(), arrays["audio"], arrays["offsets"]
    spoken = ("ZERO", "ONE", "TWO", "THREE", "FOUR", "FIVE", "SIX", "SEVEN", "EIGHT", "NINE")
    with tempfile.TemporaryDirectory() as data_folder:
        lines = ["path\ttext\tsplit\tspeaker"]
        for k, name in enumerate(names):
            digit, speaker, index = str(name).split("_")
            number = int(index.removesuffix(".wav"))
            test = number < 5 if left_out is None else speaker == left_out
            part = "test" if test else "valid" if 5 <= number < 8 else "train"
            write_wav(Path(data_folder, f"{k}.wav"), audio[offsets[k] : offsets[k + 1]], 8000)
            lines.append(f"{k}.wav\t{spoken[int(digit)]}\t{part}\t{speaker}")
        Path(data_folder, "transcripts.tsv").write_text("\n".join(lines) + "\n")
        took = train(
            Path(data_folder),
            Settings(**COMMON, **SETTINGS["fsdd" if left_out is None else "speakers"], seed=seed),
            folder,
        )
        test_part = scored(Recognizer.load(folder), Path(data_folder), "test")
        one = test_part.rates(Decoding(8, spoken, one_word=True))
        return {
            **took,
            "accuracy": one["exact"],
            "accuracy_without_list": test_part.rates(Decoding())["exact"],
        }


def each_left_out(seed: int, folder: Path) -> dict[str, Any]:
    """Every speaker left out once: the means over them, their sum of processor seconds, and each by name."""
    by_speaker = {name: digits(seed, folder / name, name) for name in SPEAKERS}
    parts = by_speaker.values()
    figures: dict[str, Any] = {
        key: statistics.fmean(one[key] for one in parts) for key in ("accuracy", "accuracy_without_list")
    }
    if all("cpu_seconds" in one for one in parts):
        figures["cpu_seconds"] = round(sum(one["cpu_seconds"] for one in parts), 1)
    return {**figures, "left out": by_speaker}


def write_wav(path: Path, samples: Any, rate_hz: int) -> None:
    """A 16-bit WAV file of one channel."""
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate_hz)
        file.writeframes(np.asarray(samples, "<i2").tobytes())


def yesno(name: str, seed: int, folder: Path) -> dict[str, Any]:
    """Train on the first 31 recordings (five of them for validation), score the last 29.

    The seconds of yesno_cut are those of its second training.
    """
    source = data_root("speech") / "yesno"
    rows = sorted(
        line.split("\t") for line in (source / "transcripts.tsv").read_text().strip().split("\n")[1:]
    )
    with tempfile.TemporaryDirectory() as data_folder:
        parts = ["train"] * 26 + ["valid"] * 5 + ["test"] * 29
        lines = [f"{source / path}\t{text}\t{part}" for (path, text), part in zip(rows, parts, strict=True)]
        table = Path(data_folder, "transcripts.tsv")
        table.write_text("\n".join(["path\ttext\tsplit", *lines]) + "\n")
        settings = Settings(**COMMON, **SETTINGS[name], seed=seed)
        if name == "yesno_cut":
            train(table, settings, folder / "first")
            settings = settings.model_copy(update={"cut_by": folder / "first"})
        took = train(table, settings, folder / "last")
        test = scored(Recognizer.load(folder / "last"), table, "test")
        return {
            **took,
            "greedy": test.rates(Decoding()),
            "word list": test.rates(Decoding(16, ("NO", "YES"))),
        }


def voices(seed: int, folder: Path) -> dict[str, Any]:
    """Digit strings by espeak-ng: train on some voices, test on others."""
    with tempfile.TemporaryDirectory() as data_folder:
        source = Path(data_folder, "digits")
        speak(source, plan({"train": 400, "validation": 50, "test": 100}, 4, seed=0))
        took = train(source, Settings(**COMMON, **SETTINGS["voices"], seed=seed), folder)
        return {**took, "greedy": scored(Recognizer.load(folder), source, "test").rates(Decoding())}


def cells(seeds: Sequence[int], folder: Path) -> dict[str, list[dict[str, Any]]]:
    """GRU, LSTM and RNN with as many parameters, at equal minutes, on AN4."""
    source = data_root("speech") / "an4/an4_mfcc13.npz"
    settings = Settings(**COMMON, **SETTINGS["cells"])
    learner = make_learner(str(source), settings=settings)
    runs: dict[str, list[dict[str, Any]]] = {cell: [] for cell in CELLS}
    equal = list(of_equal_parameters(learner, settings))
    for seed in seeds:
        for one in equal:
            cell, hidden = one.cell, one.hidden_size
            chosen = one.model_copy(update={"seed": seed})
            out = folder / f"cells-{cell}-{seed}"
            took = train(source, chosen, out)
            test = scored(Recognizer.load(out), source, "test")
            runs[cell].append({**took, "hidden_size": hidden, "greedy": test.rates(Decoding())})
            print(cell, seed, runs[cell][-1], flush=True)
    return runs


_STREAM = """
import json, sys, time
sys.modules["torch"] = None
from pathlib import Path
from congru.tasks.speech.audio import read_audio
from congru.tasks.speech.recognizer import Recognizer
recognizer, seconds, pieces = Recognizer.load(sys.argv[1]), 0.0, []
clock = time.process_time
for path in sorted(Path(sys.argv[2]).rglob("*.wav")):
    audio = read_audio(path)
    seconds += audio.seconds
    listener, size = recognizer.listen(audio.rate_hz), round(0.1 * audio.rate_hz)
    for begin in range(0, len(audio.samples), size):
        began = clock()
        listener.feed(audio.samples[begin : begin + size])
        pieces.append(clock() - began)
    began = clock()
    listener.finish()
    pieces.append(clock() - began)
pieces.sort()
print(json.dumps({"audio_seconds": round(seconds, 1), "real_time_factor": sum(pieces) / seconds,
    "piece_ms": {"median": 1e3 * pieces[len(pieces) // 2], "p99": 1e3 * pieces[int(0.99 * len(pieces))]},
    "latency_ms_without_computing": 1e3 * recognizer.latency_seconds,
    "parameters": sum(weight.size for weight in recognizer.network.weights.values())}))
"""


def stream(folder: Path) -> dict[str, Any]:
    """The cost of following the 51 waveforms of AN4 in pieces of 0.1 s, for each front end; the default network.

    Weights do not matter for time: these come from two steps.
    """
    figures = {}
    for kind in ("sphinx", "fbank"):
        out = folder / f"stream-{kind}"
        source = data_root("speech") / ("an4/an4_mfcc13.npz" if kind == "sphinx" else "an4_wav")
        shared = {**COMMON, "steps": 2, "evaluations": 1, "features": kind, "bad": "skip"}
        train(source, Settings(**shared, validation=0.2), out)
        core = sorted(os.sched_getaffinity(0))[0]
        command = [
            "taskset",
            "-c",
            str(core),
            sys.executable,
            "-c",
            _STREAM,
            str(out),
            str(data_root("speech") / "an4_wav"),
        ]
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        runs = []
        for _ in range(3):
            done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
            runs.append(json.loads(done.stdout))
        figures[kind] = {**min(runs, key=lambda run: float(run["real_time_factor"])), "runs": runs}
    return figures


ONE_RUN: dict[str, Callable[[int, Path], dict[str, Any]]] = {
    "an4": partial(an4, "an4"),
    "both": partial(an4, "both"),
    "barista": partial(barista, "barista"),
    "barista_both": partial(barista, "barista_both"),
    "barista_cut": partial(barista, "barista_cut"),
    "fsdd": digits,
    "speakers": each_left_out,
    "yesno": partial(yesno, "yesno"),
    "yesno_cut": partial(yesno, "yesno_cut"),
    "voices": voices,
}


def measured(name: str, seeds: Sequence[int], folder: Path) -> list[dict[str, Any]]:
    """One entry per run."""
    runs = []
    for seed in seeds:
        run = ONE_RUN[name](seed, folder / f"{name}-{seed}")
        runs.append({"seed": seed, **run})
        print(name, seed, runs[-1], flush=True)
    return runs


def spreads_of(runs: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Mean and spread of every rate over the runs."""
    spreads: dict[str, Any] = {}
    for key, value in runs[0].items():
        if isinstance(value, dict):
            spreads[key] = spreads_of([run[key] for run in runs])
        elif key in ("wer", "cer", "exact", "slots", "accuracy", "accuracy_without_list", "file", "stream"):
            spreads[key] = mean_and_spread(runs, key)
    return spreads


def baselines_of(name: str) -> dict[str, float]:
    """Accuracies beside accuracies, word errors beside word errors."""
    published = PUBLISHED.get("an4" if name in ("both", "cells") else name, {})
    return published if name in ("fsdd", "speakers") else {**published, **NOTHING_SAID}


def main() -> None:
    """Measure one thing, and write results/speech_NAME.json."""
    parser = argparse.ArgumentParser()
    parser.add_argument("name", choices=sorted([*SETTINGS, "orders", "stream"]))
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--runs", type=Path, help="where run folders stay")
    parser.add_argument("--folder", type=Path, default=ROOT / "results", help="where the result goes")
    arguments = parser.parse_args()
    name, seeds, began = arguments.name, arguments.seeds, time.time()
    with tempfile.TemporaryDirectory() as temporary:
        folder = arguments.runs or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        if name == "stream":
            figures, spreads, count = stream(folder), {}, 3
        elif name == "orders":
            figures = orders_together(seeds, folder)
            spreads, count = spreads_of(figures["runs"]), len(seeds)
        elif name == "cells":
            by_cell = cells(seeds, folder)
            spreads, count = {cell: spreads_of(runs) for cell, runs in by_cell.items()}, len(seeds)
            figures = {"settings": {**COMMON, **SETTINGS[name]}, **spreads, "runs": by_cell}
        else:
            runs = measured(name, seeds, folder)
            spreads, count = spreads_of(runs), len(runs)
            figures = {"settings": {**COMMON, **SETTINGS[name]}, **spreads, "runs": runs}
    figures["minutes"] = round((time.time() - began) / 60, 1)
    written = "" if name == "stream" else " --seeds " + " ".join(map(str, seeds))
    print(
        write_result(
            f"speech_{name}",
            f"python -m bench.speech {name}{written}",
            figures,
            repetitions=count,
            spreads=spreads,
            baselines=baselines_of(name),
            packages=["soundfile", "kaldi-native-fbank", "soxr", "jiwer"],
            folder=arguments.folder,
        )
    )


if __name__ == "__main__":
    main()
