"""Planted truth: known gates give their timescales, ages and saturation exactly."""

from __future__ import annotations

import numpy as np
import pytest

import congru
from congru.errors import CongruError
from congru.gates import Stack
from congru.gates.age import next_age
from congru.gates.timescales import Timescales, autocorrelation, autocorrelation_length
from gates_cases import known_keep, random_trace


def test_known_keep_gives_its_timescale_exactly() -> None:
    keep = [0.5, 0.9, 0.99, 0.999]
    timescales = known_keep(keep).timescales()
    np.testing.assert_allclose(timescales.tau, -1 / np.log(keep), rtol=1e-9)
    np.testing.assert_allclose(timescales.half_life, np.log(0.5) / np.log(keep), rtol=1e-9)
    assert timescales.longest == pytest.approx(-1 / np.log(0.999))


def test_timescales_average_over_valid_steps_of_all_rows() -> None:
    trace = random_trace("gru", B=2, T=6, lengths=[6, 2])
    z = np.concatenate([trace.keep[0, 0, 0], trace.keep[0, 0, 1, :2]])
    np.testing.assert_allclose(trace.timescales().tau, -1 / np.log(z).mean(axis=0), rtol=1e-10)
    assert trace.lengths.tolist() == [6, 2]


def test_gates_at_their_ends_give_zero_and_infinity() -> None:
    b = np.array([0.0, 0.0, 800.0, -800.0, 0.0, 0.0])
    trace = congru.inspect(
        Stack("gru", [[(np.zeros((6, 1)), np.zeros((6, 2)), b, None)]]), np.ones((1, 3, 1))
    )
    assert trace.timescales().tau.tolist() == [np.inf, 0.0]


def test_the_forget_gate_is_an_lstms_keep_gate() -> None:
    trace = random_trace("lstm")
    f = trace.gate("f")[0, 0].reshape(-1, 5)
    np.testing.assert_allclose(trace.timescales().tau, -1 / np.log(f).mean(axis=0), rtol=1e-10)


def brute_force_age(keep: np.ndarray, fresh: np.ndarray) -> np.ndarray:
    """The mean of t - k under the weights of what was written at k, straight from the definition."""
    ages = np.zeros_like(keep)
    for t in range(len(keep)):
        begin = max([k for k in range(t + 1) if fresh[k]], default=0)
        for k in range(begin, t + 1):
            ages[t] += (1 - keep[k]) * np.prod(keep[k + 1 : t + 1], axis=0) * (t - k)
        ages[t] += np.prod(keep[begin : t + 1], axis=0) * (t - begin + 1)
    return ages


@pytest.mark.parametrize("with_reset", [False, True])
def test_age_is_the_mean_age_of_what_is_held(with_reset: bool) -> None:
    reset = np.zeros((2, 9), bool)
    reset[:, 4] = with_reset
    trace = random_trace("gru", T=9, reset=reset)
    for row in (0, 1):
        expected = brute_force_age(trace.keep[0, 0, row], reset[row])
        np.testing.assert_allclose(trace.age(row=row).age, expected, atol=1e-12)


def test_age_one_step_at_a_time_and_its_quantiles() -> None:
    trace = known_keep([0.9, 0.5], T=200)
    ages = trace.age()
    age = np.zeros(2)
    for keep in trace.keep[0, 0, 0]:
        age = next_age(age, keep)
    np.testing.assert_allclose(ages.age[-1], age)
    np.testing.assert_allclose(age, [9.0, 1.0], rtol=1e-6)
    assert ages.quantiles((0.0, 1.0))[:, -1].tolist() == pytest.approx([1.0, 9.0])


def test_age_of_both_directions_is_asked_one_by_one() -> None:
    trace = random_trace("gru", ways=2, T=5, lengths=[5, 3])
    with pytest.raises(
        CongruError, match=r"age is asked of a bidirectional model.*read the future.*pass direction=0"
    ):
        trace.age()
    backward = trace.age(direction=1, row=1)
    assert backward.steps.tolist() == [2, 1, 0]
    np.testing.assert_allclose(backward.age[0], trace.keep[0, 1, 1, 2])


def test_autocorrelation_of_known_series() -> None:
    random = np.random.default_rng(0)
    series = np.zeros(40_000)
    noise = random.normal(size=series.size)
    for t in range(1, len(series)):
        series[t] = 0.95 * series[t - 1] + noise[t]
    assert autocorrelation_length(series) == pytest.approx(-1 / np.log(0.95), rel=0.15)
    assert autocorrelation_length(noise) < 1
    curve = autocorrelation(noise[:50], 5)[:, 0]
    expected = [np.dot(*(lambda c: (c[: 50 - k], c[k:]))(noise[:50] - noise[:50].mean())) for k in range(6)]
    np.testing.assert_allclose(curve, np.array(expected) / expected[0], atol=1e-12)


