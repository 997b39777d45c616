"""What is known of a public data set: its files, where each comes from, its licence and its sums."""

from __future__ import annotations

from typing import NamedTuple


class File(NamedTuple):
    """One file of a set. `member` is its name inside the archive at `url`, where that is a .zip or .tar.gz."""

    path: str
    url: str
    sha256: str | None = None
    member: str = ""


class DataSet(NamedTuple):
    """A public set. `folder` is its place below CONGRU_DATA and below the cache; `note` what one should know."""

    name: str
    task: str
    title: str
    licence: str
    folder: str
    files: tuple[File, ...]
    note: str = ""

    @property
    def verified(self) -> bool:
        """Whether the sum of every file is known."""
        return all(file.sha256 for file in self.files)


def direct(base: str, sums: str, ending: str = "") -> tuple[File, ...]:
    """Files at `base`/path, `ending` added; `sums` has one line "sha256 path" or "- path" each."""
    return tuple(File(path, f"{base}/{path}{ending}", sha256) for sha256, path in rows(sums))


def packed(url: str, prefix: str, sums: str) -> tuple[File, ...]:
    """Files inside one archive, there called `prefix` + path."""
    return tuple(File(path, url, sha256, prefix + path) for sha256, path in rows(sums))


def rows(sums: str) -> list[tuple[str | None, str]]:
    """The sum (None for "-") and the path of every line "sha256 path"."""
    pairs = [line.split() for line in sums.strip().splitlines()]
    return [(None if sha256 == "-" else sha256, path) for sha256, path in pairs]


def archive(repository: str, ref: str) -> tuple[File, ...]:
    """A repository of GitHub, "owner/name", as one archive at a tag, branch or commit."""
    name = repository.split("/")[1]
    return (File(f"{name}.zip", f"https://github.com/{repository}/archive/{ref}.zip"),)
