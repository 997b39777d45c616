"""Problems of memory: what is drawn, what is planted, the contest, and where a trained GRU's memory lies."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from congru.contest import MemorySettings, measure
from congru.contest.adding import Adding
from congru.contest.copying import ALPHABET, LENGTH, Copying
from congru.contest.learner import TEST, VALIDATION, MemoryLearner, RunSettings, held_out
from congru.contest.network import answers, answers_and_writes, equal_size
from congru.contest.paths import entered, flow, planted_share
from congru.contest.problem import Batch
from congru.errors import SettingsError
from congru.gates.inspect import inspect
from congru.train.batches import Batches


def learner_of(problem, cell, hidden_size, init="default", seed=0):
    chrono = problem.lag if init == "chrono" else None
    return MemoryLearner(problem, RunSettings(cell=cell, hidden_size=hidden_size, seed=seed, chrono=chrono))


def seeded(seed, problem, cell, hidden_size, init):
    """The same untrained network for the same seed."""
    return learner_of(problem, cell, hidden_size, init, seed).network


SMALL = {"lags": (8,), "cells": ("gru",), "steps": 3, "hidden_size": 5, "learning_rates": (0.01,)}


def test_adding_asks_for_the_sum_of_two_marked_values_one_in_each_half():
    batch = Adding(11).draw(np.random.default_rng(0), 500)
    values, marks = batch.x.numpy()[..., 0], batch.x.numpy()[..., 1]
    first, second = batch.planted.T
    assert np.array_equal(np.argwhere(marks)[:, 1].reshape(-1, 2), batch.planted)
    assert set(first) == set(range(5))
    assert set(second) == set(range(5, 11))
    rows = np.arange(500)
    assert batch.target[:, 0].numpy() == pytest.approx(values[rows, first] + values[rows, second], abs=1e-6)


def test_the_adding_baseline_is_what_always_answering_one_costs():
    problem = Adding(6)
    batch = problem.draw(np.random.default_rng(0), 100_000)
    loss = problem.loss(torch.ones(len(batch.x), 1, 1), batch.target).item()
    assert loss == pytest.approx(problem.baseline, rel=0.02)


def test_copy_asks_for_every_symbol_exactly_one_lag_later():
    problem = Copying(9)
    batch = problem.draw(np.random.default_rng(0), 50)
    shown = batch.x[:, :LENGTH, :ALPHABET]
    assert torch.equal(shown.argmax(2), batch.target)
    assert range(9 + LENGTH)[problem.asked] == range(9, 9 + LENGTH)
    assert batch.x[:, :, ALPHABET].nonzero()[:, 1].tolist() == [9] * 50
    assert batch.x.sum().item() == 50 * (LENGTH + 1)  # nothing else is shown
    assert batch.planted.tolist() == [list(range(LENGTH))] * 50


def test_the_copy_baseline_is_what_guessing_costs():
    problem = Copying(5)
    batch = problem.draw(np.random.default_rng(0), 4)
    loss = problem.loss(torch.zeros(4, LENGTH, ALPHABET), batch.target).item()
    assert loss == pytest.approx(problem.baseline) == pytest.approx(math.log(8))


def test_the_direction_of_a_symbol_sees_differences_of_logits_only():
    weight = np.random.default_rng(0).standard_normal((ALPHABET, 5))
    state = np.random.default_rng(1).standard_normal(5)
    logits = weight @ state
    cotangent = Copying(9).cotangent(weight, 3)
    assert cotangent @ state == pytest.approx(logits[3] - logits.mean())
    assert Copying(9).cotangent(weight + np.ones(5), 3) == pytest.approx(cotangent)


def test_validation_and_test_sequences_differ_and_do_not_depend_on_the_cell_or_seed():
    a, b = held_out(Adding(20), VALIDATION), held_out(Adding(20), TEST)
    assert not torch.equal(a.x, b.x)
    assert torch.equal(b.x, held_out(Adding(20), TEST).x)


@pytest.mark.parametrize("problem", [Adding(50), Copying(50)])
@pytest.mark.parametrize("cell", ["lstm", "rnn", "mingru"])
def test_cells_have_equal_parameters(problem, cell):
    def count(name: str, size: int) -> int:
        return sum(parameter.numel() for parameter in learner_of(problem, name, size).module.parameters())

    gru = count("gru", 48)
    assert count(cell, equal_size(problem, cell, 48)) == pytest.approx(gru, rel=0.02)


@pytest.mark.parametrize("cell", ["gru", "lstm", "mingru"])
def test_answers_are_the_networks_outputs_and_writes_what_the_gates_write(cell):
    problem = Copying(6)
    network = seeded(0, problem, cell, 5, "chrono")
    x = problem.draw(np.random.default_rng(0), 3).x
    with torch.no_grad():
        out, writes = answers_and_writes(network, problem, x)
        assert torch.allclose(out, network(x)[0][:, problem.asked], atol=1e-6)
        assert torch.allclose(out, answers(network, problem, x), atol=1e-6)
        y, _, gates = network.recurrent_layers()["memory"](x, return_gates=True)
    gates = gates[:, 0].numpy()  # [L, B, T, G, H]
    if cell == "lstm":
        written = gates[:, :, :, 0] * gates[:, :, :, 2]
    else:  # rows (r,) z, n
        written = (1 - gates[:, :, :, -2]) * gates[:, :, :, -1]
        before = np.pad(y.numpy(), ((0, 0), (1, 0), (0, 0)))[:, :-1]
        assert y.numpy() - gates[-1, :, :, -2] * before == pytest.approx(written[-1], abs=1e-6)
    assert writes.item() == pytest.approx(np.abs(written).sum() / 3, rel=1e-5)


def test_a_contest_is_repeatable_and_its_seeds_differ():
    runs = [measure({**SMALL, "seeds": (0, 1)}).runs for _ in range(2)]
    losses = [[run.loss for run in one] for one in runs]
    assert losses[0] == losses[1]
    assert losses[0][0] != losses[0][1]


def test_another_seed_trains_on_other_sequences_and_none_repeats():
    def first_steps(seed, epoch=0):
        batches = Batches(learner_of(Adding(8), "gru", 5, seed=seed)).epoch(epoch)
        return [next(batches)[0] for _ in range(2)]

    one, again, other = first_steps(0), first_steps(0), first_steps(1)
    assert torch.equal(one[0], again[0])
    for different in (other[0], one[1], first_steps(0, epoch=1)[0]):
        assert not torch.equal(one[0], different)


def test_the_rate_is_chosen_on_validation_at_the_shortest_lag():
    """A rate of 10 ruins the network, one of 1e-6 leaves it as it is: the middle one must win, for every lag."""
    lines: list[str] = []
    settings = {**SMALL, "lags": (12, 6), "steps": 60, "learning_rates": (10.0, 0.01, 1e-6)}
    result = measure(settings, say=lines.append)
    assert {run.learning_rate for run in result.runs} == {0.01}
    assert [run.lag for run in result.runs] == [6, 12]
    assert sum("rate" in line and "lag 6 " in line for line in lines) == 3
    assert not any("rate" in line and "lag 12" in line for line in lines)


def test_the_table_has_every_cell_and_the_baseline():
    result = measure({**SMALL, "cells": ("gru", "rnn"), "lags": (8, 10)})
    table = result.table().splitlines()
    assert [line.split()[0] for line in table[1:]] == ["cell", "gru", "rnn", "remembers"]
    assert table[-1].count("0.16667") == 2
    assert f"{result.of('rnn', 10)[0].loss:.5f}" in table[3]
    assert [run["cell"] for run in result.record()["runs"]] == ["gru", "gru", "rnn", "rnn"]


def test_minutes_are_a_budget_too():
    run = measure({**SMALL, "steps": None, "minutes": 0.005}).runs[0]
    assert run.steps >= 1
    assert 0.1 < run.seconds < 10


@pytest.mark.parametrize(
    ("settings", "line"),
    [
        ({"task": "addin"}, "task is 'addin', expected 'adding' or 'copy'"),
        ({"lags": (50, 0)}, "lags holds 0, expected 1 or more: change --lags"),
        (
            {"lags": (1,), "cells": ("gru",)},
            "lags holds 1, expected 2 or more for adding: it marks two steps",
        ),
        ({"task": "copy", "lags": (3,)}, "lags holds 3, expected 4 or more for copy: 4 symbols come first"),
        ({"lags": (8, 8)}, "lags is [8, 8], expected different ones: change --lags"),
        ({"cells": ("gru", "grru")}, "cells holds 'grru', expected gru, lstm, rnn, mingru: change --cells"),
        (
            {"init": "chrono"},
            "cells holds 'rnn', expected gated cells for init 'chrono': leave rnn out of --cells",
        ),
        (
            {"write_cost": 0.1},
            "cells holds 'rnn', expected gated cells for a write_cost: leave rnn out of --cells",
        ),
        (
            {"init": "chrono", "lags": (2,), "cells": ("gru",)},
            "lags holds 2, expected 3 or more for init 'chrono': raise --lags",
        ),
        (
            {"steps": 5, "minutes": 1.0},
            "steps is 5 and minutes is 1.0, expected one budget: give only one of them",
        ),
        ({"seeds": (-1,)}, "seeds holds -1, expected 0 or more: change --seeds"),
        (
            {"learning_rates": (0.0,)},
            "learning_rates holds 0.0, expected 1e-06 or more: change --learning-rates",
        ),
        ({"steps": 0}, "steps is 0, expected at least 1"),
        ({"lag": 5}, "lag is 5, expected a known setting"),
    ],
)
def test_wrong_settings_are_one_line(settings, line):
    with pytest.raises(SettingsError) as caught:
        measure(settings)
    assert str(caught.value).startswith(line)
    assert "\n" not in str(caught.value)


def test_settings_are_frozen_and_cells_may_be_joined_by_commas():
    assert MemorySettings(cells="gru,rnn").cells == ("gru", "rnn")  # type: ignore[arg-type]


def test_the_flow_of_a_mingru_is_its_carry_path_and_that_of_a_gru_is_not():
    problem = Adding(30)
    batch = problem.draw(np.random.default_rng(0), 3)
    paths = {cell: flow(seeded(0, problem, cell, 6, "chrono"), problem, batch) for cell in ("gru", "mingru")}
    for path in paths.values():
        assert len(path.gradient) == 30
        assert path.gradient[0] == 1
        assert path.carry is not None
        assert path.carry[0] == 1
    assert paths["mingru"].gradient == pytest.approx(paths["mingru"].carry, rel=1e-5)
    assert not np.allclose(paths["gru"].gradient, paths["gru"].carry, rtol=1e-3)
    assert flow(seeded(0, problem, "rnn", 6, "default"), problem, batch).carry is None


def test_the_flow_starts_where_the_first_answer_is_asked():
    problem = Copying(12)
    path = flow(seeded(0, problem, "gru", 6, "default"), problem, problem.draw(np.random.default_rng(0), 2))
    assert len(path.gradient) == problem.asked.start + 1


def test_planted_shares_exist_where_the_memory_is_the_state_of_one_layer():
    problem = Copying(6)
    batch = problem.draw(np.random.default_rng(0), 3)
    for cell in ("lstm", "rnn", "mingru"):
        assert planted_share(seeded(0, problem, cell, 5, "default"), problem, batch) is None
    shares = planted_share(seeded(0, problem, "gru", 5, "default"), problem, batch)
    assert shares is not None
    assert shares.residual < 1e-6
    assert all(0 < share < 1 for share in (shares.plain, shares.centred, shares.entered))


def test_what_entered_at_a_step_is_what_the_answer_loses_without_it():
    """Inputs a thousandth away from neutral: first order is then exact to a thousandth."""
    problem = Adding(9)
    network = seeded(0, problem, "gru", 6, "default").double()
    x = problem.neutral + 1e-3 * np.random.default_rng(0).standard_normal((1, 9, 2))
    cotangent = np.random.default_rng(1).standard_normal(6)
    layer = network.get_submodule("memory")

    def value(x: np.ndarray) -> float:
        with torch.no_grad():
            return float(layer(torch.from_numpy(x))[0][0, 7].numpy() @ cotangent)

    lost = entered(inspect(layer, x), 0, cotangent, 7, problem.neutral)
    for step in range(9):
        without = x.copy()
        without[0, step] = problem.neutral
        assert lost[step] == pytest.approx(value(x) - value(without), rel=2e-2, abs=1e-8)
    assert lost[8] == 0


def test_a_trained_grus_memory_lies_on_the_planted_steps_once_writing_has_a_cost():
    """At least 90 % of |C| on the two marked steps of twelve, and the problem is solved."""
    seen = []
    measure(
        {
            "lags": (12,),
            "cells": ("gru",),
            "init": "chrono",
            "write_cost": 0.03,
            "steps": 1500,
            "hidden_size": 32,
            "learning_rates": (0.02,),
        },
        keep=lambda run, problem, network: seen.append(
            (run, planted_share(network, problem, first(held_out(problem, TEST), 16)))
        ),
    )
    run, shares = seen[0]
    assert run.share < 0.01
    assert shares.plain >= 0.9
    assert shares.centred >= 0.9
    assert shares.entered >= 0.9
    assert shares.residual < 1e-6


def first(batch: Batch, count: int) -> Batch:
    return Batch(batch.x[:count], batch.target[:count], batch.planted[:count])
