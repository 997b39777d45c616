"""The report: one small offline file with every chapter, and a script that computes what Python computes."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import congru
from congru.errors import CongruError
from congru.gates import payload
from congru.gates.payload import pack, payload_of, unpack
from congru.gates.report import report
from gates_cases import random_stack, random_trace

CHAPTERS = ["about", "film", "memory", "timescales", "saturation", "flow", "stability"]


def chapters_in(page: str) -> list[str]:
    return re.findall(r'<section id="(\w+)">', page)


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """One report of each cell."""
    folder, found = tmp_path_factory.mktemp("reports"), {}
    for cell in ("gru", "lstm", "rnn", "mingru"):
        trace = random_trace(cell, T=8, lengths=[8, 5], tokens=list("ab<cd>ef"))
        path = trace.report(folder / "new" / f"{cell}.html", f"Gates of {cell}", {"row": 1})
        found[cell] = path.read_text(encoding="utf-8")
    return found


@pytest.mark.parametrize("cell", ["gru", "lstm", "rnn", "mingru"])
def test_chapters_of_every_cell(pages: dict[str, str], cell: str) -> None:
    page = pages[cell]
    wanted = [name for name in CHAPTERS if cell != "rnn" or name not in ("memory", "timescales")]
    assert chapters_in(page) == wanted
    assert f"<title>Gates of {cell}</title>" in page
    assert "row 1, 5 steps" in page
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
    assert chapters_in(page) == ["about", "extra0", *CHAPTERS[1:]]
    assert "weather &amp; more" in page
    assert "<title>forecast</title>" in page
    assert "the data&#x27;s own memory is" in page
    assert "&#x27;b&#x27; at step 7" in page
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
    found = payload_of(trace, 0, 0, 49)
    assert (found["first"], found["steps"], found["whole"]) == (30, 20, False)
    np.testing.assert_allclose(
        unpack(found["directions"][0]["start"][0]), trace.state[0, 0, 0, 29], atol=1e-4
    )
    monkeypatch.setattr(payload, "MOST_OUTPUTS", 2)
    assert len(payload_of(trace, 0, None, 49)["readout"]["outputs"]) == 2
    smallest = int(trace.output[0].max(axis=0).argmin())
    assert smallest in payload_of(trace, 0, smallest, 49)["readout"]["outputs"]


# ---- in a browser
# ---------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    sync_api = pytest.importorskip("playwright.sync_api", reason="the package playwright is not installed")
    program = shutil.which("chromium") or shutil.which("chromium-browser")
    if program is None:
        pytest.skip("no chromium is installed: apt-get install chromium")
    with sync_api.sync_playwright() as play:
        found = play.chromium.launch(executable_path=program, args=["--no-sandbox"])
        yield found
        found.close()


class Opened:
    """A report in a page, with what went wrong and what was requested."""

    def __init__(self, browser: Any, path: Path, **options: Any) -> None:
        self.context = browser.new_context(viewport={"width": 1200, "height": 1000}, **options)
        self.page = self.context.new_page()
        self.faults: list[str] = []
        self.requests: list[str] = []
        self.page.on("console", lambda message: self.faults.append(message.text))
        self.page.on("pageerror", lambda error: self.faults.append(str(error)))
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.goto(path.as_uri())

    def hover(self, key: str, across: float, down: float) -> str:
        image = self.page.locator(f"#{key}")
        image.scroll_into_view_if_needed()
        box = image.bounding_box()
        self.page.mouse.move(box["x"] + across * box["width"], box["y"] + down * box["height"])
        return str(self.page.locator("#cell").inner_text())


def numbers(line: str) -> list[float]:
    return [float(text.replace(" ", "")) for text in re.findall(r"- ?\d+\.\d+|\d+\.\d+", line)]


@pytest.mark.parametrize(
    ("cell", "reset_before"),
    [("gru", False), ("gru", True), ("lstm", False), ("mingru", False), ("rnn", False)],
)
def test_hovering_fills_in_the_equations(browser: Any, tmp_path: Path, cell: str, reset_before: bool) -> None:
    trace = random_trace(cell, reset_before, T=8, B=1, tokens=list("abcdefgh"))
    opened = Opened(browser, report(trace, tmp_path / "report.html"))
    text = opened.hover("film-0-0-state", 2.5 / 8, 1.5 / 5)
    unit = int(congru.gates.strips.unit_order(trace.top)[1])
    assert text.startswith(f'unit {unit}, step 2, token "c"')
    lines = text.splitlines()[1:]
    for letter, line in zip(congru.gates.equations.GATES[cell], lines):
        assert line.startswith(f"{letter} = ")
        assert numbers(line)[-1] == pytest.approx(trace.gate(letter)[0, 0, 0, 2, unit], abs=2e-3)
    assert numbers(lines[-1])[-1] == pytest.approx(trace.state[0, 0, 0, 2, unit], abs=2e-3)
    opened.page.mouse.down()
    opened.page.mouse.up()
    opened.page.keyboard.press("ArrowRight")
    assert "step 3" in opened.page.locator("#cell").inner_text()
    assert opened.faults == []
    assert opened.requests == [(tmp_path / "report.html").as_uri()]


@pytest.mark.parametrize(
    ("cell", "reset_before", "ways", "readout"),
    [
        ("gru", False, 1, "steps"),
        ("gru", True, 1, "last"),
        ("gru", False, 2, "final"),
        ("lstm", False, 2, "mean"),
        ("mingru", False, 1, "mean"),
    ],
)
def test_the_memory_map_follows_the_output_picked(
    browser: Any, tmp_path: Path, cell: str, reset_before: bool, ways: int, readout: str
) -> None:
    trace = random_trace(cell, reset_before, T=8, B=1, ways=ways, readout=readout)
    opened = Opened(browser, report(trace, tmp_path / "report.html"))
    on = "cell" if cell == "lstm" else "state"
    for output in (1, 3):
        opened.page.locator("#pick select").select_option(str(output))
        memory = trace.memory(output, on=on)
        shown = numbers(opened.page.locator("#pick .note").inner_text())
        expected = [memory.output, memory.contributions.sum(), memory.start, memory.bias, memory.share]
        np.testing.assert_allclose(np.abs(shown), np.abs(expected), atol=1e-2)
        titles = opened.page.locator("#pick rect title").all_text_contents()
        np.testing.assert_allclose(
            [float(text.split()[-1]) for text in titles], memory.contributions, atol=2e-3
        )
    if readout == "steps":
        opened.page.locator("#pick input").fill("4")
        memory = trace.memory(3, at=4)
        shown = numbers(opened.page.locator("#pick .note").inner_text())
        assert abs(shown[0]) == pytest.approx(abs(memory.output), abs=1e-2)
    assert opened.faults == []


def test_static_views_need_no_script(browser: Any, tmp_path: Path) -> None:
    trace = random_trace("gru", T=8)
    opened = Opened(browser, report(trace, tmp_path / "report.html"), java_script_enabled=False)
    assert opened.page.locator("#film .figure svg").count() == 1
    assert opened.page.locator("#memory .figure svg").count() == 2
    assert not opened.page.locator("#cell").is_visible()
    assert not opened.page.locator("#pick").is_visible()


def test_a_part_of_a_long_input_says_so(
    browser: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(payload, "MOST_BYTES", 2 * 75 + 2 * 4 * 5 + 20 * 40)
    trace = random_trace("gru", T=50, B=1)
    opened = Opened(browser, report(trace, tmp_path / "report.html"))
    assert "its numbers are not in this page, which holds steps 30 to 49" in opened.hover(
        "film-0-0-keep", 0.1, 0.5
    )
    shown = numbers(opened.page.locator("#pick .note").inner_text())
    memory = trace.memory()
    assert abs(shown[0]) == pytest.approx(abs(memory.output), abs=1e-2)


def test_the_script_reads_what_python_wrote(tmp_path: Path) -> None:
    trace = congru.inspect(
        random_stack("gru"), np.random.default_rng(0).normal(size=(1, 4, 3)), ["</script>", "a", "b", "c"]
    )
    page = report(trace, tmp_path / "report.html").read_text(encoding="utf-8")
    text = re.search(
        r'<script type="application/json" id="congru-data">(.*?)</script>', page, re.DOTALL
    ).group(1)
    found = json.loads(text)
    assert found["tokens"][0] == "</script>"
    assert found["readout"] is None
