"""The function of a batch on a data frame of pandas, Dask, Ray or Spark, through fugue: partitions in, answers out.

answers = congru.batch.frames.transform(frame, "model")                    # pandas
answers = congru.batch.frames.transform(frame, "model", engine=client)     # a Dask client, "ray", a SparkSession
"""

from __future__ import annotations

import functools
import os
from pathlib import Path
from typing import Any

import pandas as pd

from congru.batch.files import pa
from congru.batch.shards import hash_of
from congru.errors import DataError, require
from congru.runtime.folder import find_model_folder
from congru.tasks.loading import load
from congru.tasks.registry import Answers, find_task

BUCKET = "congru_bucket"


@functools.cache
def answers_of(model: str) -> Answers:
    """The function from rows to answers of a model folder, once per process."""
    folder = find_model_folder(Path(model))
    return find_task(load(folder).task).answers(folder)


def transform(
    frame: Any, model: str | os.PathLike[str], *, engine: Any = None, partitions: int = 16, **options: Any
) -> Any:
    """The answers to the rows of a data frame, made where its partitions are.

    Args:
        frame: anything that fugue takes: pandas, Dask, Ray, Spark, or a path of Parquet files.
        model: a model folder that all workers see.
        engine: fugue's engine, for example ``"dask"``, ``"ray"`` or a SparkSession; default: pandas here.
        partitions: of whole series, by the hash that shards use; rows without a key stay in the partitions they have.
        options: go to ``fugue.transform``.

    Returns:
        A data frame of the engine's kind.

    Raises:
        DataError: the frame lacks the column that names the series.
        MissingPackageError: fugue is not installed.
    """
    fugue = require("fugue", "fugue")
    name = os.fspath(model)
    answers = answers_of(name)
    schema = fugue.api.get_schema(frame).pa_schema
    answered = str(fugue.Schema(answers.schema(schema)))

    def answer(rows: pd.DataFrame) -> pd.DataFrame:
        table = pa.Table.from_pandas(rows.drop(columns=BUCKET, errors="ignore"), preserve_index=False)
        return answers_of(name)(table).to_pandas()

    if answers.key is None:
        return fugue.transform(frame, answer, schema=answered, engine=engine, **options)
    if answers.key not in schema.names:
        raise DataError(
            f"the frame has columns {', '.join(schema.names)}, expected {answers.key!r} among them: rename one"
        )
    key = answers.key

    def bucketed(rows: pd.DataFrame) -> pd.DataFrame:
        numbers = {series: hash_of(series) % partitions for series in rows[key].unique()}
        return rows.assign(**{BUCKET: rows[key].map(numbers).astype("int64")})

    with_bucket = fugue.transform(frame, bucketed, schema=f"*,{BUCKET}:long", engine=engine)
    return fugue.transform(
        with_bucket,
        answer,
        schema=answered,
        partition={"by": BUCKET, "num": partitions, "presort": ""},
        engine=engine,
        **options,
    )
