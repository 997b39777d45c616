"""Music files as people have them: what must come out of each, and the one line for those that cannot be read."""

from __future__ import annotations

import importlib
import re
import struct
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest

import shared_files
from congru.errors import DataError, MissingPackageError, SettingsError
from congru.tasks.music.abc_keys import accidentals_of_key
from congru.tasks.music.abc_notation import read_abc
from congru.tasks.music.mat import read_mat
from congru.tasks.music.midi import read_midi, write_midi
from congru.tasks.music.musicxml import read_musicxml
from congru.tasks.music.pieces import Note, Piece, from_roll, to_roll
from congru.tasks.music.rolls import read_rolls
from congru.tasks.music.sources import read_source, split
from congru.tasks.music.voices import line_of

CASES = shared_files.CASES / "music"
needs_cases = shared_files.needs(CASES)

# File -> pitched notes, notes of drums, seconds (None: not defined), words that must be told.
MIDI: dict[str, tuple[int, int, float | None, str]] = {
    "2_tracks_type_0.mid": (16, 0, 4.5, ""),
    "2_tracks_type_2.mid": (16, 0, None, "one after the other"),
    "all_gm_percussion.mid": (0, 183, 137.25, ""),
    "empty.mid": (0, 0, 0.0, ""),
    "non_midi_track.mid": (8, 0, 4.0, "1 chunks of another kind"),
    "karaoke_kar.mid": (29, 0, 10.6, ""),
    "note_on_velocity.mid": (9, 0, 4.5, ""),
    "rpn_00_00_pitch_bend_range.mid": (5, 0, 29.5, ""),
    "running_status_metaevent.mid": (8, 0, 4.0, ""),
    "silence_end_of_track.mid": (0, 0, 5.0, ""),
    "smpte_offset.mid": (8, 0, 4.0, ""),
    "sysex_gs_40_1x_15_drum_part_change.mid": (4, 4, 6.0, ""),
    "track_length.mid": (1, 0, 1.5, ""),
    "vlq_4_byte.mid": (8, 0, 4.0, ""),
    "multichannel_chords_2.mid": (24, 0, 4.0, ""),
    "control_40_damper.mid": (8, 0, 8.0, ""),
    "five_tracks_230_bpm.mid": (3203 - 1234, 1234, 158.609, "9 notes struck again"),
    "drum_loop.mid": (0, 390, 38.6, ""),
    "overlapping_unended.mid": (
        947,
        0,
        78.991,
        "312 notes struck again while sounding; 17 notes without an end",
    ),
    "four_tempi.mid": (16, 0, 10.098, ""),
    "zero_length_note.mid": (3, 0, 0.738, ""),
    "microtones.mid": (34, 0, 17.755, ""),
    "mixed_note_offs.mid": (8, 0, 6.002, ""),
    "smpte_division.mid": (8, 0, 0.768, ""),
    "header_says_65535_tracks.mid": (8, 0, 4.0, "promises 65,535 tracks, 1 follow"),
    "no_end_of_track.mid": (8, 0, 4.0, ""),
}
# File -> words of the line that refuses it.
REFUSED = {
    "corrupt_file_missing_byte.mid": "ends inside chunk 1 (245 of 246 bytes",
    "empty_file.mid": "is empty (0 bytes)",
    "not_a_midi_file.mid": "is not a MIDI file (it does not begin with MThd)",
    "illegal_message_f4.mid": "track 1 is damaged (undefined status byte 0xf4)",
    "division_zero.mid": "time division 0",
    "cut_in_third_track.mid": "3 of 5 tracks are whole",
    "empty.mid": "has no pitched note",
    "drum_loop.mid": "has no pitched note (390 notes of drums)",
    "score_example.krn": "is a score of the kind .krn",
}
# File -> tunes, notes as written, notes as played before ties are joined.
ABC = {"airs_1778.abc": (12, 875, 1750), "oneill_626_635.abc": (10, 1324, 1625), "endings.abc": (1, 11, 19)}


@needs_cases
@pytest.mark.parametrize("name", MIDI)
def test_midi_files_give_the_notes_they_hold(name: str) -> None:
    path = CASES / name
    piece = read_midi(path, path.read_bytes())
    notes, drums, seconds, told = MIDI[name]
    assert (len(piece.notes), piece.drums) == (notes, drums)
    if seconds is not None:
        assert piece.seconds == pytest.approx(seconds, abs=1e-3)
    assert told in "; ".join(piece.remarks)
    assert all(note.length >= 0 and np.isfinite(note.length) for note in piece.notes)
    assert to_roll(piece, 4).sum() >= len({(note.start, note.pitch) for note in piece.notes}) * 0.5


