"""Utterances as frames and text: from audio files with transcripts, or from a .npz file of features; faults told or counted.

A .npz file holds `feat` [N, F] frames of all utterances, `off` [n + 1] where each begins, `text` [n], and perhaps `id` and
`speaker` [n]; with parts the names are `train_feat`, `valid_feat` and so on.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np

from congru.data.files import read_bytes
from congru.errors import DataError, SettingsError
from congru.tasks.speech.audio import Audio, read_audio, silent
from congru.tasks.speech.frames import SIZES, SPHINX_HZ, Floats
from congru.tasks.speech.front_end import FROM_FILE, frames_of
from congru.tasks.speech.texts import normal, strange
from congru.tasks.speech.transcripts import KNOWN_PARTS, PARTS, Row, read_rows

MOST_HZ = 16_000
_SHOWN = 4  # faults in one line


@dataclass(frozen=True)
class Utterance:
    """Frames [n, F] and their transcript; `location` names them in messages, `part` is "" where it is unknown."""

    location: str
    text: str
    frames: Floats
    speaker: str = ""
    part: str = ""


@dataclass(frozen=True)
class Reading:
    """How a source is read: the front end, the rate of its samples, and the rules of texts."""

    kind: str
    rate_hz: int
    case: str
    alphabet: str | None
    bad: str
    speaker: str | None = None


def is_features(source: Path) -> bool:
    """Whether a source is a file of features."""
    return source.suffix.lower() == ".npz"


def read_utterances(source: Path, reading: Reading, notes: dict[str, Any]) -> list[Utterance]:
    """All usable utterances of a source; what is left out with `bad` "skip" is counted in `notes`.

    Raises:
        DataError: nothing usable, or with `bad` "stop" any fault, the first few in one line.
    """
    faults: list[str] = []
    read = _from_features if is_features(source) else _from_audio
    utterances = read(source, reading, faults)
    if faults and reading.bad == "stop":
        more = f"; and {len(faults) - _SHOWN} more" if len(faults) > _SHOWN else ""
        raise DataError(
            f"{source.name}: {'; '.join(faults[:_SHOWN])}{more}: correct these, or pass --bad skip"
        )
    if faults:
        notes[f"left out of {source.name}"] = f"{len(faults)}: {'; '.join(faults)}"
    if not utterances:
        why = f" ({faults[0]})" if faults else ""
        raise DataError(f"{source} has no usable utterance{why}, expected some: correct the transcripts")
    if reading.speaker is not None:
        utterances = [replace(one, speaker=_speaker(one, reading.speaker)) for one in utterances]
    return utterances


def _speaker(utterance: Utterance, pattern: str) -> str:
    try:
        match = re.search(pattern, utterance.location)
    except re.error as error:
        raise SettingsError(f"speaker is {pattern!r} ({error}), expected a regular expression") from None
    if match is None or not match.groups():
        raise DataError(
            f"{utterance.location} has no speaker by --speaker {pattern!r}, expected a group that matches: correct it"
        )
    return match[1]


def text_fault(text: str, original: str, alphabet: str | None) -> str | None:
    """What is wrong with a normal text, or None."""
    if not text:
        return f"has the text {original!r}, expected words" if original else "has no text"
    odd = strange(text, alphabet)
    if odd:
        kind = f"only {alphabet!r}" if alphabet is not None else "letters, digits, apostrophes and hyphens"
        return f"text holds {' '.join(odd)!r}, expected {kind}"
    return None


def _from_audio(source: Path, reading: Reading, faults: list[str]) -> list[Utterance]:
    utterances, seen = list[Utterance](), dict[tuple[Path, float | None], Row]()
    audio_of: tuple[Path, Audio] | None = None
    for row in read_rows(source):
        text = normal(row.text, reading.case)
        fault = text_fault(text, row.text, reading.alphabet)
        first = seen.setdefault((row.path, row.start), row)
        if first is not row and fault is None:
            fault = f"has the same audio as {first.location}, {row.path.name}"
        if fault is None:
            try:
                if audio_of is None or audio_of[0] != row.path:
                    audio_of = (row.path, read_audio(row.path))
                frames = _frames(audio_of[1], row, reading)
                utterances.append(Utterance(row.location, text, frames, row.speaker, row.part))
                continue
            except DataError as error:
                fault = str(error)
        faults.append(f"{row.location} {fault}")
    return utterances


def _frames(audio: Audio, row: Row, reading: Reading) -> Floats:
    """The frames of a row's stretch of audio.

    Raises:
        DataError: nothing there, silence, or less than two frames.
    """
    if row.start is not None or row.end is not None:
        begin, end = row.start or 0.0, audio.seconds if row.end is None else row.end
        if not 0 <= begin < end or begin >= audio.seconds:
            raise DataError(f"{row.path} has no audio from {begin:g} to {end:g} s, expected times within it")
        samples = audio.samples[round(begin * audio.rate_hz) : round(end * audio.rate_hz)]
        audio = Audio(samples, audio.rate_hz)
    if silent(audio.samples):
        raise DataError(f"{row.path} is silent: all samples are equal, expected speech")
    frames = frames_of(audio, reading.kind, reading.rate_hz)
    if len(frames) < 2:
        raise DataError(f"{row.path} is too short ({audio.seconds:.3f} s), expected at least 0.04 s")
    return frames


def common_rate(source: Path, limit: int = 50) -> int:
    """The most frequent rate of a source's audio (its first files), at most 16 kHz."""
    counts: Counter[int] = Counter()
    for row in read_rows(source):
        try:
            counts[read_audio(row.path).rate_hz] += 1
        except DataError:
            continue
        if counts.total() >= limit:
            break
    return min(MOST_HZ, counts.most_common(1)[0][0]) if counts else MOST_HZ


