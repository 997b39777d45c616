"""One shard of a batch, and all of them in several processes; a shard that is finished is not run again.

A finished shard has its file of answers and beside it ``_part-....json``, which says how many rows it has and how long it took.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import resource
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from congru.batch.files import Format, Output, files_of
from congru.batch.shards import Shard, tables_of
from congru.errors import CongruError, DataError
from congru.runtime.atomic import clear_leftovers, make_folders, write_whole
from congru.runtime.folder import CONFIG
from congru.tasks.registry import Answers, Task, find_task

BATCH = "_batch.json"
Say = Callable[[str], None]


@dataclass(frozen=True)
class Batch:
    """What is run on which files: plain values, so that other processes take it."""

    task: str
    model: str
    data: tuple[str, ...]
    out: str
    form: Format

    def answers(self) -> Answers:
        """The task's function from rows to answers, for this model."""
        return find_task(self.task).answers(Path(self.model))

    def marker(self, shard: Shard) -> Path:
        """The file that says that a shard is finished."""
        return Path(self.out) / f"_{shard.name}.json"


@dataclass(frozen=True)
class Done:
    """What a shard came to."""

    rows_in: int
    rows_out: int
    seconds: float
    peak_mb: float
    skipped: bool = False


def open_batch(
    task: Task, model: Path, data: Sequence[Path], out: Path, count: int, form: Format | None
) -> Batch:
    """Check what is asked and write ``_batch.json`` into ``out``, or find it there.

    Raises:
        DataError: files that cannot be read, or a folder of answers of another batch.
    """
    files = files_of(data)
    chosen: Format = form or {".parquet": "parquet", ".csv": "csv"}.get(files[0].suffix, "jsonl")  # type: ignore[assignment]
    batch = Batch(
        task.name, str(model.resolve()), tuple(str(file.resolve()) for file in files), str(out), chosen
    )
    record = {
        "model": json.loads((model / CONFIG).read_text(encoding="utf-8"))["sha256"],
        "data": [[file.name, file.stat().st_size] for file in files],
        "shards": count,
        "format": chosen,
    }
    path = out / BATCH
    if path.exists():
        before = json.loads(path.read_text(encoding="utf-8"))
        for name, value in record.items():
            if before.get(name) != value:
                shown = f"{before.get(name)!r}"[:80]
                raise DataError(
                    f"out is '{out}', which holds answers with another {name} ({shown}), expected the same batch: "
                    "choose another --out"
                )
        clear_leftovers(out)
    else:
        make_folders(out)
        write_whole(path, json.dumps(record, indent=1).encode())
    return batch


def run_shard(batch: Batch, shard: Shard, answers: Answers | None = None) -> Done:
    """Answer the rows of one shard and write them; a finished one is left as it is."""
    marker = batch.marker(shard)
    if marker.exists():
        return Done(**{**json.loads(marker.read_text(encoding="utf-8")), "skipped": True})
    began, rows_in = time.perf_counter(), 0
    answers = answers or batch.answers()
    files = [Path(path) for path in batch.data]
    with Output(Path(batch.out) / f"{shard.name}.{batch.form}", batch.form) as output:
        for table in tables_of(files, shard, answers.key):
            rows_in += table.num_rows
            output.write(answers(table))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    done = Done(rows_in, output.rows, round(time.perf_counter() - began, 3), round(peak, 1))
    write_whole(marker, json.dumps({k: v for k, v in asdict(done).items() if k != "skipped"}).encode())
    return done


_ANSWERS: dict[Batch, Answers] = {}


def _in_process(batch: Batch, shard: Shard) -> tuple[int, Done]:
    """A shard in a process of the pool, which keeps its model."""
    if batch not in _ANSWERS:
        _ANSWERS[batch] = batch.answers()
    return shard.index, run_shard(batch, shard, _ANSWERS[batch])


def run_shards(batch: Batch, shards: Sequence[Shard], workers: int, say: Say) -> list[Done]:
    """Run shards in so many processes, one thread each, and say a line for each.

    Raises:
        CongruError: what a shard met; the finished ones stay.
    """
    done: list[Done] = []
    if workers == 1:
        answers = batch.answers() if any(not batch.marker(shard).exists() for shard in shards) else None
        for shard in shards:
            done.append(run_shard(batch, shard, answers))
            say(_line(shard.index, shard.count, done[-1]))
        return done
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    context: Any = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(min(workers, len(shards)), mp_context=context) as pool:
        waiting = [pool.submit(_in_process, batch, shard) for shard in shards]
        try:
            for future in as_completed(waiting):
                index, one = future.result()
                done.append(one)
                say(_line(index, shards[0].count, one))
        except BrokenProcessPool:
            raise CongruError(
                f"a process of the batch was killed, perhaps for memory, expected {workers} to live: give fewer --workers, and "
                "start again to go on"
            ) from None
        finally:
            pool.shutdown(cancel_futures=True)
    return done


def _line(index: int, count: int, done: Done) -> str:
    where = f"shard {index}/{count}: {done.rows_in:,} rows in, {done.rows_out:,} out"
    return f"{where}, finished before" if done.skipped else f"{where}, {done.seconds:.1f} s"
