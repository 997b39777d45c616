"""Audio files as one channel of finite float32 samples, and their resampling; every fault of a file is one line.

libsndfile (soundfile) reads wav, flac, ogg, opus, mp3, sph and more; channels are averaged; soxr resamples, a stream in
pieces to the same samples as in one piece.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from congru.data.files import read_bytes
from congru.errors import DataError, require
from congru.tasks.speech.wav_header import WavHeader, is_wav, read_wav_header

Samples = NDArray[np.float32]

SUFFIXES = (".wav", ".flac", ".ogg", ".oga", ".opus", ".mp3", ".sph", ".aiff", ".aif", ".au", ".w64")
_READABLE_BITS = (8, 16, 24, 32, 64)


class Audio(NamedTuple):
    """Samples [N] of one channel in -1 .. 1, and how many there are a second."""

    samples: Samples
    rate_hz: int

    @property
    def seconds(self) -> float:
        """How long it is."""
        return len(self.samples) / self.rate_hz


def read_audio(path: Path) -> Audio:
    """The samples of a file, its channels averaged.

    Raises:
        DataError: a file that is missing, no audio, empty, cut, or with samples that are not finite.
        MissingPackageError: soundfile is not installed.
    """
    soundfile = require("soundfile", "speech")
    if not path.is_file():
        read_bytes(path, "an audio file")  # says why not
    header = _header(path)
    try:
        with soundfile.SoundFile(path) as file:
            promised, kind = file.frames, f"{file.format} {file.subtype}"
            samples, rate_hz = file.read(dtype="float32", always_2d=True), int(file.samplerate)
    except soundfile.LibsndfileError as error:
        raise DataError(_why_unreadable(path, header, error)) from None
    if not len(samples):
        raise DataError(f"{path} has a header and no audio in it, expected samples: record it again")
    missing = _missing_bytes(path, header)
    if missing:
        raise DataError(
            f"{path} is cut: its header promises {missing} bytes more than the {len(samples)} samples that are there,"
            " expected a whole file: copy it again"
        )
    if len(samples) < promised and "MP3" not in kind:  # the header of an MP3 only estimates
        raise DataError(
            f"{path} is cut: {len(samples)} of {promised} samples are there, expected all: copy it again"
        )
    return Audio(_one_channel(samples, path), rate_hz)


def _header(path: Path) -> WavHeader | None:
    with path.open("rb") as file:
        return read_wav_header(file, str(path)) if is_wav(file.read(4)) and file.seek(0) == 0 else None


def _missing_bytes(path: Path, header: WavHeader | None) -> int:
    """How many bytes of samples a WAV file promises and lacks."""
    if header is None or header.data_bytes is None:
        return 0
    return max(0, header.data_bytes - (path.stat().st_size - header.data_offset))


def _why_unreadable(path: Path, header: WavHeader | None, error: Any) -> str:
    text = str(getattr(error, "error_string", error)).rstrip(".")
    if header is not None and header.bits not in _READABLE_BITS:
        return f"{path} has {header.bits}-bit samples, which are not supported, expected 16 or 24 bit: convert it"
    if "lost sync" in text or "unexpected end" in text.lower():
        return f"{path} is cut or damaged ({text.split(': ')[-1]}), expected a whole file: copy it again"
    return f"{path} is not an audio file that can be read ({text.split(': ')[-1]}), expected wav, flac, ogg or mp3: convert it"


def _one_channel(samples: NDArray[Any], path: Path) -> Samples:
    """The mean of the channels.

    Raises:
        DataError: a sample that is not finite, by its number from 0.
    """
    wrong = np.flatnonzero(~np.isfinite(samples).all(1))
    if len(wrong):
        at = int(wrong[0])
        raise DataError(
            f"{path} sample {at} is {samples[at][~np.isfinite(samples[at])][0]}, expected finite numbers"
            f" ({len(wrong)} samples are not): export the file again"
        )
    return np.ascontiguousarray(samples.mean(1, dtype=np.float32) if samples.shape[1] > 1 else samples[:, 0])


class Resampler:
    """Samples at one rate to samples at another, in pieces; nothing is done where the rates are equal.

    Raises:
        MissingPackageError: soxr is not installed.
    """

    def __init__(self, from_hz: int, to_hz: int) -> None:
        self._stream = None
        if from_hz != to_hz:
            soxr = require("soxr", "speech")
            self._stream = soxr.ResampleStream(from_hz, to_hz, 1, dtype="float32", quality="HQ")

    def feed(self, samples: Samples, last: bool = False) -> Samples:
        """What the samples so far give beyond what was returned; `last` also what was held back."""
        if self._stream is None:
            return samples
        out: Samples = self._stream.resample_chunk(np.ascontiguousarray(samples, np.float32), last=last)
        return out


def resample(audio: Audio, rate_hz: int) -> Audio:
    """The audio at another rate.

    >>> len(resample(Audio(np.zeros(800, np.float32), 8000), 16000).samples)
    1600
    """
    if audio.rate_hz == rate_hz:
        return audio
    return Audio(Resampler(audio.rate_hz, rate_hz).feed(audio.samples, last=True), rate_hz)


def silent(samples: Samples) -> bool:
    """Whether there is no signal at all: every sample is the same."""
    return not len(samples) or bool((samples == samples[0]).all())
