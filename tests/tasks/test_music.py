"""The frame model of music: an exact likelihood over sets of notes, from the past alone; locks; events; commands."""

from __future__ import annotations

import dataclasses
import itertools
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import shared_files
from congru.cli.main import main
from congru.errors import DataError, SettingsError
from congru.runtime.graph import Graph
from congru.runtime.network import Network
from congru.tasks.music import events
from congru.tasks.music.baselines import event_baselines, frame_baselines
from congru.tasks.music.composer import Composer
from congru.tasks.music.composition import Wishes, compose, draw_frame
from congru.tasks.music.data import rows_of, shifted, with_past
from congru.tasks.music.frames import END, Past, anchors, head_indices, logits_of, note_steps, past_of
from congru.tasks.music.learner import joined_heads
from congru.tasks.music.network import frame_networks
from congru.tasks.music.pieces import KEYS, Note, Piece
from congru.tasks.music.recall import LONGEST, length_class, recalled
from congru.tasks.music.settings import Settings
from congru.tasks.music.use import evaluate, run
from congru.tasks.music.voices import FrameLock, allowed_next, line_of, lock_at

SMALL: dict[str, Any] = {"hidden_size": 6, "notes_size": 7, "beat": 4}


def random_composer(seed: int = 0, scale: float = 0.5, **changes: Any) -> Composer:
    """A frame model with random weights."""
    settings = Settings(**{**SMALL, **changes})
    rng = np.random.default_rng(seed)
    networks = {}
    for name, entry in frame_networks(settings, settings.cell, settings.hidden_size).items():
        shapes = Graph(entry).weight_shapes
        weights = {key: rng.normal(0, scale, shape).astype(np.float32) for key, shape in shapes.items()}
        networks[name] = Network(entry, weights)
    config = {"unit": "frames", "frame": settings.frame, "recall": settings.recall, "beat": 4, "grid": 1}
    return Composer(networks, {**config, "bar": 4.0, "tempo": 100.0})


