"""The assistant measured: SNIPS (intent, slots), CLINC150 ("I don't know"), bAbI dialogues, a small file, three cells.

    python -m bench.assistant snips | snips_members | clinc | dialogues | small | cells

Settings were chosen on the validation parts; a run's model is its best evaluation there, and the test parts are read once by it.
Beside each stands naive Bayes with the most frequent tag of every word, or the most frequent reply after the last one.
Every run has one thread. The data lie in the folder that CONGRU_DATA names.
"""

from __future__ import annotations

import argparse
import functools
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from bench.data import data_root
from bench.record import ROOT, write_result
from bench.runs import CELLS, mean_and_spread, of_equal_parameters
from congru.cli.demo import CITIES, DISHES
from congru.tasks.assistant.baselines import WordCounts
from congru.tasks.assistant.data import read_part
from congru.tasks.assistant.dialogue_data import baseline_measures, dialogue_measures
from congru.tasks.assistant.dialogue_files import find_dialogues
from congru.tasks.assistant.examples import Example
from congru.tasks.assistant.learner import make_learner
from congru.tasks.assistant.scoring import measures, score
from congru.tasks.assistant.settings import Settings
from congru.tasks.assistant.talk import Talk
from congru.tasks.assistant.trained import load_assistant, load_policy
from congru.tasks.assistant.understanding_learner import UnderstandingLearner
from congru.train.loop import fit

COMMON: dict[str, Any] = {"threads": 1, "quiet": True}
SNIPS: dict[str, Any] = {
    "epochs": 6,
    "batch_size": 64,
    "learning_rate": 5e-3,
    "evaluations": 2,
    "unseen": 0.1,
    "dropout": 0.3,
}
LONGER: dict[str, Any] = {
    **SNIPS,
    "epochs": 18,
    "min_count": 2,
    "unseen": 1.0,
    "dropout": 0.4,
    "ema": 0.999,
}
SETTINGS: dict[str, dict[str, Any]] = {
    "snips": LONGER,
    "snips_members": {**LONGER, "seeds": 4, "clip": 0.5},
    "clinc": {**SNIPS, "epochs": 15, "unseen": 0.25, "dropout": 0.4},
    "dialogues": {},
    "small": {},
    "cells": {**SNIPS, "epochs": 3},
}
SNIPS_PUBLISHED = {
    "intent, Slot-Gated": 97.0,
    "slot F1, Slot-Gated": 88.8,
    "intent, BLSTM, GloVe, characters": 99.1,
    "slot F1, BLSTM, GloVe, characters": 96.2,
}
PUBLISHED: dict[str, dict[str, float]] = {
    "snips": SNIPS_PUBLISHED,
    "snips_members": SNIPS_PUBLISHED,
    "clinc": {},
    "dialogues": {
        "task 1, MemN2N, test": 99.3,
        "task 1, MemN2N, out of vocabulary": 76.3,
        "task 2, MemN2N, test": 99.9,
        "task 2, MemN2N, out of vocabulary": 78.9,
        "task 5, MemN2N, test": 98.5,
        "task 5, MemN2N, out of vocabulary": 64.9,
        "task 5, Hybrid Code Network, test": 100.0,
        "task 5, Hybrid Code Network, out of vocabulary": 100.0,
    },
    "small": {},
    "cells": {},
}
TASKS = {"task 1": "task1-API-calls", "task 2": "task2-API-refine", "task 5": "task5-full-dialogs"}
SMALL = (
    [f"weather\twhat is the weather in [{city}](city) now" for city in CITIES]
    + [f"travel\tbook a flight to [{city}](city) please" for city in CITIES]
    + [f"order\ti want to eat [{dish}](food) today" for dish in DISHES]
    + [f"greet\t{word} there" for word in ["hi", "hello", "hey", "howdy", "hullo", "yo", "ahoy", "hiya"]]
    + [f"bye\tgood {word}" for word in ["bye", "night", "day", "luck", "travels", "times", "rest", "end"]]
)


def source_of(name: str) -> str:
    """The training data of SNIPS or CLINC150."""
    paths = {"clinc": "clinc150/data_full.json.gz"}
    return str(data_root("chat") / paths.get(name, "snips"))


