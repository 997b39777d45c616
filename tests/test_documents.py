"""The README says what results/ says, shows what it shows, and its example is short."""

from __future__ import annotations

import re

import pytest

from bench import documents
from bench.record import ROOT
from bench.tables import result

README = (ROOT / "README.md").read_text()


@pytest.mark.parametrize("name", documents.DOCUMENTS)
def test_measured_tables_are_those_of_the_results(name):
    text = (ROOT / name).read_text()
    assert documents.rewritten(text) == text, "run: python -m bench.documents"


def test_a_changed_figure_is_noticed():
    assert "<!-- results:quality -->\n| " in README
    figure = re.search(r"\*\*(\d\.\d+)\*\*", README)
    assert figure is not None
    wrong = README.replace(figure[0], "**0.123**")
    assert documents.rewritten(wrong) == README


def test_every_result_names_command_commit_machine_and_versions():
    records = sorted((ROOT / "results").glob("*.json"))
    assert records
    for path in records:
        record = result(path.stem)
        assert record["command"].startswith(("python -m bench", "congru "))
        assert re.fullmatch(r"[0-9a-f]{40}", record["commit"]), f"{path.name}: measured on changed files"
        assert record["machine"]["cpu"]
        assert record["versions"]["python"]
        assert record["repetitions"] >= 1


def test_the_example_is_at_most_twelve_lines_of_python():
    example = re.search(r"<!-- example -->\n```python\n(.*?)```", README, re.DOTALL)
    assert example is not None
    assert len(example[1].strip().splitlines()) <= 12
    compile(example[1], "README.md", "exec")


def test_pictures_and_links_exist():
    targets = re.findall(r"\]\(([^)#]+)\)", README)
    assert "docs/gates.svg" in targets
    for target in targets:
        assert target.startswith("http") or (ROOT / target).exists(), target
