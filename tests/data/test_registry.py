"""The registry of public sets, against a web server on this machine, and its sums against the copies where
there are some.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import os
import tarfile
import threading
import zipfile
from collections.abc import Callable, Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pooch
import pytest

from congru.data import registry
from congru.data.data_set import DataSet, File
from congru.data.public_sets import SETS
from congru.errors import DataError

CONTENT = b"a,b\n1,2\n"
SUM = hashlib.sha256(CONTENT).hexdigest()
COPIES = os.environ.get("CONGRU_DATA")


class QuietHandler(SimpleHTTPRequestHandler):
    """Serves files and counts the requests."""

    requests: list[str]

    def do_GET(self) -> None:
        self.requests.append(self.path)
        super().do_GET()

    def log_message(self, format: str, *args: object) -> None:
        return


@pytest.fixture
def served(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[str, list[str]]]:
    """A server's address and the requests it got; the cache is empty and CONGRU_DATA not set."""
    folder = tmp_path / "web"
    folder.mkdir()
    (folder / "a.csv").write_bytes(CONTENT)
    (folder / "b.csv.gz").write_bytes(gzip.compress(CONTENT))
    with tarfile.open(folder / "c.tar.gz", "w:gz") as archive:
        for name in ("./in/c.csv", "in/d.csv"):
            info = tarfile.TarInfo(name)
            info.size = len(CONTENT)
            archive.addfile(info, io.BytesIO(CONTENT))
    with zipfile.ZipFile(folder / "e.zip", "w") as packed:
        packed.writestr("e.csv", CONTENT)
    requests: list[str] = []
    handler = type("Handler", (QuietHandler,), {"requests": requests})
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(handler, directory=str(folder)))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    monkeypatch.delenv("CONGRU_DATA", raising=False)
    monkeypatch.setattr(pooch, "os_cache", lambda project: tmp_path / "cache")
    yield f"http://127.0.0.1:{server.server_port}", requests
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def register(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Makes the registry hold one set "mine" of the given files."""

    def put(*files: File) -> None:
        monkeypatch.setattr(registry, "SETS", (DataSet("mine", "text", "", "", "text/mine", files),))

    return put


def test_every_kind_of_file_is_unpacked_once(
    served: tuple[str, list[str]], register: Callable[..., None], tmp_path: Path
) -> None:
    url, requests = served
    register(
        File("a.csv", f"{url}/a.csv", SUM),
        File("sub/b.csv", f"{url}/b.csv.gz", SUM),
        File("c.csv", f"{url}/c.tar.gz", SUM, "in/c.csv"),
        File("d.csv", f"{url}/c.tar.gz", None, "in/d.csv"),
        File("e.csv", f"{url}/e.zip", SUM, "e.csv"),
    )
    announced: list[str] = []
    folder = registry.get("mine", announced.append)
    assert announced == [f"{url}{path}" for path in ("/a.csv", "/b.csv.gz", "/c.tar.gz", "/e.zip")]
    assert folder == tmp_path / "cache" / "text" / "mine"
    for name in ("a.csv", "sub/b.csv", "c.csv", "d.csv", "e.csv"):
        assert registry.read("mine", name) == CONTENT
    assert sorted(requests) == ["/a.csv", "/b.csv.gz", "/c.tar.gz", "/e.zip"]
    assert [path.name for path in (tmp_path / "cache").iterdir()] == ["text"]
    assert registry.get("mine") == folder
    assert len(requests) == 4
    (folder / "a.csv").unlink()
    registry.get("mine")
    assert requests[4:] == ["/a.csv"]


def test_a_changed_file_is_refused(
    served: tuple[str, list[str]], register: Callable[..., None], tmp_path: Path
) -> None:
    url, _ = served
    register(File("a.csv", f"{url}/a.csv", "0" * 64))
    with pytest.raises(
        DataError, match=f"a.csv with sha256 {SUM}, expected 0000.*: the public file has changed"
    ):
        registry.get("mine")
    assert not (tmp_path / "cache" / "text").exists()


def test_an_archive_without_the_member(
    served: tuple[str, list[str]], register: Callable[..., None], tmp_path: Path
) -> None:
    url, _ = served
    for name in ("c.tar.gz", "e.zip", "a.csv"):
        register(File("x", f"{url}/{name}", None, "in/x.csv"))
        with pytest.raises(DataError, match=rf"{name} gave no in/x.csv \(.*\): the public file has changed"):
            registry.get("mine")
    (tmp_path / "web" / "f.csv.gz").write_bytes(b"not gzipped")
    register(File("f.csv", f"{url}/f.csv.gz", None))
    with pytest.raises(DataError, match=r"f\.csv\.gz gave no f\.csv \(Not a gzipped file"):
        registry.get("mine")


def test_no_such_page_and_no_network(served: tuple[str, list[str]], register: Callable[..., None]) -> None:
    url, _ = served
    register(File("x", f"{url}/none", None))
    with pytest.raises(
        DataError, match=r"none cannot be downloaded, .*404.*: set CONGRU_DATA to a folder of copies"
    ):
        registry.get("mine")
    register(File("x", "http://127.0.0.1:9/x", None))
    with pytest.raises(DataError, match="cannot be downloaded, expected a network") as caught:
        registry.get("mine")
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 250


def test_a_cache_that_cannot_be_written(
    served: tuple[str, list[str]], register: Callable[..., None], tmp_path: Path
) -> None:
    url, _ = served
    register(File("a.csv", f"{url}/a.csv", SUM))
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache" / "text").write_text("a file is in the way")
    with pytest.raises(
        DataError, match=r"a.csv cannot be written \(Not a directory\): check space and permissions"
    ):
        registry.get("mine")


def test_copies_are_used_and_nothing_is_downloaded(
    served: tuple[str, list[str]],
    register: Callable[..., None],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    url, requests = served
    register(File("a.csv", f"{url}/a.csv", SUM))
    monkeypatch.setenv("CONGRU_DATA", str(tmp_path / "copies"))
    with pytest.raises(
        DataError, match=r"CONGRU_DATA is '.*copies', which has no text/mine: add it, or unset it"
    ):
        registry.get("mine")
    folder = tmp_path / "copies" / "text" / "mine"
    folder.mkdir(parents=True)
    (folder / "b.csv.gz").write_bytes(gzip.compress(CONTENT))
    assert registry.get("mine") == folder
    assert registry.read("mine", "b.csv") == CONTENT
    with pytest.raises(DataError, match=r"data set 'mine' has no file 'a\.csv', expected one of b\.csv\.gz"):
        registry.read("mine", "a.csv")
    assert requests == []


def test_unknown_names() -> None:
    with pytest.raises(
        DataError, match=r"data set 'etth1' is unknown, expected .*ett.*: see congru data list"
    ):
        registry.get("etth1")
    with pytest.raises(DataError, match="expected tinyshakespeare or ptb or"):
        registry.get("zzzzz")


def test_the_list_is_complete_and_well_formed() -> None:
    assert registry.list_sets() == SETS
    assert len({entry.name for entry in SETS}) == len(SETS) == 30
    assert {entry.name for entry in SETS if not entry.verified} == {
        *("sentence_polarity", "sst_trees", "nsmc_sample", "clinc150", "tatoeba_fra_eng", "django_ui"),
        *("pgnmentor20", "masters", "openings", "libras", "weizmann_silhouettes"),
        *("an4", "an4_wav", "fsdd", "barista", "yesno", "aird_airs", "oneill_1850", "piano_midi"),
    }
    for entry in SETS:
        assert entry.title
        assert entry.licence
        assert entry.files
        paths = [file.path for file in entry.files]
        assert len(set(paths)) == len(paths)
        for file in entry.files:
            assert file.url.startswith(("https://", "http://"))
            assert file.sha256 is None or len(bytes.fromhex(file.sha256)) == 32
            assert bool(file.member) == (
                file.url.endswith((".zip", ".tar.gz")) and file.path[-3:] not in (".gz", "zip")
            )


@pytest.mark.skipif(not COPIES, reason="CONGRU_DATA names no folder with copies of the sets")
@pytest.mark.parametrize("entry", SETS, ids=[entry.name for entry in SETS])
def test_sums_are_those_of_the_copies(entry: DataSet) -> None:
    assert registry.get(entry.name).is_dir()
    for file in entry.files:
        if file.sha256:
            assert hashlib.sha256(registry.read(entry.name, file.path)).hexdigest() == file.sha256


@pytest.mark.skipif(not COPIES, reason="CONGRU_DATA names no folder with copies of the sets")
def test_every_copy_is_a_registered_set() -> None:
    folders = {
        path.relative_to(str(COPIES)).as_posix() for path in Path(str(COPIES)).glob("*/*") if path.is_dir()
    }
    assert {entry.folder for entry in SETS} == folders


def test_a_set_is_here_in_the_copies_or_whole_in_the_cache(
    served: tuple[str, list[str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    address, requests = served
    files = (File("a.csv", f"{address}/a.csv", SUM), File("b.csv", f"{address}/b.csv.gz"))
    monkeypatch.setattr(registry, "SETS", (DataSet("made", "text", "", "", "text/made", files),))
    assert not registry.is_here("made")
    assert requests == []
    registry.get("made")
    assert registry.is_here("made")
    (registry.get("made") / "b.csv").unlink()
    assert not registry.is_here("made")
    monkeypatch.setenv("CONGRU_DATA", str(tmp_path / "copies"))
    assert not registry.is_here("made")
    (tmp_path / "copies" / "text" / "made").mkdir(parents=True)
    assert registry.is_here("made")