@needs_cases
@pytest.mark.parametrize("name", REFUSED)
def test_files_that_cannot_be_read_are_one_line(name: str, tmp_path: Path) -> None:
    with pytest.raises(DataError) as caught:
        read_source(str(CASES / name))
    assert REFUSED[name] in str(caught.value)
    assert name in str(caught.value)
    assert "\n" not in str(caught.value)
    (tmp_path / name).write_bytes((CASES / name).read_bytes())
    (tmp_path / "good.abc").write_text("X:1\nK:C\nCDEF|\n")
    source = read_source(str(tmp_path), bad="skip")
    assert len(source.parts[""]) == 1
    assert len(source.skipped) == 1
    assert REFUSED[name] in source.skipped[0]


@needs_cases
@pytest.mark.parametrize("name", ABC)
def test_abc_tunes_have_their_notes_and_repeats(name: str) -> None:
    path = CASES / name
    tunes = read_abc(path, path.read_bytes())
    count, written, played = ABC[name]
    assert (len(tunes), sum(tune.written for tune in tunes)) == (count, written)
    ties = 2 if name.startswith("oneill") else 0  # `.G->.G` twice in 631: two notes written, one played
    assert sum(len(tune.piece.notes) for tune in tunes) == played - ties


# File -> pitches.
SCORES = {
    "nested_tuplets.musicxml": 10,
    "voices_with_chords.musicxml": 37,
    "wrong_time_signature.mxl": 167,
}


@needs_cases
@pytest.mark.parametrize("name", SCORES)
def test_musicxml_scores_give_their_pitches(name: str) -> None:
    (piece,) = read_source(str(CASES / name)).parts[""]
    assert len(piece.notes) == SCORES[name]
    assert all(note.length > 0 for note in piece.notes)


def score(bars: str, head: str = "") -> bytes:
    """A score of one part."""
    return f'<?xml version="1.0"?>{head}<score-partwise><part id="P1">{bars}</part></score-partwise>'.encode()


def sung(pitch: str, duration: int, more: str = "") -> str:
    """A note in MusicXML."""
    return f"<note>{more}<pitch><step>{pitch[0]}</step><octave>{pitch[1]}</octave></pitch><duration>{duration}</duration></note>"


def test_musicxml_in_time() -> None:
    attributes = "<attributes><divisions>2</divisions><time><beats>3</beats><beat-type>4</beat-type></time></attributes>"
    first = (
        f'<measure number="1">{attributes}<direction><sound tempo="90"/></direction>'
        f"{sung('C4', 2)}{sung('E4', 2, '<chord/>')}{sung('D4', 4)}<backup><duration>6</duration></backup>"
        f"<forward><duration>2</duration></forward>{sung('G3', 4, '')}"
        "<note><grace/><pitch><step>A</step><octave>4</octave></pitch></note></measure>"
    )
    tied = sung("D5", 2).replace("</note>", '<tie type="start"/></note>')
    ended = sung("D5", 3).replace("</note>", '<tie type="stop"/></note>')
    rest = "<note><rest/><duration>4</duration></note>"
    second = f'<measure number="2">{rest}{tied}</measure><measure number="3">{ended}</measure>'
    piece = read_musicxml(Path("s.xml"), score(first + second))
    assert [note[:3] for note in piece.notes] == [
        (0.0, 1.0, 60),
        (0.0, 1.0, 64),
        (1.0, 2.0, 55),
        (1.0, 2.0, 62),
        (5.0, 2.5, 74),
    ]
    assert (piece.bar, piece.tempo) == (3.0, 90.0)
    horn = "<attributes><transpose><chromatic>-2</chromatic></transpose></attributes>"
    piece = read_musicxml(Path("s.xml"), score(f'<measure number="1">{horn}{sung("C4", 1)}</measure>'))
    assert piece.notes[0].pitch == 58