def test_autocorrelation_where_there_is_none() -> None:
    assert np.isnan(autocorrelation_length([1.0, 2.0]))
    assert np.isnan(autocorrelation_length(np.ones(20)))
    assert autocorrelation_length(np.linspace(0, 1, 6)) == pytest.approx(1.7, abs=0.5)
    both = np.stack([np.ones(200), np.sin(np.arange(200) / 20)], axis=1)
    assert autocorrelation_length(both) == pytest.approx(autocorrelation_length(both[:, 1]))


def test_timescales_in_words() -> None:
    trace = known_keep([0.5, 0.9, 0.99])
    text = trace.timescales(series=np.sin(np.arange(300) / 5)).sentence()
    assert "the data's own memory is" in text
    assert "of 3 units reach it." in text
    assert Timescales(np.array([1.0]), np.array([0.7]), float("nan")).sentence().endswith("steps.")


def test_saturation_counts_steps() -> None:
    use = known_keep([0.5, 0.95, 0.05]).saturation()
    keep = use.gates["z"]
    assert keep.open.tolist() == [0.0, 1.0, 0.0]
    assert keep.closed.tolist() == [0.0, 0.0, 1.0]
    np.testing.assert_allclose(keep.mean, [0.5, 0.95, 0.05], rtol=1e-9)
    np.testing.assert_allclose(keep.deviation, 0, atol=1e-9)
    assert any("1 of 3 units of layer keep nothing" in line for line in use.advice)
    assert use.correlation.tolist() == [0.0] * 3


def test_keep_and_reset_that_say_the_same_are_noticed() -> None:
    random = np.random.default_rng(0)
    W = np.concatenate([np.tile(random.normal(size=(2, 3)), (2, 1)), random.normal(size=(2, 3))])
    trace = congru.inspect(
        Stack("gru", [[(W, np.zeros((6, 2)), None, None)]]), random.normal(size=(1, 50, 3))
    )
    use = trace.saturation()
    np.testing.assert_allclose(use.correlation, 1, atol=1e-9)
    assert any("keep and reset say the same in 2 of 2 units" in line for line in use.advice)
    np.testing.assert_allclose(
        random_trace("gru", T=50, B=1).saturation().correlation[0],
        np.corrcoef(*(random_trace("gru", T=50, B=1).gate(letter)[0, 0, 0, :, 0] for letter in "zr"))[0, 1],
    )


@pytest.mark.parametrize(
    ("bias", "words"),
    [
        (
            np.repeat([6.0, 0.0, 0.0], 20),
            "reset gate unused in layer: above 0.95 and still in 20 of 20 units",
        ),
        (np.array([6.0] * 5 + [0.0] * 55), "5 of 20 units of layer do not use their reset gate"),
        (
            np.array([0.0] * 20 + [9.0] * 4 + [0.0] * 36),
            "4 of 20 units of layer never open.*try hidden_size 16",
        ),
        (np.array([0.0] * 40 + [9.0] * 3 + [0.0] * 17), "3 of 20 units of layer have a saturated candidate"),
        (np.zeros(60), "layer: every gate moves; nothing stands out"),
    ],
)
def test_advice_names_the_count_and_what_to_try(bias: np.ndarray, words: str) -> None:
    import re

    random = np.random.default_rng(0)
    W = np.where(np.abs(bias[:, None]) > 1, 0.0, random.normal(size=(60, 3)))
    trace = congru.inspect(
        Stack("gru", [[(W, np.zeros((60, 20)), bias, None)]]), random.normal(size=(2, 100, 3))
    )
    advice = trace.saturation().advice
    assert any(re.search(words, line) for line in advice), advice


def test_a_plain_rnns_candidate_stands_for_its_gates() -> None:
    use = random_trace("rnn").saturation()
    n = np.abs(random_trace("rnn").candidate[0, 0]).reshape(-1, 5)
    np.testing.assert_allclose(use.gates["n"].open, (n > 0.9).mean(axis=0))
    assert use.correlation is None
    assert random_trace("lstm").saturation().gates.keys() == {"i", "f", "o"}


def test_summary_fits_every_cell() -> None:
    for cell in ("gru", "lstm", "rnn", "mingru"):
        lines = random_trace(cell, layers=2, ways=2, T=8).summary()
        assert len(lines) >= 4
        assert any("have forgotten" in line for line in lines) == (cell != "rnn")
