"""What a path holds: one table, a folder of tables by part, or folders of files whose names are the labels.

reviews.csv                       one table; validation by rule
data/train.tsv, dev.tsv, test.tsv parts by name (valid, validation, dev; test), any table format
data/pos/1.txt, data/neg/1.txt    one text a file, the folder is the label; validation by rule
data/train/pos/..., data/test/... parts, each of such folders
"""

from __future__ import annotations

from pathlib import Path

from congru.data.files import decode
from congru.errors import DataError
from congru.tasks.sentiment.rows import TABLE_SUFFIXES, Rows, read_bytes, read_rows

PARTS = {
    "train": ("train", "training"),
    "validation": ("valid", "validation", "dev", "val"),
    "test": ("test", "testing"),
}


def read_parts(path: Path, text_column: str | None, label_column: str | None) -> dict[str, Rows]:
    """The rows of every part there is: "train" always, "validation" and "test" where they are given.

    Raises:
        DataError: nothing there, or nothing that is a table or a folder of texts.
    """
    if not path.is_dir():
        return {"train": read_rows(path, text_column, label_column)}
    entries = [entry for entry in sorted(path.iterdir()) if not entry.name.startswith(".")]
    named = {part: _entry_of(entries, names) for part, names in PARTS.items()}
    if named["train"] is not None:
        return {
            part: read_folder(entry) if entry.is_dir() else read_rows(entry, text_column, label_column)
            for part, entry in named.items()
            if entry is not None
        }
    return {"train": read_folder(path)}


def _entry_of(entries: list[Path], names: tuple[str, ...]) -> Path | None:
    """The first entry of one of these names: a folder, or a table with a known suffix."""
    for name in names:
        for entry in entries:
            table = entry.name.lower().removesuffix(".gz")
            if entry.name.lower() == name and entry.is_dir():
                return entry
            if any(table == name + suffix for suffix in TABLE_SUFFIXES):
                return entry
    return None


def read_folder(path: Path) -> Rows:
    """One text per file; the folder it lies in is its label. Files beside the class folders are told and passed over.

    Raises:
        DataError: no folder with texts in it.
    """
    rows, remarks = Rows(str(path), [], [], []), list[str]()
    beside = []
    for entry in sorted(path.iterdir()):
        if entry.name.startswith("."):
            continue
        if not entry.is_dir():
            beside.append(entry.name)
            continue
        for file in sorted(part for part in entry.rglob("*") if part.is_file()):
            if file.name.startswith("."):
                continue
            text, remark = decode(read_bytes(file), f"{entry.name}/{file.name}")
            if remark:
                remarks.append(remark)
            rows.locations.append(f"{entry.name}/{file.name}")
            rows.texts.append(text)
            rows.labels.append(entry.name)
    if not rows.texts:
        raise DataError(
            f"{path} holds no folder with texts and no train.csv, expected one folder per class, or"
            " train.csv (.tsv, .jsonl) and valid, test beside it: name a file"
        )
    if beside:
        remarks.append(f"beside the class folders, passed over: {', '.join(beside[:3])}")
    return Rows(rows.source, rows.locations, rows.texts, rows.labels, tuple(remarks))
