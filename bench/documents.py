"""Writes the measured tables of the README from results/: `python -m bench.documents`; a test holds text and files equal.

A block between `<!-- results:NAME -->` and `<!-- end -->` is what `BLOCKS[NAME]` makes of results/.
"""

from __future__ import annotations

import json
import re
import statistics
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from bench.record import ROOT

DOCUMENTS = ("README.md", "docs/memory.md")
_BLOCK = re.compile(r"(<!-- results:(\w+) -->\n).*?(<!-- end -->)", re.DOTALL)


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
    for name, make in (("text_shakespeare", _text), ("forecast_ett", _ett), ("forecast_m4", _m4)):
        if (ROOT / "results" / f"{name}.json").exists():
            rows += make(result(name))
    return markdown(["what", "GRU", "beside it"], rows)


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
    for place, horizon in enumerate(horizons):
        beside = []
        for name, value in record["baselines"].items():
            number = value[place] if isinstance(value, list) else value[horizon]["mse"]
            beside.append(f"{name} {number:.3f}")
        error = record["figures"][horizon]["test_mse"]
        rows.append([f"ETTh1, test MSE {horizon} hours ahead", f"**{error:.3f}**", ", ".join(beside)])
    return rows


def _m4(record: dict[str, Any]) -> list[list[str]]:
    rows = []
    figures, baselines = record["figures"], record["baselines"]
    beside = [
        f"{name} {value if isinstance(value, float) else value['owa']:.3f}"
        for name, value in baselines.items()
    ]
    for what, key in (("one model", "single"), (f"mean of {record['repetitions']} models", "ensemble")):
        scores = figures[key]
        rows.append(
            [
                f"M4 Hourly, OWA, {what} (sMAPE {scores['smape']:.2f}, MASE {scores['mase']:.3f})",
                f"**{scores['owa']:.3f}**",
                ", ".join(beside),
            ]
        )
    return rows


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
            losses = [f"{100 * statistics.median(found):.1f} %" if found else "" for found in shares]
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


BLOCKS: dict[str, Callable[[], str]] = {"quality": quality, "memory": memory, "planted": planted}


def rewritten(text: str) -> str:
    """A document with every block made anew."""
    return _BLOCK.sub(lambda found: found[1] + BLOCKS[found[2]]() + found[3], text)


def main() -> None:
    for name in DOCUMENTS:
        path = ROOT / name
        path.write_text(rewritten(path.read_text()))
        print(f"{name}: tables written from results/")


if __name__ == "__main__":
    main()
