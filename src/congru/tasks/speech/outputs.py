"""Transcripts written as plain text, SubRip subtitles, JSON, and NIST .ctm."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from congru.errors import SettingsError
from congru.tasks.speech.words import Word, text_of

FORMATS = (".txt", ".srt", ".json", ".ctm")
_LONGEST_SECONDS, _LONGEST_CHARACTERS, _PAUSE_SECONDS = 6.0, 64, 0.8


def written(transcripts: Sequence[tuple[str, list[Word]]], suffix: str) -> str:
    """The content of a file with some transcripts (name, words).

    Raises:
        SettingsError: an ending that is none of FORMATS, or subtitles of several recordings.

    >>> written([("a.wav", [Word("YES", 0.5, 0.9, 0.98)])], ".srt")
    '1\\n00:00:00,500 --> 00:00:00,900\\nYES\\n'
    """
    if suffix not in FORMATS:
        raise SettingsError(
            f"out ends in {suffix!r}, expected one of {', '.join(FORMATS)}: change the ending"
        )
    if suffix == ".txt":
        return "".join(f"{text_of(words)}\n" for _, words in transcripts)
    if suffix == ".json":
        return (
            json.dumps([as_json(name, words) for name, words in transcripts], indent=1, ensure_ascii=False)
            + "\n"
        )
    if suffix == ".ctm":
        return "".join(
            f"{Path(name).stem} 1 {one.start:.3f} {one.end - one.start:.3f} {one.text} {one.confidence:.4f}\n"
            for name, words in transcripts
            for one in words
        )
    if len(transcripts) > 1:
        raise SettingsError(
            f"out is one .srt file for {len(transcripts)} recordings, expected one recording: name another ending"
        )
    blocks = [
        f"{number}\n{_time(lines[0].start)} --> {_time(lines[-1].end)}\n{text_of(lines)}\n"
        for number, lines in enumerate(subtitles(transcripts[0][1]), 1)
    ]
    return "\n".join(blocks)


def as_json(name: str, words: Sequence[Word]) -> dict[str, object]:
    """A transcript for machines."""
    return {
        "file": name,
        "text": text_of(words),
        "words": [
            {"word": one.text, "start": one.start, "end": one.end, "confidence": one.confidence}
            for one in words
        ],
    }


def subtitles(words: Sequence[Word]) -> list[list[Word]]:
    """The words in lines: a new one after a pause, 6 seconds or 64 characters."""
    lines: list[list[Word]] = []
    for word in words:
        line = lines[-1] if lines else []
        full = line and (
            word.start - line[-1].end > _PAUSE_SECONDS
            or word.end - line[0].start > _LONGEST_SECONDS
            or len(text_of([*line, word])) > _LONGEST_CHARACTERS
        )
        if not line or full:
            lines.append([])
        lines[-1].append(word)
    return lines


def _time(seconds: float) -> str:
    ms = round(1000 * seconds)
    return f"{ms // 3_600_000:02}:{ms // 60_000 % 60:02}:{ms // 1000 % 60:02},{ms % 1000:03}"
