"""The measured tables of the page about speech, made from the files in results/."""

from __future__ import annotations

import statistics
from typing import Any

from bench.record import ROOT
from bench.tables import markdown, result, with_spread

SPEECH_SETS = {
    "an4": "AN4, one direction (streams)",
    "both": "AN4, both directions",
    "cells": "AN4, small, equal parameters, 10 minutes",
    "barista": "coffee orders, 50 voices, one direction",
    "barista_both": "coffee orders, both directions",
    "barista_cut": "coffee orders, one direction, `--cut-by`",
    "orders": "coffee orders, one network of each kind together",
    "fsdd": "FSDD, official split",
    "speakers": "FSDD, the speaker left out",
    "yesno": "yes and no, 29 recordings",
    "yesno_cut": "the same, `--cut-by`",
    "voices": "digit strings by espeak-ng, other voices",
}


def speech() -> str:
    """Errors of recognisers on test utterances, a row for each set, cell and way of decoding; then the cost of a stream."""
    rows = []
    for name, title in SPEECH_SETS.items():
        if not (ROOT / "results" / f"speech_{name}.json").exists():
            continue
        record = result(f"speech_{name}")
        figures = record["figures"]
        if name == "orders":
            pairs = rows_of(title, figures, figures["runs"], record["baselines"])
            rows += [[*row[:-1], "their sum"] for row in pairs] + [row_of_all(figures)]
        elif name == "cells":
            for cell, runs in figures["runs"].items():
                rows += rows_of(f"{title}, {cell}", figures[cell], runs, record["baselines"])
        else:
            rows += rows_of(title, figures, figures["runs"], record["baselines"])
    header = ["", "decoding", "WER, %", "CER, %", "all right, %", "runs", "beside it", "CPU time of a run"]
    errors = markdown(header, rows) if rows else "Not measured yet: `python -m bench.speech an4`.\n"
    return errors + _stream()


def rows_of(
    title: str, figures: dict[str, Any], runs: list[dict[str, Any]], baselines: dict[str, float]
) -> list[list[str]]:
    """One row, or one for every way of decoding; what stands beside word errors are word errors."""
    costs = [run["cpu_seconds"] for run in runs if "cpu_seconds" in run]
    cost = f"{statistics.median(costs):.0f} s" if costs else "not recorded"
    if "accuracy" in figures:
        beside = ", ".join(f"{key} {value:.1f} % right" for key, value in baselines.items())
        right = with_spread(figures["accuracy"])
        return [[title, "one word of ten", "", "", right, f"{len(runs)}", beside, cost]]
    rows: list[list[str]] = []
    beside = "WER: " + ", ".join(f"{key} {value:.1f}" for key, value in baselines.items())
    for how in ("greedy", "word list", "trigram"):
        if how in figures:
            one = figures[how]
            right = with_spread(one["slots"]) + " (slots)" if "slots" in one else with_spread(one["exact"])
            errors = [with_spread(one[rate]) for rate in ("wer", "cer")]
            rows.append(
                [title, how, *errors, right, f"{len(runs)}", beside if not rows else "as above", cost]
            )
    return rows


def row_of_all(figures: dict[str, Any]) -> list[str]:
    """The row of coffee orders that all networks hear together."""
    one, title = figures["all"], f"coffee orders, these {len(figures['members'])} networks together"
    numbers = [f"**{one[rate]:.1f}**" for rate in ("wer", "cer")]
    return [title, "trigram", *numbers, f"**{one['slots']:.1f}** (slots)", "1", "as above", "their sum"]


def _stream() -> str:
    """Processor time and latency of each front end; nothing where it is not measured."""
    if not (ROOT / "results" / "speech_stream.json").exists():
        return ""
    rows = [
        [
            kind,
            f"{one['real_time_factor']:.3f}",
            f"{one['piece_ms']['median']:.1f}",
            f"{one['piece_ms']['p99']:.1f}",
            f"{one['latency_ms_without_computing']:.0f}",
            f"{one['parameters']:,}",
        ]
        for kind, one in result("speech_stream")["figures"].items()
        if isinstance(one, dict)
    ]
    header = [
        "stream",
        "computing / audio",
        "0.1 s of audio, ms",
        "99 % of pieces, ms",
        "latency of the network, ms",
        "parameters",
    ]
    return "\n" + markdown(header, rows)


BLOCKS = {"speech": speech}
