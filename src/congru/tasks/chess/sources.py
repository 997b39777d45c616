"""Files of games: PGN or the table of a data set, plain or compressed, one file or a folder, as :class:`Games`.

Games are played through in worker processes; what they came to is kept as arrays in the user's cache, under the sha256 of the
file, so that a file is parsed once.
"""

from __future__ import annotations

import bz2
import gzip
import hashlib
import itertools
import multiprocessing
import os
import shutil
import sys
import zlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO, Literal

from congru.errors import DataError, require
from congru.runtime.atomic import clear_leftovers, folder_beside, put_folder
from congru.tasks.chess.games import Game, Games, collect, concatenate
from congru.tasks.chess.pgn import Pgn, read_pgn
from congru.tasks.chess.replay import Skipped, replay
from congru.tasks.chess.table import is_table, read_rows, replay_row

READER = 1  # the version of what is kept in the cache
SUFFIXES = (".pgn", ".tsv")
COMPRESSED = (".gz", ".bz2", ".zst")
_CHUNK = 200  # games handed to a worker at a time
_FEW = 2000  # games of a file that are read without workers
_REPORTED_EVERY = 20_000  # games
_COUNTED_EVERY = 100
Bad = Literal["skip", "stop"]


@dataclass
class Report:
    """How many games were left out and why, with the first of each kind: reason -> where it stands."""

    counts: Counter[str] = field(default_factory=Counter)
    examples: dict[str, str] = field(default_factory=dict)

    def add(self, reason: str, where: str) -> None:
        """Count a game."""
        self.counts[reason] += 1
        self.examples.setdefault(reason, where)

    def lines(self) -> list[str]:
        """A line for each reason."""
        return [
            f"left out {n:,}: {reason} ({self.examples[reason]})" for reason, n in self.counts.most_common()
        ]


def tell(line: str) -> None:
    """Say how far the reading of a large file is: on standard error, where no table or JSON line goes."""
    print(line, file=sys.stderr, flush=True)


def read_games(
    source: str | os.PathLike[str],
    *,
    bad: Bad = "skip",
    workers: int | None = None,
    cache: bool = True,
    chess960: bool = False,
    say: Callable[[str], None] | None = None,
    count: Callable[[int], None] | None = None,
) -> tuple[Games, Report]:
    """The games of a file or folder, and what was left out.

    Args:
        source: a PGN, the TSV of a data set, either with .gz, .bz2 or .zst, or a folder of them.
        bad: "skip" counts a game that cannot be followed; "stop" raises at the first.
        workers: processes that play games through; None takes one for each processor.
        cache: keep what large files came to in the user's cache, and use it.
        chess960: read games of Chess960 too.
        say: gets a line about the progress now and then.
        count: gets how many games of a file were read, every hundred; what it raises ends the reading.

    Raises :class:`DataError` for a source that is missing, empty, damaged or holds no game that can be followed.
    """
    path = Path(source)
    parts, report = [], Report()
    for file in _files(path):
        games, of_file = _read_file(file, bad, workers, cache, chess960, say, count)
        parts.append(games)
        for reason, number in of_file.counts.items():
            report.counts[reason] += number
            report.examples.setdefault(reason, of_file.examples[reason])
    games = concatenate(parts)
    if not len(games):
        lines = "; ".join(report.lines()) or "the file is empty"
        raise DataError(f"{path} has no game that can be followed, expected at least one: {lines}")
    return games, report


def _files(path: Path) -> list[Path]:
    if path.is_dir():
        files = sorted(file for file in path.rglob("*") if file.is_file() and _kind(file))
        if not files:
            raise DataError(
                f"{path} has no games, expected files such as games.pgn, games.pgn.gz or games.tsv"
            )
        return files
    if not path.is_file():
        raise DataError(f"{path} does not exist, expected a PGN file or a folder of them: check the path")
    if path.suffix.lower() == ".bin":
        raise DataError(
            f"{path} looks like a polyglot opening book, which holds no games, expected a PGN or a table: pass the games"
            " that the book was made from"
        )
    return [path]


def _kind(path: Path) -> str:
    """ ".pgn", ".tsv", or "" for other files."""
    suffixes = [suffix.lower() for suffix in path.suffixes]
    if suffixes and suffixes[-1] in COMPRESSED:
        suffixes.pop()
    return suffixes[-1] if suffixes and suffixes[-1] in SUFFIXES else ""


def _read_file(
    path: Path,
    bad: Bad,
    workers: int | None,
    cache: bool,
    chess960: bool,
    say: Callable[[str], None] | None,
    count: Callable[[int], None] | None,
) -> tuple[Games, Report]:
    kept = _cache_folder(path, chess960) if cache and bad == "skip" else None
    if kept is not None and (kept / "words.json").exists():
        return Games.load(kept), _load_report(kept)
    games: list[Game] = []
    report = Report()
    for number, (where, outcome) in enumerate(_outcomes(path, workers, chess960), 1):
        if isinstance(outcome, Game):
            games.append(outcome)
        elif bad == "stop":
            raise DataError(f"{path} {where}: {outcome.detail}: mend the game or pass --bad skip")
        else:
            report.add(outcome.reason, f"{path.name} {where}: {outcome.detail}")
        if say is not None and number % _REPORTED_EVERY == 0:
            say(f"{path.name}: {number:,} games read")
        if count is not None and number % _COUNTED_EVERY == 0:
            count(number)
    arrays = collect(games)
    if kept is not None and len(games) > _FEW:
        _keep(arrays, report, kept)
    return arrays, report


