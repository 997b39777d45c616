"""Frames and stages: in pieces as in one piece, the formulas, the features of real recordings."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from congru.errors import DataError, SettingsError
from congru.tasks.speech.audio import Audio, read_audio
from congru.tasks.speech.augment import at_speed, mask_bands, mask_times, warp_matrix, warped
from congru.tasks.speech.frames import SIZES, make_frames
from congru.tasks.speech.front_end import FrontEnd, frames_of, whole
from congru.tasks.speech.stages import FORGET, PRIOR_FRAMES, Differences, RunningNorm, Stacking
from shared_files import DATA, needs

RNG = np.random.default_rng


def front_end(kind: str, running: bool = True, **other: Any) -> FrontEnd:
    size = SIZES[kind]
    settings: dict[str, Any] = {"differences": 2, "stack": 3, **other}
    return FrontEnd(kind, 16000, size, running, [1.0] * size, [2.0] * size, **settings)


@pytest.mark.parametrize("kind", sorted(SIZES))
@pytest.mark.parametrize("rate_hz", [16000, 22050])
@pytest.mark.parametrize("running", [True, False])
def test_pieces_give_the_same_bits_as_the_whole(kind: str, rate_hz: int, running: bool) -> None:
    rng = RNG(3)
    samples = (0.1 * rng.standard_normal(12_000)).astype(np.float32)
    front = front_end(kind, running)
    expected = front.steps(front.frames(Audio(samples, rate_hz)))
    stream = front.stream(rate_hz)
    cuts = [0, *sorted(rng.choice(12_000, 9, replace=False).tolist()), 12_000]
    parts = [stream.feed(samples[a:b]) for a, b in zip(cuts, cuts[1:])]  # noqa: RUF007
    streamed = np.concatenate([*parts, stream.finish()])
    assert streamed.shape == (expected.shape[0], front.step_size)
    np.testing.assert_array_equal(streamed, expected)


@needs(DATA / "speech/an4_wav")
def test_the_sphinx_front_end_gives_the_features_of_an4() -> None:
    with np.load(DATA / "speech/an4/an4_mfcc13.npz") as known:
        ids, offsets, feat = known["test_id"].tolist(), known["test_off"], known["test_feat"]
    files = sorted((DATA / "speech/an4_wav/test").glob("*.wav"))[:4]
    assert files
    for path in files:
        at = ids.index(path.stem)
        stored = feat[offsets[at] : offsets[at + 1]].astype(np.float64)
        frames = frames_of(read_audio(path), "sphinx", 16000)
        assert frames.shape == stored.shape
        assert abs(frames - stored).mean() < 1e-3


def test_running_normalisation_is_the_formula() -> None:
    frames = RNG(0).standard_normal((7, 2)).astype(np.float32)
    s, n = PRIOR_FRAMES * np.array([1.0, -1.0]), PRIOR_FRAMES
    normed = RunningNorm([1.0, -1.0], [2.0, 4.0]).feed(frames)
    for x, y in zip(frames, normed):
        s, n = FORGET * s + x, FORGET * n + 1
        np.testing.assert_allclose(y, (x - s / n) / [2.0, 4.0], atol=1e-6)


def test_differences_of_a_line_are_its_slope_and_nothing() -> None:
    line = np.arange(12, dtype=np.float32)[:, None] * 3
    differences = whole(Differences(2, 1), line)
    np.testing.assert_allclose(differences[4:8], [[12, 3, 0], [15, 3, 0], [18, 3, 0], [21, 3, 0]], atol=1e-6)
    x = RNG(1).standard_normal((6, 1)).astype(np.float32)
    padded = np.concatenate([x[:1], x[:1], x, x[-1:], x[-1:]])[:, 0]
    slopes = [sum(k * (padded[t + 2 + k] - padded[t + 2 - k]) for k in (1, 2)) / 10 for t in range(6)]
    np.testing.assert_allclose(whole(Differences(1, 1), x)[:, 1], slopes, atol=1e-6)


def test_stacking_fills_the_last_group() -> None:
    stacked = whole(Stacking(3, 1), np.arange(4, dtype=np.float32)[:, None])
    assert stacked.tolist() == [[0, 1, 2], [3, 3, 3]]
    assert whole(Stacking(3, 1), np.zeros((0, 1), np.float32)).shape == (0, 3)


@pytest.mark.parametrize("kind", sorted(SIZES))
def test_audio_shorter_than_a_window_has_no_frame(kind: str) -> None:
    front = front_end(kind)
    assert front.steps(front.frames(Audio(np.ones(9, np.float32), 16000))).shape == (0, front.step_size)


def test_silence_gives_finite_features() -> None:
    for kind in SIZES:
        assert np.isfinite(frames_of(Audio(np.zeros(4000, np.float32), 16000), kind, 16000)).all()


def test_faults_of_front_ends_are_one_line() -> None:
    with pytest.raises(SettingsError, match="rate_hz is 8000 with features sphinx, expected 16000"):
        make_frames("sphinx", 8000)
    from_file = FrontEnd("given", 16000, 13, True, [0.0] * 13, [1.0] * 13, 2, 3)
    with pytest.raises(DataError, match=r"reads features of 13 numbers from \.npz files"):
        from_file.stream(16000)


def test_latency_counts_window_stack_and_differences() -> None:
    assert front_end("fbank").delay_seconds == pytest.approx(0.02 + 0.04 + 0.025)


@pytest.mark.parametrize("kind", ["mfcc", "sphinx"])
def test_a_warp_of_cepstra_moves_a_peak_along_the_mel_axis(kind: str) -> None:
    """Cepstra of a smooth bump at u = 0.5, warped by 1.1, are those of a bump at 0.5 / 1.1."""
    k, u = np.arange(13), (np.arange(400) + 0.5) / 400
    scale = np.linalg.lstsq(np.eye(13), np.eye(13), rcond=None)[0]
    assert scale.shape == (13, 13)

    def cepstra(centre: float) -> np.ndarray[Any, Any]:
        bump = np.exp(-0.5 * ((u - centre) / 0.15) ** 2)
        return np.where(k == 0, 1, 2) * (np.cos(np.pi * k[:, None] * u) @ bump) / len(u)

    from congru.tasks.speech.augment import _scales

    b = cepstra(0.5) / _scales(kind)
    warped = (b @ warp_matrix(kind, 1.1)) * _scales(kind)
    bump = np.cos(np.pi * u[:, None] * k) @ warped
    assert u[bump.argmax()] == pytest.approx(0.5 / 1.1, abs=0.01)


def test_a_warp_of_energies_moves_a_peak() -> None:
    frame = np.zeros((1, 40), np.float32)
    frame[0, 20] = 1
    moved = frame @ warp_matrix("fbank", 1.1)
    assert moved[0].argmax() in (18, 19)
    same = warped(frame, "fbank", 0.0, np.ones(40), RNG(0))
    np.testing.assert_allclose(same, frame, atol=1e-6)


def test_speed_and_masks() -> None:
    frames = np.arange(20, dtype=np.float32)[:, None] + 1
    assert len(at_speed(frames, 0.5)) == 40
    np.testing.assert_allclose(at_speed(frames, 1.0), frames)
    assert len(at_speed(frames[:1], 2.0)) == 1
    masked = mask_times(frames, 3, 10, RNG(0))
    assert 0 < (masked == 0).sum() <= 6
    bands = mask_bands(np.ones((4, 10), np.float32), 2, 3, RNG(1))
    assert set(bands.sum(0)) <= {0.0, 4.0}
    assert (frames > 0).all()
