"""`python -m bench [NAME ...]`: run the named measurements, or all of them, one after the other."""

from __future__ import annotations

import pkgutil
import subprocess
import sys
from pathlib import Path

NOT_A_QUESTION = {"__main__", "record", "runs", "tables", "documents", "timing", "jax_peer"}
NOT_A_QUESTION |= {
    "assistant_tables",
    "export_tables",
    "gpu_tables",
    "reliability_tables",
    "runtime_tables",
    "serve_tables",
    "translate_tables",
}

NEEDS_A_CARD = {"gpu"}  # run where it is named


def main() -> int:
    folder = Path(__file__).parent
    known = sorted(m.name for m in pkgutil.iter_modules([str(folder)]) if m.name not in NOT_A_QUESTION)
    wanted = sys.argv[1:] or [name for name in known if name not in NEEDS_A_CARD]
    for name in wanted:
        if name not in known:
            print(f"benchmark {name!r} is unknown, expected one of {', '.join(known)}", file=sys.stderr)
            return 2
    for name in wanted:
        print(f"== {name}", flush=True)
        subprocess.run([sys.executable, "-m", f"bench.{name}"], check=True, cwd=folder.parent)
    return 0


if __name__ == "__main__":
    sys.exit(main())