@pytest.mark.parametrize(
    ("content", "line"),
    [
        (b"<score-partwise><part>", "s.xml is not whole XML"),
        (b"<score-timewise/>", "s.xml has the root <score-timewise>, expected <score-partwise>"),
        (score("", '<!DOCTYPE a [<!ENTITY b "c">]>'), "s.xml declares entities"),
        (
            score(f'<measure number="7">{sung("C4", 1).replace("1<", "x<")}</measure>'),
            "s.xml bar 7: 'x' is no number",
        ),
        (score(f'<measure number="7">{sung("H4", 1)}</measure>'), "s.xml bar 7: a note has no pitch"),
        (
            score(f'<measure number="7">{sung("C4", 1).replace("4<", "99<")}</measure>'),
            "bar 7: a note has the pitch 1200",
        ),
        (b"PK\x03\x04", "s.xml is not a whole zip"),
    ],
)
def test_scores_that_cannot_be_read_are_one_line(content: bytes, line: str) -> None:
    with pytest.raises(DataError, match=re.escape(line)) as caught:
        read_musicxml(Path("s.xml"), content)
    assert "\n" not in str(caught.value)


def test_the_scores_of_music21_are_found_without_importing_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "path", [str(tmp_path)])
    monkeypatch.delitem(sys.modules, "music21", raising=False)
    importlib.invalidate_caches()
    with pytest.raises(
        MissingPackageError, match=r"expected for 'music21:bach': pip install --no-deps music21"
    ):
        read_source("music21:bach")
    folder = tmp_path / "music21" / "corpus" / "bach"
    folder.mkdir(parents=True)
    (tmp_path / "music21" / "__init__.py").write_text("raise RuntimeError('it must not be imported')\n")
    (folder / "one.xml").write_bytes(score(f'<measure number="1">{sung("C4", 1)}</measure>'))
    importlib.invalidate_caches()
    (piece,) = read_source("music21:bach").parts[""]
    assert piece.notes[0].pitch == 60
    for name in ("music21:", "music21:..", "music21:mozart"):
        with pytest.raises(DataError, match="is no folder of music21's corpus"):
            read_source(name)


def test_the_chunk_table_is_ours_and_the_notes_survive_writing(tmp_path: Path) -> None:
    notes = (
        Note(0, 1, 60, 90, 0),
        Note(0, 2.5, 48, 70, 1),
        Note(1, 0.5, 60, 90, 0),
        Note(1.5, 0.25, 72, 1, 0),
    )
    content = write_midi(Piece("four", notes, bar=3.0, tempo=90.0))
    piece = read_midi(Path("four.mid"), content)
    assert [note[:4] for note in piece.notes] == sorted(note[:4] for note in notes)
    assert (piece.bar, round(piece.tempo, 3)) == (3.0, 90.0)
    with pytest.raises(DataError, match=r"x\.mid ends inside chunk 3"):
        read_midi(Path("x.mid"), content[:-1])


def test_of_notes_that_overlap_the_first_struck_ends_first() -> None:
    events = bytes.fromhex("00903c50 60903c50 60803c00 60903c00 00ff2f00")  # on, on, off, on with velocity 0
    content = b"MThd" + struct.pack(">IHHH", 6, 0, 1, 96) + b"MTrk" + struct.pack(">I", len(events)) + events
    piece = read_midi(Path("two.mid"), content)
    assert [(note.start, note.length) for note in piece.notes] == [(0.0, 2.0), (1.0, 2.0)]
    assert piece.remarks == ("1 notes struck again while sounding",)
    never = content[: -len(events) - 4] + struct.pack(">I", 12) + events[:8] + bytes.fromhex("60ff2f00")
    assert [note.length for note in read_midi(Path("two.mid"), never).notes] == [1.0, 1.0]


def test_a_track_that_mido_cannot_decode_is_one_line() -> None:
    key = bytes.fromhex("00ff5902cd00 00ff2f00")  # 51 flats
    content = b"MThd" + struct.pack(">IHHH", 6, 0, 1, 96) + b"MTrk" + struct.pack(">I", len(key)) + key
    with pytest.raises(DataError, match=r"k\.mid track 1 is damaged \(Could not decode key with 51 flats"):
        read_midi(Path("k.mid"), content)


