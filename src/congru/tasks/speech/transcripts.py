"""Which audio says what: tables, LibriSpeech folders, a text beside every audio file, and time-marked files.

transcripts.tsv, manifest.tsv, any .tsv or .csv   columns path and text; also split, speaker (or group), start, end
a/b/c.trans.txt (LibriSpeech)                      ID TEXT a line, the audio ID.* beside it; the speaker is ID's first part
x.wav with x.txt, x.TextGrid or x.srt beside it    one utterance, or one for every marked stretch of time
NAME.stm                                           NIST segments of audio files beside it
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from congru.data.files import read_bytes
from congru.data.separated import read_separated
from congru.errors import DataError
from congru.tasks.speech.audio import SUFFIXES
from congru.tasks.speech.marked_times import Segment, read_srt, read_stm, read_textgrid

PATH_NAMES = ("path", "file", "filename", "audio", "wav")
TEXT_NAMES = ("text", "transcript", "transcription", "sentence")
SPEAKER_NAMES = ("speaker", "speaker_id", "client_id", "group")
PART_NAMES = ("split", "part", "set")
PARTS = {"valid": "validation", "dev": "validation", "val": "validation", "training": "train", "eval": "test"}
KNOWN_PARTS = ("train", "validation", "test")
_TABLES = ("transcripts.tsv", "manifest.tsv", "transcripts.csv", "manifest.csv", "metadata.csv")


@dataclass(frozen=True)
class Row:
    """One utterance to be read: where it stands, its audio, what is said; `part` and `speaker` are "" where not known.

    `start` and `end` are seconds within the audio, where it is a stretch of it.
    """

    location: str
    path: Path
    text: str
    speaker: str = ""
    part: str = ""
    start: float | None = None
    end: float | None = None


def read_rows(source: Path) -> list[Row]:
    """All utterances that a file or folder names, in order; no audio is opened.

    Raises:
        DataError: nothing of a known form, or a table without path and text.
    """
    if source.is_file() and source.suffix.lower() in (".tsv", ".csv", ".txt"):
        return read_table(source)
    if source.is_file() and source.suffix.lower() == ".stm":
        return _of_stm(source)
    if not source.is_dir():
        if not source.exists():
            read_bytes(source, "a folder of audio or a table of transcripts")
        raise DataError(
            f"{source} is no folder, .tsv, .csv, .stm or .npz file, expected one of them: name the folder of the audio"
        )
    for name in _TABLES:
        if (source / name).is_file():
            return read_table(source / name)
    rows = list(_librispeech(source)) or list(_beside(source))
    if not rows:
        raise DataError(
            f"{source} holds no transcripts.tsv, no *.trans.txt and no audio with a text beside it, expected one of them:"
            " write transcripts.tsv with the columns path and text"
        )
    return rows


def decode(path: Path) -> str:
    """A text file as text, by its mark or as UTF-8.

    Raises:
        DataError: other bytes, by their line.
    """
    content = read_bytes(path, "a text file")
    encoding = "utf-16" if content[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"
    try:
        return content.decode(encoding)
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise DataError(f"{path} line {line} is not UTF-8, expected it: save the file as UTF-8") from None


def read_table(path: Path) -> list[Row]:
    """The rows of a table; without a header the first column is the path and the second the text.

    Raises:
        DataError: no path or text column, or a row with fewer columns.
    """
    text = decode(path).replace("\r\n", "\n")
    if path.suffix.lower() == ".csv":
        lines = list(read_separated(text, str(path)))
    else:
        lines = [(number, line.split("\t")) for number, line in enumerate(text.split("\n"), 1)]
    lines = [(number, cells) for number, cells in lines if any(cell.strip() for cell in cells)]
    if not lines:
        raise DataError(f"{path} is empty, expected rows of path and text: fill it")
    header = [cell.strip().lower() for cell in lines[0][1]]
    columns = {
        name: next((header.index(word) for word in words if word in header), None)
        for name, words in (
            ("path", PATH_NAMES),
            ("text", TEXT_NAMES),
            ("speaker", SPEAKER_NAMES),
            ("part", PART_NAMES),
            ("start", ("start",)),
            ("end", ("end",)),
        )
    }
    if columns["path"] is None and columns["text"] is None and len(header) >= 2:
        columns = {**columns, "path": 0, "text": 1}
    elif columns["path"] is None or columns["text"] is None:
        raise DataError(
            f"{path} has the columns {', '.join(header)}, expected path and text among them: rename them"
        )
    else:
        lines = lines[1:]
    return [_row(path, number, cells, columns) for number, cells in lines]


def _row(table: Path, number: int, cells: list[str], columns: dict[str, int | None]) -> Row:
    location = f"{table.name} line {number}"

    def cell(name: str) -> str:
        column = columns[name]
        return "" if column is None or column >= len(cells) else cells[column].strip()

    named = cell("path")
    if not named:
        raise DataError(f"{location} has no path, expected path and text: fill it in")
    part = cell("part").lower()
    part = PARTS.get(part, part) or _part_of_path(Path(named))
    times: list[float | None] = []
    for name in ("start", "end"):
        try:
            times.append(float(cell(name)) if cell(name) else None)
        except ValueError:
            raise DataError(f"{location}: {name} is {cell(name)!r}, expected seconds: correct it") from None
    return Row(location, table.parent / named, cell("text"), cell("speaker"), part, times[0], times[1])


def _part_of_path(path: Path) -> str:
    """train, validation or test where the first folder is called so."""
    first = path.parts[0].lower() if len(path.parts) > 1 else ""
    return next((part for part in KNOWN_PARTS if PARTS.get(first, first) == part), "")


def _librispeech(folder: Path) -> Iterator[Row]:
    for file in sorted(folder.rglob("*.trans.txt")):
        part = _part_of_name(file.relative_to(folder))
        for number, line in enumerate(decode(file).replace("\r\n", "\n").split("\n"), 1):
            if not line.strip():
                continue
            name, _, text = line.strip().partition(" ")
            yield Row(
                f"{file.name} line {number}",
                _audio_named(file.parent, name),
                text,
                name.partition("-")[0],
                part,
            )


def _part_of_name(path: Path) -> str:
    """The part that a folder of LibriSpeech's names means: train-clean-100, dev-clean, test-other."""
    for folder in path.parts[:-1]:
        first = folder.lower().partition("-")[0]
        if PARTS.get(first, first) in KNOWN_PARTS:
            return PARTS.get(first, first)
    return ""


