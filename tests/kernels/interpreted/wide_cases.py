"""Heads whose weights do not fit one program, in the interpreter against the reference: alone, and shared by several programs.

The sizes that do not fit are made small: a program has room for nothing. The interpreter runs one program after the other, so
those that wait for each other run in threads here; a card's memory and its order of writes are not tried by that.
"""

from __future__ import annotations

import os

import pytest
from triton_cases import FORMS, check

from congru.kernels.triton import plan
from option_cases import make_option_case

pytestmark = pytest.mark.skipif(
    os.environ.get("TRITON_INTERPRET") != "1",
    reason="not in the interpreter: run tests/kernels/test_triton.py",
)
AROUND = {
    "alone": {"T": 3, "B": 2},
    "all": {"T": 3, "B": 3, "zoneout": True, "mask": True, "ragged": True, "resets": True, "h_reset": True},
}


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


@pytest.mark.parametrize("around", AROUND)
@pytest.mark.parametrize(("cell", "before", "norm"), FORMS)
def test_every_form_and_option(cell, before, norm, around, shares):
    check(cell, make_option_case(cell, before, norm, H=21, **AROUND[around]), normed=bool(norm))
