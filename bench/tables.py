"""The measured tables of the documents, each made from its file in results/."""

from __future__ import annotations

import json
import statistics
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from bench.record import ROOT


def result(name: str, folder: Path = ROOT / "results") -> dict[str, Any]:
    """The record of one measurement."""
    record: dict[str, Any] = json.loads((folder / f"{name}.json").read_text())
    return record


def markdown(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table.

    >>> print(markdown(["a", "b"], [["1", "2"]]), end="")
    | a | b |
    | --- | --- |
    | 1 | 2 |
    """
    lines = [header, ["---"] * len(header), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def quality() -> str:
    """What the tasks reach, beside their baselines and published figures; a row per measurement made."""
    rows = []
    tasks = (
        ("text_shakespeare_5_minutes", _text),
        ("text_shakespeare_10_minutes", _text),
        ("text_shakespeare_30_minutes", _text),
        ("forecast_ett", _ett),
        ("forecast_m4", _m4),
        ("forecast_m4_defaults", _m4),
        ("forecast_simple", _simple),
        ("forecast_intervals", _intervals),
        ("chess_model", _chess),
        ("chess_model_masters", _chess),
        ("chess_model_moves", _chess),
        ("music_jsb", _music),
        ("music_nottingham", _music),
    )
    for name, make in tasks:
        if (ROOT / "results" / f"{name}.json").exists():
            rows += make(result(name))
    return markdown(["what", "GRU", "beside it"], rows)


# One figure of each task for the first page: what it is, whether more is better, decimals, the model's value, then a simple
# baseline and the best published figure, each as (name, value).
def tasks() -> str:
    """The README's table: the GRU, a simple baseline and a published figure of each task; the best of a row is bold."""
    rows = [_task_row(*row) for row in _task_figures()]
    return markdown(["task, figure", "GRU", "simple baseline", "published", "page"], rows)


def _task_figures() -> list[tuple[Any, ...]]:
    text, ett, chess = (
        result(name) for name in ("text_shakespeare_10_minutes", "forecast_ett", "chess_model_masters")
    )
    sst2, snips, jsb, libras, multi30k, an4 = (
        result(name)
        for name in (
            "sentiment_sst2",
            "assistant_snips",
            "music_jsb",
            "video_libras",
            "translate_multi30k",
            "speech_both",
        )
    )
    return [
        (
            "text", "tinyshakespeare, nats a character (less is better)", False, 3,
            text["figures"]["nats_per_char"],
            ("5-gram", text["baselines"]["5-gram"]), ("nanoGPT, on a CPU", text["baselines"]["nanoGPT small, on a CPU"]),
        ),
        (
            "forecast", "ETTh1, MSE 96 hours ahead (less)", False, 3, ett["figures"]["96"]["test_mse"],
            ("linear", ett["baselines"]["linear"]["96"]["mse"]),
            ("SegRNN", ett["baselines"]["SegRNN (one GRU layer, look-back 720)"][0]),
        ),
        (
            "chess", "next moves predicted, %", True, 1, 100 * chess["figures"]["with_board"]["all"]["top1"],
            ("book and 4-gram", 100 * chess["baselines"]["opening book + 4-gram"]["top1"]), None,
        ),
        (
            "sentiment", "SST-2, accuracy, %", True, 1, sst2["figures"]["accuracy"]["mean"],
            ("naive Bayes", sst2["baselines"]["naive Bayes, words (measured)"]),
            ("naive Bayes, bigrams", sst2["baselines"]["naive Bayes, uni- and bigrams"]),
        ),
        (
            "assistant", "SNIPS, intent, %", True, 1, snips["figures"]["intent"]["mean"],
            ("naive Bayes", snips["baselines"]["intent, naive Bayes and word tags (measured)"]),
            ("BLSTM, GloVe", snips["baselines"]["intent, BLSTM, GloVe, characters"]),
        ),
        (
            "speech", "AN4, both directions, word errors with trigrams, % (less)", False, 1,
            an4["figures"]["trigram"]["wer"]["mean"],
            ("nothing said", an4["baselines"]["nothing"]), ("DeepSpeech2", an4["baselines"]["DeepSpeech2 (GRU)"]),
        ),
        (
            "translate", "Multi30k, German to English, BLEU", True, 1, multi30k["figures"]["bleu"],
            ("word for word", multi30k["baselines"]["word for word (measured)"]),
            ("transformer", multi30k["baselines"]["transformer, 9 M parameters"]),
        ),
        (
            "music", "JSB chorales, nats a frame (less)", False, 2, jsb["figures"]["test"]["mean"],
            ("keys held on", jsb["baselines"]["keys that follow themselves (measured)"]),
            ("RNN-NADE", jsb["baselines"]["RNN-NADE"]),
        ),
        (
            "video", "Libras hand paths, accuracy, %", True, 1, libras["figures"]["accuracy"]["mean"],
            ("whole path", libras["baselines"]["whole path (measured)"]),
            ("FCN, another split", libras["baselines"]["FCN (another split)"]),
        ),
    ]  # fmt: skip


def _task_row(
    task: str,
    what: str,
    more: bool,
    decimals: int,
    own: float,
    simple: tuple[str, float],
    published: tuple[str, float] | None,
) -> list[str]:
    """One row of at most five columns; the best value is bold, whoever it belongs to."""
    values = [own, simple[1], *([published[1]] if published else [])]
    best = (max if more else min)(values)

    def shown(value: float) -> str:
        text = f"{value:.{decimals}f}"
        return f"**{text}**" if value == best else text

    beside = "" if published is None else f"{published[0]} {shown(published[1])}"
    page = f"[{task}](docs/{task}.md)"
    return [what, shown(own), f"{simple[0]} {shown(simple[1])}", beside, page]


def _text(record: dict[str, Any]) -> list[list[str]]:
    figures, baselines = record["figures"], record["baselines"]
    budget = f"{figures['minutes']:g} minutes on {record['machine']['cores']} cores"
    beside = ", ".join(f"{name} {value:.3f}" for name, value in baselines.items())
    return [
        [
            f"tinyshakespeare, validation nats per character, {budget}",
            f"**{figures['nats_per_char']:.3f}**",
            beside,
        ]
    ]


def _ett(record: dict[str, Any]) -> list[list[str]]:
    rows = []
    horizons = [name for name in record["figures"] if name.isdigit()]
    for index, horizon in enumerate(horizons):
        beside = []
        for name, value in record["baselines"].items():
            number = value[index] if isinstance(value, list) else value[horizon]["mse"]
            beside.append(f"{name} {number:.3f}")
        error = record["figures"][horizon]["test_mse"]
        rows.append([f"ETTh1, test MSE {horizon} hours ahead", f"**{error:.3f}**", ", ".join(beside)])
    return rows


def _chess(record: dict[str, Any]) -> list[list[str]]:
    kind = "with_board" if "with_board" in record["figures"] else "moves_only"
    scores = record["figures"][kind]["all"]
    words = "the board given" if kind == "with_board" else "moves only"
    words += ", learnt from masters too" * record["name"].endswith("masters")
    what = f"chess, pgnmentor20, test: share of moves predicted, {words} ({scores['bits_per_move']:.2f} bits a move)"
    beside = ", ".join(f"{name} {row['top1']:.3f}" for name, row in record["baselines"].items())
    return [[what, f"**{scores['top1']:.3f}**", beside]]


def _music(record: dict[str, Any]) -> list[list[str]]:
    title = MUSIC_SETS[record["name"].removeprefix("music_")]
    beside = ", ".join(f"{name} {value:.2f}" for name, value in record["baselines"].items())
    return [[f"{title}, test nats per frame", f"**{record['figures']['test']['mean']:.2f}**", beside]]


def _m4(record: dict[str, Any]) -> list[list[str]]:
    rows = []
    figures, baselines = record["figures"], record["baselines"]
    beside = [
        f"{name} {value if isinstance(value, float) else value['owa']:.3f}"
        for name, value in baselines.items()
    ]
    several = ((f"mean of {record['repetitions']} models", "ensemble"),) if record["repetitions"] > 1 else ()
    one = "default settings, one model" if record["name"].endswith("defaults") else "one model"
    for what, key in ((one, "single"), *several):
        scores = figures[key]
        rows.append(
            [
                f"M4 Hourly, OWA, {what} (sMAPE {scores['smape']:.2f}, MASE {scores['mase']:.3f})",
                f"**{scores['owa']:.3f}**",
                ", ".join(beside),
            ]
        )
    return rows


SIMPLE_SETS = {
    "exchange rate": ("exchange rates of 8 countries, test MSE 96 days ahead", 4),
    "Seattle": ("Seattle's highest temperature, test error a week ahead in degrees", 3),
    "New York": ("New York's temperature at three airports, test error a day ahead in degrees", 3),
}


def _simple(record: dict[str, Any]) -> list[list[str]]:
    rows = []
    for name, (words, digits) in SIMPLE_SETS.items():
        if name not in record["figures"]:
            continue
        beside = ", ".join(f"{key} {value:.{digits}f}" for key, value in record["baselines"][name].items())
        rows.append([words, f"**{record['figures'][name]['error']:.{digits}f}**", beside])
    return rows


def _intervals(record: dict[str, Any]) -> list[list[str]]:
    titles = {
        "New York": "New York's temperature a day ahead, September to December",
        "December": "the same in December, 24 hours ahead",
        "Seattle": "Seattle's highest temperature a week ahead",
        "exchange rate": "exchange rates of 8 countries 24 days ahead",
    }
    rows = []
    for name, figures in record["figures"].items():
        parts = [(name, figures["all"], "held")]
        if "December" in figures:
            parts.append(("December", figures["December"], "held at the last step"))
        for title, part, key in parts:
            fixed = f"as validation left them {part['static'][key]:.0f}"
            words = f"{titles[title]}: % of the values in 80 % intervals that learn"
            rows.append([words, f"**{part['adaptive'][key]:.0f}**", fixed])
    return rows


SPEED_PEERS = {
    "inference": ["torch.nn.GRU", "torch.nn.LSTM", "onnxruntime GRU", "OpenVINO GRU", "JAX GRU"],
    "training": ["torch.nn.GRU", "torch.nn.LSTM", "JAX GRU"],
}


def speed(record: dict[str, Any] | None = None) -> str:
    """How many times as long each peer takes as ours, at every shape: medians of ratios side by side.

    In brackets the same for calls in a row, where the result holds them; peers it does not hold are left out.
    """
    figures = (record or result("cell_speed"))["figures"]
    shapes = [name.partition(" ")[2] for name in figures if name.startswith("inference")]
    both = any("ms_in_a_row" in figures[f"inference {shape}"] for shape in shapes)
    header = ["B, T, I, H (in brackets: calls in a row)" if both else "B, T, I, H"]
    peers = {
        what: [name for name in named if any(name in figures[f"{what} {shape}"]["ms"] for shape in shapes)]
        for what, named in SPEED_PEERS.items()
    }
    for what, ours in (("inference", "ours, ms"), ("training", "training, ours, ms")):
        header += [ours, *(f"{what}: {name}" for name in peers[what])]
    lines = []
    for shape in shapes:
        line = [shape]
        for what, named in peers.items():
            entry = figures[f"{what} {shape}"]
            line.append(_both_ways(entry, "ms", "congru GRU"))
            line += [_both_ways(entry, "times_ours", name) for name in named]
        lines.append(line)
    return markdown(header, lines)


def _both_ways(entry: dict[str, Any], what: str, name: str) -> str:
    """The figure after a pause, and in brackets that of calls in a row; nothing where there is none."""

    def written(figures: dict[str, Any]) -> str:
        return f"{figures[name]['median']:.3g}" if what == "ms" else f"{figures[name]:.1f}x"

    if name not in entry[what]:
        return ""
    settled = entry.get(f"{what}_in_a_row")
    return f"{written(entry[what])} ({written(settled)})" if settled else written(entry[what])


STEPS = {
    "stepper": "stepper",
    "bfloat16 weights": "stepper, bfloat16 weights",
    "session, bare GRU": "Session",
    "session, whole model": "Session, whole model",
    "torch.nn.GRUCell": "torch.nn.GRUCell",
    "onnxruntime": "onnxruntime GRU",
}


def steps() -> str:
    """Microseconds of one step from Python, by hidden size."""
    figures = result("step_speed")["figures"]
    rows = []
    for name, entry in figures.items():
        if name.startswith("H "):
            cells = [entry["us"].get(key) for key in STEPS.values()]
            rows.append([name[2:], *("" if us is None else f"{us['median']:.3g}" for us in cells)])
    return markdown(["H", *STEPS], rows)


def sessions() -> str:
    """A step and a fork of a text model's session, and steps of many together over one by one, by hidden size."""
    figures = result("sessions")["figures"]
    rows, batches = [], ("N 8", "N 64", "N 256")
    for name, entry in figures.items():
        if not name.startswith("H "):
            continue
        measured = entry["sessions"]
        times = [f"{measured[batch]['together_times_one_by_one']:.2f}" for batch in batches]
        us = {kind: f"{values['median']:.2f}" for kind, values in measured["us"].items()}
        rows.append([name[2:], us["step"], us["fork"], f"{measured['fork in steps']:.2f}", *times])
    together = [f"{batch[2:]} together" for batch in batches]
    return markdown(["H", "a step, us", "a fork, us", "fork in steps", *together], rows)


def graph_steps() -> str:
    """Microseconds of a step of whole models before networks were graphs and today."""
    rows = []
    for name, entry in result("graph_steps")["figures"]["models"].items():
        task, size = name.split("-")
        us = [f"{entry['us'][which]['median']:.2f}" for which in ("before", "today")]
        rows.append([task, size, *us, f"{entry['today_times_before']:.2f}"])
    return markdown(["model", "H", "before, us", "today, us", "today / before"], rows)


def few_steps(record: dict[str, Any] | None = None) -> str:
    """Time of torch.nn.GRU over that of the core, a column per number of steps; bold where the core is faster."""
    if record is None and not (ROOT / "results" / "few_steps.json").exists():
        return "Not measured yet: `python -m bench.few_steps`.\n"
    figures = (record or result("few_steps"))["figures"]
    table: dict[tuple[str, str, str], dict[str, str]] = {}
    for name, entry in figures.items():
        if not isinstance(entry, dict):
            continue
        what, _, shape = name.partition(" ")
        B, T, I, H = shape.split(", ")
        times = entry["times_core"]["torch.nn.GRU"]
        table.setdefault((what, B, f"{I}, {H}"), {})[T] = f"**{times:.2f}**" if times > 1 else f"{times:.2f}"
    steps = list(dict.fromkeys(T for row in table.values() for T in row))
    lines = [[*where, *(row.get(T, "") for T in steps)] for where, row in table.items()]
    return markdown(["", "B", "I, H", *(f"T = {T}" for T in steps)], lines)


def options() -> str:
    """Times of each option over its plain layer, inference and training, by shape; bold beyond the bar."""
    figures = result("options_speed")["figures"]
    shapes = {name.partition(" ")[2]: None for name in figures if name.startswith("inference")}
    rows = []
    for variant in figures[f"inference {next(iter(shapes))}"]["times_plain"]:
        cells = []
        for shape in shapes:
            times = [figures[f"{what} {shape}"]["times_plain"][variant] for what in ("inference", "training")]
            bar = float("inf") if variant.endswith("plain") else figures["bar"]  # another cell is no option
            cells.append(" / ".join(f"**{x:.2f}**" if x > bar else f"{x:.2f}" for x in times))
        rows.append([variant.replace("_", " "), *cells])
    return markdown(["inference / training", *shapes], rows)


def textbook() -> str:
    """GRU, LSTM and RNN at equal hidden size and at equal parameters."""
    rows = []
    for title in ("equal hidden size", "equal parameters"):
        for name, row in result("textbook")["figures"][title].items():
            side, _, cell = name.partition(" ")
            if side != "congru":
                continue
            theirs = result("textbook")["figures"][title][f"torch.nn {cell}"]
            times = [
                f"{one[f'{what}_ms']['median']:.3g} ({one[f'{what}_times_lstm']:.2f})"
                for what in ("inference", "training")
                for one in (row, theirs)
            ]
            kept = [f"{one['kept_for_backward_mb']:.1f}" for one in (row, theirs)]
            rows.append(
                [f"{cell}, {title}", f"{row['hidden_size']}", f"{row['parameters']:,}", *times, *kept]
            )
    header = [
        "",
        "H",
        "parameters",
        "inference ms",
        "torch.nn",
        "training ms",
        "torch.nn",
        "kept MB",
        "torch.nn",
    ]
    return markdown(header, rows)


def deletion() -> str:
    """The margin lost when the highest ranked fifth of the words is removed; a row per attribution."""
    columns = [(readout, ranking) for readout in ("mean", "last") for ranking in ("size", "signed")]
    figures = result("deletion")["figures"]
    names = [key.split(", ")[-1] for key in figures if key.startswith("mean, drop, size, 0.2, ")]
    rows = [
        [
            name,
            *(f"{figures[f'{readout}, drop, {ranking}, 0.2, {name}']:.2f}" for readout, ranking in columns),
        ]
        for name in names
    ]
    return markdown(
        [
            "ranked by",
            *(
                f"{readout} state, {'by size' if ranking == 'size' else 'signed'}"
                for readout, ranking in columns
            ),
        ],
        rows,
    )


def gates() -> str:
    """Milliseconds of recovery and of the forward passes, a row per shape; then the shares of all outputs."""
    columns = ("recovery", "torch.nn.GRU", "congru", "congru with gates")
    rows = []
    for name, figure in result("gates")["figures"].items():
        if name.startswith("recovery"):
            times = [f"{figure['ms'][column]:.1f}" for column in columns]
            rows.append([name.removeprefix("recovery "), *times, f"{figure['ratio']['of torch.nn.GRU']:.2f}"])
        elif name.startswith("shares"):
            rows.append([name, f"{figure['ms']:.1f}", "", "", "", ""])
    return markdown(["ms", *columns, "recovery / torch.nn.GRU"], rows)


def memory() -> str:
    """Loss in per cent of remembering nothing, by task, cell and start, at every lag; median over the seeds."""
    parts = result("memory")["figures"]["parts"]
    lags = sorted({run["lag"] for part in parts.values() for run in part["runs"]})
    rows = []
    for name, part in sorted(parts.items()):
        task, start, _ = name.split(", ")
        for cell in dict.fromkeys(run["cell"] for run in part["runs"]):
            runs = [run for run in part["runs"] if run["cell"] == cell]
            shares = [[run["share"] for run in runs if run["lag"] == lag] for lag in lags]
            losses = [f"{100 * statistics.median(values):.1f} %" if values else "" for values in shares]
            longest = max(runs, key=lambda run: run["lag"])
            seconds = f"{longest['cpu_seconds']:.0f} s (lag {longest['lag']:,})"
            rows.append([task, cell, start, *losses, f"{longest['num_parameters']:,}", seconds])
    return markdown(["task", "cell", "start", *(f"{lag:,}" for lag in lags), "parameters", "training"], rows)


def planted() -> str:
    """Shares of the exact memory on the planted steps."""
    record = result("planted_truth")
    rows = [
        [
            name,
            f"{figures['loss_share']:.2%}",
            f"**{figures['plain']:.0%}**",
            f"{figures['centred']:.0%}",
            f"{figures['entered']:.0%}",
            f"{figures['trust']:.2f}",
            f"{record['baselines'][f'{name}, evenly spread']:.0%}",
        ]
        for name, figures in record["figures"].items()
        if name in record["spread"]
    ]
    header = ["GRU trained on", "loss / baseline", "plain", "centred", "entered", "trust", "if spread evenly"]
    return markdown(header, rows)


SENTIMENT_SETS = {
    "sst2": "SST-2, sentences only",
    "phrases": "SST-2, with the phrases of the trees",
    "five": "SST, five classes, with phrases",
    "polarity": "sentence polarity, ten folds",
    "nsmc": "Korean film reviews (24,000)",
    "cells": "",
}


def sentiment() -> str:
    """Test accuracy of classifiers beside their baselines, a row for each set measured; then cells of equal parameters."""
    rows = []
    for name, title in SENTIMENT_SETS.items():
        if not (ROOT / "results" / f"sentiment_{name}.json").exists():
            continue
        record = result(f"sentiment_{name}")
        figures, beside = (
            record["figures"],
            [f"{key} {value:.1f}" for key, value in record["baselines"].items()],
        )
        cells = [cell for cell in ("gru", "lstm", "rnn") if cell in figures]
        for what, row in [(f"SST-2, {cell}, equal parameters", figures[cell]) for cell in cells] or [
            (title, figures)
        ]:
            accuracy, runs = row["accuracy"], row["runs"]
            seconds = statistics.median(run["cpu_seconds"] for run in runs)
            rows.append(
                [
                    what,
                    f"**{accuracy['mean']:.1f}** ± {accuracy['deviation']:.1f}",
                    f"{len(runs)}",
                    ", ".join(beside),
                    f"{runs[0]['parameters']:,}",
                    f"{seconds:.0f} s",
                ]
            )
    return markdown(["", "accuracy, %", "runs", "beside it", "parameters", "CPU time of a run"], rows)


MUSIC_SETS = {
    "jsb": "JSB chorales",
    "nottingham": "Nottingham",
    "musedata": "MuseData",
    "piano": "Piano-midi",
    "variants": "JSB chorales",
    "cells": "JSB chorales, equal parameters",
    "tunes": "O'Neill and Aird, events (nats per note)",
}


def music() -> str:
    """Test nats of music models beside their baselines, a row for each model of each set measured."""
    rows = []
    for name, title in MUSIC_SETS.items():
        if not (ROOT / "results" / f"music_{name}.json").exists():
            continue
        record = result(f"music_{name}")
        figures = record["figures"]
        beside = ", ".join(f"{key} {value:.2f}" for key, value in record["baselines"].items())
        for what, own in figures.get("models", {"": figures}).items():
            runs = own["runs"]
            seconds = statistics.median(run["cpu_seconds"] for run in runs)
            rows.append(
                [
                    f"{title}, {what}" if what else title,
                    f"**{own['test']['mean']:.2f}**"
                    + (f" ± {own['test']['deviation']:.2f}" if len(runs) > 1 else ""),
                    f"{own['validation']['mean']:.2f}",
                    f"{len(runs)}",
                    beside if not what or what == next(iter(figures["models"])) else "as above",
                    f"{runs[0]['parameters']:,}",
                    f"{seconds:.0f} s",
                ]
            )
    header = [
        "",
        "test",
        "validation",
        "runs",
        "beside it, on the test part",
        "parameters",
        "CPU time of a run",
    ]
    return markdown(header, rows)


VIDEO_SETS = {
    "libras": "Libras hand paths, both directions",
    "online": "Libras hand paths, forward only",
    "cells": "Libras",
    "digit": "moving digits, `--figure`: which digit",
    "direction": "moving digits: which direction",
    "order": "moving digits, `--figure`: which of two comes first",
    "weizmann": "Weizmann silhouettes, one person left out",
    "figures": "the same, `--figure`",
}


def video() -> str:
    """Test accuracy of classifiers of clips beside their baselines, a row for each set; cells of equal parameters."""
    rows = []
    for name, title in VIDEO_SETS.items():
        if not (ROOT / "results" / f"video_{name}.json").exists():
            continue
        record = result(f"video_{name}")
        figures = record["figures"]
        beside = ", ".join(f"{key} {value:.1f}" for key, value in record["baselines"].items())
        cells = [cell for cell in ("gru", "lstm", "rnn") if cell in figures]
        for what, row in [(f"{title}, {cell}, equal parameters", figures[cell]) for cell in cells] or [
            (title, figures)
        ]:
            accuracy, runs = row["accuracy"], row["runs"]
            on_the_way = ""
            if "early_accuracy" in row:
                on_the_way = (
                    f"after 60 % of the frames {row['accuracy_at_60']['mean']:.1f}; early decisions"
                    f" {row['early_accuracy']['mean']:.1f}, {row['frames_saved']['mean']:.0f} % of the frames saved"
                )
            seconds = statistics.median(run["cpu_seconds"] for run in runs)
            measured = [with_spread(accuracy), f"{len(runs)}"]
            rows.append(
                [what, *measured, on_the_way, beside, f"{runs[0]['parameters']:,}", f"{seconds:.0f} s"]
            )
    header = ["", "accuracy, %", "runs", "on the way, %", "beside it", "parameters", "CPU time of a run"]
    return markdown(header, rows)


def video_frames() -> str:
    """Mean squared errors of predicted frames beside those of the copied last frame, by frames ahead."""
    record = result("video_frames")
    runs = record["figures"]["runs"]
    ahead = [name for name in runs[0] if name.startswith("mse_")]
    own = [f"**{statistics.fmean(run[name] for run in runs):.4f}**" for name in ahead]
    copied = [f"{record['baselines'][f'copy the last frame, {name} (measured)']:.4f}" for name in ahead]
    header = ["", *(f"{name.split('_')[1]} ahead" for name in ahead)]
    return markdown(header, [["convolutional GRU", *own], ["copy the last frame", *copied]])


def with_spread(value: dict[str, float]) -> str:
    """A mean in bold, with its deviation where several runs have one."""
    deviation = f" ± {value['deviation']:.1f}" if value["deviation"] else ""
    return f"**{value['mean']:.1f}**{deviation}"


BLOCKS: dict[str, Callable[[], str]] = {
    "quality": quality,
    "tasks": tasks,
    "speed": speed,
    "steps": steps,
    "few_steps": few_steps,
    "options": options,
    "textbook": textbook,
    "deletion": deletion,
    "gates": gates,
    "memory": memory,
    "music": music,
    "planted": planted,
    "sentiment": sentiment,
    "video": video,
    "video_frames": video_frames,
    "sessions": sessions,
    "graph_steps": graph_steps,
}
