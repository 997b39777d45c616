"""Is a trial of a sweep lost or counted twice when its workers are killed?

Two workers (`congru sweep worker`) train the trials of a small text model; again and again one of them, drawn at random,
gets SIGKILL at a random moment of a trial and is started anew. Afterwards every trial must stand in result.json once, with a
value, and every trial that Optuna holds as ended must belong to a place of its own.

    CONGRU_DATA=FOLDER python -m bench.sweep_kills [--kills 20]
"""

from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

from bench.record import write_result
from congru.data import registry
from congru.sweep.plan import read_plan
from congru.sweep.slots import SLOT, trials_of
from congru.sweep.storage import open_storage, optuna

FLAGS = (
    "--steps=200",
    "--evaluations=4",
    "--hidden-size=32",
    "--batch-size=8",
    "--chunk=32",
    "--refit-seeds=0",
)
CHARACTERS = 30_000
TRIALS = 30
WORKERS = 2
PAUSE = (0.0, 1.0)  # seconds from when a worker is seen at work to its end


def start(*words: str) -> subprocess.Popen[bytes]:
    """One `congru sweep ...` with a thread."""
    command = [sys.executable, "-m", "congru", "sweep", *words]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def is_busy(folder: Path, worker: subprocess.Popen[bytes]) -> bool:
    """Whether a worker trains a trial at this moment."""
    for path in folder.glob("trials/*/status.json"):
        status = json.loads(path.read_text())
        if status["state"] == "running" and status["process"]["pid"] == worker.pid:
            return True
    return False


def counts(folder: Path, trials: int) -> dict[str, Any]:
    """What stands in result.json, and what Optuna's journal holds."""
    result = json.loads((folder / "result.json").read_text())["trials"]
    plan = read_plan(folder)
    study = optuna.load_study(study_name=f"{plan.name}-trials", storage=open_storage(folder, plan.storage))
    finished = Counter(
        frozen.user_attrs[SLOT]
        for frozen in study.get_trials(deepcopy=False)
        if frozen.state.name in ("COMPLETE", "PRUNED")
    )
    return {
        "trials": trials,
        "lost": sorted({*range(trials)} - {one["place"] for one in result if one["value"] is not None}),
        "counted twice": sorted(place for place, count in finished.items() if count > 1),
        "begun again after a kill": len(study.get_trials(deepcopy=False)) - len(trials_of(study)),
        "states": dict(Counter(one["state"] for one in result)),
    }


def measure(folder: Path, kills: int, seed: int) -> dict[str, Any]:
    """Run the sweep to its end, killing on the way."""
    text, out, draw = folder / "text.txt", folder / "sweep", random.Random(seed)
    text.write_bytes(registry.read("tinyshakespeare", "input.txt")[:CHARACTERS])
    trials, killed, began = TRIALS, 0, time.monotonic()
    workers = [start("text", str(text), f"--trials={trials}", f"--out={out}", *FLAGS)]
    while not (out / "sweep.json").is_file():
        time.sleep(0.1)
    workers += [start("worker", str(out)) for _ in range(WORKERS - 1)]
    while killed < kills:
        number = draw.randrange(WORKERS)
        if workers[number].poll() is None:
            if is_busy(out, workers[number]):
                time.sleep(draw.uniform(*PAUSE))
                workers[number].kill()
                workers[number].wait()
                killed += 1
            else:
                time.sleep(0.02)
                continue
        elif (out / "result.json").is_file():  # all done too early: more of them
            trials += TRIALS
            workers[number] = start("text", str(text), f"--trials={trials}", f"--out={out}", *FLAGS)
            continue
        workers[number] = start("worker", str(out))
    codes = [worker.wait() for worker in workers]
    seconds = round(time.monotonic() - began, 1)
    return {"kills": killed, **counts(out, trials), "exit codes at the end": codes, "seconds": seconds}


def main() -> None:
    """Measure, print and write results/sweep_kills.json."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        figures = measure(Path(folder), asked.kills, asked.seed)
    print(json.dumps(figures, indent=1), flush=True)
    command = f"python -m bench.sweep_kills --kills {asked.kills} --seed {asked.seed}"
    print(write_result("sweep_kills", command, figures, packages=("optuna",)).name)


if __name__ == "__main__":
    main()
