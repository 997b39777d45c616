"""The measured tables of the assistant's page, each made from its file in results/."""

from __future__ import annotations

import statistics
from collections.abc import Callable
from typing import Any

from bench.record import ROOT
from bench.tables import markdown, result, with_spread

_NAMES = {
    "intent": "intent accuracy, %",
    "slot_f1": "slot F1, %",
    "in_scope": "in-scope accuracy at the threshold, %",
    "out_of_scope": "out-of-scope recall at the threshold, %",
}


def measured(name: str) -> dict[str, Any] | None:
    """The record of a part, None where it has not been measured."""
    there = (ROOT / "results" / f"assistant_{name}.json").exists()
    return result(f"assistant_{name}") if there else None


def assistant() -> str:
    """Understanding: test figures beside their baselines, mean and deviation over seeds."""
    rows = []
    for name, title in (
        ("snips", "SNIPS"),
        ("snips_members", "SNIPS, four networks in one folder"),
        ("clinc", "CLINC150"),
    ):
        record = measured(name)
        for key, what in _NAMES.items() if record else ():
            figures = record["figures"] if record else {}
            if key not in figures or (name == "clinc" and key == "slot_f1"):
                continue
            beside = [
                f"{label.partition(', ')[2]} {value:.1f}"
                for label, value in (record or {})["baselines"].items()
                if label.partition(", ")[0] in (key, key.replace("_f1", " F1"))
            ]
            rows.append(
                [f"{title}, {what}", with_spread(figures[key]), ", ".join(beside), *_cost(figures["runs"])]
            )
    record = measured("cells")
    for cell in ("gru", "lstm", "rnn") if record else ():
        figures = (record or {})["figures"][cell]
        told = f"intent {with_spread(figures['intent'])}, slot F1 {with_spread(figures['slot_f1'])}"
        epochs = (record or {})["figures"]["settings"]["epochs"]
        rows.append([f"SNIPS, {cell}, equal parameters, {epochs} epochs", told, "", *_cost(figures["runs"])])
    header = [
        "",
        "test",
        "beside it",
        "runs",
        "parameters",
        "model",
        "CPU time of a run",
        "a sentence, without torch",
    ]
    return markdown(header, rows)


def _cost(runs: list[dict[str, Any]]) -> list[str]:
    seconds = statistics.median(run["cpu_seconds"] for run in runs)
    ms = statistics.median(run["ms_a_sentence_without_torch"] for run in runs)
    first = runs[0]
    return [
        str(len(runs)),
        f"{first['parameters']:,}",
        f"{first['model_mb']:.1f} MB",
        f"{seconds:.0f} s",
        f"{ms:.2f} ms",
    ]


def assistant_dialogues() -> str:
    """bAbI dialogues: the share of right replies and of dialogues with every reply right, on both test sets."""
    record = measured("dialogues")
    rows = []
    for name, figures in (record["figures"] if record else {}).items():
        if name == "settings":
            continue
        task, runs = name.partition(",")[0], figures["runs"]
        cells = [
            f"**{figures[f'{part}, response']['mean']:.1f}** / {figures[f'{part}, dialogue']['mean']:.1f}"
            for part in ("test", "oov")
        ]
        beside = [
            f"{label.partition(', ')[2]} {value:.1f}"
            for label, value in (record or {})["baselines"].items()
            if label.startswith(task)
        ]
        seconds = statistics.median(run["cpu_seconds"] for run in runs)
        ms = statistics.median(run["ms_a_turn_without_torch"] for run in runs)
        rows.append(
            [
                name,
                *cells,
                ", ".join(beside),
                str(len(runs)),
                f"{runs[0]['parameters']:,}",
                f"{seconds:.0f} s",
                f"{ms:.2f} ms",
            ]
        )
    header = ["", "test", "out of vocabulary", "beside it (replies)", "runs", "parameters"]
    return markdown([*header, "CPU time of a run", "a turn, without torch"], rows)


def assistant_small() -> str:
    """Forty sentences: the time until the model answers."""
    record = measured("small")
    rows = []
    if record:
        runs = record["figures"]["runs"]
        rows.append(
            [
                f"{max(run['cpu_seconds'] for run in runs):.0f} s",
                f"{max(run['seconds'] for run in runs):.0f} s",
                f"{sum(run['answers'] for run in runs)} of {len(runs)}",
                f"{runs[0]['parameters']:,}",
            ]
        )
    return markdown(
        ["CPU time, at most", "wall time, at most", "right about a city it has never seen", "parameters"],
        rows,
    )


BLOCKS: dict[str, Callable[[], str]] = {
    "assistant": assistant,
    "assistant_dialogues": assistant_dialogues,
    "assistant_small": assistant_small,
}