def trained(learner: Any, settings: Settings, folder: str) -> dict[str, Any]:
    """Train into a folder; what it took."""
    settings = settings.model_copy(update={"out": Path(folder, "run")})
    learner.settings = settings
    wall, cpu = time.perf_counter(), time.process_time()
    result = fit(learner, settings)
    taken = {
        "seconds": round(time.perf_counter() - wall, 1),
        "cpu_seconds": round(time.process_time() - cpu, 1),
    }
    size = sum(path.stat().st_size for path in Path(folder, "run", "model").iterdir())
    return {
        **taken,
        "validation": result.best,
        "parameters": result.num_parameters,
        "model_mb": round(size / 1e6, 2),
    }


def ms_each(call: Callable[[str], Any], sentences: Sequence[str]) -> float:
    """Median milliseconds of a call with one sentence, the first ten left out."""
    times = []
    for sentence in sentences:
        began = time.perf_counter()
        call(sentence)
        times.append(1e3 * (time.perf_counter() - began))
    return round(statistics.median(times[10:]), 3)


def naive(train: Sequence[Example], test: Sequence[Example]) -> dict[str, float]:
    """Naive Bayes and word tags on the test sentences, in percent."""
    counts = WordCounts(train)
    words = [example.words for example in test]
    rates = measures(test, [counts.intent(w) for w in words], [counts.path(w) for w in words])
    return {f"{key}, naive Bayes and word tags (measured)": round(100 * v, 2) for key, v in rates.items()}


def understand(source: str, test: list[Example], settings: Settings) -> dict[str, Any]:
    """Train on marked sentences once; the figures on the test sentences in percent."""
    with tempfile.TemporaryDirectory() as folder:
        taken = trained(make_learner(source, settings=settings), settings, folder)
        assistant = load_assistant(Path(folder, "run"))
    rows = score(assistant, test)
    rates = {**rows["model"], **rows["model at the threshold"]}
    return {
        **{key: round(100 * value, 3) for key, value in rates.items()},
        "threshold": assistant.threshold,
        "ms_a_sentence_without_torch": ms_each(assistant.understand, [e.text for e in test[:300]]),
        **taken,
    }


def sentences(name: str, seeds: Sequence[int]) -> tuple[dict[str, Any], list[Any], dict[str, float]]:
    """SNIPS or CLINC150: a run for each seed."""
    source, settings = source_of(name), Settings(**COMMON, **SETTINGS[name])
    test = read_part(source, "test", settings.validation)[1].examples
    runs = []
    for seed in seeds:
        runs.append(understand(source, test, settings.model_copy(update={"seed": seed})))
        print(name, seed, runs[-1], flush=True)
    keys = (
        ("intent", "slot_f1", "exact")
        if name.startswith("snips")
        else ("intent", "in_scope", "out_of_scope", "dont_know")
    )
    train = make_learner(source, settings=settings)
    assert isinstance(train, UnderstandingLearner)
    figures = {key: mean_and_spread(runs, key) for key in keys}
    return {**figures, "runs": runs}, runs, naive(train.data.train, test)


def converse(task: str, dialogues: int | None, seed: int) -> dict[str, Any]:
    """Train on bAbI dialogues once; replies and whole dialogues right on both tests, in percent."""
    source = str(data_root("chat") / f"babi_dialog/dialog-babi-{TASKS[task]}-trn.txt.gz")
    settings = Settings(**COMMON, **SETTINGS["dialogues"], dialogues=dialogues, seed=seed)
    files = find_dialogues(source)
    assert files is not None
    with tempfile.TemporaryDirectory() as folder:
        run: dict[str, Any] = trained(make_learner(source, settings=settings), settings, folder)
        policy = load_policy(Path(folder, "run"))
    for part in ("test", "oov"):
        followed = policy.follow(files.read(part, settings.validation))
        for row, rates in (
            ("model", dialogue_measures(followed, policy.probabilities(followed), policy.reader)),
            *baseline_measures(policy.counts, followed, policy.reader).items(),
        ):
            run[f"{part}, {row}"] = {key: round(100 * rates[key], 3) for key in ("response", "dialogue")}
    talk = Talk(policy)
    sentences = [
        turn.sentence for one in files.read("validation", settings.validation)[:20] for turn in one.turns
    ]
    run["ms_a_turn_without_torch"] = ms_each(talk.say, sentences)
    return run


