"""The schedule: the used share of the budget, the learning rate, when to evaluate."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from congru.train.schedule import Budget, Clock, learning_rate_factor
from congru.train.settings import TrainSettings


@given(st.floats(0, 1), st.floats(0, 0.99))
def test_the_factor_stays_between_zero_and_one(fraction: float, warmup: float) -> None:
    assert 0.0 <= learning_rate_factor(fraction, warmup) <= 1.0


def test_the_factor_rises_to_one_and_ends_at_zero() -> None:
    assert learning_rate_factor(0.0, 0.0) == 1.0
    assert learning_rate_factor(0.2, 0.2) == 1.0
    assert learning_rate_factor(0.1, 0.2) == pytest.approx(0.505)
    assert learning_rate_factor(1.0, 0.2) == pytest.approx(0.0, abs=1e-15)
    rising = [learning_rate_factor(i / 100, 0.3) for i in range(31)]
    falling = [learning_rate_factor(i / 100, 0.3) for i in range(30, 101)]
    assert rising == sorted(rising)
    assert falling == sorted(falling, reverse=True)


def test_budgets_of_every_kind() -> None:
    assert Budget.of(TrainSettings(epochs=3), 7).num_steps == 21
    assert Budget.of(TrainSettings(steps=40), 7).num_steps == 40
    timed = Budget.of(TrainSettings(minutes=2), 7)
    assert (timed.num_steps, timed.num_seconds) == (None, 120.0)


def test_the_share_of_a_timed_budget_leaves_room_for_the_last_evaluation() -> None:
    budget = Budget(None, 100.0, 10, None)
    assert budget.fraction(5, 45.0, reserve=10.0) == 0.5
    assert budget.fraction(5, 90.0, reserve=10.0) == 1.0
    assert budget.fraction(5, 1.0, reserve=100.0) == 0.02  # at least half of the budget is training


@pytest.mark.parametrize(("steps", "evaluations"), [(100, 10), (7, 3), (5, 20), (20, 1)])
def test_evaluations_are_spread_evenly_and_the_last_step_has_one(steps: int, evaluations: int) -> None:
    budget = Budget(steps, None, evaluations, None)
    due = [s for s in range(1, steps + 1) if budget.evaluation_due(s, budget.fraction(s, 0.0), 0.0, 0.0)]
    assert len(due) == min(steps, evaluations)
    assert due[-1] == steps
    gaps = {b - a for a, b in zip([0, *due], due)}
    assert max(gaps) - min(gaps) <= 1


def test_eval_every_counts_steps_and_the_end_always_has_one() -> None:
    budget = Budget(10, None, 20, 4)
    assert [s for s in range(1, 11) if budget.evaluation_due(s, s / 10, 0.0, 0.0)] == [4, 8, 10]


def test_timed_evaluations_never_eat_more_than_a_fifth_of_the_time() -> None:
    budget = Budget(None, 100.0, 20, None)
    assert not budget.evaluation_due(3, 0.1, since_last=4.9, reserve=0.1)
    assert budget.evaluation_due(3, 0.1, since_last=5.0, reserve=0.1)
    assert not budget.evaluation_due(3, 0.1, since_last=39.0, reserve=10.0)
    assert budget.evaluation_due(3, 0.1, since_last=40.0, reserve=10.0)


def test_a_resumed_clock_goes_on_from_the_seconds_used() -> None:
    now = iter([100.0, 103.0, math.inf])
    assert Clock(used=7.0, now=lambda: next(now)).seconds == 10.0
