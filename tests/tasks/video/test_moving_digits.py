"""Moving digits: pictures of each part apart, real .mp4 files, new clips at every draw, an average that tells nothing."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import congru
from congru.errors import DataError
from congru.tasks.video.data import prepare
from congru.tasks.video.frames import Look, read_frames
from congru.tasks.video.moving_digits import CLASSES, SIDE, STEPS, DigitClips, main, read_digits, to_mp4
from congru.tasks.video.settings import Settings
from congru.tasks.video.use import evaluate
from shared_files import DATA, needs
from video_cases import write_digits

LOOK = Look(SIDE, SIDE)
MNIST = DATA / "video" / "mnist10k"


@pytest.fixture(scope="module")
def mnist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_digits(tmp_path_factory.mktemp("mnist"))


def test_no_picture_of_a_digit_is_in_two_parts(mnist: Path) -> None:
    parts = {part: read_digits(mnist, part) for part in ("train", "validation", "test")}
    assert [len(part.labels) for part in parts.values()] == [160, 20, 20]
    seen = {part: {picture.tobytes() for picture in digits.pictures} for part, digits in parts.items()}
    assert (
        not seen["train"] & seen["validation"]
        | seen["train"] & seen["test"]
        | seen["validation"] & seen["test"]
    )


@pytest.mark.parametrize("kind", CLASSES)
def test_a_clip_is_the_same_at_the_same_draw_and_new_at_another(mnist: Path, kind: str) -> None:
    clips = DigitClips(mnist, kind, "train", 40, LOOK)
    one, again, other = clips.clip(3, 7), clips.clip(3, 7), clips.clip(3, 8)
    np.testing.assert_array_equal(one, again)
    assert one.shape == (STEPS, 1, SIDE, SIDE)
    assert not np.array_equal(one, other)
    assert np.bincount(clips.labels, minlength=len(CLASSES[kind])).min() == 40 // len(CLASSES[kind])
    drawn = clips.frames(3, 7)
    assert np.abs(one[:, 0].astype(int) - drawn).mean() < 6  # the codec loses little


def test_a_digit_flies_where_its_label_says_and_its_average_is_that_of_the_reverse(mnist: Path) -> None:
    clips = DigitClips(mnist, "direction", "train", 400, LOOK)

    def middle(frame: Any) -> Any:
        return np.average(np.indices(frame.shape).reshape(2, -1), axis=1, weights=frame.ravel().astype(float))

    for row, (down, right) in ((0, (0, 1)), (2, (1, 0)), (4, (0, -1)), (7, (-1, 1))):
        frames = clips.frames(row, 1)
        moved = middle(frames[-1]) - middle(frames[0])
        assert np.sign(np.rint(moved / 3)).tolist() == [down, right]
    means = [
        np.mean([clips.frames(row).mean(0) for row in range(label, 400, 8)], 0) for label in (0, 4)
    ]  # right and left
    assert np.abs(means[0] - means[1]).mean() < 0.25 * means[0].std()


def test_the_smaller_digit_comes_first_where_the_label_says_so(mnist: Path) -> None:
    clips = DigitClips(mnist, "order", "test", 60, LOOK)
    known = {
        picture.tobytes(): int(label) for picture, label in zip(clips.digits.pictures, clips.digits.labels)
    }

    def shown(frame: Any) -> int:
        rows, columns = np.nonzero(frame)
        top, left = rows.min(), columns.min()  # the pictures of this test fill their square
        return known[np.ascontiguousarray(frame[top : top + 28, left : left + 28]).tobytes()]

    for row in range(60):
        frames = clips.frames(row)
        first, second = shown(frames[0]), shown(frames[-1])
        assert (first < second) == (clips.labels[row] == 0)
        assert first != second


def test_clips_are_written_as_files_that_any_reader_opens(mnist: Path, tmp_path: Path) -> None:
    main([str(mnist), str(tmp_path / "out"), "--kind", "order", "--part", "test", "--clips", "4"])
    files = sorted(tmp_path.glob("out/*/*.mp4"))
    assert [file.parent.name for file in files] == [
        "larger first",
        "larger first",
        "smaller first",
        "smaller first",
    ]
    assert len(list(read_frames(files[0], LOOK))) == STEPS
    assert to_mp4(np.zeros((3, 8, 8), np.uint8))[4:8] == b"ftyp"


def test_a_training_makes_its_clips_and_is_scored_on_other_digits(mnist: Path, tmp_path: Path) -> None:
    settings: dict[str, Any] = {
        "moving_digits": "direction",
        "made_clips": 32,
        "height": 24,
        "width": 24,
        "channels": (4,),
        "hidden_size": 6,
        "batch_size": 8,
        "steps": 4,
        "evaluations": 1,
        "quiet": True,
        "threads": 1,
    }
    data = prepare(str(mnist), Settings(**settings))
    assert (len(data.train), len(data.validation)) == (32, 4)
    congru.tasks.video.train(str(mnist), **settings, out=tmp_path / "run")
    import congru.tasks.video.use as use

    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setattr(use, "_MADE", 16)
        assert "frame average" in evaluate(tmp_path / "run", str(mnist), quiet=True)
        with pytest.raises(DataError, match=r"part is 'all', expected one of train, validation, test"):
            evaluate(tmp_path / "run", str(mnist), part="all")


def test_files_that_are_not_mnist_have_their_line(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"holds no file of images, expected MNIST's .*: check the path"):
        read_digits(tmp_path, "train")
    write_digits(tmp_path)
    (tmp_path / "labels-idx1-ubyte").write_bytes(struct.pack(">4B1I", 0, 0, 8, 1, 9) + bytes(8))
    with pytest.raises(
        DataError, match=r"labels-idx1-ubyte is not an IDX file of 1 axes of bytes, expected MNIST's"
    ):
        read_digits(tmp_path, "train")
    (tmp_path / "labels-idx1-ubyte").write_bytes(struct.pack(">4B1I", 0, 0, 8, 1, 9) + bytes(9))
    with pytest.raises(
        DataError, match=r"has pictures \(200, 28, 28\) and 9 labels, expected \[N, 28, 28\] and N"
    ):
        read_digits(tmp_path, "train")


@needs(MNIST)
def test_the_real_digits_are_shared_out() -> None:
    assert [len(read_digits(MNIST, part).labels) for part in ("train", "validation", "test")] == [
        8000,
        1000,
        1000,
    ]
