"""`congru bench`: measurements that anybody can repeat on generated data, beside trivial baselines."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter

from congru.contest.settings import MemorySettings
from congru.errors import SettingsError

app = App(
    name="bench",
    help="Measure how far back each cell learns: equal parameters, equal budget.",
    default_parameter=Parameter(consume_multiple=True, negative=()),
)


@app.command
def memory(
    *,
    settings: Annotated[MemorySettings | None, Parameter(name="*")] = None,
    out: Annotated[Path | None, Parameter(help="JSON file for every figure.")] = None,
    json_output: Annotated[bool, Parameter(name="--json", help="Print that JSON.")] = False,
) -> int:
    """Adding problem and copy task: the loss of every cell at every lag, beside that of remembering nothing."""
    if out is not None and not out.parent.is_dir():
        raise SettingsError(
            f"out is '{out}', expected a file in a folder that exists: make {out.parent} first"
        )
    from congru.contest.contest import measure

    contest = measure(settings or MemorySettings(), say=lambda line: print(line, file=sys.stderr, flush=True))
    record = json.dumps(contest.record(), indent=1) + "\n"
    if out is not None:
        out.write_text(record, encoding="utf-8")
    print(record if json_output else contest.table(), end="" if json_output else "\n")
    return 0
