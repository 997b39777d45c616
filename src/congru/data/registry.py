"""Where the public data sets lie: copies below the folder CONGRU_DATA names, or downloads in the user's cache.

Only `get` touches the network, and only where CONGRU_DATA is not set and the set is not in the cache yet. The
sets themselves are listed in public_sets.py.
"""

from __future__ import annotations

import difflib
import gzip
import hashlib
import importlib.util
import io
import os
import tarfile
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path

from congru.data.data_set import DataSet, File
from congru.data.public_sets import SETS
from congru.errors import DataError, require
from congru.runtime.atomic import write_whole

VARIABLE = "CONGRU_DATA"


def list_sets() -> tuple[DataSet, ...]:
    """All known sets, grouped by task.

    >>> [entry.name for entry in list_sets() if entry.task == "text"]
    ['tinyshakespeare', 'ptb']
    """
    return SETS


def find(name: str) -> DataSet:
    """The set of that name; raises :class:`DataError` with the closest names where there is none.

    >>> find("tinyshakespear")
    Traceback (most recent call last):
    congru.errors.DataError: data set 'tinyshakespear' is unknown, expected tinyshakespeare: see congru data list
    """
    names = [entry.name for entry in SETS]
    if name not in names:
        close = difflib.get_close_matches(name, names, 3, 0.5) or names
        raise DataError(f"data set {name!r} is unknown, expected {' or '.join(close)}: see congru data list")
    return SETS[names.index(name)]


def get(name: str, on_download: Callable[[str], None] = lambda url: None) -> Path:
    """The folder of a set, downloaded first where needed; copies in CONGRU_DATA may be gzipped, see `read`.

    `on_download` is called with each URL before it is fetched.
    Raises :class:`DataError` for an unknown name, a folder that CONGRU_DATA does not hold, a failed download
    and a file whose sha256 is not the registered one.
    """
    entry = find(name)
    copies = os.environ.get(VARIABLE)
    if copies:
        folder = Path(copies) / entry.folder
        if not folder.is_dir():
            raise DataError(
                f"{VARIABLE} is {copies!r}, which has no {entry.folder}: add it, or unset it to download"
            )
        return folder
    return _fetch(entry, on_download)


def is_here(name: str) -> bool:
    """Whether a set can be read without a download; raises :class:`DataError` for an unknown name."""
    entry = find(name)
    copies = os.environ.get(VARIABLE)
    if copies:
        return (Path(copies) / entry.folder).is_dir()
    if importlib.util.find_spec("pooch") is None:
        return False
    folder = _cache() / entry.folder
    return all((folder / file.path).is_file() for file in entry.files)


def read(name: str, path: str) -> bytes:
    """The content of one file of a set, unzipped where its copy is gzipped.

    Raises :class:`DataError` as `get`, and where the set's folder has no such file.
    """
    plain = get(name) / path
    zipped = plain.with_name(plain.name + ".gz")
    if plain.is_file():
        return plain.read_bytes()
    if zipped.is_file():
        return gzip.decompress(zipped.read_bytes())
    present = ", ".join(sorted(entry.name for entry in plain.parent.glob("*"))) or "nothing"
    raise DataError(f"data set {name!r} has no file {path!r}, expected one of {present}")


def _fetch(entry: DataSet, on_download: Callable[[str], None]) -> Path:
    """Download what the cache lacks; a file appears there only after its sum was checked."""
    folder = _cache() / entry.folder
    archives: dict[str, bytes] = {}
    for file in entry.files:
        target = folder / file.path
        if target.is_file():
            continue
        if file.url not in archives:
            on_download(file.url)
            archives = {file.url: _download(file.url)}
        content = _unpack(file, archives[file.url])
        sha256 = hashlib.sha256(content).hexdigest()
        if file.sha256 not in (None, sha256):
            raise DataError(
                f"{file.url} gave {file.path} with sha256 {sha256}, expected {file.sha256}: the public file has changed"
            )
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            write_whole(target, content)
        except OSError as error:
            raise DataError(
                f"{target} cannot be written ({error.strerror}): check space and permissions"
            ) from None
    return folder


def _cache() -> Path:
    return Path(require("pooch", "train").os_cache("congru"))


def _download(url: str) -> bytes:
    """The content of a URL; raises :class:`DataError` where it cannot be had."""
    pooch = require("pooch", "train")
    downloader = pooch.HTTPDownloader(timeout=60, headers={"User-Agent": "congru (data get)"})
    try:
        pooch.get_logger().setLevel("WARNING")  # it advises to pass a hash, but _fetch checks the sums
        with tempfile.TemporaryDirectory() as folder:
            return Path(pooch.retrieve(url, known_hash=None, path=folder, downloader=downloader)).read_bytes()
    except OSError as error:  # requests' errors are OSErrors
        raise DataError(
            f"{url} cannot be downloaded, expected a network ({_short(error)}): set {VARIABLE} to a folder of copies"
        ) from None


def _unpack(file: File, content: bytes) -> bytes:
    """One file out of what was downloaded: a member of an archive, a gzipped file, or the file itself."""
    try:
        if file.member and file.url.endswith(".zip"):
            with zipfile.ZipFile(io.BytesIO(content)) as archive:
                return archive.read(file.member)
        if file.member:
            with tarfile.open(fileobj=io.BytesIO(content)) as archive:
                return _from_tar(archive, file.member)
        if file.url.endswith(".gz") and not file.path.endswith(".gz"):
            return gzip.decompress(content)
    except (KeyError, OSError, EOFError, zipfile.BadZipFile, tarfile.TarError) as error:
        raise DataError(
            f"{file.url} gave no {file.member or file.path} ({_short(error)}): the public file has changed"
        ) from None
    return content


def _short(error: Exception) -> str:
    return f"{' '.join(str(error).split()):.90}"


def _from_tar(archive: tarfile.TarFile, member: str) -> bytes:
    for entry in archive:
        if entry.isfile() and entry.name.removeprefix("./") == member:
            opened = archive.extractfile(entry)
            assert opened is not None  # it is a file
            return opened.read()
    raise KeyError(f"{member} is not in the archive")
