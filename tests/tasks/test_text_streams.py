"""Streams and lanes: every token where it belongs, counted once, whatever the cutting."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from congru.tasks.text.streams import make_lanes, steps_per_epoch, stream_batches, total_nats


@settings(max_examples=60, deadline=None)
@given(
    length=st.integers(1, 90),
    batch_size=st.sampled_from([1, 2, 4, 6]),
    chunk=st.integers(1, 9),
    turn=st.integers(0, 200),
    start=st.integers(0, 3),
)
def test_batches_follow_the_ring(length: int, batch_size: int, chunk: int, turn: int, start: int) -> None:
    ids = np.arange(length) + 7
    steps = steps_per_epoch(length, batch_size, chunk)
    whole = list(stream_batches(ids, batch_size, chunk, turn))
    assert len(whole) == steps
    for before, after in itertools.pairwise(whole):  # the last target is the next input: a stream, no gap
        np.testing.assert_array_equal(before[:, -1], after[:, 0])
    for batch in whole:
        assert batch.shape == (batch_size, chunk + 1)
        np.testing.assert_array_equal(batch[:, 1:] - 7, (batch[:, :-1] - 7 + 1) % length)
    inputs = [token for batch in whole for token in batch[:, :-1].ravel()]
    assert len(set(inputs)) == len(inputs)  # no token is read twice in an epoch
    skipped = list(stream_batches(ids, batch_size, chunk, turn, start=start))
    np.testing.assert_array_equal(skipped, whole[start:])
    if batch_size % 2 == 0:
        halves = [
            list(stream_batches(ids, batch_size, chunk, turn, rows))
            for rows in (slice(0, batch_size // 2), slice(batch_size // 2, None))
        ]
        for batch, *parts in zip(whole, *halves):
            np.testing.assert_array_equal(batch, np.concatenate(parts))


def test_a_turn_moves_the_first_token() -> None:
    (batch,) = stream_batches(np.arange(6), 1, 6, turn=4)
    assert batch.tolist() == [[4, 5, 0, 1, 2, 3, 4]]


@settings(max_examples=60, deadline=None)
@given(
    length=st.integers(2, 80),
    begin=st.integers(1, 79),
    num_lanes=st.integers(1, 9),
    run_up=st.integers(0, 12),
)
def test_lanes_count_every_token_once(length: int, begin: int, num_lanes: int, run_up: int) -> None:
    begin = min(begin, length - 1)
    lanes = make_lanes(np.arange(length), begin, num_lanes, run_up)
    targets = lanes.tokens[:, 1:]
    assert sorted(targets[lanes.counted].tolist()) == list(range(begin, length))
    inputs = lanes.tokens[:, :-1]
    assert (inputs[lanes.counted] + 1 == targets[lanes.counted]).all()
    assert lanes.tokens.shape[0] <= num_lanes
    before = lanes.counted.argmax(1)
    assert (before == min(run_up, begin - 1)).all()


def test_one_lane_is_one_pass() -> None:
    lanes = make_lanes(np.arange(50), begin=10, num_lanes=1, run_up=3)
    assert lanes.tokens.tolist() == [list(range(6, 50))]


def memory(x: NDArray[Any], y: NDArray[Any], state: Any) -> tuple[NDArray[np.float64], Any]:
    """A score that remembers: what it says of y depends on a fading sum of everything read."""
    faded = np.zeros(len(x)) if state is None else state
    nats = np.empty(x.shape)
    for t in range(x.shape[1]):
        faded = 0.5 * faded + x[:, t]
        nats[:, t] = (faded + y[:, t]) ** 2
    return nats, faded


def test_the_state_is_carried_and_lanes_agree_with_one_pass() -> None:
    ids = np.random.default_rng(0).integers(0, 5, 400)
    one = total_nats(make_lanes(ids, 100, 1, 60), memory, steps=7)
    assert one == pytest.approx(total_nats(make_lanes(ids, 100, 1, 60), memory, steps=1000), rel=1e-12)
    several = total_nats(make_lanes(ids, 100, 5, 60), memory)
    assert several == pytest.approx(one, rel=1e-12)
    assert total_nats(make_lanes(ids, 100, 5, 2), memory) != pytest.approx(one, rel=1e-3)
