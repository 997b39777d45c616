"""How well does `congru train text` model tinyshakespeare in so many minutes, or steps, on this machine?

Trains with the default settings and those given (the best checkpoint is chosen on the validation part), then
scores the saved folder without torch in one pass over the whole validation part, beside the baselines counted on
the training part. Correctness first: the folder's score must be the one training reported.

    CONGRU_DATA=FOLDER python -m bench.text_shakespeare [SETTING=VALUE ...] [--minutes 10 | --steps 7680] [--seeds 0 1 2]
"""

from __future__ import annotations

import argparse
import contextlib
import os
import tempfile
from pathlib import Path
from typing import Any

import torch

from bench.record import ROOT, spread, write_result
from congru.tasks.text import evaluate, train
from congru.tasks.text.settings import Settings
from congru.train.resolve import resolve

PUBLISHED = {"nanoGPT 10.7 M parameters, on a GPU": 1.4697, "nanoGPT small, on a CPU": 1.88}
AGREEMENT = 1e-3  # between segments in training and one pass


def measure(
    path: Path, budget: dict[str, Any], seed: int, overrides: dict[str, Any], keep: Path | None
) -> dict[str, Any]:
    """One run: what it reached, and what it took; its folder stays under `keep`, if given."""
    with contextlib.ExitStack() as stack:
        folder = keep / f"seed-{seed}" if keep else stack.enter_context(tempfile.TemporaryDirectory())
        result = train(str(path), **budget, seed=seed, out=f"{folder}/run", **overrides)
        # Those in force: a budget in minutes chooses sizes.
        used, _ = resolve(Settings, {"config": f"{folder}/run/config.yaml"})
        assert result.model_folder is not None
        assert result.best is not None
        rows = evaluate(result.model_folder, str(path), segments=1)
    exact = rows["model"]["nats_per_char"]
    if abs(exact - result.best) > AGREEMENT:
        raise SystemExit(f"training reported {result.best:.5f}, the saved folder scores {exact:.5f}")
    return {
        "rows": rows,
        "steps": result.steps,
        "seconds": round(result.seconds, 1),
        "parameters": result.num_parameters,
        "settings": used,
    }


def main() -> None:
    """Measure, and write results/text_shakespeare_MINUTES_minutes.json, or _STEPS_steps.json."""
    parser = argparse.ArgumentParser()
    budget = parser.add_mutually_exclusive_group()
    budget.add_argument("--minutes", type=float, default=10.0)
    budget.add_argument("--steps", type=int)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--keep", type=Path, help="folder for the trained models; default: none stays")
    parser.add_argument("settings", nargs="*", help="SETTING=VALUE, for other than default settings")
    arguments = parser.parse_args()
    overrides = dict(setting.split("=", 1) for setting in arguments.settings)
    path = Path(os.environ.get("CONGRU_DATA", "."), "text", "tinyshakespeare", "input.txt")
    if not path.is_file():
        raise SystemExit(f"{path} is missing: set CONGRU_DATA to the folder that holds text/tinyshakespeare")
    unit = "minutes" if arguments.steps is None else "steps"
    length = getattr(arguments, unit)
    runs = [measure(path, {unit: length}, seed, overrides, arguments.keep) for seed in arguments.seeds]
    settings = runs[0]["settings"]
    scores = [run["rows"]["model"]["nats_per_char"] for run in runs]
    rows = runs[0]["rows"]
    tokens = [run["steps"] * run["settings"].batch_size * run["settings"].chunk for run in runs]
    words = ["python -m bench.text_shakespeare", *arguments.settings, f"--{unit} {length:g}"]
    words += [f"--seeds {' '.join(map(str, arguments.seeds))}"]
    figures = {
        "nats_per_char": spread(scores)["median"],
        "bits_per_char": spread([run["rows"]["model"]["bits_per_char"] for run in runs])["median"],
        "minutes": round(sum(run["seconds"] for run in runs) / len(runs) / 60, 1),
        "threads": torch.get_num_threads(),
        "parameters": runs[0]["parameters"],
        "steps": [run["steps"] for run in runs],
        "seconds": [run["seconds"] for run in runs],
        "characters_read": tokens,
        "settings": settings.model_dump(
            mode="json", exclude={"out", "config", "quiet", "json_lines", "resume"}
        ),
    }
    target = write_result(
        f"text_shakespeare_{length:g}_{unit}",
        " ".join(words),
        figures,
        repetitions=len(runs),
        spreads={"nats_per_char": spread(scores)},
        baselines={
            **{name: row["nats_per_char"] for name, row in rows.items() if name != "model"},
            **PUBLISHED,
        },
        packages=("lightning-fabric",),
    )
    print(f"{target.relative_to(ROOT)}: {figures['nats_per_char']:.4f} nats per character")


if __name__ == "__main__":
    main()
