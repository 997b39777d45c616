"""`python -m bench` can start every measurement: those of several data sets once for each."""

from __future__ import annotations

import importlib
import sys

import pytest

from bench import __main__ as command


@pytest.mark.parametrize("name", sorted(command.OF_SEVERAL_SETS))
def test_each_data_set_is_a_command_that_its_parser_takes(
    name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = command.command_lines(name)
    assert len(lines) >= 2
    for module, *arguments in lines:
        monkeypatch.setattr(sys, "argv", [module, *arguments, "--help"])
        with pytest.raises(SystemExit) as stopped:
            importlib.import_module(module).main()
        assert stopped.value.code == 0, capsys.readouterr().err


def test_one_that_fails_does_not_keep_the_others_from_running(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["bench", "bits", "pool"])
    monkeypatch.setattr(command, "command_lines", lambda name: [["json.tool", f"no-{name}"]])
    assert command.main() == 1
    assert "failed: json.tool no-bits, json.tool no-pool" in capfd.readouterr().err
    monkeypatch.setattr(sys, "argv", ["bench", "nothing"])
    assert command.main() == 2
