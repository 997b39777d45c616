"""The lines that a command printed to be typed next, as words; and running them."""

from __future__ import annotations

import re
import shlex

import pytest

from congru.cli.main import main


def next_lines(shown: str) -> list[list[str]]:
    """Each line after "next", split as a shell does.

    >>> next_lines("done; next: congru run 'a b'\\n")
    [['congru', 'run', 'a b']]
    >>> next_lines("next\\n  congru run c\\n  congru eval c d\\nreport: e\\n")
    [['congru', 'run', 'c'], ['congru', 'eval', 'c', 'd']]
    """
    commands = re.findall(r"\bnext: (congru .*)", shown)
    for block in re.findall(r"\bnext:?\n((?: +congru .*\n?)+)", shown):
        commands += block.splitlines()
    return [shlex.split(line) for line in commands]


def type_next(shown: str, count: int, **instead: str) -> None:
    """Run the lines that were printed, `count` of them; `instead` has words for what the user is to fill in."""
    lines = next_lines(shown)
    assert len(lines) == count, shown
    for words in lines:
        assert words[0] == "congru"
        with pytest.raises(SystemExit) as stop:
            main([instead.get(word, word) for word in words[1:]])
        assert stop.value.code == 0, words
