"""Which clips a path names, how they are split, what is told of clips that cannot be used; tracks and their files."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from congru.errors import DataError
from congru.tasks.video import clips as clips_module
from congru.tasks.video.clips import ReadReport, load_clips, read_all, read_clip
from congru.tasks.video.data import add_notes, chosen_part, prepare, split
from congru.tasks.video.frames import Look
from congru.tasks.video.listing import Entry, list_clips
from congru.tasks.video.settings import Settings
from congru.tasks.video.tracks import read_track
from shared_files import CASES, DATA, needs
from video_cases import square, tracks, write_classes, write_pictures, write_video

VIDEO = CASES / "video"
SMALL: dict[str, Any] = {"height": 16, "width": 24, "decoders": 0}


@pytest.fixture(scope="module")
def classes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_classes(tmp_path_factory.mktemp("classes"))


@needs(VIDEO)
def test_every_bad_line_of_a_table_is_named_and_counted() -> None:
    listing = list_clips(VIDEO / "labels_bad.tsv")
    assert [entry.location for entry in listing.entries if entry.label == "A"][:1] == [
        "labels_bad.tsv line 2 (mask_300_frames.mp4)"
    ]
    report = ReadReport(list(listing.faults))
    good, _, lengths = load_clips(
        listing.entries, Look(18, 24), processes=0, memory_bytes=2**20, report=report
    )
    assert [entry.location for entry in good] == ["labels_bad.tsv line 2 (mask_300_frames.mp4)"]
    assert lengths == [300]
    assert report.bad == [
        "labels_bad.tsv line 3 (circle.gif) is 'B', but 'A' in line 7",
        "labels_bad.tsv line 4 (missing.mp4) does not exist",
        "labels_bad.tsv line 7 (circle.gif) is 'A', but 'B' in line 3",
        "labels_bad.tsv line 8 (-dash-first.mp4) has no label",
        "labels_bad.tsv line 5 (one_frame.webm) has 1 frame, expected at least 2",
        "labels_bad.tsv line 6 (sound_only.mp4) has no video stream, only audio (aac)",
    ]
    with pytest.raises(
        DataError,
        match=r"labels_bad.tsv: 6 of 7 clips cannot be used \(.*line 3.*line 4.*line 7.*line 8.*line 5.*line 6.*\): mend",
    ):
        prepare(str(VIDEO / "labels_bad.tsv"), Settings(**SMALL))


def test_class_folders_are_split_by_the_names_of_their_clips(classes: Path) -> None:
    data = prepare(str(classes), Settings(**SMALL))
    assert data.classes == ["left", "right"]
    assert data.shape == (1, 16, 24)
    assert (len(data.train), len(data.validation)) == (14, 2)
    assert data.train.clip(0).dtype == np.uint8
    assert data.train.clip(0).shape == (data.train.lengths[0], 1, 16, 24)
    entries = list_clips(classes).entries
    folds = [
        frozenset(k for k, part in enumerate(split(entries, 0.25, fold)[0]) if part == "validation")
        for fold in range(4)
    ]
    assert all(len(fold) == 4 for fold in folds)
    assert len(frozenset.union(*folds)) == 16  # four folds of a quarter meet every clip once


def test_parts_are_folders_too(tmp_path: Path) -> None:
    for part, count in (("train", 3), ("val", 2), ("test", 2)):
        write_classes(tmp_path / part, count)
    data = prepare(str(tmp_path), Settings(**SMALL))
    assert (len(data.train), len(data.validation), data.test) == (6, 4, "4 clips, not looked at")
    name, entries = chosen_part(list_clips(tmp_path), "auto", {"leave_out": [], "validation": 0.2, "fold": 0})
    assert (name, len(entries)) == ("test", 4)


def table_of(folder: Path, classes: Path) -> Path:
    lines = ["path\tlabel\tsubject"]
    for label in ("left", "right"):
        for number in range(8):
            lines.append(f"{classes.name}/{label}/{number}.mp4\t{label}\tp{number % 4}")
    (classes.parent / "clips.tsv").write_text("\n".join(lines) + "\n")
    return classes.parent / "clips.tsv"


def test_people_are_left_out_whole(tmp_path: Path) -> None:
    table = table_of(tmp_path, write_classes(tmp_path / "clips"))
    data = prepare(str(table), Settings(**SMALL, leave_out=("p3",)))
    assert "p3 left out for the test" in data.split
    assert data.test == "4 clips, not looked at"
    groups = {
        name: {entry.group for entry in part.entries}
        for name, part in (("t", data.train), ("v", data.validation))
    }  # type: ignore[attr-defined]
    assert len(groups["t"]) == 2
    assert len(groups["v"]) == 1
    assert not groups["t"] & groups["v"]
    assert "p3" not in groups["t"] | groups["v"]
    config = {"leave_out": ["p3"], "validation": 0.15, "fold": 0}
    assert {entry.group for entry in chosen_part(list_clips(table), "auto", config)[1]} == {"p3"}
    assert len(chosen_part(list_clips(table), "train", config)[1]) == 8
    with pytest.raises(DataError, match=r"leave_out is 'p9', expected a group of .*: p0, p1, p2, p3"):
        prepare(str(table), Settings(**SMALL, leave_out=("p9",)))


def test_bad_clips_stop_or_are_skipped_and_counted(tmp_path: Path) -> None:
    folder = write_classes(tmp_path / "clips")
    (folder / "left" / "zero.mp4").touch()
    write_video(folder / "left" / "still.mp4", square(1, True))
    with pytest.raises(
        DataError,
        match=r"2 of 18 clips cannot be used \(clips/left/still.mp4 has 1 frame, .*zero.mp4 is empty",
    ):
        prepare(str(folder), Settings(**SMALL))
    data = prepare(str(folder), Settings(**SMALL, bad="skip"))
    assert data.notes["left out"].startswith("2 of 18 clips: clips/left/still.mp4 has 1 frame")
    assert len(data.train) + len(data.validation) == 16


def test_worker_processes_decode_the_same_frames(classes: Path) -> None:
    entries = list_clips(classes).entries
    alone, several = (list(read_all(entries, Look(16, 24), processes)) for processes in (0, 2))
    for one, other in zip(alone, several, strict=True):
        np.testing.assert_array_equal(one.clip, other.clip)


def test_clips_beyond_the_memory_are_decoded_when_asked_for(classes: Path) -> None:
    report = ReadReport()
    entries = list_clips(classes).entries
    _, clips, _ = load_clips(entries, Look(16, 24), processes=0, memory_bytes=6000, report=report)
    assert report.not_kept == sum(clip is None for clip in clips) > 5
    whole = prepare(str(classes), Settings(**SMALL))
    poor = prepare(str(classes), Settings(**{**SMALL, "height": 512, "width": 512, "memory_mb": 1}))
    assert poor.notes["memory"].endswith("are decoded anew each time; --workers helps")
    assert poor.train.clip(5).shape == (whole.train.lengths[5], 1, 512, 512)
    np.testing.assert_array_equal(poor.train.labels, whole.train.labels)


def test_clips_of_other_sizes_are_scaled_long_ones_cut_uneven_ones_told(tmp_path: Path) -> None:
    folder = write_classes(tmp_path / "clips", 3)
    big = np.kron(square(9, True), np.ones((1, 4, 4), np.uint8))
    write_video(folder / "left" / "big.mp4", big)
    write_pictures(folder / "left" / "sequence", square(5, False))
    data = prepare(str(folder), Settings(**SMALL, max_frames=6))
    assert (
        data.notes["cut"] == "7 clips are longer than max_frames" or "clips are longer" in data.notes["cut"]
    )
    assert data.notes["sizes"].startswith("2 of pictures, 24 x 16 to 96 x 64")
    assert max(data.train.lengths.max(), data.validation.lengths.max()) == 6
    assert len(data.train) + len(data.validation) == 8


@needs(VIDEO)
def test_uneven_times_are_told_and_the_rate_evens_them() -> None:
    read = read_clip(VIDEO / "variable_rate.mp4", Look(18, 24))
    assert read.step_ms == pytest.approx((16, 500), abs=0.1)
    even = read_clip(VIDEO / "variable_rate.mp4", Look(18, 24, rate=10))
    assert even.step_ms == pytest.approx((100, 100))
    assert even.clip is not None
    assert len(even.clip) == pytest.approx(33, abs=2)  # 3.3 s


def test_tables_of_clips_that_cannot_be_read_have_their_line(tmp_path: Path) -> None:
    table = tmp_path / "clips.tsv"
    for text, line in (
        ("", "clips.tsv is empty, expected a header with path and label"),
        ("file\tname\na\tb\n", "clips.tsv line 1 has the columns file, name, expected label among them"),
        (
            "path\tlabel\tpart\n.\tx\thold\n",
            r"line 2 \(\.\) has the part 'hold', expected train, valid or test",
        ),
    ):
        table.write_text(text)
        with pytest.raises(DataError, match=line):
            list_clips(table)
    for name, line in (
        ("nothing", "nothing does not exist, expected a folder of clips, a table or a .npz: check the path"),
        ("a.mp4", "a.mp4 is a file, expected labelled clips: name the folder"),
    ):
        if name == "a.mp4":
            (tmp_path / name).touch()
        with pytest.raises(DataError, match=line):
            list_clips(tmp_path / name)
    (tmp_path / "loose" / "a").mkdir(parents=True)
    with pytest.raises(DataError, match=r"loose holds no folder with clips, expected one folder per class"):
        list_clips(tmp_path / "loose")
    (tmp_path / "loose" / "a" / "1.png").touch()
    with pytest.raises(
        DataError, match=r"holds pictures such as 1.png, expected clips: put the pictures of each clip"
    ):
        list_clips(tmp_path / "loose")


@needs(VIDEO)
def test_a_file_that_ends_early_is_told_and_whole_ones_are_not() -> None:
    cut = read_clip(VIDEO / "cut.webm", Look(18, 24))
    assert cut.damage == "file ended prematurely"
    for name in ("no_duration.webm", "frames_out_of_order.mov", "uneven_delays.gif", "mjpeg.avi", "h265.mp4"):
        assert read_clip(VIDEO / name, Look(18, 24)).damage == ""
    report = ReadReport(damaged=["a"], sizes={(16, 24), (64, 96)})
    notes: dict[str, Any] = {}
    add_notes(report, notes, 1, "stop", "clips")
    assert notes == {
        "damaged": "a",
        "sizes": "2 of pictures, 24 x 16 to 96 x 64; all are scaled with their proportions",
    }


def test_a_decoder_that_dies_has_its_line(classes: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clips_module, "try_clip", die)
    with pytest.raises(
        DataError, match=r"decoders is 2, and one of them ended without a word, expected every clip"
    ):
        list(read_all(list_clips(classes).entries, Look(16, 24), 2))


def die(entry: Entry, look: Look) -> None:
    os._exit(1)


def test_one_class_is_nothing_to_learn(tmp_path: Path) -> None:
    folder = write_classes(tmp_path / "clips", 2)
    for file in (folder / "left").iterdir():
        file.unlink()
    with pytest.raises(
        DataError, match=r"leaves right 1 for training and 1 clips for validation, expected at least two"
    ):
        prepare(str(folder), Settings(**SMALL))


def test_tracks_are_read_from_every_kind_of_file(tmp_path: Path) -> None:
    track = np.array([[1, 2], [3, 4], [5, 6]], np.float32)
    np.save(tmp_path / "a.npy", track)
    np.savez(tmp_path / "b.npz", hand=track)
    (tmp_path / "c.csv").write_text("x,y\n1,2\n3,4\n5,6\n")
    (tmp_path / "d.tsv").write_text("1\t2\n3\t4\n5\t6\n")
    for name in ("a.npy", "b.npz", "c.csv", "d.tsv"):
        np.testing.assert_array_equal(read_track(tmp_path / name), track)


@pytest.mark.parametrize(
    ("name", "content", "line"),
    [
        ("a.csv", "x,y\n1,2\n3\n", r"a.csv line 3 has 1 columns, expected 2 as before: correct it"),
        ("a.csv", "1,2\n3,four\n", r"a.csv line 2 column 2 is 'four', expected a number: correct it"),
        (
            "a.csv",
            "1,2\n3,\n",
            r"a.csv frame 1 \(from 0\), number 1 is nan, expected finite numbers: fill the gap",
        ),
        ("a.csv", "x,y\n", r"a.csv holds no line of numbers, expected one per frame"),
        ("a.npy", "nonsense", r"a.npy cannot be read \(.*\), expected arrays of NumPy: save it again"),
        (
            "a.npy",
            np.zeros(3),
            r"a.npy has shape \(3,\) of float64, expected numbers \[T, I\]: a row per frame",
        ),
        ("a.npy", np.array([["a"]]), r"a.npy has shape \(1, 1\) of <U1, expected numbers"),
        (
            "a.npz",
            {"a": np.zeros((2, 2)), "b": np.zeros((2, 2))},
            r"a.npz holds the arrays a, b, expected one \[T, I\]",
        ),
    ],
)
def test_tracks_that_cannot_be_read_have_their_line(
    tmp_path: Path, name: str, content: Any, line: str
) -> None:
    path = tmp_path / name
    if isinstance(content, str):
        path.write_text(content)
    elif isinstance(content, dict):
        np.savez(path, **content)
    else:
        np.save(path, content)
    with pytest.raises(DataError, match=line):
        read_track(path)


def test_a_file_of_many_tracks_has_parts_and_lengths(tmp_path: Path) -> None:
    x, y = tracks(10)
    np.savez(
        tmp_path / "a.npz", X_train=x, y_train=y, X_test=x[:4], y_test=y[:4], lengths_train=np.full(20, 9)
    )
    data = prepare(str(tmp_path / "a.npz"), Settings())
    assert set(data.train.lengths.tolist()) == {9}
    assert data.test == "4 clips, not looked at"
    assert data.shape == (2,)
    for arrays, line in (
        ({"X": x}, r"holds X, expected X \[N, T, I\] and y \[N\]"),
        ({"X": x, "y": y[:3]}, r"has no labels for the 20 clips of X, expected y \[20\]: add them"),
        ({"X": x[0], "y": y}, r"X has shape \(12, 2\) of float32, expected numbers \[N, T, I\]"),
        ({"X": x, "y": y, "lengths": y[:3]}, r"lengths has shape \(3,\), expected \[20\] frames"),
    ):
        np.savez(tmp_path / "b.npz", **arrays)
        with pytest.raises(DataError, match=line):
            list_clips(tmp_path / "b.npz")
    x[3, 5, 1] = np.nan
    np.savez(tmp_path / "c.npz", X=x, y=y)
    with pytest.raises(DataError, match=r"c.npz X\[3\] frame 5 \(from 0\), number 1 is nan"):
        prepare(str(tmp_path / "c.npz"), Settings())
    assert (
        prepare(str(tmp_path / "c.npz"), Settings(bad="skip")).notes["left out"].startswith("1 of 20 clips")
    )


@needs(DATA / "video" / "libras")
def test_libras_is_read_as_it_is_described() -> None:
    listing = list_clips(DATA / "video" / "libras" / "libras.npz")
    assert {name: len(part) for name, part in listing.parts.items()} == {"train": 180, "test": 180}
    assert len({entry.label for entry in listing.entries}) == 15


def test_clips_of_another_kind_are_told() -> None:
    entries = [
        Entry(f"clip {k}", Path("."), "a", track=np.zeros((3, size), np.float32))
        for k, size in enumerate((2, 2, 3))
    ]
    report = ReadReport()
    good, _, _ = load_clips(entries, Look(16, 24), processes=0, memory_bytes=1, report=report)
    assert len(good) == 2
    assert report.bad == ["clip 2 has frames of 3 numbers, the clips before of 2 numbers"]
