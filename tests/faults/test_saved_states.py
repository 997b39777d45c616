"""Sessions and checkpoints are never taken for something else than what was saved."""

from __future__ import annotations

from pathlib import Path

from faults import saved_states


def test_a_damaged_session_is_refused_and_changes_nothing(tmp_path: Path) -> None:
    saved_states.damaged_sessions(tmp_path, 100).check(100)


def test_a_session_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    saved_states.sessions_killed_at_every_operation(tmp_path).check(4)


def test_a_damaged_checkpoint_is_refused(tmp_path: Path) -> None:
    saved_states.damaged_checkpoints(tmp_path, 200).check(200)