def _audio_named(folder: Path, stem: str) -> Path:
    candidates = [folder / (stem + suffix) for suffix in SUFFIXES]
    return next((path for path in candidates if path.is_file()), folder / f"{stem}.flac")


def _beside(folder: Path) -> Iterator[Row]:
    """Audio files with a transcript of the same name."""
    for path in sorted(folder.rglob("*")):
        if path.suffix.lower() not in SUFFIXES or path.name.startswith("."):
            continue
        relative = path.relative_to(folder)
        part, speaker = _part_of_path(relative), relative.parts[-2] if len(relative.parts) > 2 else ""
        if path.with_suffix(".txt").is_file():
            yield Row(str(relative), path, " ".join(decode(path.with_suffix(".txt")).split()), speaker, part)
            continue
        for suffix, read in ((".TextGrid", _words_of_textgrid), (".srt", read_srt)):
            file = path.with_suffix(suffix)
            if file.is_file():
                for segment in read(decode(file), str(file)):
                    location = f"{relative} {segment.start:g}-{segment.end:g} s"
                    yield Row(location, path, segment.text, speaker, part, segment.start, segment.end)
                break


def _words_of_textgrid(text: str, name: str) -> list[Segment]:
    """The tier called phrase, utterance, sentence or text, or the first; words and phones would be too short."""
    tiers = read_textgrid(text, name)
    wanted = [
        tier for tier in tiers if tier.name.lower().strip() in ("phrase", "utterance", "sentence", "text")
    ]
    chosen = (wanted or tiers)[:1]
    return [segment for tier in chosen for segment in tier.segments if segment.text.strip()]


def _of_stm(path: Path) -> list[Row]:
    rows = []
    for number, file, speaker, segment in read_stm(decode(path), str(path)):
        if segment.text:
            location, audio = f"{path.name} line {number}", _audio_named(path.parent, file)
            rows.append(Row(location, audio, segment.text, speaker, "", segment.start, segment.end))
    if not rows:
        raise DataError(f"{path} has no segment with text, expected some: check the file")
    return rows
