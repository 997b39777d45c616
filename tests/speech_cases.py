"""Tiny speech: words that are tones, written as WAV files with transcripts; a low tone says A, a high one B."""

from __future__ import annotations

import wave
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

RATE_HZ = 8000
TONES_HZ = {"A": 400.0, "B": 1500.0}


def tones(text: str, seed: int = 0, seconds: float = 0.2) -> NDArray[np.float32]:
    """Samples of a text: a tone for every letter, silence between words, a little noise."""
    rng, pieces = np.random.default_rng(seed), [np.zeros(800)]
    t = np.arange(round(seconds * RATE_HZ)) / RATE_HZ
    for letter in text:
        hz = TONES_HZ.get(letter, 0.0) * (1 + 0.1 * rng.uniform(-1, 1))
        pieces.append(0.3 * np.sin(2 * np.pi * hz * t) if letter != " " else np.zeros(len(t)))
        pieces.append(np.zeros(400))
    samples = np.concatenate([*pieces, np.zeros(800)])
    return (samples + 0.003 * rng.standard_normal(len(samples))).astype(np.float32)


def write_wav(path: Path, samples: NDArray[np.float32], rate_hz: int = RATE_HZ, channels: int = 1) -> None:
    """A 16-bit WAV file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with wave.open(str(path), "wb") as file:
        file.setnchannels(channels)
        file.setsampwidth(2)
        file.setframerate(rate_hz)
        file.writeframes((np.clip(samples, -1, 1) * 32767).astype("<i2").tobytes())


def write_corpus(folder: Path, texts: list[str]) -> Path:
    """A folder of recordings with transcripts.tsv."""
    lines = ["path\ttext\tspeaker"]
    for k, text in enumerate(texts):
        write_wav(folder / f"{k}.wav", tones(text, seed=k))
        lines.append(f"{k}.wav\t{text}\ts{k % 5}")
    (folder / "transcripts.tsv").write_text("\n".join(lines) + "\n")
    return folder


def write_tones(folder: Path) -> list[str]:
    """Twenty recordings of five speakers."""
    texts = ["A", "B", "A B", "B A", "AB", "A A", "B B", "BA"]
    return [str(write_corpus(folder / "tones", [texts[k % len(texts)] for k in range(20)]))]


def write_unwritten_tones(folder: Path) -> list[str]:
    """The second recording has no text."""
    write_corpus(folder / "unwritten", ["A", "", "B", "A B"])
    return [str(folder / "unwritten")]
