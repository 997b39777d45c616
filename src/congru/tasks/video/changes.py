"""What is changed at random in a training clip: time, place, size, angle, side; one draw for all frames of a clip.

    crop       so many frames, from a random one on
time       frame t of the new clip is frame s(t) of the old:  s' = speed * (1 + warp * sin(2 pi (t / T + phase)))
pictures   shift, zoom and turn in the plane, the nearest pixel; mirrored
tracks     x = centre + zoom * turn(x - centre) + shift, for every landmark's coordinates alike
noise      normal, added to the prepared features (see `learner`)
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from congru.errors import SettingsError
from congru.tasks.video.clips import Clip
from congru.tasks.video.settings import ChangeSettings


@dataclass(frozen=True)
class Changes:
    """How much is changed at most; `deviation` is that of a track's numbers [I], `coordinates` of a landmark."""

    shift: float
    zoom: float
    turn: float
    stretch: float
    warp: float
    flip: bool
    coordinates: int = 1
    deviation: tuple[float, ...] = ()
    crop: int | None = None

    @classmethod
    def of(cls, settings: ChangeSettings, shape: tuple[int, ...], deviation: tuple[float, ...]) -> Changes:
        """From the settings, for clips whose frames have `shape`.

        Raises:
            SettingsError: numbers of a track that are no whole landmarks.
        """
        coordinates = settings.coordinates or (2 if shape[0] % 2 == 0 else 1)
        if len(shape) == 1 and shape[0] % coordinates:
            raise SettingsError(
                f"coordinates is {coordinates}, expected a divisor of the {shape[0]} numbers of a frame: change it"
            )
        return cls(
            settings.shift,
            settings.zoom,
            settings.turn,
            settings.stretch,
            settings.warp,
            settings.flip,
            coordinates,
            deviation,
            settings.crop,
        )

    def __call__(self, clip: Clip, rng: np.random.Generator) -> Clip:
        """A changed copy; its number of frames may differ."""
        pictures = clip.ndim == 4
        if self.crop is not None and len(clip) > self.crop:
            begin = int(rng.integers(0, len(clip) - self.crop + 1))
            clip = clip[begin : begin + self.crop]
        clip = self._in_time(clip, rng)
        shift = rng.uniform(-self.shift, self.shift, 2 if pictures else self.coordinates)
        zoom = 1 + rng.uniform(-self.zoom, self.zoom)
        angle = math.radians(rng.uniform(-self.turn, self.turn))
        mirror = self.flip and bool(rng.integers(2))
        if pictures:
            return self._pictures(clip, shift, zoom, angle, mirror)
        return self._track(clip, shift, zoom, angle, mirror)

    def _in_time(self, clip: Clip, rng: np.random.Generator) -> Clip:
        speed = math.exp(rng.uniform(-1, 1) * math.log1p(self.stretch))
        depth, phase = rng.uniform(0, self.warp), rng.uniform()
        if not (self.stretch or self.warp):
            return clip
        steps = max(2, round(len(clip) / speed))
        rates = 1 + depth * np.sin(2 * np.pi * (np.arange(steps - 1) / steps + phase))
        at = np.concatenate([[0.0], np.cumsum(rates)])
        at *= (len(clip) - 1) / at[-1]
        if clip.ndim == 4:
            return np.asarray(clip[np.rint(at).astype(int)])
        whole = np.minimum(at.astype(int), len(clip) - 2) if len(clip) > 1 else np.zeros(steps, int)
        share = (at - whole)[:, None].astype(np.float32)
        after = np.minimum(whole + 1, len(clip) - 1)
        return np.asarray((1 - share) * clip[whole] + share * clip[after], np.float32)

    def _pictures(self, clip: Clip, shift: NDArray[Any], zoom: float, angle: float, mirror: bool) -> Clip:
        height, width = clip.shape[2:]
        if mirror:
            clip = clip[..., ::-1]
        if not (self.shift or self.zoom or self.turn):
            return clip
        rows = np.arange(height)[:, None] - (height - 1) / 2 - shift[0] * height
        columns = np.arange(width)[None] - (width - 1) / 2 - shift[1] * width
        cosine, sine = math.cos(angle) / zoom, math.sin(angle) / zoom
        row = np.rint(cosine * rows + sine * columns + (height - 1) / 2).astype(int)
        column = np.rint(cosine * columns - sine * rows + (width - 1) / 2).astype(int)
        inside = (row >= 0) & (row < height) & (column >= 0) & (column < width)
        flat = np.where(inside, row * width + column, height * width)
        padded = np.concatenate(
            [clip.reshape(*clip.shape[:2], -1), np.zeros((*clip.shape[:2], 1), clip.dtype)], axis=-1
        )
        return np.asarray(padded[..., flat])

    def _track(self, clip: Clip, shift: NDArray[Any], zoom: float, angle: float, mirror: bool) -> Clip:
        per = self.coordinates
        deviation = np.array(self.deviation, np.float64).reshape(-1, per)
        points = clip.reshape(len(clip), -1, per).astype(np.float64)
        centre = points.mean((0, 1))
        points = (points - centre) * zoom
        if per >= 2 and angle:
            cosine, sine = math.cos(angle), math.sin(angle)
            x, y = points[..., 0].copy(), points[..., 1].copy()
            points[..., 0], points[..., 1] = cosine * x - sine * y, sine * x + cosine * y
        if mirror:
            points[..., 0] *= -1
        points += centre + shift * deviation.mean(0)
        return np.asarray(points.reshape(len(clip), -1), np.float32)