def dialogues(seeds: Sequence[int]) -> tuple[dict[str, Any], list[Any], dict[str, float]]:
    """Each task from all and from 100 training dialogues."""
    figures: dict[str, Any] = {}
    runs: list[Any] = []
    baselines: dict[str, float] = {}
    for task in TASKS:
        for count in (None, 100):
            own = [converse(task, count, seed) for seed in seeds]
            runs += own
            name = f"{task}, {count or 1000} dialogues"
            figures[name] = {
                f"{part}, {key}": {
                    "mean": statistics.fmean(run[f"{part}, model"][key] for run in own),
                    "least": min(run[f"{part}, model"][key] for run in own),
                }
                for part in ("test", "oov")
                for key in ("response", "dialogue")
            }
            figures[name]["runs"] = own
            print(name, {key: value for key, value in figures[name].items() if key != "runs"}, flush=True)
        last = runs[-1]["test, most frequent after the last reply"]
        baselines[f"{task}, most frequent after the last reply (measured)"] = last["response"]
    return figures, runs, baselines


def small(seeds: Sequence[int]) -> tuple[dict[str, Any], list[Any], dict[str, float]]:
    """Forty sentences of five intents: how long until it answers."""
    runs = []
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder, "requests.txt")
        source.write_text("\n".join(SMALL) + "\n")
        for seed in seeds:
            settings = Settings(**COMMON, **SETTINGS["small"], seed=seed)
            run = trained(make_learner(str(source), settings=settings), settings, f"{folder}/{seed}")
            assistant = load_assistant(Path(folder, str(seed), "run"))
            began = time.perf_counter()
            answer = assistant.understand("book a flight to Paris please")
            right = (answer.guess, answer.slots) == ("travel", {"city": ["Paris"]})
            runs.append({**run, "answers": right, "answer_ms": round(1e3 * (time.perf_counter() - began), 2)})
            print("small", seed, runs[-1], flush=True)
    keys = ("seconds", "cpu_seconds")
    return {**{key: mean_and_spread(runs, key) for key in keys}, "runs": runs}, runs, {}


def cells(seeds: Sequence[int]) -> tuple[dict[str, Any], list[Any], dict[str, float]]:
    """GRU, LSTM and RNN on SNIPS with as many parameters, the same steps and seeds."""
    source, settings = source_of("snips"), Settings(**COMMON, **SETTINGS["cells"])
    test = read_part(source, "test", settings.validation)[1].examples
    learner = make_learner(source, settings=settings)
    runs: dict[str, list[dict[str, Any]]] = {cell: [] for cell in CELLS}
    equal = list(of_equal_parameters(learner, settings))
    for seed in seeds:
        for one in equal:
            cell, hidden = one.cell, one.hidden_size
            chosen = one.model_copy(update={"seed": seed})
            runs[cell].append({**understand(source, test, chosen), "hidden_size": hidden})
            print(cell, seed, runs[cell][-1], flush=True)
    keys = ("intent", "slot_f1", "cpu_seconds")
    figures = {
        cell: {**{k: mean_and_spread(own, k) for k in keys}, "runs": own} for cell, own in runs.items()
    }
    return figures, runs["gru"], {}


def main() -> None:
    """Measure one part, and write results/assistant_NAME.json."""
    parser = argparse.ArgumentParser()
    parser.add_argument("name", choices=sorted(SETTINGS))
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2, 3, 4])
    parser.add_argument("--epochs", type=int, help="another budget than the one in SETTINGS")
    parser.add_argument("--folder", type=Path, default=ROOT / "results", help="where the result goes")
    arguments = parser.parse_args()
    name, seeds = arguments.name, arguments.seeds
    budget = ""
    if arguments.epochs is not None:
        SETTINGS[name] = {**SETTINGS[name], "epochs": arguments.epochs}
        budget = f" --epochs {arguments.epochs}"
    makers = {"dialogues": dialogues, "small": small, "cells": cells}
    make = makers.get(name, functools.partial(sentences, name))
    figures, runs, baselines = make(seeds)
    print(
        write_result(
            f"assistant_{name}",
            f"python -m bench.assistant {name} --seeds {' '.join(map(str, seeds))}{budget}",
            {"settings": {**COMMON, **SETTINGS[name]}, **figures},
            repetitions=len(runs),
            spreads={key: figures[key] for key in ("intent", "slot_f1", "in_scope") if key in figures},
            baselines={**baselines, **PUBLISHED[name]},
            folder=arguments.folder,
        )
    )


if __name__ == "__main__":
    main()
