"""A call that was found right is not checked twice, and no wrong call slips through behind a right one."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from congru.errors import CongruError
from congru.kernels import describe
from congru.kernels.call import Sequence

x, h = torch.ones(4, 5, 3), torch.ones(4, 2)
W, U, b = torch.ones(6, 3), torch.ones(6, 2), torch.ones(6)
GIVEN = {
    "x": x,
    "state": (h,),
    "weights": (W, U, b, None),
    "lengths": torch.tensor([5, 0, 1, 2]),
    "reset": torch.zeros(4, 5, dtype=torch.bool),
    "h_reset": (h[0],),
}


def run(cell="gru", one_step=False, **changes):
    return describe.describe(Sequence(cell, **{**GIVEN, **changes}), one_step=one_step)


@pytest.fixture(autouse=True)
def empty(monkeypatch):
    monkeypatch.setattr(describe, "_checked", {})


def count_checks(monkeypatch):
    calls, check = [], describe.check
    monkeypatch.setattr(describe, "check", lambda *arguments: calls.append(0) or check(*arguments))
    return calls


@pytest.mark.parametrize("arrays", ["torch", "numpy"])
def test_the_second_call_of_a_kind_is_not_checked_again(monkeypatch, arrays):
    calls = count_checks(monkeypatch)

    def given():
        """Other arrays of the same shapes and dtypes."""
        if arrays == "torch":
            return {}
        return {
            name: part.numpy()
            if isinstance(part, torch.Tensor)
            else tuple(p if p is None else p.numpy() for p in part)
            for name, part in GIVEN.items()
        }

    first = run(**given())
    assert run(**given()) == first
    assert len(calls) == 1
    assert run(**given(), reverse=True).reverse
    assert run(**{**given(), "x": given().get("x", x)[:, :5]}) == first
    assert len(calls) == 2


@pytest.mark.parametrize(
    "change",
    [
        {"x": x[:, :4]},
        {"x": x[:3]},
        {"x": x.double()},
        {"x": x.to("meta")},
        {"x": x.numpy()},
        {"state": (h[:3],)},
        {"state": (h.double(),)},
        {"state": (h.numpy(),)},
        {"state": (h, h)},
        {"state": h},
        {"weights": (W, U, b)},
        {"weights": (W, U, b[:5], None)},
        {"weights": (W, None, b, None)},
        {"weights": (W.double(), U, b, None)},
        {"lengths": torch.tensor([5, 0, 1])},
        {"lengths": torch.tensor([5.0, 0.0, 1.0, 2.0])},
        {"lengths": torch.tensor([5, 0, 1, 6])},
        {"lengths": torch.tensor([5, 0, 1, -1])},
        {"lengths": GIVEN["lengths"].to("meta")},
        {"reset": GIVEN["reset"].int()},
        {"reset": GIVEN["reset"][:, :4]},
        {"h_reset": (h,)},
        {"one_step": True},
        {"reset_before": 7, "cell": "rnn"},
    ],
    ids=lambda change: "-".join(change),
)
def test_a_wrong_call_after_a_right_one_is_refused_as_before_it(change):
    change = dict(change)
    cell = change.pop("cell", "gru")
    messages = []
    for _ in range(2):
        with pytest.raises(CongruError) as caught:
            run(cell, **change)
        messages.append(str(caught.value))
        run()
    assert messages[0] == messages[1]


def test_what_wants_a_gradient_is_asked_every_time():
    assert not run().gradient
    for name in ("x", "state", "weights", "h_reset"):
        part = GIVEN[name]
        leaf = part.clone().requires_grad_() if name == "x" else (part[0].clone().requires_grad_(), *part[1:])
        assert run(**{name: leaf}).gradient
        assert run(**{name: leaf}, recompute=True).recompute
        with torch.no_grad():
            assert not run(**{name: leaf}).gradient
    assert not run(recompute=True).recompute


def test_autocast_allows_mixed_dtypes_only_while_it_is_on():
    low = {"x": x.bfloat16()}
    with torch.autocast("cpu", torch.bfloat16):
        assert run(**low).dtype == "bfloat16"
    with pytest.raises(CongruError, match=r"x has dtype torch\.bfloat16"):
        run(**low)


def test_the_memory_of_checked_calls_is_bounded(monkeypatch):
    monkeypatch.setattr(describe, "_MOST_CHECKED", 3)
    for steps in range(1, 9):
        describe.describe(
            Sequence("gru", np.ones((1, steps, 3)), None, (np.ones((6, 3)), np.ones((6, 2)), None, None))
        )
        assert 1 <= len(describe._checked) <= 3


def test_a_step_is_described_as_any_other_and_checked_once(monkeypatch):
    calls, state, weights, row = count_checks(monkeypatch), (h,), (W, U, b, None), x[:, 0]
    expected = describe.describe(Sequence("gru", row, state, weights), one_step=True)
    calls.clear()
    assert [describe.describe_step("gru", row, state, weights) for _ in range(2)] == [expected] * 2
    assert len(calls) == 0  # of the kind that was just found right
    assert describe.describe_step("gru", row, None, weights) == expected
    assert len(calls) == 1
    wrong = [
        (row[..., :2], state, weights),
        (row.double(), state, weights),
        (row.to("meta"), state, weights),
        (x, state, weights),
        (row, (h[:, :1],), weights),
        (row, (h.double(),), weights),
        (row, (*state, *state), weights),
        (row, state, (W, U, b[:5], None)),
        (row, state, (W, U.to("meta"), b, None)),
        (row, state, (W, U, b)),
    ]
    for arguments in wrong:
        messages = []
        for _ in range(2):
            with pytest.raises(CongruError) as caught:
                describe.describe_step("gru", *arguments)
            messages.append(str(caught.value))
            describe.describe_step("gru", row, state, weights)
        assert messages[0] == messages[1]
    assert describe.describe_step("gru", row.clone().requires_grad_(), state, weights).gradient
