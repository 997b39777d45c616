"""`congru run MODEL --data IN --out OUT`: a model over the rows of tables, whatever its task."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from congru.errors import SettingsError

PER_WORKER = 4  # shards for each worker, so that little is done again after a stop


def run_batch(
    model: Path,
    /,
    *,
    data: Annotated[tuple[Path, ...], Parameter(consume_multiple=True, negative=())],
    out: Path,
    shard: str | None = None,
    shards: int | None = None,
    workers: int = 1,
    form: Annotated[Literal["parquet", "csv", "jsonl"] | None, Parameter(name="--format")] = None,
) -> int:
    """Answer every row of tables, at constant memory, in shards; start again to go on.

    Parameters
    ----------
    model:
        A model folder, or the run folder that holds one.
    data:
        Files or folders: Parquet, CSV, JSON lines, texts with a text a line, PGN. A column text, pgn, or the columns of the
        training table are read; rows of a series stand together.
    out:
        Folder for the answers, a file for each shard.
    shard:
        Do one shard only, I/N with I from 0 to N - 1: for schedulers.
    shards:
        Cut the rows into so many; default: 1, or 4 for each worker.
    workers:
        Processes, with one thread each.
    form:
        Of the answers; default: as the data.
    """
    from congru.batch.shards import Shard
    from congru.batch.work import open_batch, run_shards
    from congru.runtime.folder import find_model_folder
    from congru.tasks.loading import load
    from congru.tasks.registry import find_task

    if shard is not None and shards is not None:
        raise SettingsError(f"shard is {shard!r} and shards is {shards}, expected one of them: leave one out")
    for name, value in (("workers", workers), ("shards", 1 if shards is None else shards)):
        if value < 1:
            raise SettingsError(f"{name} is {value}, expected at least 1: change --{name}")
    count = shards or (1 if workers == 1 else PER_WORKER * workers)
    wanted = [Shard.parse(shard)] if shard else [Shard(index, count) for index in range(count)]
    folder = find_model_folder(model)
    batch = open_batch(find_task(load(folder).task), folder, data, out, wanted[0].count, form)
    done = run_shards(batch, wanted, workers, lambda line: print(line, flush=True))
    print(f"{sum(one.rows_in for one in done):,} rows in, {sum(one.rows_out for one in done):,} out: {out}")
    return 0
