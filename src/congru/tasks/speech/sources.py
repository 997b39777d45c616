"""Where a stream of samples comes from: standard input (a WAV file, raw 16-bit samples, or any audio file by redirection) or
a microphone. Every source gives its rate and pieces of samples as they come.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import Any, BinaryIO, NamedTuple

import numpy as np

from congru.errors import DataError, MissingPackageError, require
from congru.tasks.speech.audio import Samples
from congru.tasks.speech.wav_header import WavHeader, is_wav, read_wav_header

PIECE_SECONDS = 0.1


class Source(NamedTuple):
    """Samples in pieces, and how many there are a second."""

    rate_hz: int
    pieces: Iterator[Samples]


class _Ahead:
    """A binary stream whose first bytes have been looked at."""

    def __init__(self, file: BinaryIO, count: int) -> None:
        self._file = file
        self.start = self._more(count)
        self._rest = self.start

    def _more(self, size: int) -> bytes:
        out = b""
        while len(out) < size:
            piece = self._file.read(size - len(out))
            if not piece:
                break
            out += piece
        return out

    def read(self, size: int) -> bytes:
        """As of the whole stream; less than `size` only at its end."""
        out, self._rest = self._rest[:size], self._rest[size:]
        return out + self._more(size - len(out)) if len(out) < size else out


def from_stream(file: BinaryIO, raw_hz: int | None) -> Source:
    """The samples of a stream: a WAV file piece by piece, with `raw_hz` raw 16-bit samples of one channel.

    Any other audio file is read whole first.

    Raises:
        DataError: nothing there, no audio, or a WAV of samples that are neither 16-, 24-, 32-bit nor float.
    """
    ahead = _Ahead(file, 12)
    if raw_hz is not None:
        raw = WavHeader("<", 1, 1, raw_hz, 16, None, 0)
        return Source(raw_hz, _pieces(ahead, raw))
    if not ahead.start:
        raise DataError("standard input is empty, expected audio: congru run MODEL --stream < recording.wav")
    if not is_wav(ahead.start):
        return _of_file(ahead.read(1 << 40))
    header = read_wav_header(ahead, "standard input")
    if header is None or (header.encoding, header.bits) not in _DECODERS or not header.channels:
        what = "no WAV file" if header is None else f"{header.bits}-bit samples of encoding {header.encoding}"
        raise DataError(f"standard input is {what}, expected 16-, 24-, 32-bit or float samples: convert it")
    return Source(header.rate_hz, _pieces(ahead, header))


def _of_file(content: bytes) -> Source:
    soundfile = require("soundfile", "speech")
    try:
        samples, rate_hz = soundfile.read(io.BytesIO(content), dtype="float32", always_2d=True)
    except soundfile.LibsndfileError as error:
        raise DataError(
            f"standard input is not an audio file that can be read ({str(error).rstrip('.')}), expected wav, flac, ogg or"
            " mp3; for raw 16-bit samples pass --raw-hz"
        ) from None
    mono = np.ascontiguousarray(samples.mean(1, dtype=np.float32))
    size = max(1, round(PIECE_SECONDS * rate_hz))
    return Source(int(rate_hz), (mono[k : k + size] for k in range(0, len(mono), size)))


def _integers(bits: int) -> Any:
    def decode(content: bytes, order: str) -> Any:
        if bits == 8:
            return (np.frombuffer(content, np.uint8).astype(np.float32) - 128) / 128
        if bits == 24:
            rows = np.frombuffer(content, np.uint8).reshape(-1, 3)
            rows = rows if order == "<" else rows[:, ::-1]
            padded = np.zeros((len(rows), 4), np.uint8)
            padded[:, 1:] = rows
            return padded.view("<i4")[:, 0].astype(np.float32) / 2.0**31
        return np.frombuffer(content, f"{order}i{bits // 8}").astype(np.float32) / 2.0 ** (bits - 1)

    return decode


_DECODERS: dict[tuple[int, int], Any] = {
    **{(1, bits): _integers(bits) for bits in (8, 16, 24, 32)},
    (3, 32): lambda content, order: np.frombuffer(content, f"{order}f4"),
    (3, 64): lambda content, order: np.frombuffer(content, f"{order}f8").astype(np.float32),
}


def _pieces(ahead: _Ahead, header: WavHeader) -> Iterator[Samples]:
    decode, width = _DECODERS[header.encoding, header.bits], header.bits // 8 * header.channels
    size, left = max(1, round(PIECE_SECONDS * header.rate_hz)) * width, header.data_bytes
    at = 0
    while left is None or left > 0:
        content = ahead.read(size if left is None else min(size, left))
        content = content[: len(content) // width * width]
        if not content:
            if left:
                raise DataError(f"standard input is cut: {left} bytes of samples are missing: send it whole")
            return
        left = None if left is None else left - len(content)
        samples = decode(content, header.byte_order).reshape(-1, header.channels)
        if not np.isfinite(samples).all():
            wrong = at + int(np.flatnonzero(~np.isfinite(samples).all(1))[0])
            raise DataError(
                f"standard input sample {wrong} is not finite, expected numbers: export the file again"
            )
        at += len(samples)
        yield np.ascontiguousarray(samples.mean(1, dtype=np.float32))


def from_microphone(rate_hz: int) -> Source:
    """The samples of the default microphone, until interrupted.

    Raises:
        MissingPackageError: sounddevice or PortAudio is not installed.
        DataError: there is no microphone.
    """
    try:
        sounddevice = require("sounddevice", "microphone")
    except OSError as error:  # PortAudio, a library of the system
        raise MissingPackageError(
            f"PortAudio is not installed ({error}), expected by --microphone: apt install libportaudio2"
        ) from None
    size = round(PIECE_SECONDS * rate_hz)
    try:
        stream = sounddevice.InputStream(samplerate=rate_hz, channels=1, dtype="float32", blocksize=size)
        stream.start()
    except sounddevice.PortAudioError as error:
        raise DataError(
            f"no microphone can be opened ({error}), expected one: pipe audio into --stream"
        ) from None

    def pieces() -> Iterator[Samples]:
        with stream:
            while True:
                yield np.ascontiguousarray(stream.read(size)[0][:, 0])

    return Source(rate_hz, pieces())