def _from_features(source: Path, reading: Reading, faults: list[str]) -> list[Utterance]:
    arrays = _arrays(source)
    prefixes = [name.removesuffix("feat") for name in arrays if name == "feat" or name.endswith("_feat")]
    if not prefixes:
        raise DataError(
            f"{source} has the arrays {', '.join(list(arrays)[:6]) or 'none'}, expected feat, off and text, or"
            " train_feat, train_off and train_text: save them by these names"
        )
    utterances = []
    for prefix in prefixes:
        part = PARTS.get(prefix[:-1], prefix[:-1])
        feat, offsets, texts = _part(arrays, prefix, source)
        known = len(offsets) - 1
        ids = _strings(arrays.get(f"{prefix}id"), known) or [f"{prefix}{k}" for k in range(known)]
        speakers = _strings(arrays.get(f"{prefix}speaker"), known) or [""] * known
        for k, original in enumerate(texts):
            text = normal(original, reading.case)
            frames = np.asarray(feat[offsets[k] : offsets[k + 1]], np.float32)
            fault = text_fault(text, original, reading.alphabet) or _frames_fault(frames)
            if fault:
                faults.append(f"{ids[k]} {fault}")
            else:
                location = ids[k]
                utterances.append(
                    Utterance(location, text, frames, speakers[k], part if part in KNOWN_PARTS else "")
                )
    return utterances


def _arrays(source: Path) -> dict[str, Any]:
    read_bytes(source, "a .npz file of features") if not source.is_file() else None
    try:
        with np.load(source, allow_pickle=False) as file:
            return {name: file[name] for name in file.files}
    except (OSError, ValueError, BadZipFile) as error:
        raise DataError(f"{source} cannot be read ({error}), expected a .npz file: save it again") from None


def _part(arrays: dict[str, Any], prefix: str, source: Path) -> tuple[Any, list[int], list[str]]:
    for name in ("off", "text"):
        if prefix + name not in arrays:
            raise DataError(f"{source} has no {prefix}{name}, expected it beside {prefix}feat: add it")
    feat, offsets = arrays[f"{prefix}feat"], arrays[f"{prefix}off"].tolist()
    texts = [str(text) for text in arrays[f"{prefix}text"].tolist()]
    if (
        feat.ndim != 2
        or len(offsets) != len(texts) + 1
        or offsets[-1] > len(feat)
        or offsets != sorted(offsets)
    ):
        raise DataError(
            f"{source}: {prefix}feat {feat.shape}, {prefix}off [{len(offsets)}], {prefix}text [{len(texts)}], expected"
            " [N, F], [n + 1] rising up to N, [n]: correct the arrays"
        )
    return feat, offsets, texts


def _strings(array: Any, count: int) -> list[str] | None:
    return None if array is None or len(array) != count else [str(one) for one in array.tolist()]


def _frames_fault(frames: Floats) -> str | None:
    if len(frames) < 2:
        return f"has {len(frames)} frames, expected at least 2"
    wrong = np.flatnonzero(~np.isfinite(frames).all(1))
    return f"frame {wrong[0]} is not finite" if len(wrong) else None


def kind_of(source: Path, wanted: str, utterances_size: int | None = None) -> str:
    """The front end in force: what was asked for, else fbank, of a feature file as given.

    Raises:
        SettingsError: the file's features have another size than the front end asked for.
    """
    if not is_features(source):
        return "fbank" if wanted == "auto" else wanted
    if wanted == "auto":
        return FROM_FILE
    if utterances_size is not None and SIZES[wanted] != utterances_size:
        raise SettingsError(
            f"features is {wanted!r}, which has {SIZES[wanted]} numbers a frame, expected the {utterances_size} of"
            f" {source.name}: leave --features out"
        )
    return wanted


def rate_of(source: Path, kind: str, wanted: int | None) -> int:
    """The rate of the samples in force."""
    if wanted is not None:
        return wanted
    if kind == "sphinx" or is_features(source):
        return SPHINX_HZ
    return common_rate(source)


def speakers_of(utterances: Sequence[Utterance]) -> list[str]:
    """The names of all speakers, in order."""
    return sorted({one.speaker for one in utterances if one.speaker})


def total_frames(utterances: Iterable[Utterance]) -> int:
    """Frames of all utterances."""
    return sum(len(one.frames) for one in utterances)
