"""`python -m bench [NAME ...]`: run the named measurements, or all, one after the other; those that fail are named last."""

from __future__ import annotations

import importlib
import pkgutil
import subprocess
import sys
from pathlib import Path

NOT_A_QUESTION = {"__main__", "record", "runs", "tables", "documents", "timing", "jax_peer", "data"}
# A card, or a trained model: run where they are named.
NEEDS_MORE = {"gpu", "chess_masters", "chess_model", "chess_stockfish", "text_line"}
# A run for each of SETTINGS.
OF_SEVERAL_SETS = {"assistant", "chess_study", "music", "sentiment", "speech", "translate", "video"}
FURTHER = {"speech": ["stream"]}
OPTIONS = {"translate": ["--runs", "runs/bench-translate"]}


def command_lines(name: str) -> list[list[str]]:
    """What follows `python -m` for a measurement, once for each data set."""
    if name not in OF_SEVERAL_SETS:
        return [[f"bench.{name}"]]
    sets = [*importlib.import_module(f"bench.{name}").SETTINGS, *FURTHER.get(name, ())]
    return [[f"bench.{name}", one, *OPTIONS.get(name, ())] for one in sets]


def main() -> int:
    folder = Path(__file__).parent
    names = {module.name for module in pkgutil.iter_modules([str(folder)])}
    known = sorted(name for name in names - NOT_A_QUESTION if not name.endswith("_tables"))
    wanted = sys.argv[1:] or [name for name in known if name not in NEEDS_MORE]
    for name in wanted:
        if name not in known:
            print(f"benchmark {name!r} is unknown, expected one of {', '.join(known)}", file=sys.stderr)
            return 2
    failed = []
    for words in (words for name in wanted for words in command_lines(name)):
        print(f"== {' '.join(words)}", flush=True)
        if subprocess.run([sys.executable, "-m", *words], cwd=folder.parent).returncode:
            failed.append(" ".join(words))
    if failed:
        print(f"failed: {', '.join(failed)}", file=sys.stderr)
    return bool(failed)


if __name__ == "__main__":
    sys.exit(main())