@pytest.mark.parametrize(
    ("music", "pitches", "lengths"),
    [
        ("CDE", [60, 62, 64], [0.5, 0.5, 0.5]),
        ("^C C|C", [61, 61, 60], [0.5, 0.5, 0.5]),
        ("c'B,", [59, 84], [0.5, 0.5]),
        ("C2 D/ E// F3/2", [60, 62, 64, 65], [1, 0.25, 0.125, 0.75]),
        ("C>D E<F G>>A", [60, 62, 64, 65, 67, 69], [0.75, 0.25, 0.25, 0.75, 0.875, 0.125]),
        ("(3CDE F", [60, 62, 64, 65], [1 / 3, 1 / 3, 1 / 3, 0.5]),
        ("(3:2:2CD E", [60, 62, 64], [1 / 3, 1 / 3, 0.5]),
        ("C-C|E-F", [60, 64, 65], [1, 0.5, 0.5]),
        ('[CEG]2 z "Am"{d}~A !trill!B', [60, 64, 67, 69, 71], [1, 1, 1, 0.5, 0.5]),
        ("[K:G]F [L:1/4]F", [66, 66], [0.5, 1]),
        ("|:C:|D", [60, 60, 62], [0.5, 0.5, 0.5]),
        ("C||D:|", [60, 62, 62], [0.5, 0.5, 0.5]),
        ("|:C|1 D:|2 E|]", [60, 62, 60, 64], [0.5] * 4),
    ],
)
def test_abc_notation(music: str, pitches: list[int], lengths: list[float]) -> None:
    (tune,) = read_abc(Path("t.abc"), f"X:1\nL:1/8\nK:C\n{music}\n".encode())
    notes = sorted(tune.piece.notes, key=lambda note: (note.start, note.pitch))
    if len(set(pitches)) == len(pitches) and music.startswith("c'"):
        notes = sorted(notes, key=lambda note: note.pitch)
    assert [note.pitch for note in notes] == pitches
    assert [note.length for note in notes] == pytest.approx(lengths)


def test_abc_voices_run_side_by_side_and_keys_are_read() -> None:
    (tune,) = read_abc(Path("v.abc"), b"X:1\nL:1/4\nK:Eb\nV:1\nEF\nV:2\nB,,A,\n")
    assert sorted((note.start, note.pitch, note.voice) for note in tune.piece.notes) == [
        (0.0, 46, 1),
        (0.0, 63, 0),
        (1.0, 56, 1),
        (1.0, 65, 0),
    ]
    assert accidentals_of_key("F# minor") == {"F": 1, "C": 1, "G": 1}
    assert accidentals_of_key("D dor") == {}
    assert accidentals_of_key("Hp") == {"F": 1, "C": 1}
    assert accidentals_of_key("D exp ^F _e") == {"F": 1, "E": -1}
    assert accidentals_of_key("H") is None


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("K:Bn", "line 2: K: is 'Bn', expected a key"),
        ("M:3/0\nK:C", "line 2: M: is '3/0', expected a meter"),
        ("L:eighth\nK:C", "line 2: L: is 'eighth', expected a length"),
    ],
)
def test_abc_fields_that_cannot_be_read_name_their_line(text: str, line: str) -> None:
    content = f"X:1\n{text}\nCDE|\n\nX:2\nK:C\nCDE|\n".encode()
    with pytest.raises(DataError, match=re.escape(line)):
        read_abc(Path("t.abc"), content)
    skipped: list[str] = []
    assert len(read_abc(Path("t.abc"), content, skipped)) == 1
    assert line in skipped[0]
    with pytest.raises(DataError, match=r"t\.abc holds no tune \(no line begins with X:\)"):
        read_abc(Path("t.abc"), b"CDEF")


def element(kind: int, data: bytes) -> bytes:
    """An element of a MATLAB file."""
    return struct.pack("<II", kind, len(data)) + data + b"\0" * (-len(data) % 8)


def matrix(name: str, array: np.ndarray, mat_class: int = 9, data_type: int = 2) -> bytes:
    """A variable of a MATLAB file."""
    parts = element(6, struct.pack("<II", mat_class, 0)) + element(5, struct.pack("<ii", *array.shape))
    return element(14, parts + element(1, name.encode()) + element(data_type, array.tobytes(order="F")))


def test_mat_files_of_version_5_are_read() -> None:
    header = b"MATLAB 5.0 MAT-file".ljust(124) + struct.pack("<H", 0x100) + b"IM"
    first, second = np.arange(6, dtype=np.uint8).reshape(2, 3), np.ones((1, 2))
    content = header + matrix("a", first) + element(15, zlib.compress(matrix("b", second, 6, 9)))
    variables = read_mat(Path("x.mat"), content)
    np.testing.assert_array_equal(variables["a"], first)
    np.testing.assert_array_equal(variables["b"], second)
    cells = element(6, struct.pack("<II", 1, 0)) + element(5, struct.pack("<ii", 1, 2)) + element(1, b"c")
    cell = element(14, cells + matrix("", first) + matrix("", first + 1))
    two = read_mat(Path("x.mat"), header + cell)["c"]
    assert isinstance(two, list)
    np.testing.assert_array_equal(two[1], first + 1)
    for wrong, line in (
        (b"no", "not a MATLAB file of version 5"),
        (b"MATLAB 7.3 MAT-file", "version 7.3"),
        (header + matrix("a", first)[:-8], "damaged or cut short"),
        (header + matrix("s", first, 4), "holds the variable 's' of MATLAB's class 4"),
    ):
        with pytest.raises(DataError, match=line):
            read_mat(Path("x.mat"), wrong)


