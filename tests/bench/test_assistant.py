"""The measured tables of the assistant: which figures stand in them, and what stands beside."""

from __future__ import annotations

from typing import Any

import pytest

from bench import assistant_tables

RUN = {
    "parameters": 1000,
    "model_mb": 1.5,
    "cpu_seconds": 60.0,
    "seconds": 90.0,
    "answers": True,
    "ms_a_sentence_without_torch": 0.5,
    "ms_a_turn_without_torch": 0.25,
}
SPREAD = {"mean": 97.04, "deviation": 0.21}
REPLIES = {
    f"{part}, {what}": {"mean": 100.0} for part in ("test", "oov") for what in ("response", "dialogue")
}
RECORDS: dict[str, Any] = {
    "snips": {
        "figures": {"intent": SPREAD, "slot_f1": SPREAD, "runs": [RUN]},
        "baselines": {
            "intent, Slot-Gated": 97.0,
            "slot F1, Slot-Gated": 88.8,
            "intent, naive (measured)": 90.0,
        },
    },
    "dialogues": {
        "figures": {"settings": {}, "task 5, 100 dialogues": {**REPLIES, "runs": [RUN]}},
        "baselines": {"task 5, MemN2N, test": 98.5, "task 1, MemN2N, test": 99.3},
    },
    "small": {"figures": {"runs": [RUN, {**RUN, "answers": False}]}, "baselines": {}},
}


def test_figures_stand_beside_their_own_baselines(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(assistant_tables, "measured", RECORDS.get)
    first, second = assistant_tables.assistant().strip().split("\n")[2:]
    assert first.startswith(
        "| SNIPS, intent accuracy, % | **97.0** ± 0.2 | Slot-Gated 97.0, naive (measured) 90.0 | 1 |"
    )
    assert "| Slot-Gated 88.8 | 1 | 1,000 | 1.5 MB | 60 s | 0.50 ms |" in second
    (dialogue,) = assistant_tables.assistant_dialogues().strip().split("\n")[2:]
    assert dialogue.startswith(
        "| task 5, 100 dialogues | **100.0** / 100.0 | **100.0** / 100.0 | MemN2N, test 98.5 | 1 |"
    )
    assert "| 60 s | 90 s | 1 of 2 | 1,000 |" in assistant_tables.assistant_small()


def test_what_was_not_measured_has_no_row(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(assistant_tables, "measured", lambda name: None)
    for make in assistant_tables.BLOCKS.values():
        assert make().count("\n") == 2
