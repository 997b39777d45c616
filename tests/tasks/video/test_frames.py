"""Reading clips: real awkward files come out as they are, every fault is one line that names the file."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest

from congru.errors import DataError, MissingPackageError
from congru.tasks.video import frames
from congru.tasks.video.frames import Frame, Look, by_time, read_frames
from shared_files import CASES, needs
from video_cases import square, write_pictures, write_video

VIDEO = CASES / "video"
LOOK = Look(18, 24)

# file: frames, shortest and longest step in ms
GOOD = {
    "-dash-first.mp4": (5, 1000, 1000),
    "mask_300_frames.mp4": (300, 33.3, 33.4),
    "no_duration.webm": (74, 62, 72),
    "alpha.webm": (150, 33, 34),
    "vp8_sound.webm": (24, 41, 42),
    "circle.gif": (30, 70, 70),
    "uneven_delays.gif": (36, 20, 50),
    "rotated_90.mov": (3, 33.3, 33.4),
    "rotated_180.mov": (3, 33.3, 33.4),
    "frames_out_of_order.mov": (4, 31.2, 31.3),
    "one_frame.webm": (1, None, None),
    "h265.mp4": (10, 100, 100),
    "h264_10bit.mp4": (30, 33.3, 33.4),
    "av1.mkv": (125, 40, 40),
    "short_sound.mp4": (36, 33.3, 33.4),
    "cut.webm": (42, 62, 71),
    "variable_rate.mp4": (40, 16, 500),
    "odd_size_33x17.mp4": (20, 40, 40),
    "mjpeg.avi": (12, 100, 100),
}
BAD = {
    "corrupt_middle.mp4": r"corrupt_middle.mp4 decodes 28 of 50 frames, then fails \(.*\), expected a whole video: copy",
    "no_stream.mp4": r"no_stream.mp4 has no video stream, only nothing, expected one: choose another file",
    "sound_only.mp4": r"sound_only.mp4 has no video stream, only audio \(aac\), expected one: choose another file",
    "undecodable.gif": r"undecodable.gif holds no picture that decodes \(0 frames\), expected some: write it again",
    "undecodable.avi": r"undecodable.avi holds no picture that decodes \(0 frames\), expected some: write it again",
    "zero_bytes.webm": r"zero_bytes.webm is empty \(0 bytes\), expected a video: copy or write it again",
    "cut.mp4": r"cut.mp4 cannot be opened \(its index \(moov\) is missing: it is cut off\), expected a video",
}


@pytest.mark.parametrize("name", GOOD)
def test_real_files_give_all_their_frames_at_their_times(name: str) -> None:
    if not (VIDEO / name).exists():
        pytest.skip(f"{name} is not among the real files here")
    count, shortest, longest = GOOD[name]
    read = list(read_frames(VIDEO / name, LOOK))
    assert len(read) == count
    assert {frame.pixels.shape for frame in read} == {(1, 18, 24)}
    assert read[0].time_ms == 0
    if shortest is not None:
        steps = np.diff([frame.time_ms for frame in read])
        assert shortest <= steps.min() + 0.1
        assert steps.max() - 0.1 <= longest
        assert steps.min() > 0


@pytest.mark.parametrize("name", BAD)
def test_a_file_without_pictures_is_one_line_that_says_why(name: str) -> None:
    if not (VIDEO / name).exists():
        pytest.skip(f"{name} is not among the real files here")
    with pytest.raises(DataError, match=BAD[name]) as caught:
        list(read_frames(VIDEO / name, LOOK))
    assert "\n" not in str(caught.value)


@needs(VIDEO)
def test_a_phone_held_upright_is_shown_upright() -> None:
    (first, *_) = read_frames(VIDEO / "rotated_90.mov", Look(56, 56))
    lit = first.pixels[0] > 0
    rows, columns = np.flatnonzero(lit.any(1)), np.flatnonzero(lit.any(0))
    assert rows[-1] - rows[0] > 1.5 * (columns[-1] - columns[0])  # 320 x 568 as shown, 568 x 320 as stored


def test_rotation_turns_a_picture_as_the_metadata_says() -> None:
    class Stored:
        width, height, rotation = 24, 16, -90

    stored = Stored()
    assert frames.rotation_of(stored) == 3  # a quarter turn with the clock
    stored.rotation = 180
    assert frames.rotation_of(stored) == 2


def test_brightness_place_and_proportions_survive(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mp4", square(5, rightward=True))
    read = np.stack([frame.pixels[0] for frame in read_frames(path, Look(16, 24))])
    assert np.abs(read.astype(int) - square(5, rightward=True)).mean() < 4
    tall = next(iter(read_frames(path, Look(32, 24)))).pixels[0]
    assert tall[:8].max() == 0  # the picture stands in the middle, black above and below
    assert tall[24:].max() == 0
    assert tall[8:24].max() > 200


def test_a_figure_fills_the_picture_wherever_it_is_and_however_large(tmp_path: Path) -> None:
    seen = []
    for number, (row, column, size) in enumerate(
        [(3, 5, 8), (30, 40, 16), (40, 56, 8)]
    ):  # the last one at the border
        pictures = np.full((3, 48, 64), 30, np.uint8)
        pictures[:, row : row + size, column : column + size // 2] = 220
        path = write_video(tmp_path / f"{number}.mp4", pictures)
        seen.append(next(iter(read_frames(path, Look(16, 16, figure=True)))).pixels[0].astype(int))
    for picture in seen:
        assert picture[:, 5:11].mean() > 190  # as high as the picture, half as wide, in the middle
        assert picture[:, :3].mean() < 50  # of the ground's brightness around it, and not black
        assert picture[:, 13:].mean() < 50
        assert picture[:, :3].mean() > 15


def test_a_figure_is_upright_and_in_colour(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    red = np.zeros((2, 32, 32, 3), np.uint8)
    red[:, 20:24, 4:20, 0] = 250  # 4 x 16
    path = write_video(tmp_path / "red.mp4", red)
    (first, _) = read_frames(path, Look(16, 16, color=True, figure=True))
    assert first.pixels.shape == (3, 16, 16)
    assert first.pixels[0, 7:9].mean() > 180
    assert first.pixels[0, :5].mean() < 60
    monkeypatch.setattr(frames, "rotation_of", lambda frame: 1)
    (turned, _) = read_frames(path, Look(16, 16, color=True, figure=True))
    assert np.abs(turned.pixels.astype(int) - np.rot90(first.pixels, axes=(1, 2))).mean() < 12


def test_a_picture_without_a_figure_stays_whole(tmp_path: Path) -> None:
    path = write_video(tmp_path / "even.mp4", np.full((2, 16, 24), 90, np.uint8))
    (first, _) = read_frames(path, Look(8, 8, figure=True))
    assert first.pixels.shape == (1, 8, 8)
    assert np.abs(first.pixels.astype(int) - 90).max() < 6


def test_colour_is_three_channels(tmp_path: Path) -> None:
    red = np.zeros((3, 16, 16, 3), np.uint8)
    red[..., 0] = 250
    path = write_video(tmp_path / "red.mp4", red)
    pixels = next(iter(read_frames(path, Look(16, 16, color=True)))).pixels
    assert pixels.shape == (3, 16, 16)
    assert pixels[0].mean() > 200
    assert pixels[1:].mean() < 50


def test_a_folder_of_pictures_is_a_clip_in_the_order_of_its_numbers(tmp_path: Path) -> None:
    folder = write_pictures(tmp_path / "clip", square(11, rightward=True))
    read = list(read_frames(folder, Look(16, 24)))
    assert len(read) == 11
    assert [frame.time_ms for frame in read[:3]] == [0, 40, 80]
    columns = [int(frame.pixels[0].sum(0).argmax()) for frame in read]
    assert columns[:10] == sorted(columns[:10])  # f2 before f10
    (tmp_path / "empty").mkdir()
    with pytest.raises(
        DataError, match=r"empty holds no pictures, expected some \(.png, .jpg, .jpeg\): add them"
    ):
        list(read_frames(tmp_path / "empty", LOOK))


def test_a_gif_is_read_as_a_video(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.gif", np.repeat(square(4, True)[..., None], 3, -1), rate=10, codec="gif")
    assert [frame.time_ms for frame in read_frames(path, LOOK)] == [0, 100, 200, 300]


def test_a_video_is_read_from_a_stream_of_bytes(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mp4", square(4, True))
    from_file = [frame.pixels for frame in read_frames(path, LOOK)]
    from_bytes = [
        frame.pixels for frame in read_frames(io.BytesIO(path.read_bytes()), LOOK, "standard input")
    ]
    np.testing.assert_array_equal(from_file, from_bytes)


def test_frames_are_taken_by_their_times() -> None:
    shown = [Frame(t, np.full((1, 1, 1), k, np.uint8)) for k, t in enumerate((0.0, 10.0, 20.0, 200.0))]
    taken = list(by_time(iter(shown), 20))
    assert [frame.time_ms for frame in taken] == [0, 50, 100, 150, 200]
    assert [int(frame.pixels[0, 0, 0]) for frame in taken] == [0, 2, 2, 2, 3]
    even = [Frame(40.0 * k, np.full((1, 1, 1), k, np.uint8)) for k in range(6)]
    assert [int(frame.pixels[0, 0, 0]) for frame in by_time(iter(even), 25)] == [0, 1, 2, 3, 4, 5]


def test_without_pyav_the_line_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_video(tmp_path / "a.mp4", square(3, True))
    monkeypatch.setitem(__import__("sys").modules, "av", None)
    with pytest.raises(MissingPackageError, match=r"pip install 'congru\[video\]'"):
        list(read_frames(path, LOOK))


def test_a_missing_file_has_its_line(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"none.mp4 does not exist, expected a video: check the path"):
        list(read_frames(tmp_path / "none.mp4", LOOK))