@shared_files.needs(shared_files.DATA / "music")
def test_the_published_rolls_have_their_frames() -> None:
    path = shared_files.DATA / "music/boulanger/JSB_Chorales.mat"
    parts = read_rolls(path, path.read_bytes())
    assert {name: len(pieces) for name, pieces in parts.items()} == {"train": 229, "valid": 76, "test": 77}
    frames = {
        name: sum(len(piece.roll) for piece in pieces if piece.roll is not None)
        for name, pieces in parts.items()
    }
    assert frames == {"train": 13807, "valid": 4602, "test": 4725}


def test_npz_rolls_and_their_faults(tmp_path: Path) -> None:
    roll = np.zeros((3, 88))
    roll[1, 40] = 1
    np.savez(tmp_path / "a.npz", train_0=roll, validation_0=roll, test_a=roll)
    parts = read_rolls(tmp_path / "a.npz", (tmp_path / "a.npz").read_bytes())
    assert sorted(parts) == ["test", "train", "valid"]
    for array, line in (
        (roll[:, :87], r"a has shape \(3, 87\), expected \[T, 88\]"),
        (roll * 2, "a holds 2.0 at frame 1, key 40"),
    ):
        np.savez(tmp_path / "b.npz", a=array)
        with pytest.raises(DataError, match=line):
            read_source(str(tmp_path / "b.npz"))
    (tmp_path / "c.npz").write_bytes(b"PK")
    with pytest.raises(DataError, match=r"c\.npz cannot be read"):
        read_source(str(tmp_path / "c.npz"))


def test_copies_of_a_piece_stand_on_one_side(tmp_path: Path) -> None:
    tunes = [f"X:{k}\nK:C\n{'CDEFGAB'[k % 7]}2{'CDEFGAB'[k // 7 % 7]}2|\n" for k in range(40)]
    (tmp_path / "a.abc").write_text("\n".join([*tunes, *tunes]))
    parts, rule = split(read_source(str(tmp_path)), 0.2)
    known, kept = ({piece.notes for piece in parts[name]} for name in ("train", "valid"))
    assert not known & kept
    assert len(kept) == 8
    assert "sha256" in rule
    for name in ("train", "valid", "test"):
        (tmp_path / "b" / name).mkdir(parents=True)
        (tmp_path / "b" / name / "one.abc").write_text(tunes[0])
    assert split(read_source(str(tmp_path / "b")), 0.2)[1] == "as given"
    (tmp_path / "one.abc").write_text(tunes[0])
    with pytest.raises(DataError, match="gives no valid piece of 1"):
        split(read_source(str(tmp_path / "one.abc")), 0.1)


def test_rolls_join_what_stays_down_and_refuse_what_never_ends() -> None:
    piece = Piece("p", (Note(0, 1, 60), Note(1, 1, 60), Note(0.5, 0, 108), Note(0, 1, 20)))
    roll = to_roll(piece, 2)
    assert roll.shape == (4, 88)
    assert roll[:, 39].tolist() == [1, 1, 1, 1]
    assert roll[:, 87].tolist() == [0, 1, 0, 0]
    assert roll.sum() == 5
    assert [note.length for note in from_roll(roll, 2).notes] == [2.0, 0.5]
    with pytest.raises(DataError, match="p has 400,000,000 frames of 1/4 quarter note"):
        to_roll(Piece("p", (Note(0, 1e8, 60),)), 4)


def test_nothing_to_read_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="holds no music, expected files"):
        read_source(str(tmp_path))
    with pytest.raises(DataError, match="cannot be read"):
        read_source(str(tmp_path / "none.mid"))
    (tmp_path / "a.txt").write_text("a")
    with pytest.raises(DataError, match="is no music that is read here"):
        read_source(str(tmp_path / "a.txt"))
    with pytest.raises(
        SettingsError, match="voice is 'baritone', expected one of soprano, alto, tenor, bass"
    ):
        line_of(np.zeros((1, 88), np.uint8), "baritone")
