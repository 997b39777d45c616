"""What does int8 cost on the task's own score? Trained models in float32 and as `congru export --to int8`, on the same data.

    python -m bench.int8_scores MODEL=DATA [MODEL=DATA ...]

MODEL is a model or run folder, DATA what `congru eval` takes; nothing is chosen by these scores. Inputs are calibrated as the
command does. The first score is the task's own; its change is in percent of the float32 value.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import Any

from bench.record import ROOT, write_result
from congru.cli.export import _at_hand
from congru.cli.run import task_of
from congru.export.exporter import export_model
from congru.runtime.folder import find_model_folder, load


def scores(folder: Path, data: str, out: Path) -> dict[str, Any]:
    """Every score of the model before and after, and what its files take."""
    export = export_model(folder, "int8", out / "int8", samples=_at_hand(folder))
    evaluate = task_of(folder).use("evaluate")
    before, after = (
        next(iter(evaluate(model, data, quiet=True).values())) for model in (folder, out / "int8")
    )
    return {
        "float32": before,
        "int8": after,
        "change, %": {
            name: round(100 * (after[name] - before[name]) / abs(before[name]), 4)
            for name in before
            if before[name]
        },
        "bytes": {
            "float32": sum(
                int(entry.facts["float32, kB"].replace(",", "").split(".")[0]) for entry in export.written
            )
            * 1000,
            "int8": sum(entry.bytes for entry in export.written),
        },
    }


def main() -> int:
    """Measure, print and write results/int8_scores.json."""
    figures: dict[str, Any] = {}
    for pair in sys.argv[1:]:
        model, _, data = pair.partition("=")
        folder = find_model_folder(model)
        with tempfile.TemporaryDirectory() as out:
            row = scores(folder, data, Path(out))
        loaded = load(folder)
        row |= {
            "model": loaded.fingerprint[:12],
            "parameters": loaded.num_parameters,
            "data": Path(data).name,
        }
        figures.setdefault(loaded.task, {})[row["model"]] = row
        print(loaded.task, row, flush=True)
    path = write_result("int8_scores", "python -m bench.int8_scores MODEL=DATA ...", figures)
    print(path.relative_to(ROOT))
    return 0


if __name__ == "__main__":
    sys.exit(main())