def _outcomes(path: Path, workers: int | None, chess960: bool) -> Iterator[tuple[str, Game | Skipped]]:
    """Each game of a file with its location, played through by worker processes where there are many."""
    lines = _lines(path)
    first = next(lines, b"")
    lines = itertools.chain([first], lines) if first else lines
    table = is_table(first)
    items: Iterable[Any] = read_rows(lines, path.name) if table else read_pgn(lines)
    work: Callable[[Any], list[tuple[str, Game | Skipped]]] = (
        _play_rows if table else partial(_play, chess960=chess960)
    )
    chunks = _chunks(enumerate(items, 1))
    start = list(itertools.islice(chunks, _FEW // _CHUNK))
    for chunk in start:
        yield from work(chunk)
    if len(start) < _FEW // _CHUNK:
        return
    count = workers if workers is not None else os.cpu_count() or 1
    if count < 2:
        for chunk in chunks:
            yield from work(chunk)
        return
    context = multiprocessing.get_context("fork" if sys.platform == "linux" else "spawn")
    with context.Pool(count) as pool:
        for outcomes in pool.imap(work, chunks):
            yield from outcomes


def _chunks(items: Iterable[Any]) -> Iterator[list[Any]]:
    iterator = iter(items)
    while chunk := list(itertools.islice(iterator, _CHUNK)):
        yield chunk


def _play(chunk: list[tuple[int, Pgn]], chess960: bool) -> list[tuple[str, Game | Skipped]]:
    return [(f"game {number}, line {pgn.line}", replay(pgn, chess960)) for number, pgn in chunk]


def _play_rows(chunk: list[tuple[int, dict[str, str]]]) -> list[tuple[str, Game | Skipped]]:
    return [(f"row {number + 1}", replay_row(row)) for number, row in chunk]


def _lines(path: Path) -> Iterator[bytes]:
    """The lines of a file, decompressed. Raises :class:`DataError` where it ends too early or is no such file."""
    count = 0
    try:
        with _open(path) as file:
            for line in file:
                count += 1
                yield line
    except (EOFError, zlib.error, OSError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise DataError(
            f"{path} is incomplete or damaged after line {count} ({reason}), expected a whole file: copy it again, "
            "or decompress what is there and read that"
        ) from None


def _open(path: Path) -> BinaryIO:
    suffix = path.suffix.lower()
    if suffix == ".gz":
        return gzip.open(path)  # type: ignore[return-value]
    if suffix == ".bz2":
        return bz2.open(path)  # type: ignore[return-value]
    if suffix == ".zst":
        return _Zstandard(path)  # type: ignore[return-value]
    return open(path, "rb")


class _Zstandard:
    """The lines of a .zst file of any number of frames; an EOFError where the last is not complete."""

    def __init__(self, path: Path) -> None:
        self._zstandard = require("zstandard", "chess")
        self._file = open(path, "rb")  # noqa: SIM115 (closed by __exit__)

    def __enter__(self) -> _Zstandard:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def __iter__(self) -> Iterator[bytes]:
        frame, rest, left, complete = None, b"", b"", True
        while content := left or self._file.read(1 << 20):
            if frame is None:
                frame = self._zstandard.ZstdDecompressor(max_window_size=1 << 31).decompressobj()
            try:
                rest += frame.decompress(content)
            except self._zstandard.ZstdError as error:
                raise EOFError(str(error)) from None
            complete, left = frame.eof, frame.unused_data if frame.eof else b""
            if frame.eof:
                frame = None
            *lines, rest = rest.split(b"\n")
            yield from (line + b"\n" for line in lines)
        if not complete:
            raise EOFError("the last frame is not complete")
        if rest:
            yield rest


def _cache_folder(path: Path, chess960: bool) -> Path | None:
    """Where the games of a large file are kept; None for small files."""
    if path.stat().st_size < 200_000:
        return None
    digest = hashlib.sha256(f"{READER} {chess960}".encode())
    with open(path, "rb") as file:
        while piece := file.read(1 << 20):
            digest.update(piece)
    home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return home / "congru" / "chess" / digest.hexdigest()[:24]


def _keep(games: Games, report: Report, folder: Path) -> None:
    """Write to the cache; where it cannot be written the games are parsed again next time."""
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        clear_leftovers(folder.parent, folder.name)
        with folder_beside(folder) as fresh:
            games.save(fresh)
            lines = [
                f"{reason}\t{count}\t{report.examples[reason]}" for reason, count in report.counts.items()
            ]
            (fresh / "left_out.tsv").write_text("\n".join(lines), encoding="utf-8")
            put_folder(fresh, folder)
    except OSError:
        shutil.rmtree(folder, ignore_errors=True)


def _load_report(folder: Path) -> Report:
    report = Report()
    for line in (folder / "left_out.tsv").read_text(encoding="utf-8").splitlines():
        reason, count, example = line.split("\t", 2)
        report.counts[reason], report.examples[reason] = int(count), example
    return report
