"""Frames of features from samples, in pieces: log-mel energies and cepstra by kaldi-native-fbank, cepstra as of CMU Sphinx.

Every extractor has ``feed(samples) -> [n, F]`` and ``finish() -> [n, F]``; any cutting of the samples gives the same frames,
bit for bit, as every frame is computed by itself. Samples are in -1 .. 1 and are taken as 16-bit numbers, without dither.

The Sphinx front end (the features of the AN4 set):
    y[t] = x[t] - 0.97 x[t-1];  410 samples every 160 at 16 kHz, Hamming window, the last frame padded with zeros
    E_j  = power spectrum (512 points) in 40 triangles of area 1 between 130 and 6,800 Hz, edges on 2595 log10(1 + f / 700)
           rounded to bins
    c_k  = 1/40 sum_j w_j log E_j cos(pi k (j + 1/2) / 40),  w_0 = 1/2, else 1,  k = 0 .. 12
"""

from __future__ import annotations

from functools import cache
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from congru.errors import SettingsError, require
from congru.tasks.speech.audio import Samples

Floats = NDArray[np.float32]

SHIFT_SECONDS = 0.01
WINDOW_SECONDS = 0.025
NUM_MELS, NUM_CEPSTRA = 40, 13
SIZES = {"fbank": NUM_MELS, "mfcc": NUM_CEPSTRA, "sphinx": NUM_CEPSTRA}
SPHINX_HZ = 16_000
_FULL_SCALE = 32768.0
_WINDOW, _SHIFT, _FFT = 410, 160, 512
_FLOOR = 1e-10  # of an energy, for digital silence


class Frames(Protocol):
    """Samples in, frames out."""

    def feed(self, samples: Samples) -> Floats:
        """The frames that are complete now."""

    def finish(self) -> Floats:
        """The frames at the end, if any."""


def make_frames(kind: str, rate_hz: int) -> Frames:
    """The extractor of a kind: fbank, mfcc or sphinx.

    Raises:
        SettingsError: the Sphinx front end at another rate than 16 kHz.
        MissingPackageError: kaldi-native-fbank is not installed.
    """
    if kind != "sphinx":
        return _KaldiFrames(kind, rate_hz)
    if rate_hz != SPHINX_HZ:
        raise SettingsError(
            f"rate_hz is {rate_hz} with features sphinx, expected {SPHINX_HZ}: leave it out, or take --features fbank"
        )
    return _SphinxFrames()


class _KaldiFrames:
    """Frames of 25 ms every 10 ms, as Kaldi computes them."""

    def __init__(self, kind: str, rate_hz: int) -> None:
        kaldi = require("kaldi_native_fbank", "speech", "kaldi-native-fbank")
        options = kaldi.FbankOptions() if kind == "fbank" else kaldi.MfccOptions()
        options.frame_opts.samp_freq = rate_hz
        options.frame_opts.dither = 0.0
        options.frame_opts.snip_edges = True
        options.mel_opts.num_bins = NUM_MELS
        options.mel_opts.low_freq, options.mel_opts.high_freq = 20.0, 0.0
        if kind == "mfcc":
            options.num_ceps, options.use_energy = NUM_CEPSTRA, False
        self._online: Any = kaldi.OnlineFbank(options) if kind == "fbank" else kaldi.OnlineMfcc(options)
        self._rate_hz, self._size, self._done = rate_hz, SIZES[kind], 0

    def feed(self, samples: Samples) -> Floats:
        """The frames that are complete now, [n, F]."""
        self._online.accept_waveform(self._rate_hz, (samples * np.float32(_FULL_SCALE)).tolist())
        return self._new()

    def finish(self) -> Floats:
        """Nothing: the last frame ends within the samples."""
        self._online.input_finished()
        return self._new()

    def _new(self) -> Floats:
        ready = self._online.num_frames_ready
        rows = [np.array(self._online.get_frame(k)) for k in range(self._done, ready)]
        if ready > self._done:
            self._online.pop(ready - self._done)
        self._done = ready
        return np.stack(rows) if rows else np.zeros((0, self._size), np.float32)


class _SphinxFrames:
    """The formulas above."""

    def __init__(self) -> None:
        self._waiting = np.zeros(0)
        self._before, self._num_samples, self._done = 0.0, 0, 0

    def feed(self, samples: Samples) -> Floats:
        """The frames that are complete now, [n, 13]."""
        x = samples.astype(np.float64) * _FULL_SCALE
        if len(x):
            lagged = np.concatenate([[self._before], x[:-1]])
            self._before = float(x[-1])
            self._waiting = np.concatenate([self._waiting, x - 0.97 * lagged])
            self._num_samples += len(x)
        return self._frames((len(self._waiting) - _WINDOW) // _SHIFT + 1)

    def finish(self) -> Floats:
        """The last frame, padded with zeros."""
        total = max(0, -(-(self._num_samples - _WINDOW) // _SHIFT) + 1)
        count = total - self._done
        self._waiting = np.concatenate([self._waiting, np.zeros(_WINDOW)])
        return self._frames(count)

    def _frames(self, count: int) -> Floats:
        count = max(0, count)
        rows = [self._cepstra(self._waiting[k * _SHIFT : k * _SHIFT + _WINDOW]) for k in range(count)]
        self._waiting = self._waiting[count * _SHIFT :]
        self._done += count
        return np.array(rows, np.float32) if rows else np.zeros((0, NUM_CEPSTRA), np.float32)

    def _cepstra(self, window: NDArray[np.float64]) -> NDArray[np.float64]:
        hamming, triangles, cosines = _sphinx_tables()
        spectrum = np.fft.rfft(window * hamming, _FFT)
        power = spectrum.real**2 + spectrum.imag**2
        return np.asarray(np.log(np.maximum(power @ triangles, _FLOOR)) @ cosines)


@cache
def _sphinx_tables() -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """The window [410], the triangles [257, 40] and the cosines [40, 13]."""
    hamming = 0.54 - 0.46 * np.cos(2 * np.pi * np.arange(_WINDOW) / (_WINDOW - 1))
    low, high = (2595 * np.log10(1 + f / 700) for f in (130.0, 6800.0))
    bin_hz = SPHINX_HZ / _FFT
    edges_hz = 700 * (10 ** (np.linspace(low, high, NUM_MELS + 2) / 2595) - 1)
    edges = np.round(edges_hz / bin_hz) * bin_hz
    f = np.arange(_FFT // 2 + 1)[:, None] * bin_hz
    left, middle, right = edges[:-2], edges[1:-1], edges[2:]
    rising, falling = (f - left) / (middle - left), (right - f) / (right - middle)
    triangles = np.clip(np.minimum(rising, falling), 0, None) * (2 / (right - left))
    j, k = np.arange(NUM_MELS)[:, None], np.arange(NUM_CEPSTRA)
    weights = np.where(j == 0, 0.5, 1.0)
    cosines = weights * np.cos(np.pi * k * (j + 0.5) / NUM_MELS) / NUM_MELS
    return hamming, triangles, cosines
