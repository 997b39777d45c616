"""Notes as sound: added sines with decay, in NumPy, as a .wav; by fluidsynth and a sound font where a user has them.

note(t) = velocity/127 * envelope(t) * sum over k of k^-1.6 exp(-k t / 1.1 s) sin(2 pi k f t)
f = 440 Hz * 2^((pitch - 69) / 12)

Harmonics beyond half the rate are left out, so that nothing folds back.
"""

from __future__ import annotations

import io
import shutil
import subprocess
import tempfile
import wave
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from congru.errors import DataError, SettingsError
from congru.tasks.music.midi import write_midi
from congru.tasks.music.pieces import Piece

RATE = 22_050
_HARMONICS = 8
_ATTACK, _RELEASE, _DECAY = 0.008, 0.08, 1.1  # seconds
_LONGEST = 1800.0


def synthesize(piece: Piece) -> NDArray[np.float32]:
    """The sound of a piece at `RATE`, [N] in -1 .. 1; its loudest sample is 0.9.

    Raises:
        DataError: longer than half an hour.
    """
    second = 60.0 / piece.tempo  # of a quarter note
    end = max((note.start + note.length for note in piece.notes), default=0.0) * second + _RELEASE
    if end > _LONGEST:
        raise DataError(
            f"{piece.name} lasts {end:.0f} s, expected at most {_LONGEST:.0f}: pass fewer --bars, or write .mid"
        )
    sound = np.zeros(int(end * RATE) + 1, np.float32)
    for note in piece.notes:
        wave_of_note = tone(note.pitch, max(note.length * second, 0.03)) * (note.velocity / 127)
        begin = int(note.start * second * RATE)
        stop = min(len(sound), begin + len(wave_of_note))
        sound[begin:stop] += wave_of_note[: stop - begin]
    loudest = float(np.abs(sound).max(initial=0.0))
    return sound * np.float32(0.9 / loudest) if loudest > 0 else sound


def tone(pitch: int, seconds: float) -> NDArray[np.float32]:
    """One note of full velocity with its release behind it."""
    t = np.arange(int((seconds + _RELEASE) * RATE)) / RATE
    frequency = 440.0 * 2 ** ((pitch - 69) / 12)
    total = np.zeros(len(t))
    for k in range(1, _HARMONICS + 1):
        if k * frequency < RATE / 2:
            total += k**-1.6 * np.exp(-k * t / _DECAY) * np.sin(2 * np.pi * k * frequency * t)
    envelope = np.minimum(t / _ATTACK, 1) * np.clip((seconds + _RELEASE - t) / _RELEASE, 0, 1)
    return np.asarray(total * envelope, np.float32)


def write_wav(piece: Piece) -> bytes:
    """A .wav of 16 bits, one channel."""
    samples = (synthesize(piece) * 32767).round().astype("<i2")
    stream = io.BytesIO()
    with wave.open(stream, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE)
        file.writeframes(samples.tobytes())
    return stream.getvalue()


def render(piece: Piece, sound_font: Path) -> bytes:
    """A .wav by the program fluidsynth with a sound font.

    Raises:
        SettingsError: no such program, no such sound font, or it fails.
    """
    program = shutil.which("fluidsynth")
    if program is None:
        raise SettingsError(
            "sound_font needs the program fluidsynth, which is not installed: apt install fluidsynth, or leave --sound-font out"
        )
    if not sound_font.is_file():
        raise SettingsError(f"sound_font is '{sound_font}', expected a file .sf2 or .sf3: check the path")
    with tempfile.TemporaryDirectory() as folder:
        midi, out = Path(folder, "piece.mid"), Path(folder, "piece.wav")
        midi.write_bytes(write_midi(piece))
        command = [program, "-ni", "-q", "-F", str(out), "-r", "44100", str(sound_font), str(midi)]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode or not out.is_file():
            reason = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
            raise SettingsError(
                f"fluidsynth cannot play '{sound_font}' ({reason}), expected a sound font: choose another"
            )
        return out.read_bytes()
