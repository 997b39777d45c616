"""What files, runs and the core survive: every harness of tests/faults in its long form.

Each prints "tried N, failed 0" and stands in results/reliability.json. A harness that fails prints its first failures, and
nothing is written. Small disks are mounted, which takes the rights of root. ``python -m bench.reliability 0.1`` tries a tenth.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "tests" / "train")]  # harnesses and the toy that they train

from bench.record import write_result  # noqa: E402
from faults import differential, hostile, interrupts, model_folders, saved_states, trainings  # noqa: E402
from faults.crashes import ERRORS  # noqa: E402
from faults.mutation import fuzz  # noqa: E402
from faults.tally import Tally  # noqa: E402
from faults.targets import TARGETS  # noqa: E402

INPUTS, FLIPS, CALLS = 5_000, 3_000, 10_000  # of each fuzzed reader; of each kind of file; of the core

Harness = Callable[[Path], Tally]


def harnesses(share: float = 1.0) -> dict[str, Harness]:
    """Every harness by its name in the results; `share` of what the whole takes."""

    def of(times: int) -> int:
        return max(1, round(share * times))

    every = max(1, round(1 / share))
    named: dict[str, Harness] = {
        "model folder, killed at every operation": lambda at: model_folders.killed_at_every_operation(
            at / "model"
        ),
        "model folder, read during saves": lambda at: model_folders.reads_during_saves(
            at / "model", 10.0 * share
        ),
        "model folder, bits flipped or cut off": lambda at: model_folders.damaged(at / "model", of(FLIPS)),
        "session, killed at every operation": saved_states.sessions_killed_at_every_operation,
        "session, bits flipped or cut off": lambda at: saved_states.damaged_sessions(at, of(FLIPS)),
        "checkpoint, bits flipped or cut off": lambda at: saved_states.damaged_checkpoints(at, of(FLIPS)),
        "training, killed at an operation": lambda at: trainings.killed_at_every_operation(at, every),
        "training, killed at random": lambda at: trainings.killed_at_random(at, of(90)),
        "training, disk full": lambda at: trainings.on_a_full_disk(at / "disk", range(8, 300, 8 * every)),
        "hostile files": hostile.refuse_all,
        "core, Ctrl-C during a call": lambda at: interrupts.all_calls(of(10)),
        "core against float64, forward and gradients": lambda at: differential.compare_all(
            of(CALLS), longest=9
        ),
    }
    for kind, error in ERRORS.items():
        named[f"model folder, {kind} at every operation"] = _with_error(error)
        named[f"training, {kind} at an operation"] = _training_with_error(error, 3 * every)
    for name in TARGETS:
        named[f"fuzzed: {name}"] = _fuzzed(name, of(INPUTS))
    return named


def _with_error(error: BaseException) -> Harness:
    return lambda at: model_folders.error_at_every_operation(at / "model", error)


def _training_with_error(error: BaseException, every: int) -> Harness:
    return lambda at: trainings.error_at_every_operation(at, error, every)


def _fuzzed(name: str, times: int) -> Harness:
    def run(at: Path) -> Tally:
        target = TARGETS[name]()
        return fuzz(name, target.run, target.seeds, times)

    return run


def main() -> int:
    """Run them all; the exit status is 1 where one fails."""
    share = float(sys.argv[1]) if len(sys.argv) > 1 else 1.0
    figures: dict[str, dict[str, int]] = {}
    for name, harness in harnesses(share).items():
        with tempfile.TemporaryDirectory() as folder:
            tally = harness(Path(folder))
        figures[name] = {"tried": tally.tried, "failed": len(tally.failures)}
        print(f"{name}: tried {tally.tried}, failed {len(tally.failures)}", flush=True)
        for failure in tally.failures[:5]:
            print(f"    {failure}", flush=True)
    if any(figure["failed"] for figure in figures.values()):
        return 1
    write_result(
        "reliability",
        " ".join(["python -m bench.reliability", *sys.argv[1:]]),
        figures,
        packages=("safetensors", "onnxruntime"),
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