def random_roll(frames: int, seed: int = 0, keys: int = KEYS) -> np.ndarray:
    """A roll with about three of `keys` sounding, some frames silent, some repeated."""
    rng = np.random.default_rng(seed)
    roll = np.zeros((frames, KEYS), np.uint8)
    roll[:, :keys] = rng.random((frames, keys)) < 3 / keys
    roll[frames // 2 :] = roll[: frames - frames // 2]
    return roll


class FewKeys(Composer):
    """A model that only the lowest keys are left of, so that all frames can be counted."""

    keys = 7

    def note_logits(self, states: Any, features: Any, last: Any, anchor: Any) -> Any:
        logits = super().note_logits(states, features, last, anchor)
        logits[:, self.keys : KEYS] = -1e9
        return logits


def few_keys(seed: int = 0, scale: float = 0.5) -> FewKeys:
    """A random model of seven keys."""
    whole = random_composer(seed, scale)
    return FewKeys(whole.networks, whole.config)


def all_frames(keys: int) -> np.ndarray:
    """Every set of the lowest keys, [2^keys, K]."""
    frames = np.zeros((2**keys, KEYS), np.uint8)
    frames[:, :keys] = list(itertools.product((0, 1), repeat=keys))
    return frames


def test_the_probabilities_of_all_frames_sum_to_one() -> None:
    composer, before = few_keys(), random_roll(3, keys=7)
    total = sum(np.exp(-composer.nats(np.vstack([before, frame[None]]))[-1]) for frame in all_frames(7))
    assert total == pytest.approx(1.0, abs=1e-5)


def test_a_frame_depends_on_the_past_alone() -> None:
    composer, roll = random_composer(), random_roll(24)
    nats = composer.nats(roll)
    for t in (0, 5, 23):
        changed = roll.copy()
        changed[t, 40] ^= 1
        other = composer.nats(changed)
        np.testing.assert_array_equal(other[:t], nats[:t])
        assert other[t] != nats[t]
    np.testing.assert_allclose(composer.nats(roll[:9]), nats[:9], rtol=1e-5)


def test_frames_one_by_one_are_frames_at_once() -> None:
    """What composing computes for each frame from its session is what scoring computes for all."""
    composer, roll = random_composer(), random_roll(16)
    seen: list[float] = []

    class Following(Composer):
        def note_logits(self, states: Any, features: Any, last: Any, anchor: Any) -> Any:
            logits = Composer.note_logits(self, states, features, last, anchor)
            frame, rank = roll[len(done)], int((features[0, :KEYS]).sum())
            keys = np.flatnonzero(frame)
            target = keys[rank] if rank < len(keys) else END
            log_p = logits[0] - np.log(np.exp(logits[0] - logits[0].max()).sum()) - logits[0].max()
            seen.append(-float(log_p[target]))
            forced = np.full_like(logits, -1e9)
            forced[:, target] = 0
            if target == END:
                done.append(sum(seen))
                seen.clear()
            return forced

    done: list[float] = []
    composed = compose(Following(composer.networks, composer.config), len(roll), Wishes())
    np.testing.assert_array_equal(composed, roll)
    np.testing.assert_allclose(done, composer.nats(roll), rtol=1e-4, atol=1e-4)


def test_note_steps_name_each_frame_from_below() -> None:
    roll = np.zeros((3, KEYS), np.uint8)
    roll[0, [5, 9]] = roll[2, [7]] = 1
    steps = note_steps(roll, past_of(roll, np.zeros_like(roll), np.zeros(3, np.int64)), True)
    assert steps.frame.tolist() == [0, 0, 0, 1, 2, 2]
    assert steps.target.tolist() == [5, 9, END, END, 7, END]
    assert steps.last.tolist() == [-1, 5, 9, -1, -1, 7]
    assert [np.flatnonzero(row[:KEYS]).tolist() for row in steps.features] == [[], [5], [5, 9], [], [], [7]]
    assert anchors(roll[[0, 0, 0, 1]], np.array([0, 1, 2, 0])).tolist() == [5, 9, 9, 44]


def test_the_heads_mean_the_same_in_torch() -> None:
    rng = np.random.default_rng(0)
    last, anchor = np.array([-1, 0, 40, 87]), np.array([44, 3, 41, 80])
    heads = {
        name: rng.normal(size=(4, size)).astype(np.float32)
        for name, size in (("pitch", KEYS + 1), ("above", KEYS), ("near", 49))
    }
    expected = logits_of(heads, head_indices(last, anchor))
    assert expected[1, 5] == pytest.approx(heads["pitch"][1, 5] + heads["above"][1, 4] + heads["near"][1, 26])
    actual = joined_heads(
        {k: torch.from_numpy(v) for k, v in heads.items()}, *map(torch.from_numpy, (last, anchor))
    )
    np.testing.assert_allclose(actual.numpy(), expected, rtol=1e-6)


def test_what_is_recalled_followed_the_longest_match() -> None:
    rng = np.random.default_rng(0)
    roll = np.zeros((60, KEYS), np.uint8)
    roll[np.arange(60), rng.integers(0, 3, 60)] = 1
    frames, lengths = recalled(roll)
    for t in range(60):
        matches = [
            (next((k for k in range(s) if not (roll[s - 1 - k] == roll[t - 1 - k]).all()), s), s)
            for s in range(1, t)
        ]
        longest = max(matches, default=(0, 0))
        assert lengths[t] == length_class(min(longest[0], LONGEST))
        np.testing.assert_array_equal(frames[t], roll[longest[1]] if longest[0] else np.zeros(KEYS))


def test_a_long_piece_is_searched_in_its_latest_frames(monkeypatch: pytest.MonkeyPatch) -> None:
    roll = np.zeros((40, KEYS), np.uint8)
    roll[np.arange(40), np.arange(40) % 13] = 1  # every frame came last 13 frames ago
    whole = recalled(roll)
    monkeypatch.setattr("congru.tasks.music.recall.LOOKBACK", 14)
    for one, other in zip(recalled(roll), whole):
        np.testing.assert_array_equal(one, other)
    monkeypatch.setattr("congru.tasks.music.recall.LOOKBACK", 12)
    assert not recalled(roll)[1].any()


@pytest.mark.parametrize(
    ("lock", "voices"),
    [
        (FrameLock(top={0: 6}), None),
        (FrameLock(top={1: 4}), None),
        (FrameLock(bottom=1, top={0: 5, 2: 3}), None),
        (FrameLock(top={0: 5, 1: 4}, voices=4), 4),
        (FrameLock(bottom=2, voices=2), 2),
        (FrameLock(voices=3), 3),
    ],
)
def test_locked_voices_are_drawn_as_the_model_gives_them(lock: FrameLock, voices: int | None) -> None:
    """Every frame drawn holds the locks, and is drawn as often as the model gives it among those that do."""
    composer = few_keys(3, 0.25)
    frames = all_frames(7)
    holds = [frame for frame in frames if fits(frame, lock)]
    assert holds
    for frame in frames:
        keys = np.flatnonzero(frame).tolist()
        path = [*keys, END]
        open_all = all(allowed_next(lock, keys[:k])[path[k]] for k in range(len(path)))
        assert open_all == fits(frame, lock), (keys, lock)
    expected = np.array([np.exp(-composer.nats(frame[None])[0]) for frame in holds])
    expected /= expected.sum()
    rng, wishes = np.random.default_rng(0), Wishes(candidates=40, voices=voices)
    silent = Past(np.zeros((1, KEYS), np.uint8), np.zeros((1, KEYS), np.uint8), np.zeros(1, np.int64))
    state = composer.states(composer.read(np.zeros((1, KEYS), np.uint8)))[0]
    drawn = Counter(draw_frame(composer, state, silent, lock, wishes, rng).tobytes() for _ in range(150))
    shares = np.array([drawn[frame.tobytes()] / 150 for frame in holds])
    assert shares.sum() == pytest.approx(1)
    assert np.abs(shares - expected).sum() / 2 < 0.25


def fits(frame: np.ndarray, lock: FrameLock) -> bool:
    """Whether a frame holds a lock."""
    keys = np.flatnonzero(frame).tolist()
    low = lock.bottom is None or keys[:1] == [lock.bottom]
    high = all(len(keys) > rank and keys[-1 - rank] == key for rank, key in lock.top.items())
    return low and high and (lock.voices is None or len(keys) == lock.voices)


def test_a_locked_soprano_stays_on_top() -> None:
    melody = random_roll(12, 5)
    line = line_of(melody, "soprano")
    roll = compose(random_composer(), 12, Wishes(lines={"soprano": line}, candidates=4), seed=1)
    for t in range(12):
        if line[t] >= 0:
            assert np.flatnonzero(roll[t])[-1] == line[t]
    keys = compose(random_composer(frame="keys"), 12, Wishes(lines={"soprano": line}), seed=1)
    assert all(np.flatnonzero(keys[t])[-1] == line[t] for t in range(12) if line[t] >= 0)
    assert lock_at({"soprano": line}, 12).free
    assert line_of(melody[:1] * 0, "bass").tolist() == [-1]


def test_primer_seed_and_temperature() -> None:
    composer, primer = random_composer(), random_roll(5)
    first = compose(composer, 6, Wishes(), 7, primer)
    np.testing.assert_array_equal(first[:5], primer)
    np.testing.assert_array_equal(first, compose(composer, 6, Wishes(), 7, primer))
    assert (first != compose(composer, 6, Wishes(), 8, primer)).any()
    cold = [compose(composer, 6, Wishes((0.01,)), seed) for seed in (1, 2)]
    np.testing.assert_array_equal(*cold)
    for wrong in (Wishes((0.0,)), Wishes(candidates=0), Wishes(voices=0), Wishes(())):
        with pytest.raises(SettingsError, match=r"expected .*: try"):
            compose(composer, 1, wrong)


def test_independent_keys_are_their_own_bernoullis() -> None:
    composer, roll = random_composer(frame="keys"), random_roll(4)
    p = 1 / (1 + np.exp(-composer.states(composer.read(roll)).astype(np.float64)))
    expected = -np.log(np.where(roll, p, 1 - p)).sum(1)
    np.testing.assert_allclose(composer.nats(roll), expected, rtol=1e-6)


def test_baselines_by_hand() -> None:
    roll = np.zeros((2, KEYS), np.uint8)
    roll[1, 0] = 1
    nats = frame_baselines([roll], [roll])
    one = -np.log(0.5) - np.log(
        0.5
    )  # (1/2 + 0) / (1 + ..): key 0 sounds once of two frames: (1 + .5) / (2 + 1)
    others = -2 * 87 * np.log(1 - 0.5 / 3)
    assert nats["keys by frequency"] == pytest.approx((one + others) / 2)
    tokens = np.array([0, 1, 2, 1])
    nats = event_baselines([tokens], [tokens[:2]], 4)
    unigram = (2 + 2 * (1 / 4)) / (3 + 2)
    assert nats["events by frequency"] == pytest.approx(-np.log(unigram))
    assert nats["bigram"] == pytest.approx(-np.log((1 + 1 * unigram) / (1 + 1)))


def test_events_there_and_back() -> None:
    notes = (Note(0, 1, 60, 100), Note(0, 2, 48, 100), Note(9.5, 0.25, 61, 20))
    encoded = events.encode(Piece("p", notes), 12)
    assert encoded.num_notes == 3
    back = events.decode(encoded.tokens, 12).notes
    assert [note[:3] for note in back] == [notes[1][:3], notes[0][:3], notes[2][:3]]
    assert [note.velocity * 8 // 128 for note in back] == [6, 6, 1]
    for before, after in itertools.pairwise(encoded.tokens.tolist()):
        assert events.allowed_after(before)[after]
    assert not events.allowed_after(events.PITCH)[events.PITCH]
    long = events.encode(Piece("p", (Note(0, 99, 60), Note(1e6, 1, 60))), 12)
    assert long.cut == 2


def test_passages_cover_beginnings_and_ends() -> None:
    lengths = np.array([10, 100])
    rows = rows_of(lengths, 4000, 16, np.random.default_rng(0))
    assert (rows[rows[:, 0] == 0, 1] == 0).all()
    long = rows[rows[:, 0] == 1, 1]
    assert (long.min(), long.max()) == (0, 92)
    assert np.mean(rows[:, 0] == 1) == pytest.approx(7 / 8, abs=0.02)


def test_shifted_passages_are_the_piece_in_another_key() -> None:
    roll = random_roll(12, keys=30)
    moved = np.roll(roll, 5, 1)
    piece, expected = shifted(with_past(roll), 5), with_past(moved)
    np.testing.assert_array_equal(piece.roll, moved)
    for one, other in zip(piece.past, expected.past):
        np.testing.assert_array_equal(one, other)
    lowest = int(np.flatnonzero(roll.any(0))[0])
    np.testing.assert_array_equal(shifted(with_past(roll), -99).roll, np.roll(roll, -lowest, 1))
    rows = rows_of(np.array([10, 10]), 600, 16, np.random.default_rng(0), transpose=2)
    assert np.bincount(rows[:, 2] + 2, minlength=5).min() > 80
    assert not rows_of(np.array([10]), 9, 16, np.random.default_rng(0))[:, 2].any()
    tokens = np.array([events.START, events.PITCH + 126, events.LENGTH, events.END])
    assert events.transposed(tokens, 7).tolist() == [0, events.PITCH + 127, events.LENGTH, events.END]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Frame and event models of a few steps."""
    from contract_cases import CASES

    folder = tmp_path_factory.mktemp("music")
    (data,) = CASES["music"].data(folder)
    from congru.tasks.music import train

    common: dict[str, Any] = {
        "steps": 30,
        "evaluations": 1,
        "threads": 1,
        "quiet": True,
        "learning_rate": 0.02,
    }
    made = {"data": Path(data)}
    for name, more in (
        ("frames", {}),
        ("keys", {"frame": "keys"}),
        ("bare", {"beat": 0, "recall": False}),
        ("events", {"unit": "events", "embedding_size": 8}),
    ):
        settings = {**common, **CASES["music"].settings, **more}
        made[name] = Path(str(train(data, out=folder / name, **settings).folder))
    return made


@pytest.mark.parametrize("name", ["frames", "keys", "bare", "events"])
def test_every_kind_is_trained_scored_and_inspected(
    trained: dict[str, Path], name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = evaluate(trained[name], str(trained["data"]))
    printed = capsys.readouterr().out
    assert "1 pieces" in printed
    assert len(rows) > 2
    metric = next(iter(rows["model"]))
    from congru.train.folder import read_metrics

    values = [
        r.value
        for r in read_metrics(trained[name] / "metrics.csv")
        if (r.split, r.name) == ("validation", metric)
    ]
    assert rows["model"][metric] == pytest.approx(min(values), rel=1e-4)
    assert evaluate(trained[name], str(trained["data"]), part="all", quiet=True)["model"][metric] > 0
    with pytest.raises(DataError, match="has no test part"):
        evaluate(trained[name], str(trained["data"]), part="test")


def test_run_writes_what_it_is_asked_for(
    trained: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from congru.tasks.music.midi import read_midi

    (tmp_path / "melody.abc").write_text("X:1\nL:1/4\nK:C\ncdef|gfed|\n")
    lock = f"soprano={tmp_path / 'melody.abc'}"
    run(trained["frames"], lock=(lock,), bars=2, out=(tmp_path / "a.mid",), voices=3)
    piece = read_midi(tmp_path / "a.mid", (tmp_path / "a.mid").read_bytes())
    top = [
        max(note.pitch for note in piece.notes if note.start <= t < note.start + note.length)
        for t in range(8)
    ]
    assert top == [72, 74, 76, 77, 79, 77, 76, 74]
    run(trained["events"], primer=tmp_path / "melody.abc", primer_bars=1, bars=1, out=(tmp_path / "b.mid",))
    piece = read_midi(tmp_path / "b.mid", (tmp_path / "b.mid").read_bytes())
    assert [note.pitch for note in piece.notes][:3] == [72, 74, 76]
    assert (3.0, 77) in [(note.start, note.pitch) for note in piece.notes]
    for wrong, line in (
        (["--out", "a.ogg"], "out is 'a.ogg', expected a name that ends in .mid, .wav, .svg"),
        (["--lock", "soprano"], "lock is 'soprano', expected voice=FILE"),
        (["--bars", "0"], "bars is 0, expected at least 1"),
        (["--lock", f"descant={tmp_path / 'melody.abc'}"], "voice is 'descant'"),
    ):
        capsys.readouterr()
        with pytest.raises(SystemExit) as stop:
            main(["run", str(trained["frames"]), *wrong])
        assert stop.value.code == 2
        assert line in capsys.readouterr().err
    with pytest.raises(SettingsError, match="lock and voices are for models of frames"):
        run(trained["events"], voices=3)
    with pytest.raises(SettingsError, match="the model is one of events, expected one of frames"):
        Composer.load(trained["events"]).nats(np.zeros((1, KEYS), np.uint8))


def test_a_model_learns_a_pattern(tmp_path: Path) -> None:
    """Two chords in turn: a few steps leave almost no doubt about which comes next."""
    from congru.tasks.music import train

    roll = np.zeros((32, KEYS), np.uint8)
    roll[::2, [30, 34, 37]] = roll[1::2, [29, 33, 36]] = 1
    np.savez(tmp_path / "chords.npz", train_0=roll, train_1=roll[1:], valid_0=roll)
    small: dict[str, Any] = {"hidden_size": 16, "notes_size": 32, "batch_size": 2, "learning_rate": 0.03}
    result = train(
        tmp_path / "chords.npz",
        steps=60,
        evaluations=1,
        threads=1,
        quiet=True,
        out=tmp_path / "run",
        ema=0.9,
        **small,
    )
    assert result.best is not None
    assert result.best < 0.4
    assert min(result.baselines.values()) > 2 * result.best
    roll_again = compose(Composer.load(tmp_path / "run"), 8, Wishes((0.2,)), 0, roll[:4])
    np.testing.assert_array_equal(roll_again, roll[:12])


def test_the_same_bits_from_a_replaced_past() -> None:
    """A composer's configuration is a part of what it reads: without recall nothing is looked up."""
    composer = random_composer(recall=False)
    piece = composer.read(random_roll(8))
    assert not piece.past.recalled.any()
    assert "recalled" not in composer.inputs(piece.past)
    assert dataclasses.is_dataclass(piece)


@shared_files.needs(shared_files.DATA / "music")
def test_the_baselines_of_the_published_rolls() -> None:
    from congru.tasks.music.rolls import read_rolls

    path = shared_files.DATA / "music/boulanger/JSB_Chorales.mat"
    parts = read_rolls(path, path.read_bytes())
    rolls = {
        name: [piece.roll for piece in pieces if piece.roll is not None] for name, pieces in parts.items()
    }
    nats = frame_baselines(rolls["train"], rolls["valid"])
    assert nats["keys that follow themselves"] == pytest.approx(10.13, abs=0.01)
