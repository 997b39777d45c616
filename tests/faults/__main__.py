"""Fuzz every reader for so many seconds each: ``PYTHONPATH=tests python -m faults [SECONDS]``, which ``make fuzz`` runs.

With atheris (libFuzzer's coverage of every branch) where it is installed, else with :mod:`faults.mutation`. Exit status 1 where
something other than the package's own errors came out.
"""

from __future__ import annotations

import importlib.util
import subprocess
import sys
import time

from faults.mutation import fuzz
from faults.targets import TARGETS


def main() -> int:
    """Run the targets one after the other."""
    seconds = int(sys.argv[1]) if len(sys.argv) > 1 else 60
    run = _with_atheris if importlib.util.find_spec("atheris") else _alone
    failed = [name for name in TARGETS if not run(name, seconds)]
    print(f"{len(TARGETS)} readers fuzzed, failed {len(failed)}: {', '.join(failed) or 'none'}")
    return 1 if failed else 0


def _with_atheris(name: str, seconds: int) -> bool:
    print(f"== {name}", flush=True)
    flags = [
        f"-max_total_time={seconds}",
        "-timeout=10",
        "-rss_limit_mb=4096",
        "-verbosity=0",
        "-print_final_stats=1",
    ]
    return subprocess.run([sys.executable, "-m", "faults.guided", name, *flags]).returncode == 0


def _alone(name: str, seconds: int) -> bool:
    target, until, seed, failures = TARGETS[name](), time.monotonic() + seconds, 0, 0
    while time.monotonic() < until:
        tally = fuzz(name, target.run, target.seeds, 500, seed)
        failures += len(tally.failures)
        seed += 500
        for failure in tally.failures:
            print(failure)
    print(f"fuzzed {name}: tried {seed}, failed {failures}", flush=True)
    return not failures


if __name__ == "__main__":
    sys.exit(main())
