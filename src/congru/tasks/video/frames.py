"""Video files, GIFs and folders of pictures to small frames with their times, one after the other, by PyAV (FFmpeg).

Every frame is scaled as it is decoded, so no clip is ever in memory at full size. Frames come in the order in which they
are shown; a rotation in the metadata (a phone held upright) is applied. Pictures keep their proportions: where the
proportions differ from those asked for, the rest is black.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np
from numpy.typing import NDArray

from congru.errors import DataError, require
from congru.tasks.video.figure import figure

Pixels = NDArray[np.uint8]
PICTURE_SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".webp", ".tif", ".tiff", ".ppm", ".pgm")
_SEQUENCE_MS = 40.0  # between the pictures of a folder, and where a file has no times


@dataclass(frozen=True)
class Look:
    """How clips are read: the size of a picture [C, height, width], frames a second (None: all), frames at most.

    With `figure` a picture is what `congru.tasks.video.figure` cuts out of it.
    """

    height: int
    width: int
    color: bool = False
    rate: float | None = None
    max_frames: int = 300
    figure: bool = False

    @property
    def shape(self) -> tuple[int, int, int]:
        """(C, height, width)."""
        return (3 if self.color else 1, self.height, self.width)


class Frame(NamedTuple):
    """A picture [C, H, W], when it is shown, in milliseconds since the first, and its rows and columns before scaling."""

    time_ms: float
    pixels: Pixels
    size: tuple[int, int] = (0, 0)


class Picture(NamedTuple):
    """A decoded picture before scaling: PyAV's frame, and its time in milliseconds or None."""

    frame: Any
    time_ms: float | None


def read_frames(source: Path | BinaryIO, look: Look, name: str = "") -> Iterator[Frame]:
    """The frames of a clip, `look.rate` a second where given: then each is the last one shown at its time.

    Raises:
        DataError: no file, no video in it, no picture that decodes, or decoding fails on the way.
        MissingPackageError: PyAV is not installed.
    """
    frames = _scaled(source, look, name or str(source))
    yield from frames if look.rate is None else by_time(frames, look.rate)


def by_time(frames: Iterator[Frame], rate: float) -> Iterator[Frame]:
    """At every tick k / rate the last frame that was shown; the first tick is the first frame.

    >>> shown = [Frame(t, np.zeros((1, 1, 1), np.uint8)) for t in (0.0, 16.0, 500.0)]
    >>> [(k.time_ms) for k in by_time(iter(shown), 10)]
    [0.0, 100.0, 200.0, 300.0, 400.0, 500.0]
    """
    tick, held = 0, None
    step_ms = 1000.0 / rate
    for frame in frames:
        while held is not None and tick * step_ms < frame.time_ms - 1e-6:
            yield held._replace(time_ms=tick * step_ms)
            tick += 1
        held = frame
    if held is not None and tick * step_ms <= held.time_ms + step_ms / 2:
        yield held._replace(time_ms=tick * step_ms)


def _scaled(source: Path | BinaryIO, look: Look, name: str) -> Iterator[Frame]:
    first: float | None = None
    before = -_SEQUENCE_MS
    resizer = require("av.video.reformatter", "video", "av").VideoReformatter()  # one for all frames: quicker
    for picture in pictures_of(source, name):
        time_ms = before + _SEQUENCE_MS if picture.time_ms is None else picture.time_ms
        first = time_ms if first is None else first
        before = time_ms
        stored = picture.frame.height, picture.frame.width
        size = stored[::-1] if rotation_of(picture.frame) % 2 else stored
        yield Frame(time_ms - first, scale(picture.frame, look, resizer), size)


@contextmanager
def complaints() -> Iterator[list[str]]:
    """What FFmpeg complains of while clips are read within: a file that is cut, pictures that are patched up."""
    logging = require("av.logging", "video", "av")
    level, lines = logging.get_level(), list[str]()
    logging.set_level(logging.ERROR)
    try:
        with logging.Capture() as logs:
            yield lines
        lines += dict.fromkeys(str(words).strip().rstrip(".").lower() for _, _, words in logs)
    finally:
        logging.set_level(level)


def pictures_of(source: Path | BinaryIO, name: str) -> Iterator[Picture]:
    """The decoded pictures of a file or of a folder of pictures; see `read_frames` for what is raised."""
    if isinstance(source, Path) and source.is_dir():
        files = picture_files(source)
        if not files:
            raise DataError(
                f"{name} holds no pictures, expected some ({', '.join(PICTURE_SUFFIXES[:3])}): add them"
            )
        for number, file in enumerate(files):
            picture = next(_decode(file, str(file)))
            yield Picture(picture.frame, number * _SEQUENCE_MS)
        return
    yield from _decode(source, name)


def picture_files(folder: Path) -> list[Path]:
    """The pictures of a folder in their order: frame2 before frame10.

    >>> import tempfile; folder = Path(tempfile.mkdtemp())
    >>> for name in ("f10.png", "f2.png", "notes.txt"): (folder / name).touch()
    >>> [file.name for file in picture_files(folder)]
    ['f2.png', 'f10.png']
    """
    files = [
        path
        for path in folder.iterdir()
        if path.suffix.lower() in PICTURE_SUFFIXES and not path.name.startswith(".")
    ]
    return sorted(files, key=lambda path: natural(path.name))


