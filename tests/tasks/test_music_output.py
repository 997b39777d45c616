"""What music models write: sound, pictures, how original a piece is; and the wrong wishes, each one line."""

from __future__ import annotations

import base64
import io
import shutil
import struct
import wave
import xml.etree.ElementTree as xml
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from congru.cli.main import main
from congru.errors import DataError, SettingsError
from congru.report.colors import color
from congru.tasks.music import originality
from congru.tasks.music.performance import Locked, as_sung, read_locks
from congru.tasks.music.picture import Strip, draw
from congru.tasks.music.pieces import Note, Piece
from congru.tasks.music.sound import RATE, render, synthesize, tone, write_wav


def strongest(sound: np.ndarray) -> float:
    """The strongest frequency of a sound, in Hz."""
    power = np.abs(np.fft.rfft(sound * np.hanning(len(sound))))
    return float(np.argmax(power) * RATE / len(sound))


@pytest.mark.parametrize(("pitch", "hertz"), [(69, 440.0), (60, 261.63), (33, 55.0), (105, 3520.0)])
def test_a_note_sounds_at_its_pitch(pitch: int, hertz: float) -> None:
    assert strongest(tone(pitch, 1.0)) == pytest.approx(hertz, rel=0.02)


def test_a_piece_sounds_when_its_notes_do() -> None:
    piece = Piece("p", (Note(0, 1, 69), Note(4, 1, 81)), tempo=120)
    sound = synthesize(piece)
    assert np.abs(sound).max() == pytest.approx(0.9, abs=1e-6)
    assert strongest(sound[: RATE // 2]) == pytest.approx(440, rel=0.02)
    assert np.abs(sound[int(0.7 * RATE) : int(1.99 * RATE)]).max() == 0
    assert strongest(sound[2 * RATE : int(2.5 * RATE)]) == pytest.approx(880, rel=0.02)
    loud, soft = (np.abs(tone(60, 0.5)).max() for _ in range(2))
    assert loud == soft
    with wave.open(io.BytesIO(write_wav(piece))) as file:
        assert (file.getnchannels(), file.getsampwidth(), file.getframerate()) == (1, 2, RATE)
        read = np.frombuffer(file.readframes(file.getnframes()), "<i2")
    np.testing.assert_allclose(read / 32767, sound, atol=1e-4)
    with wave.open(io.BytesIO(write_wav(Piece("silent")))) as file:
        assert file.getnframes() > 0
    with pytest.raises(DataError, match="p lasts 2500 s, expected at most 1800"):
        synthesize(Piece("p", (Note(0, 5000, 60),)))


def test_fluidsynth_is_asked_for_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    piece = Piece("p", (Note(0, 1, 69),))
    monkeypatch.setattr(shutil, "which", lambda program: None)
    with pytest.raises(SettingsError, match="needs the program fluidsynth, which is not installed"):
        render(piece, tmp_path / "font.sf2")
    program = tmp_path / "fluidsynth"
    monkeypatch.setattr(shutil, "which", lambda name: str(program))
    with pytest.raises(SettingsError, match=r"sound_font is '.*font\.sf2', expected a file"):
        render(piece, tmp_path / "font.sf2")
    (tmp_path / "font.sf2").write_bytes(b"")
    program.write_text('#!/bin/sh\nhead -c 4 "$8" > "$4"\n')
    program.chmod(0o755)
    assert (
        render(piece, tmp_path / "font.sf2") == b"MThd"
    )  # the program got the notes as MIDI, and its output is read
    program.write_text("#!/bin/sh\necho no such preset >&2\nexit 1\n")
    with pytest.raises(SettingsError, match=r"fluidsynth cannot play '.*' \(no such preset\)"):
        render(piece, tmp_path / "font.sf2")


def test_the_picture_shows_every_note_and_gate() -> None:
    notes = (Note(0, 1, 60), Note(2, 3, 67), Note(5, 0.5, 72))
    values = np.tile([[0.2, 0.0, 0.9]], (4, 1))
    values[2:, 1] = 1.0
    strip = Strip("keep", np.arange(4.0), values)
    root = xml.fromstring(draw(Piece("<p>", notes), [strip], primed=1.0))
    space = "{http://www.w3.org/2000/svg}"
    assert root.findtext(f"{space}title") == "<p>"
    drawn = [one for one in root.iter(f"{space}rect") if one.find(f"{space}title") is not None]
    assert [one.findtext(f"{space}title") for one in drawn] == ["C4", "G4", "C5"]
    x, y, width = ([float(one.attrib[name]) for one in drawn] for name in ("x", "y", "width"))
    assert (x[1] - x[0]) * 3 == pytest.approx((x[2] - x[1]) * 2, rel=0.01)
    assert y[0] - y[2] == 12 * 6
    assert width[1] > 2.5 * width[0]
    assert drawn[0].attrib["fill"] != drawn[1].attrib["fill"]
    (image,) = root.iter(f"{space}image")
    content = base64.b64decode(image.attrib["href"].split(",")[1])
    width_, height = struct.unpack(">II", content[16:24])
    assert (width_, height) == (22, 3)  # a column for each quarter of 5.5 quarter notes, a row for each unit
    rows = np.frombuffer(zlib.decompress(content[content.index(b"IDAT") + 4 : -16]), np.uint8).reshape(
        height, -1
    )
    pixels = rows[:, 1:].reshape(height, width_, 3)
    dark, bright = color(np.array([0.0, 1.0]), signed=False)
    np.testing.assert_array_equal(pixels[0], np.tile(color(np.array([0.9]), signed=False), (22, 1)))
    np.testing.assert_array_equal(pixels[1, [0, 7, 8, 21]], [dark, dark, bright, bright])
    assert xml.fromstring(draw(Piece("empty"))) is not None


def roll_of(*chords: tuple[int, ...]) -> np.ndarray:
    """A roll with a frame per chord."""
    roll = np.zeros((len(chords), 88), np.uint8)
    for frame, chord in zip(roll, chords):
        frame[list(chord)] = 1
    return roll


def test_the_longest_copied_run_is_found_also_in_another_key() -> None:
    training = [roll_of((1,), (2,)), roll_of((9,), (40, 44), (42, 46), (42, 46), (43, 47), (30,))]
    piece = roll_of((8,), (40, 44), (40, 44), (42, 46), (43, 47), (50,), (2,))
    compared = originality.compare(piece, training)
    assert compared.chords == 6  # what stays counts once
    assert compared.same_key == originality.Shared(3, 1, 1, 1)
    moved = originality.compare(
        roll_of(*[tuple(key + 5 for key in np.flatnonzero(frame)) for frame in piece]), training
    )
    assert moved.same_key.chords <= 1
    assert moved.any_key.chords == 2  # two steps between three chords
    assert moved.any_key[1:] == (2, 1, 2)
    assert originality.longest_shared([1, 2], [[2], [1]]).chords == 1  # not across pieces
    assert originality.longest_shared([7], [[2], [1]]) == originality.Shared(0, 0, 0, 0)


def test_distances_and_words() -> None:
    low, high = roll_of((0,), (2,), (0,)), roll_of((12,), (14,), (12,))
    assert originality.compare(high, [low]).pitch_classes == 0
    other = originality.compare(roll_of((1,), (4,)), [low])
    assert other.pitch_classes == pytest.approx(1)
    assert other.steps == 1
    half = originality.compare(roll_of((0,), (2,), (5,)), [low])
    assert half.steps == pytest.approx(0.5)  # +2 and +3 beside +2 and -2
    same = originality.compare(low, [low])
    lines = originality.report(same, originality.usual([low, high], [low]), ["first"])
    assert lines[0] == "longest run copied: 3 of 3 chords (chord 1; 'first', chord 1); unseen pieces 2"
    assert lines[2] == "distance of pitch classes from the training pieces: 0.00; unseen pieces 0.00"
    assert originality.usual([np.zeros((1, 88), np.uint8)], [low]) is None
    assert len(originality.report(same, None, ["first"])) == 4


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A model of a few steps, and its pieces."""
    from contract_cases import CASES

    from congru.tasks.music import train

    folder = tmp_path_factory.mktemp("music")
    (data,) = CASES["music"].data(folder)
    result = train(
        data, steps=4, evaluations=1, threads=1, quiet=True, out=folder / "run", **CASES["music"].settings
    )
    assert result.folder is not None
    return result.folder, data


def test_the_command_writes_all_kinds_and_says_how_original(
    model: tuple[Path, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, data = model
    outs = [tmp_path / f"a{ending}" for ending in (".mid", ".wav", ".svg")]
    words = ["run", str(folder), "--bars", "2", "--transpose", "-12", "--beside", data, "--primer", data]
    with pytest.raises(SystemExit) as stop:
        main([*words, *(word for out in outs for word in ("--out", str(out)))])
    assert stop.value.code == 0
    printed = capsys.readouterr().out
    assert "longest run copied in any key" in printed
    assert [out.read_bytes()[:4] for out in outs] == [b"MThd", b"RIFF", b"<svg"]
    picture = outs[2].read_text()
    assert "reset" in picture
    assert "keep" in picture


@pytest.mark.parametrize(
    ("wrong", "line"),
    [
        ({"tempo": 0.0}, "tempo is 0.0, expected 4 to 1000"),
        ({"transpose": 99}, "transpose is 99, expected -48 to 48"),
        ({"primer_bars": 0}, "primer_bars is 0, expected at least 1"),
        ({"temperature": (0.0,)}, r"temperature is \[0.0\], expected numbers above 0"),
    ],
)
def test_wrong_wishes_are_one_line(model: tuple[Path, str], wrong: dict[str, Any], line: str) -> None:
    from congru.tasks.music.use import run

    with pytest.raises(SettingsError, match=line):
        run(model[0], **wrong)


def test_a_voice_is_locked_once(tmp_path: Path) -> None:
    (tmp_path / "a.abc").write_text("X:1\nK:C\nC|\n")
    lock = f"bass={tmp_path / 'a.abc'}"
    with pytest.raises(SettingsError, match="lock names 'bass' twice"):
        read_locks([lock, lock], 1)


def test_a_locked_melody_keeps_its_notes_as_they_were_struck(tmp_path: Path) -> None:
    (tmp_path / "a.abc").write_text("X:1\nL:1/4\nK:C\nc c z e|\n")
    (lock,) = read_locks([f"soprano={tmp_path / 'a.abc'}"], 1).values()
    assert lock.line.tolist() == [51, 51, -1, 55]
    roll = np.zeros((5, 88), np.uint8)
    roll[0, 51] = roll[1:, 40] = 1  # one frame was given before
    roll[[1, 2, 4], [51, 51, 55]] = 1
    piece = as_sung(roll, [lock], 1, 1)
    assert [note[:3] for note in piece.notes if note.voice == 1] == [
        (1.0, 1.0, 72),
        (2.0, 1.0, 72),
        (4.0, 1.0, 76),
    ]
    assert [note[:3] for note in piece.notes if note.voice == 0] == [(0.0, 1.0, 72), (1.0, 4.0, 61)]
    whole = as_sung(roll, [Locked(lock.line)], 1, 1)  # of a file with several voices the line alone is known
    assert [note[:3] for note in whole.notes if note.voice == 1] == [(1.0, 2.0, 72), (4.0, 1.0, 76)]
    cut = as_sung(roll[:3], [lock], 1, 1)
    assert [note[:3] for note in cut.notes if note.voice == 1] == [(1.0, 1.0, 72), (2.0, 1.0, 72)]
