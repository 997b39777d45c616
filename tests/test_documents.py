"""The README says what results/ says, shows what it shows, and its example is short."""

from __future__ import annotations

import re

import pytest

from bench import documents
from bench.record import ROOT
from bench.tables import result
from congru.tasks.registry import TASKS

README = (ROOT / "README.md").read_text()


@pytest.mark.parametrize("name", documents.DOCUMENTS)
def test_measured_tables_are_those_of_the_results(name):
    text = (ROOT / name).read_text()
    assert documents.rewritten(text) == text, "run: python -m bench.documents"


def test_a_changed_figure_is_noticed():
    assert "<!-- results:tasks -->\n| " in README
    figure = re.search(r"\*\*(\d+\.\d+)\*\*", README)
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


def test_results_say_what_they_cost_and_on_which_instructions():
    # A processor's name says too little: virtual machines on the same one differ.
    without = set()
    for path in (ROOT / "results").glob("*.json"):
        record = result(path.stem)
        instructions = record["machine"].get("instructions") or record["figures"].get("instructions")
        if not instructions or not record.get("cpu_seconds"):
            without.add(path.stem)
    assert without == set()


def test_three_examples_of_four_lines_of_python():
    examples = re.findall(r"<!-- example -->\n```python\n(.*?)```", README, re.DOTALL)
    assert len(examples) == 3
    for example in examples:
        assert len([line for line in example.splitlines() if line]) <= 4
        compile(example, "README.md", "exec")


def test_the_readme_is_about_one_screen_and_its_table_fits():
    shown = re.sub(r"<details>.*?</details>\n", "", README, flags=re.DOTALL)  # a page shows these when asked
    assert README.count("<details>") == README.count("</details>") == 2
    assert len(shown.splitlines()) <= 90
    assert len(README.splitlines()) <= 120
    rows = re.search(r"<!-- results:tasks -->\n(.*?)<!-- end -->", README, re.DOTALL)[1].splitlines()
    pages = [re.search(r"docs/(\w+)\.md", row)[1] for row in rows[2:]]
    assert len(set(pages)) == len(pages), "one row per task"
    assert set(pages) <= set(TASKS)
    for row in rows[2:]:
        assert row.count("|") - 1 <= 5
        assert row.count("**") == 2, "one best in each row"


def test_pictures_follow_light_and_dark():
    for path in (ROOT / "docs").glob("*.svg"):
        picture = path.read_text()
        assert re.search("prefers-color-scheme: ?dark", picture), path.name
        assert re.search(r'role="img"\s+aria-label="', picture), path.name


def test_pictures_and_links_exist():
    targets = re.findall(r"\]\(([^)#]+)\)", README)
    assert {"docs/shares.svg", "docs/textbook.svg", "docs/gru.md"} <= set(targets)
    for target in targets:
        assert target.startswith("http") or (ROOT / target).exists(), target
