"""Batches: the answers of a model to tables, the same however they are cut, at constant memory, going on where they ended."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from chess_cases import write_games
from congru.batch import work
from congru.batch.files import Output, blocks, files_of
from congru.batch.shards import Shard, hash_of, tables_of
from congru.batch.work import open_batch, run_shard, run_shards
from congru.cli.main import main
from congru.errors import CongruError, DataError, SettingsError
from congru.tasks.registry import TASKS

pa = pytest.importorskip("pyarrow", reason="pyarrow is not installed")
pq = pytest.importorskip("pyarrow.parquet")
SMALL = {"steps": 2, "evaluations": 1, "hidden_size": 8, "quiet": True, "threads": 1}


def trained(task: str, data: Path, out: Path, **settings: Any) -> Path:
    result = TASKS[task].train(str(data), settings={**SMALL, "out": out, **settings})
    assert result.model_folder is not None
    return result.model_folder


def rows_of(folder: Path) -> list[dict[str, Any]]:
    return [row for part in sorted(folder.glob("part-*.parquet")) for row in pq.read_table(part).to_pylist()]


# Series


def write_series(path: Path, names: list[str], length: int = 40, group: int = 70) -> None:
    """Series one after the other, in row groups that cut through them."""
    days = np.datetime64("2024-01-01") + np.arange(length)
    values = [np.sin(np.arange(length) / 7 * 2 * np.pi + hash_of(name) % 7) + 5 for name in names]
    table = pa.table(
        {"unique_id": np.repeat(names, length), "ds": np.tile(days, len(names)), "y": np.concatenate(values)}
    )
    pq.write_table(table, path, row_group_size=group)


@pytest.fixture(scope="module")
def forecaster(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("forecast")
    write_series(folder / "train.parquet", ["a", "b"])
    return trained(
        "forecast", folder / "train.parquet", folder / "run", horizon=3, levels=[80], input_size=10, segment=1
    )


@pytest.fixture(scope="module")
def series(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("many") / "series.parquet"
    write_series(path, [f"s{number:02d}" for number in range(12)])
    return path


def test_whole_series_of_any_shard_get_the_forecasts_of_the_forecaster(
    forecaster: Path, series: Path, tmp_path: Path
) -> None:
    from congru.tasks.forecast import Forecaster

    expected = Forecaster.load(forecaster).predict(data=pq.read_table(series))
    for count in (1, 3):
        batch = open_batch(TASKS["forecast"], forecaster, [series], tmp_path / str(count), count, None)
        done = run_shards(batch, [Shard(k, count) for k in range(count)], 1, print)
        assert sum(one.rows_in for one in done) == 12 * 40
        forecasts = {(row["unique_id"], row["ds"]): row["GRU"] for row in rows_of(tmp_path / str(count))}
        assert len(forecasts) == len(expected) == 12 * 3
        for row in expected.itertuples():
            assert forecasts[row.unique_id, row.ds] == pytest.approx(row.GRU, abs=1e-6)


def test_a_series_that_comes_back_is_refused(forecaster: Path, tmp_path: Path) -> None:
    write_series(tmp_path / "x.parquet", ["a", "b", "a"])
    batch = open_batch(TASKS["forecast"], forecaster, [tmp_path / "x.parquet"], tmp_path / "out", 1, None)
    with pytest.raises(DataError, match=r"series 'a' comes back after others.*sort the file by unique_id"):
        run_shard(batch, Shard(0, 1))
    assert not list((tmp_path / "out").glob("*part*"))
    write_series(tmp_path / "x.parquet", ["a", "b"])
    (tmp_path / "out" / work.BATCH).unlink()
    batch = open_batch(TASKS["forecast"], forecaster, [tmp_path / "x.parquet"], tmp_path / "out", 1, None)
    assert run_shard(batch, Shard(0, 1)).rows_out == 6


def test_shards_part_the_series_the_same_way_everywhere(series: Path) -> None:
    assert [hash_of(f"s{number:02d}") % 4 for number in range(6)] == [3, 2, 2, 3, 0, 2]
    parts = [
        {
            name
            for table in tables_of([series], Shard(k, 4), "unique_id")
            for name in table["unique_id"].to_pylist()
        }
        for k in range(4)
    ]
    assert sum(map(len, parts)) == len(set().union(*parts)) == 12


def test_names_in_csv_files_stay_text(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text("unique_id,ds,y\n007,2024-01-01,1\n008,2024-01-01,2\n")
    (table,) = tables_of([tmp_path / "x.csv"], Shard(0, 1), "unique_id")
    assert table["unique_id"].to_pylist() == ["007", "008"]


# Rows that stand alone


@pytest.fixture(scope="module")
def classifier(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sentiment")
    lines = [
        f"{word} film {k}\t{label}" for k in range(20) for word, label in (("warm", "pos"), ("dull", "neg"))
    ]
    (folder / "reviews.tsv").write_text("\n".join(["text\tlabel", *lines]) + "\n")
    return trained("sentiment", folder / "reviews.tsv", folder / "run", embedding_size=8)


def test_the_command_goes_on_where_it_ended(
    classifier: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    texts = [{"id": number, "text": f"a warm film {number}"} for number in range(50)]
    texts[7]["text"] = " "
    pq.write_table(pa.Table.from_pylist(texts), tmp_path / "in.parquet", row_group_size=8)
    line = ["run", str(classifier), "--data", str(tmp_path / "in.parquet"), "--out", str(tmp_path / "out")]

    def call(*words: str) -> str:
        with pytest.raises(SystemExit) as ended:
            main([*line, *words])
        assert ended.value.code == 0
        return capsys.readouterr().out

    assert "shard 1/3" in call("--shard", "1/3")
    printed = call("--shards", "3")
    assert "shard 1/3: 16 rows in, 16 out, finished before" in printed
    assert "50 rows in, 50 out" in printed
    rows = {row["id"]: row for row in rows_of(tmp_path / "out")}
    assert sorted(rows) == list(range(50))
    assert rows[7]["class"] is None
    assert all(row["class"] in ("pos", "neg") for number, row in rows.items() if number != 7)
    assert "finished before" in call("--shards", "3")


def test_two_processes_give_what_one_gives(classifier: Path, tmp_path: Path) -> None:
    (tmp_path / "in.txt").write_text("".join(f"a dull film {number}\n" for number in range(2100)))
    contents = []
    for workers in (1, 2):
        out = tmp_path / f"out-{workers}"
        batch = open_batch(TASKS["sentiment"], classifier, [tmp_path / "in.txt"], out, 2, None)
        run_shards(batch, [Shard(0, 2), Shard(1, 2)], workers, print)
        contents.append([part.read_bytes() for part in sorted(out.glob("part-*.jsonl"))])
    assert contents[0] == contents[1]
    assert sum(part.count(b"\n") for part in contents[0]) == 2100


def test_games_are_scored_from_their_pgn(tmp_path: Path) -> None:
    write_games(tmp_path / "games.pgn", 60)
    model = trained("chess", tmp_path / "games.pgn", tmp_path / "run", move_size=8, player_size=4, chunk=4)
    (tmp_path / "few.pgn").write_text(
        "\n\n".join((tmp_path / "games.pgn").read_text().strip().split("\n\n")[:6])
        + '\n\n[White "x"]\n\n1. Ke5 *\n'
    )
    batch = open_batch(TASKS["chess"], model, [tmp_path / "few.pgn"], tmp_path / "out", 1, "jsonl")
    run_shard(batch, Shard(0, 1))
    (part,) = (tmp_path / "out").glob("part-*.jsonl")
    rows = [json.loads(line) for line in part.read_text().splitlines()]
    assert all(row["plies"] > 0 and 0 <= row["hits"] <= row["plies"] for row in rows[:-1])
    assert rows[-1]["plies"] is None
    assert "Ke5" in rows[-1]["left_out"]


# Files, and what is refused


def test_every_kind_of_file_is_read_by_blocks_and_written_whole(tmp_path: Path) -> None:
    table = pa.table({"text": [f"t{n}" for n in range(2500)], "n": range(2500)})
    for form in ("parquet", "csv", "jsonl"):
        with Output(tmp_path / f"x.{form}", form) as output:  # type: ignore[arg-type]
            output.write(table.slice(0, 2000))
            assert not (tmp_path / f"x.{form}").exists()
            output.write(table.slice(2000))
        read = [part() for _, part in blocks([tmp_path / f"x.{form}"])]
        assert len(read) > 1 or form == "csv"
        assert pa.concat_tables(read).cast(table.schema) == table
    with pytest.raises(AttributeError), Output(tmp_path / "y.csv", "csv") as output:
        output.write([output.write(table)])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["x.csv", "x.jsonl", "x.parquet"]


@pytest.mark.parametrize(
    ("name", "content", "complaint"),
    [
        ("x.jsonl", '{"text": "a"}\n{"text"\n', r"x.jsonl row 2: not JSON .*correct the row"),
        ("x.jsonl", "[1]\n", "x.jsonl row 1: a list, expected one object a line"),
        ("x.parquet", "PAR", "cannot be read .* expected a Parquet file"),
        ("x.doc", "x", "expected one of .parquet, .csv"),
        ("x.csv", "words\nx\n", "the data has columns words, expected 'text' among them"),
        ("x.csv", "text,class\nx,1\n", "the data has a column 'class' already"),
    ],
)
def test_what_cannot_be_read_is_one_line(
    classifier: Path, tmp_path: Path, name: str, content: str, complaint: str
) -> None:
    (tmp_path / name).write_text(content)
    with pytest.raises(CongruError, match=complaint) as caught:
        run_shard(
            open_batch(TASKS["sentiment"], classifier, [tmp_path / name], tmp_path / "out", 1, None),
            Shard(0, 1),
        )
    assert "\n" not in str(caught.value)


def test_wrong_shards_and_other_batches_are_refused(classifier: Path, tmp_path: Path) -> None:
    for text in ("3", "3/3", "-1/2", "a/b"):
        with pytest.raises(SettingsError, match="expected I/N with I from 0 to N - 1"):
            Shard.parse(text)
    (tmp_path / "x.txt").write_text("a\n")
    open_batch(TASKS["sentiment"], classifier, [tmp_path / "x.txt"], tmp_path / "out", 2, None)
    with pytest.raises(DataError, match=r"holds answers with another shards \(2\), expected the same batch"):
        open_batch(TASKS["sentiment"], classifier, [tmp_path / "x.txt"], tmp_path / "out", 3, None)
    with pytest.raises(DataError, match="expected a file or a folder with some"):
        files_of([tmp_path / "none.csv"])
    with pytest.raises(SettingsError, match=r"expected one of assistant, chess, .* with --data"):
        TASKS["music"].answers(tmp_path)


# Data frames, through fugue


def engine_of(name: str) -> Any:
    """A local cluster of two workers, or a skip where the engine is not installed."""
    pytest.importorskip("fugue", reason="fugue is not installed: pip install 'congru[fugue]'")
    if name == "pandas":
        return None, lambda: None
    pytest.importorskip(
        "pyspark" if name == "spark" else name, reason=f"{name} is not installed: pip install 'fugue[{name}]'"
    )
    if name == "spark":
        from pyspark.sql import SparkSession

        if shutil.which("java") is None:
            pytest.skip("Spark needs Java, which is not here: install a Java 17 runtime")
        session = SparkSession.builder.master("local[2]").config("spark.ui.enabled", "false").getOrCreate()
        return session, session.stop
    if name == "dask":
        from distributed import Client

        client = Client(n_workers=2, threads_per_worker=1, dashboard_address=None)
        return client, client.close
    import ray

    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False)
    return "ray", ray.shutdown


@pytest.mark.filterwarnings("default")  # of the engines
@pytest.mark.parametrize("name", ["pandas", "dask", "ray", "spark"])
def test_a_data_frame_gets_the_same_answers(name: str, forecaster: Path, series: Path) -> None:
    engine, close = engine_of(name)
    from fugue.api import as_pandas

    from congru.batch.frames import transform

    frame = pq.read_table(series).to_pandas()
    answers = TASKS["forecast"].answers(forecaster)(pq.read_table(series)).to_pandas()
    try:
        actual = as_pandas(transform(frame, str(forecaster), engine=engine, partitions=3))
    finally:
        close()
    actual = actual.sort_values(["unique_id", "ds"])
    assert list(actual.columns) == list(answers.columns)
    assert actual["unique_id"].tolist() == answers["unique_id"].tolist()
    assert np.abs(actual["GRU"].to_numpy() - answers["GRU"].to_numpy()).max() < 1e-6


@pytest.mark.filterwarnings("default")
def test_rows_of_a_data_frame_keep_their_columns(classifier: Path) -> None:
    engine_of("pandas")
    from congru.batch.frames import transform

    frame = pa.table({"text": ["a warm film", "a dull film"], "id": [1, 2]}).to_pandas()
    answers = transform(frame, str(classifier))
    assert list(answers.columns) == ["text", "id", "class", "probability"]
    forecaster_key = pytest.raises(DataError, match="expected 'text' among them")
    with forecaster_key:
        transform(frame.rename(columns={"text": "words"}), str(classifier))
