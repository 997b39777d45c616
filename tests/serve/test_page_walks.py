"""What people do with the page: they click twice, go back, load it again in the middle, and open it twice.

Each walk goes through much of one view in Debian's Chromium; the tests skip where the browser is missing.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from page_cases import Opened, wait_for

from congru.serve.options import Limits
from serve_cases import Serving, serving


@pytest.fixture(scope="module")
def server(trained: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    with serving(tmp_path_factory.mktemp("runs"), trained) as running:
        yield running


def moves_of(page: Any) -> list[str]:
    match = re.search(r"moves=([^&]*)", page.evaluate("location.hash"))
    return match[1].split("+") if match else []


def test_a_game_is_read_watched_and_found_again(browser: Any, server: Serving) -> None:
    opened = Opened(browser, server.address, "#/model/chess/play")
    page = opened.page
    page.get_by_text("White to move").wait_for()
    page.get_by_label("PGN", exact=True).fill(
        '[White "Anderssen"]\n[Black "Kieseritzky"]\n\n1. e4 e5 2. f4 exf4 3. Bc4 *'
    )
    page.get_by_role("button", name="Read it").dblclick()
    page.get_by_text("Black to move").wait_for()
    assert moves_of(page) == ["e2e4", "e7e5", "f2f4", "e5f4", "f1c4"]
    assert page.get_by_label("White", exact=True).input_value() == "Anderssen"
    assert page.get_by_label("Black", exact=True).input_value() == "Kieseritzky"
    page.locator("[aria-label='Moves'] button").nth(1).click()  # the position after 1... e5
    page.get_by_text("White to move").wait_for()
    page.locator("[aria-label='Moves'] button").last.click()
    page.get_by_text("Black to move").wait_for()
    page.locator("[aria-label='Likely moves'] button").first.dblclick()  # one move, not one of each side
    wait_for(lambda: len(moves_of(page)) == 6)
    page.get_by_role("button", name="Watch").dblclick()
    wait_for(lambda: len(moves_of(page)) >= 9)
    page.reload()  # it goes on where it was
    before = len(moves_of(page))
    assert before >= 9
    wait_for(lambda: len(moves_of(page)) >= before + 2)
    page.get_by_role("link", name="Gates", exact=True).click()
    page.locator(".tokens > span").first.wait_for()
    page.go_back()
    page.get_by_role("button", name="You play both").click()
    page.locator(".board svg").first.wait_for()
    page.wait_for_timeout(800)
    stopped = moves_of(page)
    page.wait_for_timeout(800)
    assert moves_of(page) == stopped
    page.go_forward()
    page.locator(".tokens > span").first.wait_for()
    page.go_back()
    wait_for(lambda: moves_of(page) == stopped)
    opened.close()


def test_a_table_is_played_with_its_fan(browser: Any, server: Serving, trained: Path) -> None:
    opened = Opened(browser, server.address, "#/model/forecast/forecast")
    page = opened.page
    page.get_by_label("CSV with the columns").fill((trained / "data" / "forecast" / "series.csv").read_text())
    page.get_by_role("button", name="Forecast it").dblclick()
    known = page.get_by_label("Rows that are known")
    known.wait_for()
    known.fill("60")
    page.get_by_text("knows the first 60 rows").wait_for()
    page.get_by_text("Table of these numbers").click()
    last = page.locator("[aria-label='Forecast'] tbody tr").last
    fan = last.inner_text()
    page.get_by_role("button", name="Play", exact=True).dblclick()
    page.get_by_role("button", name="Pause").wait_for()
    wait_for(lambda: int(known.input_value()) >= 62)
    wait_for(lambda: last.inner_text() != fan)  # the fan goes with it
    assert page.get_by_text("beside").is_visible()
    page.get_by_role("button", name="16×").click()
    page.get_by_role("button", name="Play", exact=True).wait_for()  # at the end it stops
    assert known.input_value() == known.get_attribute("max")
    page.get_by_role("button", name="1×", exact=True).click()
    page.get_by_role("button", name="Play", exact=True).click()  # and begins again
    wait_for(lambda: int(known.input_value()) < int(known.get_attribute("max")))
    page.get_by_role("button", name="Pause").click()
    known.fill("70")
    page.get_by_text("knows the first 70 rows").wait_for()
    page.get_by_label("CSV with the columns").fill("no,table\n1,2\n")
    page.get_by_role("button", name="Forecast it").click()
    page.get_by_role("alert").wait_for()
    page.get_by_role("button", name="Back to the series of the training").click()
    page.get_by_role("alert").wait_for(state="detached")
    page.get_by_label("Series").select_option("south")
    page.reload()
    wait_for(lambda: page.get_by_label("Series").input_value() == "south")
    opened.close("400")


def test_a_locked_voice_stays_and_is_harmonised(browser: Any, server: Serving) -> None:
    opened = Opened(browser, server.address, "#/model/music/music?motif=0x1x72_1x1x74_2x2x76")
    page = opened.page
    page.get_by_role("button", name="It is the top voice").click()
    with page.expect_response("**/compose") as answer:
        page.get_by_role("button", name="Harmonise").dblclick()
    page.get_by_text("The model went on").wait_for()
    notes = answer.value.json()["notes"]
    for start, length, pitch in ((0, 1, 72), (1, 1, 74), (2, 2, 76)):
        sounding = [note for note in notes if note[0] < start + length and note[0] + note[1] > start]
        assert max(note[2] for note in sounding) == pitch
        assert len(sounding) > 1
    posts = [url for url in opened.requests if url.endswith("/compose")]
    assert len(posts) == 1
    page.get_by_role("button", name="Hear it").dblclick()
    page.get_by_role("button", name="Stop").wait_for()
    page.get_by_role("button", name="Stop").click()
    page.get_by_role("button", name="Hear it").wait_for()
    page.reload()
    top = page.get_by_role("button", name="It is the top voice")
    top.wait_for()
    assert top.get_attribute("aria-pressed") == "true"
    assert "0x1x72_1x1x74_2x2x76" in page.url
    opened.close()


def test_every_chart_has_its_table(browser: Any, trained: Path, tmp_path: Path) -> None:
    shutil.copytree(trained / "text", tmp_path / "other")
    folders = (tmp_path / "other", trained / "text", trained / "forecast")
    with serving(tmp_path, *folders) as server:
        opened = Opened(browser, server.address, "#/run/text")
        _look_at_tables(opened.page)
        opened.close()


def _look_at_tables(page: Any) -> None:
    for address, count in {
        "run/text": 1,
        "model/forecast/forecast": 1,
        "model/forecast/gates": 1,
        "compare?models=text+other": 1,
    }.items():
        page.evaluate(f"location.hash = '#/{address}'")
        page.locator("h1, h2").first.wait_for()
        wait_for(lambda count=count: page.locator(".chart").count() >= count)
        for number in range(page.locator(".chart").count()):
            table = page.locator(".chart + details").nth(number)
            table.locator("summary").click()
            rows = table.locator("tbody tr")
            rows.first.wait_for()
            heads = table.locator("thead th").all_inner_texts()
            assert rows.first.locator("td").count() == len(heads) > 1, address
            assert re.search(r"\d", rows.first.inner_text()), address


def test_a_training_begins_once_and_two_pages_follow_it(browser: Any, trained: Path, tmp_path: Path) -> None:
    limits = Limits(body_bytes=1 << 20)
    large = tmp_path / "large.txt"
    large.write_bytes(b"x" * (6 << 20))
    with serving(tmp_path, trained / "text", limits=limits) as server:
        opened = Opened(browser, server.address, "#/train?task=text")
        page = opened.page
        page.locator("input[type=file]").set_input_files(large)
        page.get_by_role("alert").filter(has_text="expected at most 1048576: send less").wait_for()
        page.get_by_label("Or paste it here").fill("the fog comes on little cat feet " * 250)
        page.get_by_label("hidden size").fill("8")
        page.get_by_label("Of what").select_option("steps")
        page.get_by_label("Amount").fill("100000")
        page.get_by_role("button", name="Start training").dblclick()
        page.locator("[data-rows]").wait_for()
        assert len(server.ask("GET", "/v1/runs")[1]["runs"]) == 2  # this one, and that of the fixture
        page.reload()  # in the middle
        page.locator("[data-rows]").wait_for()
        other = opened.context.new_page()
        other.goto(page.url)
        other.locator("[data-rows]").wait_for()
        page.get_by_role("button", name="Stop and save").dblclick()
        for one in (page, other):
            one.get_by_role("button", name="Resume").wait_for()
        other.get_by_role("button", name="Resume").dblclick()
        for one in (page, other):
            one.get_by_role("button", name="Stop and save").wait_for()
            assert one.get_by_role("alert").count() == 0
        other.get_by_role("button", name="Stop and save").click()
        page.get_by_role("button", name="Resume").wait_for()
        page.go_back()
        page.get_by_label("hidden size").wait_for()
        assert page.get_by_label("hidden size").input_value() == "8"
        opened.close("413")


def test_text_is_written_once_stopped_and_written_anew(browser: Any, server: Serving) -> None:
    opened = Opened(browser, server.address, "#/model/text/write?text=The+fog")
    page = opened.page
    page.get_by_label("tokens").fill("10000")
    page.get_by_role("button", name="Write", exact=True).dblclick()
    page.get_by_text("pieces,").wait_for()
    page.reload()
    assert page.get_by_label("How it begins").input_value() == "The fog"
    page.get_by_role("button", name="Write", exact=True).click()
    page.get_by_role("button", name="Stop").click()  # before the first piece, it may be
    page.get_by_role("button", name="Write", exact=True).wait_for()
    assert page.get_by_role("alert").count() == 0
    page.get_by_label("tokens").fill("50")
    page.get_by_role("button", name="Write", exact=True).click()
    page.get_by_text("50 pieces").wait_for()
    first = page.get_by_label("What it writes").inner_text()
    page.get_by_role("button", name="Another").dblclick()
    wait_for(lambda: "seed=1" in page.url)
    page.get_by_text("50 pieces").wait_for()
    wait_for(lambda: page.get_by_label("What it writes").inner_text() not in ("The fog", first))
    wait_for(lambda: len(server.desk.sessions) == 0)  # nothing is left behind
    opened.close()


def test_a_unit_shows_where_it_fires(browser: Any, server: Serving) -> None:
    """Every character takes the colour of the state of that unit there, and gives it back."""
    opened = Opened(browser, server.address, "#/model/text/gates?text=The+fog+comes")
    page = opened.page
    canvas = page.locator("canvas[data-strip='candidate']")
    canvas.click(position={"x": 20, "y": 20})
    page.get_by_role("button", name="Where it fires").click()
    page.get_by_text("Coloured by the state of unit").wait_for()
    colors = page.locator(".tokens > span").evaluate_all("all => all.map((one) => one.style.background)")
    assert len(set(colors)) > 5
    page.get_by_role("button", name="Show shares again").click()
    page.get_by_text("Coloured by the state of unit").wait_for(state="detached")
    opened.close()
