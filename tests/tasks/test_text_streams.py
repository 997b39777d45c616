"""Streams and segments: every token where it belongs, counted once, whatever the cutting."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from congru.tasks.text.streams import (
    make_segments,
    read_chunks,
    steps_per_epoch,
    stream_rows,
    total_nats,
)


def epoch_of(ids: NDArray[np.int64], batch_size: int, chunk: int, offset: int) -> list[NDArray[np.int64]]:
    """The chunks [B, C + 1] of every step."""
    rows = stream_rows(len(ids), batch_size, chunk, offset)
    return [read_chunks(ids, step, chunk) for step in rows.reshape(-1, batch_size)]


@settings(max_examples=60, deadline=None)
@given(
    length=st.integers(1, 90),
    batch_size=st.sampled_from([1, 2, 4, 6]),
    chunk=st.integers(1, 9),
    offset=st.integers(0, 200),
)
def test_batches_follow_the_ring(length: int, batch_size: int, chunk: int, offset: int) -> None:
    ids = np.arange(length) + 7
    steps = steps_per_epoch(length, batch_size, chunk)
    whole = epoch_of(ids, batch_size, chunk, offset)
    assert len(whole) == steps
    for before, after in itertools.pairwise(whole):  # the last target is the next input: a stream, no gap
        np.testing.assert_array_equal(before[:, -1], after[:, 0])
    for batch in whole:
        assert batch.shape == (batch_size, chunk + 1)
        np.testing.assert_array_equal(batch[:, 1:] - 7, (batch[:, :-1] - 7 + 1) % length)
    inputs = [token for batch in whole for token in batch[:, :-1].ravel()]
    assert len(set(inputs)) == len(inputs)  # no token is read twice in an epoch


def test_an_offset_moves_the_first_token() -> None:
    (batch,) = epoch_of(np.arange(6), 1, 6, offset=4)
    assert batch.tolist() == [[4, 5, 0, 1, 2, 3, 4]]


@settings(max_examples=60, deadline=None)
@given(
    length=st.integers(2, 80),
    begin=st.integers(1, 79),
    num_segments=st.integers(1, 9),
    burn_in=st.integers(0, 12),
)
def test_segments_count_every_token_once(length: int, begin: int, num_segments: int, burn_in: int) -> None:
    begin = min(begin, length - 1)
    segments = make_segments(np.arange(length), begin, num_segments, burn_in)
    tokens, counted = segments.piece(0, segments.num_steps)
    targets = tokens[:, 1:]
    assert sorted(targets[counted].tolist()) == list(range(begin, length))
    inputs = tokens[:, :-1]
    assert (inputs[counted] + 1 == targets[counted]).all()
    assert len(segments) == len(tokens) <= num_segments
    before = counted.argmax(1)
    assert (before == min(burn_in, begin - 1)).all()


def test_one_segment_is_one_pass() -> None:
    segments = make_segments(np.arange(50), begin=10, num_segments=1, burn_in=3)
    assert segments.piece(0, 99)[0].tolist() == [list(range(6, 50))]


def memory(x: NDArray[Any], y: NDArray[Any], state: Any) -> tuple[NDArray[np.float64], Any]:
    """A score that remembers: what it says of y depends on a fading sum of everything read."""
    faded = np.zeros(len(x)) if state is None else state
    nats = np.empty(x.shape)
    for t in range(x.shape[1]):
        faded = 0.5 * faded + x[:, t]
        nats[:, t] = (faded + y[:, t]) ** 2
    return nats, faded


def test_the_state_is_carried_and_segments_agree_with_one_pass() -> None:
    ids = np.random.default_rng(0).integers(0, 5, 400)
    one = total_nats(make_segments(ids, 100, 1, 60), memory, steps=7)
    assert one == pytest.approx(total_nats(make_segments(ids, 100, 1, 60), memory, steps=1000), rel=1e-12)
    several = total_nats(make_segments(ids, 100, 5, 60), memory)
    assert several == pytest.approx(one, rel=1e-12)
    assert total_nats(make_segments(ids, 100, 5, 2), memory) != pytest.approx(one, rel=1e-3)
