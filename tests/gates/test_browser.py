"""The report in Debian's Chromium: no console error, no outside request, hovering, picking, and without a script.

The tests skip where the browser is missing: `pip install playwright` and `apt-get install chromium` enable them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest

import congru
from chromium import chromium
from congru.gates import payload
from congru.gates.reading import Reading
from congru.gates.report import report
from gates_cases import random_trace


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium() as opened:
        yield opened


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


class Form(NamedTuple):
    """What random trace a report is made of."""

    cell: str
    reset_before: bool = False
    ways: int = 1
    readout: str = "steps"
    zoneout: float = 0.0
    norm: bool = False


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Form], tuple[Any, Path]]:
    """The trace of a form and its report, which is drawn once: that takes seconds."""
    folder, made = tmp_path_factory.mktemp("reports"), {}

    def write(form: Form) -> tuple[Any, Path]:
        if form not in made:
            trace = random_trace(**form._asdict(), T=8, B=1, tokens=list("abcdefgh"))
            made[form] = trace, report(trace, folder / f"{len(made)}.html")
        return made[form]

    return write


HOVERED = [
    Form("gru"),
    Form("gru", True, readout="last", zoneout=0.3),
    Form("gru", norm=True),
    Form("gru", True, readout="last", zoneout=0.3, norm=True),
    Form("lstm", readout="last", zoneout=0.3),
    Form("lstm", norm=True),
    Form("mingru", readout="mean"),
    Form("rnn", zoneout=0.3),
]
PICKED = [
    *HOVERED[:2],
    Form("gru", ways=2, readout="final", norm=True),
    *HOVERED[3:5],
    Form("lstm", ways=2, readout="mean"),
    HOVERED[6],
]


def form_id(form: Form) -> str:
    return " ".join(f"{name}={value}" for name, value in form._asdict().items() if value)


def numbers(line: str) -> list[float]:
    return [float(text.replace(" ", "")) for text in re.findall(r"- ?\d+\.\d+|\d+\.\d+", line)]


@pytest.mark.parametrize("form", HOVERED, ids=form_id)
def test_hovering_fills_in_the_equations(browser: Any, written: Any, form: Form) -> None:
    trace, path = written(form)
    opened = Opened(browser, path)
    text = opened.hover("film-0-0-state", 2.5 / 8, 1.5 / 5)
    unit = int(congru.gates.strips.unit_order(trace.top)[1])
    assert text.startswith(f'unit {unit}, step 3, "c"')
    lines = text.splitlines()[1:]
    for letter, line in zip(congru.gates.form.GATES[form.cell], lines):
        assert line.startswith(f"{letter} = ")
        assert numbers(line)[-1] == pytest.approx(trace.gate(letter)[0, 0, 0, 2, unit], abs=2e-3)
    assert numbers(lines[-1])[-1] == pytest.approx(trace.state[0, 0, 0, 2, unit], abs=2e-3)
    opened.page.mouse.down()
    opened.page.mouse.up()
    opened.page.keyboard.press("ArrowRight")
    assert "step 4" in opened.page.locator("#cell").inner_text()
    assert opened.faults == []
    assert opened.requests == [path.as_uri()]


@pytest.mark.parametrize("form", PICKED, ids=form_id)
def test_the_memory_map_follows_the_output_picked(browser: Any, written: Any, form: Form) -> None:
    trace, path = written(form)
    opened = Opened(browser, path)
    on = "cell" if form.cell == "lstm" else "state"
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
    if form.readout == "steps":
        opened.page.locator("#pick input").fill("5")
        memory = trace.memory(3, at=4)
        shown = numbers(opened.page.locator("#pick .note").inner_text())
        assert abs(shown[0]) == pytest.approx(abs(memory.output), abs=1e-2)
    assert opened.faults == []


def test_one_norm_over_all_gates_says_what_the_page_leaves_out(browser: Any, tmp_path: Path) -> None:
    layer = congru.nn.GRU(3, 4, batch_first=True, layer_norm="dreamer")
    opened = Opened(browser, report(congru.inspect(layer, np.ones((1, 5, 3))), tmp_path / "report.html"))
    assert opened.hover("film-0-0-state", 0.5, 0.5).startswith(
        "The numbers of single cells are not in this page: with one norm"
    )
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
    assert "its numbers are not in this page, which holds 31 to 50" in opened.hover("film-0-0-keep", 0.1, 0.5)
    shown = numbers(opened.page.locator("#pick .note").inner_text())
    memory = trace.memory()
    assert abs(shown[0]) == pytest.approx(abs(memory.output), abs=1e-2)


def test_a_report_of_full_size_opens_and_answers(browser: Any, tmp_path: Path) -> None:
    """T = 512, H = 128: the size the limits speak of."""
    trace = random_trace("gru", T=512, H=128, B=1, I=16, outputs=4, tokens=list("the fog. " * 57)[:512])
    path = report(trace, tmp_path / "report.html")
    assert path.stat().st_size < 2_000_000
    opened = Opened(browser, path, color_scheme="dark")
    for key in ("about", "film", "memory", "timescales", "saturation", "flow", "stability"):
        assert opened.page.locator(f"section#{key}").is_visible()
    text = opened.hover("film-0-0-keep", 100.25 / 171, 10.5 / 128)
    unit, step = map(int, re.match(r"unit (\d+), step (\d+),", text).groups())
    assert step == 301
    assert unit in congru.gates.strips.unit_order(trace.top)[9:12]  # a row is about one pixel high
    shown = numbers(text.splitlines()[2])[-1]
    assert shown == pytest.approx(trace.keep[0, 0, 0, 300, unit], abs=2e-3)
    assert opened.faults == []
    assert opened.requests == [path.as_uri()]


def test_text_can_be_read_on_a_light_and_on_a_dark_screen(browser: Any, tmp_path: Path) -> None:
    """The contrast of the text with the page is at least 7 to 1 in both (WCAG 2, level AAA)."""
    path = report(random_trace("gru", T=8), tmp_path / "report.html")
    pages = []
    for scheme in ("light", "dark"):
        page = Opened(browser, path, color_scheme=scheme).page
        ink, paper = (
            page.evaluate(f"getComputedStyle(document.body).{name}") for name in ("color", "backgroundColor")
        )
        lightness = sorted(luminance(color) for color in (ink, paper))
        assert (lightness[1] + 0.05) / (lightness[0] + 0.05) >= 7
        pages.append(luminance(paper))
    assert pages[0] > 0.8
    assert pages[1] < 0.1


def luminance(color: str) -> float:
    """Relative luminance of `rgb(r, g, b)`."""
    parts = np.array([int(part) for part in re.findall(r"\d+", color)[:3]]) / 255
    linear = np.where(parts <= 0.04045, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4)
    return float(linear @ [0.2126, 0.7152, 0.0722])


def test_the_input_takes_the_colours_of_the_prediction_under_the_pointer_and_of_the_keys(
    browser: Any, tmp_path: Path
) -> None:
    trace = random_trace("gru", T=8, B=1, tokens=list("abcdefgh"))
    reading = Reading(None, list("abcdefgh"), step="character", flow=True, outputs=list("wxyz"))
    opened = Opened(browser, report(trace, tmp_path / "report.html", context={"reading": reading}))
    steps, page = opened.page.locator("#steps [data-k]"), opened.page

    def check(at: int) -> None:
        best = int(trace.output[0, at].argmax())
        shares = trace.memory(best, at=at).contributions[: at + 1]
        colors = [steps.nth(k).evaluate("e => e.style.background") for k in range(8)]
        shown = [float(color.split(",")[-1].rstrip(")")) if color else 0.0 for color in colors]
        expected = 0.7 * np.abs(shares) / np.abs(shares).max()
        np.testing.assert_allclose(shown[: at + 1], expected, atol=0.01)
        assert shown[at + 1 :] == [0.0] * (7 - at)
        assert page.locator("#said .chosen b").inner_text().startswith(f"“{'wxyz'[best]}”")

    check(7)
    steps.nth(3).hover()
    check(3)
    page.mouse.move(0, 0)
    check(7)
    page.locator("#steps").focus()
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("ArrowLeft")
    check(5)
    page.keyboard.press("Escape")
    check(7)
    assert opened.faults == []
