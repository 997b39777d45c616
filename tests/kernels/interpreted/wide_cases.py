"""Heads whose weights do not fit one program, in the interpreter against the reference: alone, and shared by several programs.

The sizes that do not fit are made small: a program has room for nothing. The interpreter runs one program after the other, so
those that wait for each other run in threads here; a card's memory and its order of writes are not tried by that.
"""

from __future__ import annotations

import os

import pytest
import torch

from congru import nn
from congru.kernels.triton import plan
from kernels.interpreted.triton_cases import FORMS, check
from option_cases import make_option_case
from tolerances import assert_close

pytestmark = pytest.mark.skipif(
    os.environ.get("TRITON_INTERPRET") != "1",
    reason="not in the interpreter: run tests/kernels/test_triton.py",
)
AROUND = {"zoneout": True, "mask": True, "ragged": True, "resets": True, "h_reset": True, "T": 3, "B": 3}


@pytest.fixture(params=["one program", "resident", "streamed"])
def shares(request, monkeypatch):
    """How many programs share a head of up to 32 units, and whether weights stay with them."""
    monkeypatch.setattr(plan, "shared_bytes", lambda *_: plan.SHARED_BYTES + 1)
    monkeypatch.setattr(plan, "DEPTH", 16)
    monkeypatch.setattr(plan, "STREAMED_DEPTH", 16)
    monkeypatch.setattr(plan, "STREAMED_UNITS", 16)
    if request.param != "one program":
        request.getfixturevalue("programs_at_once")
        monkeypatch.setattr(plan, "INTERPRETED_PROCESSORS", 4)
    return request.param


@pytest.mark.parametrize(("cell", "before", "norm"), FORMS)
def test_every_form_and_option(cell, before, norm, shares):
    check(cell, make_option_case(cell, before, norm, H=21, **AROUND), normed=bool(norm))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
@pytest.mark.parametrize("cell", ["gru", "lstm"])
def test_more_units_than_a_program_holds(cell, dtype):
    """The plan of an H100 as it is: 130 units of float32, 260 of 16 bits."""
    H = 130 if dtype == torch.float32 else 260
    check(cell, make_option_case(cell, False, False, B=1, T=2, I=2, H=H), dtype)


def test_two_heads_in_two_directions_share_their_units(shares):
    torch.manual_seed(0)
    layer = nn.GRU(4, 36, num_heads=2, batch_first=True, bidirectional=True, backend="triton")
    exact = nn.GRU(4, 36, num_heads=2, batch_first=True, bidirectional=True, backend="composite")
    exact.load_state_dict(layer.state_dict())
    x = torch.randn(17, 2, 4, generator=torch.Generator().manual_seed(1))
    results = []
    for one in (layer, exact):
        y, h = one(x)
        results.append([y, h, *torch.autograd.grad(y.square().sum() + h.sum(), list(one.parameters()))])
    for a, b in zip(*results):
        assert_close("triton gradients, float32", a.detach(), b.detach())


@pytest.mark.parametrize("shares", ["resident"], indirect=True)
@pytest.mark.parametrize("cell", ["gru", "lstm"])
def test_nobody_writes_what_another_still_reads(cell, shares, some_come_late):
    check(cell, make_option_case(cell, False, False, H=21, B=1, T=3))
