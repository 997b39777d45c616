"""The report: one small offline file with every chapter, and a script that computes what Python computes."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import congru
from congru.errors import CongruError
from congru.gates import payload
from congru.gates.payload import pack, payload_of, unpack
from congru.gates.report import report
from gates_cases import random_stack, random_trace

CHAPTERS = ["summary", "view", "memory", "film", "timescales", "saturation", "flow", "stability", "about"]


def chapters_in(page: str) -> list[str]:
    return re.findall(r'<section id="(\w+)">', page)


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """One report of each cell."""
    folder, by_cell = tmp_path_factory.mktemp("reports"), {}
    for cell in ("gru", "lstm", "rnn", "mingru"):
        trace = random_trace(cell, T=8, lengths=[8, 5], tokens=list("ab<cd>ef"))
        path = trace.report(folder / "new" / f"{cell}.html", f"Gates of {cell}", {"row": 1})
        by_cell[cell] = path.read_text(encoding="utf-8")
    return by_cell


@pytest.mark.parametrize("cell", ["gru", "lstm", "rnn", "mingru"])
def test_chapters_of_every_cell(pages: dict[str, str], cell: str) -> None:
    page = pages[cell]
    wanted = [name for name in CHAPTERS if cell != "rnn" or name not in ("memory", "timescales")]
    assert chapters_in(page) == wanted
    assert f"<title>Gates of {cell}</title>" in page
    assert "row 1 of 2, 5 steps" in page
    assert ("has no carry path" in page) == (cell == "rnn")


def test_nothing_is_asked_of_the_network(pages: dict[str, str]) -> None:
    page = pages["gru"]
    links = set(re.findall(r'(?:src|href)="(?!#|data:)([^"]*)"', page)) - set(
        re.findall(r'xlink:href="([^"]*)"', page)
    )
    assert links == set()
    assert not re.search(r"@import|url\((?!#)", page.split("<body>")[0])
    assert "default-src 'none'" in page
    script = page.split("<script>")[1]
    assert not re.search(r"fetch\(|XMLHttp|import\(|https?:", script)


def test_a_large_trace_stays_below_two_megabytes(tmp_path: Path) -> None:
    """T = 512, H = 128: the bar of the issue, for the cell with the most gates."""
    trace = random_trace("lstm", T=512, H=128, B=1, I=16, outputs=4)
    assert report(trace, tmp_path / "report.html").stat().st_size < 2_000_000


def test_a_task_adds_its_own(tmp_path: Path) -> None:
    svg = '<?xml version="1.0"?><svg xmlns="http://www.w3.org/2000/svg"><title>forecast</title></svg>'
    context = {
        "about": {"data": "weather & more", "rows": 1461},
        "extra": [("Forecast", "How good is it?", svg)],
        "series": np.sin(np.arange(200) / 8),
        "target": "b",
    }
    page = report(random_trace("gru", T=8), tmp_path / "report.html", context=context).read_text(
        encoding="utf-8"
    )
    assert chapters_in(page) == [*CHAPTERS[:2], "extra0", *CHAPTERS[2:]]
    assert "weather &amp; more" in page
    assert "<title>forecast</title>" in page
    assert "the data&#x27;s own memory is" in page
    assert "<p>In numbers, “b”: " in page
    with pytest.raises(
        CongruError, match="context has the key 'colour', expected some of about, series, extra"
    ):
        report(random_trace("gru"), tmp_path / "report.html", context={"colour": 1})


def test_without_a_readout_the_last_state_is_explained(tmp_path: Path) -> None:
    trace = random_trace("gru", T=8, readout=None)
    page = report(trace, tmp_path / "report.html").read_text(encoding="utf-8")
    assert "No linear read-out was found" in page
    assert f"{np.linalg.norm(trace.state[0, 0, 0, -1]):+.4f} =" in page


def test_stacks_and_both_directions(tmp_path: Path) -> None:
    trace = random_trace("gru", layers=2, ways=2, T=6, readout="final")
    page = report(trace, tmp_path / "report.html").read_text(encoding="utf-8")
    for name in ("film-0-0-keep", "film-0-1-keep", "film-1-0-state", "film-1-1-reset"):
        assert f'id="{name}"' in page
    assert "layer layer 2 backward (GRU)" in page


def test_a_report_that_fails_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*arguments: object) -> None:
        raise OSError(28, "No space left on device")

    (tmp_path / "report.html").write_bytes(b"old")
    monkeypatch.setattr("congru.gates.report.page", lambda *arguments: "new")
    monkeypatch.setattr("congru.gates.report.os.replace", full)
    with pytest.raises(OSError, match="No space left"):
        report(random_trace("gru"), tmp_path / "report.html")
    assert [path.name for path in tmp_path.iterdir()] == ["report.html"]
    assert (tmp_path / "report.html").read_bytes() == b"old"


def test_packed_numbers_come_back() -> None:
    values = np.random.default_rng(0).normal(size=(20, 3))
    np.testing.assert_allclose(unpack(pack(values)), values, atol=np.abs(values).max() / 65534)
    assert unpack(pack(np.zeros(2))).tolist() == [0.0, 0.0]


def test_a_long_input_travels_in_part(monkeypatch: pytest.MonkeyPatch) -> None:
    trace = random_trace("gru", T=50)
    monkeypatch.setattr(payload, "MOST_BYTES", 2 * 75 + 2 * 4 * 5 + 20 * 40)
    sent = payload_of(trace, 0, 0, 49)
    assert (sent["first"], sent["steps"], sent["whole"]) == (30, 20, False)
    np.testing.assert_allclose(unpack(sent["directions"][0]["start"][0]), trace.state[0, 0, 0, 29], atol=1e-4)
    monkeypatch.setattr(payload, "MOST_OUTPUTS", 2)
    assert len(payload_of(trace, 0, None, 49)["readout"]["outputs"]) == 2
    smallest = int(trace.output[0].max(axis=0).argmin())
    assert smallest in payload_of(trace, 0, smallest, 49)["readout"]["outputs"]


def test_the_script_reads_what_python_wrote(tmp_path: Path) -> None:
    trace = congru.inspect(
        random_stack("gru"), np.random.default_rng(0).normal(size=(1, 4, 3)), ["</script>", "a", "b", "c"]
    )
    page = report(trace, tmp_path / "report.html").read_text(encoding="utf-8")
    text = re.search(
        r'<script type="application/json" id="congru-data">(.*?)</script>', page, re.DOTALL
    ).group(1)
    sent = json.loads(text)
    assert sent["tokens"][0] == "</script>"
    assert sent["readout"] is None


def test_without_a_readout_an_lstms_cell_is_explained(tmp_path: Path) -> None:
    trace = random_trace("lstm", T=8, readout=None)
    page = report(trace, tmp_path / "report.html").read_text(encoding="utf-8")
    assert "this explains the last cell state itself, its length |c|" in page
    assert f"{np.linalg.norm(trace.memory_state[0, 0, 0, -1]):+.4f} =" in page
    assert "<title>Gates of layer</title>" in page


def test_the_page_names_the_layers_it_does_not_show(tmp_path: Path) -> None:
    trace = replace(random_trace("gru", T=4), layer_names=("encoder", "layer", "decoder"))
    page = report(trace, tmp_path / "report.html").read_text(encoding="utf-8")
    assert "encoder, layer, decoder; shown here: layer, another with layer=NAME" in page
