"""Clips of moving digits, made from the pictures of MNIST and passed through real .mp4 files; new ones at every draw.

    digit       one digit flies through the picture; label: which digit
    direction   one digit flies in one of eight directions; label: the direction
    order       one digit, then another one elsewhere; label: whether the smaller or the larger one comes first

Where a digit starts is drawn so that a path and its reverse are equally likely: the average frame of a clip says neither
direction nor order. The 10,000 pictures are shared out by number (8,000 to train, 1,000 to validate, 1,000 to test), so no
picture of a digit is seen in two parts.

    python -m congru.tasks.video.moving_digits MNIST_FOLDER OUT --kind order --part test --clips 200
"""

from __future__ import annotations

import argparse
import io
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from congru.data.files import read_bytes, read_unpacked
from congru.errors import DataError, require
from congru.tasks.video.clips import Clip
from congru.tasks.video.frames import Look, read_frames

Kind = Literal["digit", "direction", "order"]
SIDE, STEPS, RATE = 48, 16, 25
_DIGIT = 28
_DIRECTIONS = ("right", "down right", "down", "down left", "left", "up left", "up", "up right")
CLASSES: dict[str, tuple[str, ...]] = {
    "digit": tuple("0123456789"),
    "direction": _DIRECTIONS,
    "order": ("smaller first", "larger first"),
}
_PARTS = {"train": 0, "validation": 8, "test": 9}
_STARTS = {"train": 1, "validation": 2, "test": 3}  # of the random numbers of each part


@dataclass(frozen=True)
class Digits:
    """Pictures [N, 28, 28] of one part, and what they show [N]."""

    pictures: NDArray[np.uint8]
    labels: NDArray[np.int64]


def read_digits(folder: Path, part: str) -> Digits:
    """The digits of a part, from MNIST's two files (`*images*`, `*labels*`, also .gz) in a folder.

    Raises:
        DataError: a file is missing or is not of that format.
    """
    pictures = _idx(_file(folder, "images"), 3)
    labels = _idx(_file(folder, "labels"), 1)
    if len(pictures) != len(labels) or pictures.shape[1:] != (_DIGIT, _DIGIT):
        raise DataError(
            f"{folder} has pictures {pictures.shape} and {len(labels)} labels, expected [N, 28, 28] and N: download again"
        )
    if part not in _PARTS:
        raise DataError(
            f"part is {part!r}, expected one of {', '.join(_PARTS)}: digits of one part at a time"
        )
    tenth = np.random.default_rng(0).permutation(len(labels)) % 10
    first = _PARTS[part]
    chosen = tenth < _PARTS["validation"] if part == "train" else tenth == first
    return Digits(pictures[chosen], labels[chosen].astype(np.int64))


def holds_digits(folder: Path) -> bool:
    """Whether a folder holds MNIST's files."""
    return folder.is_dir() and all(any(folder.glob(f"*{word}*ubyte*")) for word in ("images", "labels"))


def _file(folder: Path, word: str) -> Path:
    files = sorted(folder.glob(f"*{word}*")) if folder.is_dir() else []
    if not files:
        raise DataError(
            f"{folder} holds no file of {word}, expected MNIST's (t10k-{word}-idx..): check the path"
        )
    return files[0]


def _idx(path: Path, axes: int) -> NDArray[np.uint8]:
    """An IDX file of bytes: 0, 0, 8, the number of axes, their sizes, the values."""
    content = (
        read_unpacked(path, "MNIST digits") if path.suffix == ".gz" else read_bytes(path, "MNIST digits")
    )
    head = 4 + 4 * axes
    sizes = struct.unpack(f">{axes}I", content[4:head]) if len(content) >= head else ()
    if content[:4] != bytes((0, 0, 8, axes)) or len(content) != head + int(np.prod(sizes, dtype=np.int64)):
        raise DataError(
            f"{path} is not an IDX file of {axes} axes of bytes, expected MNIST's: download it again"
        )
    return np.frombuffer(content, np.uint8, offset=head).reshape(sizes)


