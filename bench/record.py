"""Writes a measurement to results/NAME.json with all that is needed to repeat or distrust it.

The file holds what was run (command, commit, date), on what (processor, cores, memory, versions), at what cost
(processor seconds), how often (repetitions, spread), and the figures with their baselines. Every number in the
documents comes from such a file.
"""

from __future__ import annotations

import datetime
import importlib
import importlib.metadata
import json
import os
import platform
import resource
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("congru", "numpy", "torch")
_kept_seconds: list[float] = []  # processor seconds of runs that an earlier call has kept


def commit(root: Path = ROOT) -> str:
    """The commit the code is at, with ``-dirty`` if a tracked file differs from it, results and their pictures aside."""

    def git(*arguments: str) -> str:
        done = subprocess.run(["git", *arguments], cwd=root, capture_output=True, text=True, check=True)
        return done.stdout.strip()

    written = (":!results", ":!docs/*.svg", ":!docs/*.png")  # by measurements themselves
    changed = git("status", "--porcelain", "--untracked-files=no", "--", ".", *written)
    return git("rev-parse", "HEAD") + ("-dirty" if changed else "")


def cpu_model(cpuinfo: Path = Path("/proc/cpuinfo")) -> str:
    """The processor's own name, or what the platform calls it where /proc/cpuinfo is absent."""
    if cpuinfo.exists():
        for line in cpuinfo.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def machine() -> dict[str, Any]:
    """Processor, the instructions that the C core takes of it, those it has for products in bfloat16 ("auto" precision takes
    them), cores usable by this process, memory in GiB, system.
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    memory_bytes = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return {
        "cpu": cpu_model(),
        "instructions": instructions(),
        "bfloat16": bfloat16_instructions(),
        "cores": cores,
        "memory_gib": round(memory_bytes / 2**30, 1),
        "system": f"{platform.system()} {platform.machine()}",
    }


def instructions() -> str:
    """The instruction set that the C core works with; "none" where it is not installed."""
    try:
        core = importlib.import_module("congru.kernels._core")
    except ImportError:
        return "none"
    return str(core.isa())


def bfloat16_instructions() -> str:
    """Those that the processor has, or "none"."""
    cpuinfo = Path("/proc/cpuinfo")
    flags = cpuinfo.read_text().split() if cpuinfo.exists() else []
    return ", ".join(name for name in ("amx_bf16", "avx512_bf16") if name in flags) or "none"


def versions(packages: Sequence[str] = PACKAGES) -> dict[str, str]:
    """Python's version and that of each installed package in ``packages``."""
    installed = {"python": platform.python_version()}
    for package in packages:
        try:
            installed[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return installed


def cpu_seconds() -> float:
    """Processor seconds of this process and of the processes it has waited for, all cores together."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(part.ru_utime + part.ru_stime for part in used)


def count_kept(run: Mapping[str, Any]) -> None:
    """Add what a run of an earlier call has cost, where that is known, to the results that this process writes."""
    _kept_seconds.append(float(run.get("cpu_seconds", 0.0)))


def spread(values: Sequence[float]) -> dict[str, float]:
    """Smallest, median and largest of repeated measurements.

    >>> spread([3.0, 1.0, 2.0])
    {'min': 1.0, 'median': 2.0, 'max': 3.0}
    """
    ordered = sorted(values)
    middle = len(ordered) // 2
    median = ordered[middle] if len(ordered) % 2 else (ordered[middle - 1] + ordered[middle]) / 2
    return {"min": ordered[0], "median": median, "max": ordered[-1]}


def write_result(
    name: str,
    command: str,
    figures: Mapping[str, Any],
    *,
    repetitions: int = 1,
    spreads: Mapping[str, Any] | None = None,
    baselines: Mapping[str, Any] | None = None,
    packages: Sequence[str] = (),
    folder: Path = ROOT / "results",
) -> Path:
    """Write ``folder/name.json`` and return its path.

    ``command`` is what a reader types to repeat the measurement, from the repository's root; ``figures``
    the numbers claimed; ``spreads`` how far repetitions differ, by the names of ``figures`` (see
    :func:`spread`); ``baselines`` what the figures stand beside; ``packages`` further distributions whose
    version matters (a peer, for example).
    """
    record = {
        "name": name,
        "command": command,
        "commit": commit(),
        "date": datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%d"),
        "machine": machine(),
        "versions": versions([*PACKAGES, *packages]),
        "cpu_seconds": round(cpu_seconds() + sum(_kept_seconds), 1),
        "repetitions": repetitions,
        "spread": dict(spreads or {}),
        "baselines": dict(baselines or {}),
        "figures": dict(figures),
    }
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.json"
    path.write_text(json.dumps(record, indent=1, sort_keys=False, allow_nan=False) + "\n")
    return path