def natural(name: str) -> list[tuple[int, int | str]]:
    """A sort key in which numbers count as numbers."""
    parts = re.split(r"(\d+)", name)
    return [(0, int(part)) if part.isdigit() else (1, part) for part in parts if part]


def _decode(source: Path | BinaryIO, name: str) -> Iterator[Picture]:
    av = require("av", "video")
    _check_file(source, name)
    try:
        container = av.open(str(source) if isinstance(source, Path) else source)
    except av.error.FFmpegError as error:
        why = "its index (moov) is missing: it is cut off" if _lacks_index(source) else reason(error)
        raise DataError(
            f"{name} cannot be opened ({why}), expected a video: copy or write it again"
        ) from None
    with container:
        stream = _stream(container, name)
        stream.thread_count = 1  # clips are shared out over processes
        number = 0
        try:
            for frame in container.decode(stream):
                number += 1
                shown = None if frame.pts is None or frame.time_base is None else frame.pts * frame.time_base
                yield Picture(frame, None if shown is None else 1000.0 * float(shown))
        except av.error.FFmpegError as error:
            whole = f" of {stream.frames}" if stream.frames else ""
            raise DataError(
                f"{name} decodes {number}{whole} frames, then fails ({reason(error)}), expected a whole video:"
                " copy or write it again"
            ) from None
    if not number:
        raise DataError(f"{name} holds no picture that decodes (0 frames), expected some: write it again")


def _check_file(source: Path | BinaryIO, name: str) -> None:
    if not isinstance(source, Path):
        return
    if not source.is_file():
        raise DataError(f"{name} does not exist, expected a video: check the path")
    if source.stat().st_size == 0:
        raise DataError(f"{name} is empty (0 bytes), expected a video: copy or write it again")


def _lacks_index(source: Path | BinaryIO) -> bool:
    """Whether a file is an MP4 or MOV whose boxes end before the one that says where the frames are."""
    if not isinstance(source, Path):
        return False
    boxes, size = list[bytes](), source.stat().st_size
    with source.open("rb") as file:
        while file.tell() + 8 <= size and len(boxes) < 1000:
            begin, header = file.tell(), file.read(8)
            boxes.append(header[4:])
            length = int.from_bytes(header[:4], "big")
            if length == 1:
                length = int.from_bytes(file.read(8), "big")
            if length < 8:
                break
            file.seek(begin + length)
    return boxes[:1] == [b"ftyp"] and b"moov" not in boxes


def _stream(container: Any, name: str) -> Any:
    """The first video stream. A picture attached to a song is none."""
    if container.streams.video:
        return container.streams.video[0]
    others = ", ".join(f"{stream.type} ({stream.codec_context.name})" for stream in container.streams)
    raise DataError(
        f"{name} has no video stream, only {others or 'nothing'}, expected one: choose another file"
    )


def reason(error: Any) -> str:
    """What FFmpeg says was wrong, in short: its last log line says more than its error code."""
    log = getattr(error, "log", None)
    words = log[2] if log else (getattr(error, "strerror", None) or str(error))
    return str(words).strip().rstrip(".").lower()


def rotation_of(frame: Any) -> int:
    """Quarter turns against the clock that show the frame upright."""
    return round(getattr(frame, "rotation", 0) / 90) % 4


def scale(frame: Any, look: Look, resizer: Any) -> Pixels:
    """A PyAV frame turned upright, scaled with its proportions, centred on black: [C, height, width].

    Or its figure, which fills the picture.
    """
    if look.figure:
        return _scaled_figure(frame, look, resizer)
    turns = rotation_of(frame)
    rows, columns = (frame.width, frame.height) if turns % 2 else (frame.height, frame.width)
    factor = min(look.height / rows, look.width / columns)
    height = min(look.height, max(1, round(rows * factor)))
    width = min(look.width, max(1, round(columns * factor)))
    stored = (width, height) if turns % 2 else (height, width)
    layout = "rgb24" if look.color else "gray"
    resized = resizer.reformat(frame, width=stored[1], height=stored[0], format=layout, interpolation="AREA")
    array = resized.to_ndarray()
    small = np.rot90(array if array.ndim == 3 else array[:, :, None], turns)
    out = np.zeros((look.height, look.width, small.shape[2]), np.uint8)
    top, left = (look.height - height) // 2, (look.width - width) // 2
    out[top : top + height, left : left + width] = small
    return np.ascontiguousarray(out.transpose(2, 0, 1))


def _scaled_figure(frame: Any, look: Look, resizer: Any) -> Pixels:
    array = resizer.reformat(frame, format="rgb24" if look.color else "gray").to_ndarray()
    upright = np.rot90(array if look.color else array[:, :, None], rotation_of(frame))
    return figure(upright, look.height, look.width)