def draw_clip(digits: Digits, kind: str, label: int, rng: np.random.Generator) -> NDArray[np.uint8]:
    """A clip [T, 48, 48] of a class."""
    if kind == "digit":
        row = int(rng.choice(np.flatnonzero(digits.labels == label)))
        return _flight(digits.pictures[row], rng.uniform(0, 2 * np.pi), STEPS, rng)
    if kind == "direction":
        row = int(rng.integers(len(digits.labels)))
        return _flight(digits.pictures[row], 2 * np.pi * label / len(_DIRECTIONS), STEPS, rng)
    while True:
        one, two = rng.integers(0, len(digits.labels), 2).tolist()
        if digits.labels[one] != digits.labels[two]:
            break
    if (digits.labels[one] < digits.labels[two]) != (label == 0):
        one, two = two, one
    half = STEPS // 2
    return np.concatenate(
        [_flight(digits.pictures[row], rng.uniform(0, 2 * np.pi), half, rng) for row in (one, two)]
    )


def _flight(
    picture: NDArray[np.uint8], angle: float, steps: int, rng: np.random.Generator
) -> NDArray[np.uint8]:
    """A picture on a line at an angle (0: right, a quarter: down); the line's middle is drawn: its reverse is as likely."""
    room = SIDE - _DIGIT
    speed = rng.uniform(0.5, 1.0) * room / (steps - 1)
    move = speed * np.array([np.sin(angle), np.cos(angle)])
    reach = np.abs(move) * (steps - 1) / 2
    middle = rng.uniform(reach, room - reach)
    clip = np.zeros((steps, SIDE, SIDE), np.uint8)
    for t in range(steps):
        row, column = np.rint(middle + move * (t - (steps - 1) / 2)).astype(int)
        clip[t, row : row + _DIGIT, column : column + _DIGIT] = picture
    return clip


def to_mp4(frames: NDArray[np.uint8]) -> bytes:
    """Frames [T, H, W] of brightness as an H.264 .mp4 file.

    Raises:
        MissingPackageError: PyAV is not installed.
    """
    av = require("av", "video")
    file = io.BytesIO()
    with av.open(file, "w", format="mp4") as container:
        options = {"preset": "ultrafast", "crf": "18", "threads": "1"}
        stream = container.add_stream("libx264", rate=RATE, options=options)
        stream.height, stream.width = frames.shape[1:]
        stream.pix_fmt = "yuv420p"
        for number, pixels in enumerate(frames):
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(pixels), format="gray")
            frame.pts = number
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return file.getvalue()


@dataclass(frozen=True)
class DigitClips:
    """N clips of one part; clip `row` of draw `draw` is always the same, a training set takes another draw each time."""

    folder: Path
    kind: str
    part: str
    number: int
    look: Look

    def __len__(self) -> int:
        return self.number

    @cached_property
    def digits(self) -> Digits:
        """The pictures of the part."""
        return read_digits(self.folder, self.part)

    @cached_property
    def labels(self) -> NDArray[np.int64]:
        """The class of every clip [N]: each as often as the others."""
        return np.arange(self.number) % len(CLASSES[self.kind])

    @property
    def lengths(self) -> NDArray[np.int64]:
        """16 frames each [N]."""
        return np.full(self.number, STEPS)

    def frames(self, row: int, draw: int = 0) -> NDArray[np.uint8]:
        """The frames [T, 48, 48] before they are written."""
        digits = self.digits
        rng = np.random.default_rng((_STARTS[self.part], row, draw))
        return draw_clip(digits, self.kind, int(self.labels[row]), rng)

    def clip(self, row: int, draw: int = 0) -> Clip:
        """A clip [T, C, H, W], written as .mp4 and read again."""
        content = io.BytesIO(to_mp4(self.frames(row, draw)))
        return np.stack([frame.pixels for frame in read_frames(content, self.look, f"clip {row}")])


def write_clips(folder: Path, clips: DigitClips) -> Path:
    """The clips as files, class by class: `folder/LABEL/NUMBER.mp4`."""
    for row in range(len(clips)):
        path = folder / CLASSES[clips.kind][int(clips.labels[row])] / f"{row:05d}.mp4"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(to_mp4(clips.frames(row)))
    return folder


def main(words: Sequence[str] | None = None) -> None:
    """Write clips into class folders."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("mnist", type=Path, help="folder with MNIST's images and labels")
    parser.add_argument("out", type=Path, help="where the class folders go")
    parser.add_argument("--kind", choices=sorted(CLASSES), default="digit")
    parser.add_argument("--part", choices=sorted(_PARTS), default="train", help="whose digits are shown")
    parser.add_argument("--clips", type=int, default=200)
    chosen: Any = parser.parse_args(words)
    clips = DigitClips(chosen.mnist, chosen.kind, chosen.part, chosen.clips, Look(SIDE, SIDE))
    print(f"wrote {len(clips)} clips into {write_clips(chosen.out, clips)}")


if __name__ == "__main__":
    main()
