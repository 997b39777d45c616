"""Small clips made for tests: a bright square that moves to the right or to the left, as files of every kind."""

from __future__ import annotations

import struct
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray


def square(steps: int, rightward: bool, row: int = 4, start: int = 0) -> NDArray[np.uint8]:
    """[T, 16, 24]: a bright square of 4 x 4 that moves two pixels a frame."""
    frames = np.zeros((steps, 16, 24), np.uint8)
    for t in range(steps):
        column = (start + 2 * t) % 20
        column = column if rightward else 20 - column
        frames[t, row : row + 4, column : column + 4] = 230
    return frames


def write_video(path: Path, frames: NDArray[Any], rate: int = 25, codec: str = "libx264") -> Path:
    """Frames [T, H, W] (brightness) or [T, H, W, 3] as a video file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=rate)
        stream.height, stream.width = frames.shape[1:3]
        stream.pix_fmt = {"gif": "rgb8", "png": "rgb24"}.get(codec, "yuv420p")
        stream.time_base = Fraction(1, rate)
        for number, pixels in enumerate(frames):
            frame = av.VideoFrame.from_ndarray(pixels, format="gray" if pixels.ndim == 2 else "rgb24")
            frame.pts = number
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def write_pictures(folder: Path, frames: NDArray[Any]) -> Path:
    """Frames [T, H, W] as a folder of .png files, numbered without leading zeros."""
    folder.mkdir(parents=True, exist_ok=True)
    for number, pixels in enumerate(frames):
        write_video(folder / f"f{number + 1}.png", np.repeat(pixels[None, ..., None], 3, -1), codec="png")
    return folder


def write_classes(folder: Path, per_class: int = 8) -> Path:
    """left/ and right/ with videos of 6 to 9 frames: only the order tells them apart."""
    rng = np.random.default_rng(0)
    for label, rightward in (("left", False), ("right", True)):
        for number in range(per_class):
            steps, row, start = rng.integers(6, 10), rng.integers(0, 12), rng.integers(0, 20)
            frames = square(int(steps), rightward, int(row), int(start))
            write_video(folder / label / f"{number}.mp4", frames)
    return folder


def tracks(per_class: int = 12, seed: int = 0) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """X [N, 12, 2], y [N]: circles with and against the clock; the average of a path says nothing."""
    rng = np.random.default_rng(seed)
    x, y = [], []
    for number in range(2 * per_class):
        phase = rng.uniform(0, 2 * np.pi)
        angle = phase + np.linspace(0, 2 * np.pi, 12) * (1 if number % 2 else -1)
        x.append(np.stack([np.cos(angle), np.sin(angle)], 1) + rng.normal(0, 0.05, (12, 2)))
        y.append(number % 2)
    return np.array(x, np.float32), np.array(y)


def write_paths(folder: Path) -> list[str]:
    """Tracks [24, 8, 2]: circles with and against the clock."""
    rng = np.random.default_rng(0)
    turns = np.linspace(0, 2 * np.pi, 8) * np.array([[1], [-1]] * 12) + rng.uniform(0, 6, (24, 1))
    x = np.stack([np.cos(turns), np.sin(turns)], -1)
    np.savez(folder / "paths.npz", X=x, y=np.arange(24) % 2)
    return [str(folder / "paths.npz")]


def write_unlabelled_paths(folder: Path) -> list[str]:
    """Three tracks with two labels."""
    np.savez(folder / "bad.npz", X=np.zeros((3, 4, 2)), y=np.zeros(2))
    return [str(folder / "bad.npz")]


def write_digits(folder: Path) -> Path:
    """MNIST's two files with 200 pictures that fill their squares: a frame of the label's brightness around noise."""
    rng = np.random.default_rng(0)
    labels = np.arange(200) % 10
    pictures = np.repeat(100 + 15 * labels, 28 * 28).reshape(200, 28, 28).astype(np.uint8)
    pictures[:, 4:24, 4:24] = rng.integers(1, 255, (200, 20, 20))
    for name, values in (("images-idx3-ubyte", pictures), ("labels-idx1-ubyte", labels.astype(np.uint8))):
        head = struct.pack(f">4B{values.ndim}I", 0, 0, 8, values.ndim, *values.shape)
        (folder / name).write_bytes(head + values.tobytes())
    return folder
