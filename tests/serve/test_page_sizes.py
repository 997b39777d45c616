"""The page in windows of other sizes: what is shown shrinks with them, in Debian's Chromium.

The tests skip where the browser is missing.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from page_cases import Opened, wait_for

from serve_cases import Serving, serving


@pytest.fixture(scope="module")
def server(trained: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    with serving(tmp_path_factory.mktemp("runs"), trained) as running:
        yield running


@pytest.mark.parametrize(
    ("address", "awaited"),
    [
        ("model/chess/play", ".board svg"),
        ("model/chess/gates", ".tokens > span"),
        ("model/forecast/forecast", ".uplot canvas"),
        ("model/forecast/gates", ".uplot canvas"),
        ("model/music/music", ".roll svg"),
        ("run/chess", ".uplot canvas"),
        ("run/text", ".uplot canvas"),
    ],
)
def test_a_window_made_narrow_with_its_tables_open_fits(
    browser: Any, server: Serving, address: str, awaited: str
) -> None:
    """As a phone that is turned: boards and charts shrink again, and wide tables scroll in their card."""
    opened = Opened(browser, server.address, f"#/{address}")
    page = opened.page
    page.locator(awaited).first.wait_for()
    page.evaluate("document.querySelectorAll('details').forEach((one) => { one.open = true; })")
    for width in (1400, 900, 390):
        page.set_viewport_size({"width": width, "height": 900})
        wait_for(lambda width=width: page.evaluate("document.documentElement.scrollWidth") <= width, 10)
        wait_for(
            lambda: page.evaluate(
                """[...document.querySelectorAll('.board, .chart, .card')].every((one) => {
                    const around = one.parentElement.getBoundingClientRect();
                    return around.width === 0 || one.getBoundingClientRect().right <= around.right + 1; })"""
            ),
            10,
        )
    opened.close()


def test_names_of_steps_do_not_lie_on_each_other(browser: Any, server: Serving) -> None:
    opened = Opened(browser, server.address, "#/model/speech/gates")
    page = opened.page
    page.locator(".steps .at").wait_for()
    page.locator("[aria-label='What comes of it']").get_by_text("(nothing new)").wait_for()
    for width in (1400, 900, 390):
        page.set_viewport_size({"width": width, "height": 900})
        page.wait_for_timeout(200)
        steps = page.locator(".tokens > span").count()
        for step in range(steps - 1, max(0, steps - 12), -1):
            page.locator(".tokens > span").nth(step).hover()
            ends = page.evaluate(
                """[...document.querySelectorAll('.steps span')].map((one) => one.getBoundingClientRect())
                    .map((box) => [box.left, box.right]).sort((a, b) => a[0] - b[0])"""
            )
            assert len(ends) > 1
            assert all(one[1] <= other[0] + 1 for one, other in itertools.pairwise(ends)), (width, step, ends)
    opened.close()
