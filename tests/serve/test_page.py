"""The page in Debian's Chromium, over small real models: no console error, nothing from outside, and what each view promises.

The tests skip where the browser is missing: `pip install playwright` and `apt-get install chromium` enable them.
"""

from __future__ import annotations

import asyncio
import hashlib
import re
import shutil
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from page_cases import Opened, wait_for

from congru.serve.desk import Desk
from congru.serve.page import STATIC
from serve_cases import Serving, serving

WEB = Path(__file__).parents[2] / "web"
AXE = WEB / "node_modules" / "axe-core" / "axe.min.js"
# The serious and critical faults of what is shown now, as lines.
AUDIT = """(rules) => axe.run(document, {resultTypes: ['violations'], runOnly: rules}).then((told) => told.violations
    .filter((fault) => ['serious', 'critical'].includes(fault.impact))
    .flatMap((fault) => fault.nodes.map((node) => `${fault.id}: ${node.html.slice(0, 200)} ${node.failureSummary}`)))"""


@pytest.fixture(scope="module")
def server(trained: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    with serving(tmp_path_factory.mktemp("runs"), trained) as running:
        yield running


def test_the_built_files_are_those_of_the_sources() -> None:
    """As web/stamp.mjs sums them up."""
    names = ["../src/congru/export/wasm/congru.js", "index.html", "package-lock.json", "vite.config.js"]
    names += [
        str(path.relative_to(WEB))
        for part in ("src", "public")
        for path in (WEB / part).rglob("*")
        if path.is_file()
    ]
    digest = hashlib.sha256()
    for name in sorted(names):
        digest.update(name.encode() + b"\0" + (WEB / name).read_bytes() + b"\0")
    assert (STATIC / "sources.txt").read_text().strip() == digest.hexdigest(), "run: cd web && npm run build"


def test_the_script_is_small_and_asks_nobody_else() -> None:
    import gzip

    size = sum(len(gzip.compress(path.read_bytes())) for path in STATIC.glob("*.js"))
    assert size < 300_000
    for path in STATIC.rglob("*"):
        if path.suffix in (".js", ".css", ".html", ".svg"):
            links = re.findall(r"""(?:src|href|url)\s*[=(]\s*["']?(https?://[^"')\s]+)""", path.read_text())
            assert links == [], path


@pytest.mark.parametrize(("width", "scheme"), [(390, "light"), (900, "light"), (1400, "dark")])
def test_every_view_opens_without_a_fault_and_fits(
    browser: Any, server: Serving, width: int, scheme: str
) -> None:
    opened = Opened(browser, server.address, "", width, color_scheme=scheme)
    page = opened.page
    page.locator("article").first.wait_for()
    assert page.locator("article").count() == 9
    # What changes with the colours is looked at in both, the rest once.
    rules = ["color-contrast"] if scheme == "dark" else ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa"]
    if AXE.is_file():
        page.evaluate(AXE.read_text())
        assert page.evaluate(AUDIT, rules) == []
    views = {
        "model/text/write": "[aria-label='Write'] button",
        "model/text/gates": "[aria-label='What comes of it'] .outcome",
        "model/chess/play": ".board svg",
        "model/forecast/forecast": ".uplot canvas",
        "model/music/music": ".roll svg",
        "model/sentiment/words": ".tokens span",
        "model/translate/translate?text=ein+hund": ".attention td",
        "model/assistant/talk": "[aria-label='Say']",
        "model/chess/gates": ".tokens > span",
        "model/assistant/gates": ".tokens > span",
        "model/video/gates": ".tokens .picture",
        "model/speech/hear": "[aria-label='Listen'] button",
        "model/video/watch": "[aria-label='Watch'] label",
        "compare": ".empty a",
        "run/text": "[aria-label='Curves'] h2",
        "train": "form .command",
    }
    for address, awaited in views.items():
        page.evaluate(f"location.hash = '#/{address}'")
        page.locator(awaited).first.wait_for()
        page.wait_for_timeout(60)
        wide = page.evaluate("document.documentElement.scrollWidth")
        assert wide <= width, f"{address} is {wide} pixels wide"
        assert page.locator("[role=alert]").count() == 0, address
        unnamed = page.evaluate(
            """[...document.querySelectorAll('button, input, select, textarea, a[href]')].filter((one) =>
                !(one.ariaLabel || one.textContent.trim() || one.labels?.length || one.querySelector('img[alt]')))
                .map((one) => one.outerHTML)"""
        )
        assert unnamed == [], address
        if AXE.is_file():
            assert page.evaluate(AUDIT, rules) == [], address
    opened.close()


def test_the_views_above_were_audited() -> None:
    """axe-core looks at every view, once in light on a phone and once in dark on a wide screen."""
    if not AXE.is_file():
        pytest.skip("axe-core is not installed; to run this: cd web && npm ci")
    assert AXE.read_text().startswith("/*! axe v4")


def test_a_held_gate_changes_the_continuation_and_undo_restores_it(browser: Any, server: Serving) -> None:
    opened = Opened(browser, server.address, "#/model/text/gates?text=The+fog+comes+on+little+cat+feet.")
    page = opened.page
    before = page.locator("[data-outcome='As it was']")
    before.wait_for()
    continuation = before.inner_text()
    page.get_by_text("from the start").wait_for()
    canvas = page.locator("canvas[data-strip='candidate']")
    canvas.scroll_into_view_if_needed()
    box = canvas.bounding_box()
    page.mouse.move(box["x"] + 0.95 * box["width"], box["y"] + 10)
    page.locator(".equations b").first.wait_for()  # the equations are filled with the numbers of that unit
    assert len(re.findall(r"-?\d", page.locator(".equations").inner_text())) > 10
    page.mouse.down()
    page.mouse.up()
    page.get_by_role("button", name="All units").click()
    page.get_by_role("slider", name="Hold candidate").fill("1")
    changed = page.locator("[data-outcome='With your change']")
    changed.wait_for()
    assert changed.inner_text() != continuation
    assert before.inner_text() == continuation
    assert page.locator(".chip").count() == 1
    again = opened.context.new_page()
    again.goto(page.url)  # what is held stands in the address
    wait_for(lambda: again.locator("[data-outcome='With your change']").count() == 1)
    assert again.locator("[data-outcome='With your change']").inner_text() == changed.inner_text()
    again.close()
    page.get_by_role("button", name="Fork").click()
    assert page.get_by_text("Fork 1").is_visible()
    page.keyboard.press("Escape")
    page.get_by_role("button", name="Undo").click()
    changed.wait_for(state="detached")
    assert page.locator(".chip").count() == 0
    assert before.inner_text() == continuation
    opened.close()


def test_the_text_is_coloured_by_exact_shares(browser: Any, server: Serving) -> None:
    from congru.gates.inspect import inspect
    from congru.runtime.folder import load

    text = "The fog comes on"
    opened = Opened(browser, server.address, f"#/model/text/gates?text={text.replace(' ', '+')}")
    page = opened.page
    page.locator(".tokens span").nth(12).hover()
    model = load(server.desk.library.find("text").path)
    ids = model.tokenizer.encode(text)
    memory = inspect(model, text).memory(ids[12], 11)
    told = page.locator("[aria-label='What a prediction stands on'] p").first

    def says_it() -> bool:
        match = re.search(r"(-?\d+\.\d+) = ", told.inner_text())
        return match is not None and float(match[1]) == pytest.approx(memory.output, rel=1e-3)

    wait_for(says_it)  # before, it was about the last token
    colors = page.locator(".tokens span").evaluate_all("spans => spans.map((one) => one.style.background)")
    most = max(range(12), key=lambda step: abs(memory.contributions[step]))
    red, _, blue = map(int, re.findall(r"\d+", colors[most])[:3])
    assert (red > blue) == (memory.contributions[most] > 0)  # orange for, blue against
    assert colors[13] == ""  # what comes later gave nothing
    opened.close()


def test_moves_are_coloured_by_their_shares_and_named(browser: Any, server: Serving) -> None:
    """Where a task has no linear read-out, the colours are the shares that the task itself knows, in its unit."""
    opened = Opened(browser, server.address, "#/model/chess/gates?text=e4+e5+Nf3")
    page = opened.page
    told = page.locator("[aria-label='What a prediction stands on']")
    told.get_by_text("The next move after “Nf3”").wait_for()
    colors = page.locator(".tokens > span").evaluate_all("all => all.map((one) => one.style.background)")
    assert any(color.startswith("rgba") for color in colors)
    page.locator(".tokens > span").nth(1).hover()
    told.get_by_text("The next move after “e4”").wait_for()
    assert page.locator(".tokens > span").nth(3).evaluate("one => one.style.background") in (
        "",
        "transparent",
    )
    assert "step" not in told.inner_text()
    page.get_by_text("Table of move 4").wait_for()
    opened.close()


@pytest.mark.parametrize(
    ("address", "predicts"),
    [("translate/gates?text=ein+hund", "The next word"), ("video/gates", "The class")],
)
def test_bits_lost_without_a_step_are_told_as_what_they_are(
    browser: Any, server: Serving, address: str, predicts: str
) -> None:
    """Of an answer that is no linear function of the states: exact parts, whose bits do not add up."""
    opened = Opened(browser, server.address, f"#/model/{address}")
    page = opened.page
    told = page.locator("[aria-label='What a prediction stands on']")
    told.get_by_text("bits that this would lose without the part").wait_for()
    assert "do not add up" in told.inner_text()
    page.locator(".tokens > span").nth(1).hover()
    told.get_by_text(re.compile(f"{predicts} after")).wait_for()
    later = page.locator(".tokens > span").nth(2).evaluate("one => one.style.background")
    assert later in ("", "transparent")  # what was not read yet has no part
    opened.close()


def test_what_is_chosen_stands_in_the_address(browser: Any, server: Serving) -> None:
    opened = Opened(browser, server.address, "#/model/text/write?text=The+fog")
    page = opened.page
    page.get_by_label("temperature").fill("0.2")
    page.get_by_label("tokens").fill("50")
    wait_for(lambda: page.evaluate("location.hash").endswith("write?text=The+fog&temperature=0.2&length=50"))
    page.get_by_role("button", name="Write", exact=True).click()
    page.get_by_text("50 pieces").wait_for()
    written = page.get_by_label("What it writes").inner_text()
    again = opened.context.new_page()
    again.goto(page.url)
    again.get_by_role("button", name="Write", exact=True).click()
    again.get_by_text("50 pieces").wait_for()
    assert again.get_by_label("What it writes").inner_text() == written
    again.close()
    page.evaluate("location.hash = '#/train?task=text&hidden_size=24&steps=70'")
    line = page.locator(".command")
    line.wait_for()
    assert "--steps 70" in line.inner_text()
    assert "--hidden-size 24" in line.inner_text()
    page.get_by_label("hidden size").fill("32")
    wait_for(lambda: "hidden_size=32" in page.evaluate("location.hash"))
    assert "steps=70" in page.url
    opened.close()


def test_two_models_read_the_same(browser: Any, trained: Path, tmp_path: Path) -> None:
    shutil.copytree(trained / "text", tmp_path / "other")
    with serving(tmp_path, trained / "text", tmp_path / "other") as server:
        opened = Opened(browser, server.address, "#/compare?models=text+other")
        page = opened.page
        page.get_by_role("heading", name="Surprise so far, bits a character").wait_for()
        page.locator("[aria-label='Gates of other'] canvas[data-strip=state]").wait_for()
        bits = re.findall(r"[\d.]+", page.locator("[aria-label='Surprise of both'] p").inner_text())
        assert bits[0].strip(".") == bits[1].strip(".")  # they are the same model
        page.get_by_label("beside").select_option("")
        page.get_by_text("Choose two models of one task").wait_for()
        opened.close()


def test_chess_refuses_what_is_not_legal_and_takes_back(browser: Any, server: Serving) -> None:
    opened = Opened(browser, server.address, "#/model/chess/play")
    page = opened.page
    typed = page.get_by_label("A move", exact=True)
    page.get_by_text("White to move").wait_for()
    typed.fill("Ke5")
    page.get_by_role("button", name="Play", exact=True).click()
    page.get_by_role("alert").wait_for()
    assert "not legal" in page.get_by_role("alert").inner_text()
    typed.fill("Nf3")
    typed.press("Enter")
    page.get_by_text("Black to move").wait_for()
    assert "moves=g1f3" in page.url
    assert page.locator(".arrows > *").count() >= 2
    page.get_by_role("button", name="Undo").click()
    page.get_by_text("White to move").wait_for()
    board = page.locator(".board svg").first.bounding_box()

    def square(file: int, rank: int) -> tuple[float, float]:
        size = board["width"] / 8
        return board["x"] + (file + 0.5) * size, board["y"] + (7.5 - rank) * size

    for file, rank in ((4, 1), (4, 4)):  # e2 to e5: no
        page.mouse.click(*square(file, rank))
    page.get_by_text("e2 to e5 is not legal").wait_for()
    for file, rank in ((4, 1), (4, 3)):
        page.mouse.click(*square(file, rank))
    page.get_by_text("Black to move").wait_for()
    assert "moves=e2e4" in page.url
    page.get_by_role("button", name="Model: Black").click()
    page.wait_for_url(re.compile(r"moves=e2e4\+\w+"))
    page.get_by_role("button", name="Write this game").click()
    wait_for(lambda: "1. e4" in page.get_by_label("PGN", exact=True).input_value())
    opened.close("400")


def test_my_son_and_i_become_players(
    browser: Any, server: Serving, trained: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """How far it is stands there, it can be ended, and two clicks begin it once."""
    from congru.serve.subjects import players
    from congru.tasks.chess.sources import read_games

    fit_named, rests = players.fit_named, [0.3]

    def fit_slowly(*arguments: Any, progress: Any, **options: Any) -> Any:
        def told(done: int, of: int) -> None:
            progress(done, of)
            time.sleep(rests[0])

        return fit_named(*arguments, progress=told, **options)

    monkeypatch.setattr(players, "fit_named", fit_slowly)

    path = trained / "data" / "chess" / "games.pgn"
    names = read_games(str(path))[0].players[:2]
    pgn = "\n\n[Event".join(path.read_text().split("\n\n[Event")[:6])
    opened = Opened(browser, server.address, "#/model/chess/play")
    page = opened.page
    name = page.get_by_label("Name in the PGN, or a part of it")
    fit = page.get_by_role("button", name="Get to know", exact=True)
    page.get_by_text("My son and I").click()
    name.fill(names[0])
    page.get_by_label("Games of this player, as PGN").fill(pgn)
    fit.dblclick()
    under_way = page.get_by_role("group", name="Getting to know a player")
    under_way.get_by_text(
        re.compile(r"Learning how .* plays: pass [1-9]\d* of 30 over the games, about \d+ s")
    ).wait_for()
    page.get_by_role("link", name="Gates", exact=True).click()  # it goes on while one looks elsewhere
    page.locator(".tokens > span").first.wait_for()
    page.go_back()
    under_way.get_by_text(re.compile("pass")).wait_for()
    under_way.get_by_role("button", name="Cancel").click()
    under_way.wait_for(state="detached")
    wait_for(lambda: not server.desk.fits._line)
    assert not (server.runs.options.runs / "chess-players").exists()
    assert page.get_by_role("alert").count() == 0
    rests[0] = 0
    for wanted in ("Nobody", *names):
        name.fill(wanted)
        page.get_by_label("Games of this player, as PGN").fill(pgn)
        fit.click()
        if wanted == "Nobody":
            page.get_by_role("alert").filter(has_text="Nobody").wait_for()
        else:
            page.get_by_text(f"{wanted}: ").filter(has_text="bits a move").wait_for()
    assert "chess-players" in page.url
    assert page.get_by_label("White", exact=True).input_value() == names[0]
    assert page.get_by_label("Black", exact=True).input_value() == names[1]
    chosen = page.get_by_text(f"{names[0]} chose here before: ")
    chosen.wait_for()
    page.get_by_role("button", name="Earlier games count").click()
    chosen.wait_for(state="detached")
    opened.close("400")


def test_a_pawn_becomes_what_one_chooses(browser: Any, server: Serving) -> None:
    moves = "a2a4 b7b5 a4b5 a7a6 b5a6 h7h6 a6a7 h6h5"
    opened = Opened(browser, server.address, f"#/model/chess/play?moves={moves.replace(' ', '+')}")
    page = opened.page
    page.get_by_text("White to move").wait_for()
    board = page.locator(".board svg").first.bounding_box()
    size = board["width"] / 8
    page.mouse.click(board["x"] + 0.5 * size, board["y"] + 1.5 * size)
    page.mouse.click(board["x"] + 1.5 * size, board["y"] + 0.5 * size)  # a7 takes b8
    page.locator(".promotion-dialog-button[data-piece=wn]").click()
    page.wait_for_url(re.compile("a7b8n"))
    opened.close()


def test_a_motif_goes_on_sounds_and_is_taken_home(browser: Any, server: Serving, tmp_path: Path) -> None:
    import mido

    opened = Opened(browser, server.address, "")
    page = opened.page
    offline = """() => { window.AudioContext = class extends OfflineAudioContext {
        constructor() { super(1, 44100 * 4, 44100); window.offline = this; }
        close() { return Promise.resolve(); }
    }; }"""
    page.evaluate(offline)
    page.evaluate("location.hash = '#/model/music/music'")
    page.get_by_role("button", name="Go on").click()
    page.get_by_text("The model went on").wait_for()
    page.get_by_role("button", name="Hear it").click()
    loudest = page.evaluate(
        "offline.startRendering().then((sound) => Math.max(...sound.getChannelData(0).slice(0, 100000)))"
    )
    assert loudest > 0.02
    with page.expect_download() as download:
        page.get_by_role("button", name="Download .mid").click()
    download.value.save_as(tmp_path / "a.mid")
    assert any(message.type == "note_on" for message in mido.MidiFile(tmp_path / "a.mid"))
    opened.close()


def test_a_microphone_becomes_words_as_they_are_said(browser: Any, server: Serving) -> None:
    """The fake microphone says "A B" again and again."""
    opened = Opened(browser, server.address, "#/model/speech/hear", permissions=["microphone"])
    page = opened.page
    page.get_by_role("button", name="Speak").click()
    page.get_by_text("listening").wait_for()
    words = page.locator("[data-heard]")
    wait_for(lambda: {"A", "B"} <= set(words.inner_text().split()))
    assert page.get_by_text("listening").is_visible()  # words come while it listens
    page.get_by_role("button", name="Stop").click()
    page.get_by_text("listening").wait_for(state="detached")
    late = re.search(
        r"known ([\d.]+) s after it was said", page.locator("[aria-label='Listen']").inner_text()
    )
    assert late is not None
    assert 0 < float(late[1]) < 30
    opened.close()


def test_a_table_shows_its_fan_and_more_of_its_past(browser: Any, server: Serving, trained: Path) -> None:
    """Beside years of past nobody would see the fan: some of it is drawn, all of it where one asks."""
    opened = Opened(browser, server.address, "#/model/forecast/forecast")
    page = opened.page
    page.locator("input[type=file]").set_input_files(trained / "data" / "forecast" / "series.csv")
    page.get_by_text("The forecast knows the first").wait_for()
    rows = page.locator("[aria-label='Forecast'] tbody tr")
    few = rows.count()
    page.get_by_role("button", name="Show more of the past").click()
    wait_for(lambda: rows.count() > few)
    assert "past=all" in page.evaluate("location.hash")
    opened.close()


def test_the_keyboard_alone_is_enough(browser: Any, server: Serving) -> None:
    opened = Opened(browser, server.address, "")
    page = opened.page
    page.locator("article").first.wait_for()
    for _ in range(60):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.getAttribute('href')") == "#/model/text/gates":
            break
    page.keyboard.press("Enter")
    film = page.locator(".film")
    film.wait_for()
    for _ in range(60):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.className") == "film":
            break
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowDown")
    page.locator(".equations b").first.wait_for()
    page.keyboard.press("0")
    page.locator(".chip").wait_for()
    page.keyboard.press("Control+z")
    page.locator(".chip").wait_for(state="detached")
    opened.close()


def test_a_training_is_started_from_the_form_and_its_curve_grows(
    browser: Any, trained: Path, tmp_path: Path
) -> None:
    """A training of its own process, which nothing stands for."""
    with serving(tmp_path, trained / "text") as server:
        opened = Opened(browser, server.address, "#/train?task=text")
        page = opened.page
        page.get_by_label("Or paste it here").fill("the fog comes on little cat feet " * 250)
        page.get_by_label("hidden size").fill("8")
        page.get_by_label("Of what").select_option("steps")
        page.get_by_label("Amount").fill("2000")
        assert "--hidden-size 8" in page.locator(".command").inner_text()
        page.get_by_role("button", name="Start training").click()
        page.locator("[data-rows]").wait_for()
        first = int(page.locator("[data-rows]").get_attribute("data-rows"))
        wait_for(lambda: int(page.locator("[data-rows]").get_attribute("data-rows")) > first)
        page.get_by_role("button", name="Stop and save").click()
        page.get_by_role("button", name="Resume").wait_for()
        page.get_by_role("link", name="Gates", exact=True).click()  # what it learned so far is a model
        page.locator("canvas[data-strip=keep]").wait_for()
        opened.close()


def test_a_server_that_is_gone_is_told_and_found_again(
    browser: Any, trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    generate = Desk.generate

    async def slowly(*arguments: Any) -> AsyncIterator[str]:
        async for piece in generate(*arguments):
            await asyncio.sleep(0.01)
            yield piece

    monkeypatch.setattr(Desk, "generate", slowly)
    server = Serving(_options(tmp_path, trained))
    opened = Opened(browser, server.address, "#/run/text")
    page = opened.page
    page.locator("[aria-label='Curves'] h2").wait_for()
    writer = opened.context.new_page()
    writer.goto(f"{server.address}/#/model/text/write?text=The+fog")
    writer.get_by_label("tokens").fill("5000")
    writer.get_by_role("button", name="Write", exact=True).click()
    writer.get_by_text("pieces,").wait_for()
    port = server.port
    server.close()  # in mid-stream
    writer.get_by_role("alert").wait_for()
    assert "The server does not answer" in writer.get_by_role("alert").inner_text()
    page.get_by_text("The server does not answer").first.wait_for()
    again = Serving(_options(tmp_path, trained), port)
    page.get_by_text("This page connects again by itself").wait_for(state="detached")
    writer.get_by_label("tokens").fill("50")
    writer.get_by_role("button", name="Go on").click()
    writer.get_by_role("alert").wait_for(state="detached")
    writer.get_by_role("button", name="Go on").wait_for()
    opened.close("ERR_CONNECTION_REFUSED", "WebSocket", "ERR_")
    again.close()


def _options(folder: Path, trained: Path) -> Any:
    from congru.serve.options import Options

    return Options(folders=(trained / "text",), data=folder, runs=folder / "runs", saves=folder / "saves")


@pytest.fixture(scope="module")
def site(trained: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All models as a folder without a server."""
    from congru.serve.site import write_site

    out = tmp_path_factory.mktemp("site") / "site"
    write_site([trained], out)
    return out


def test_without_a_server_the_models_run_in_the_browser(browser: Any, site: Path, trained: Path) -> None:
    """Read from the disk: nothing answers, and nothing is asked for but the files beside the page."""
    from congru.gates.inspect import inspect
    from congru.runtime.folder import load

    text = "The fog comes on little cat feet."
    opened = Opened(browser, site.as_uri(), f"index.html#/model/text/gates?text={text.replace(' ', '+')}")
    page = opened.page
    before = page.locator("[data-outcome='As it was']")
    before.wait_for()
    assert float(page.locator("[data-proof]").get_attribute("data-proof")) < 1e-5  # the browser is NumPy
    trace = inspect(load(trained / "text"), text)
    memory = trace.memory(load(trained / "text").tokenizer.encode(".")[0], len(text) - 2)
    told = page.locator("[aria-label='What a prediction stands on'] p").first
    wait_for(lambda: " = " in told.inner_text())
    numbers = [float(one) for one in re.findall(r"-?\d+\.\d+(?:e-?\d+)?", told.inner_text().split("). ")[1])]
    written = float(memory.contributions.sum())
    assert numbers[:2] == pytest.approx([memory.output, written], rel=2e-3, abs=2e-3)
    continuation = before.inner_text()
    page.locator(".film").focus()
    for key in ("ArrowRight", "ArrowDown"):
        page.keyboard.press(key)
    page.locator(".equations b").first.wait_for()
    page.get_by_role("button", name="All units").click()
    page.get_by_role("slider", name="Hold state").fill("1")
    page.get_by_role("button", name="All characters").click()
    page.get_by_role("slider", name="Hold state").fill("-1")
    changed = page.locator("[data-outcome='With your change']")
    changed.wait_for()
    wait_for(lambda: continuation not in changed.inner_text())
    assert before.inner_text() == continuation
    page.evaluate("location.hash = '#/model/text/write'")
    page.get_by_role("button", name="Write", exact=True).click()
    page.get_by_role("button", name="Go on").wait_for()
    assert "400 pieces" in page.locator("[aria-label='Write']").inner_text()
    for name in ("chess", "forecast", "music", "sentiment", "translate", "assistant", "video"):
        page.evaluate(f"location.hash = '#/model/{name}/gates'")
        page.get_by_role("heading", name=name, exact=True).wait_for()
        page.locator("canvas[data-strip=state]").first.wait_for()
        assert page.locator("[role=alert]").count() == 0, name
        for proof in page.locator("[data-proof]").all():
            assert float(proof.get_attribute("data-proof")) < 1e-5, name
    page.evaluate("location.hash = '#/model/chess/play'")
    page.get_by_text("This page has no server").wait_for()
    page.evaluate("location.hash = '#/run/text'")
    page.locator("[aria-label='Curves'] canvas").wait_for()
    page.evaluate("location.hash = '#/model/forecast/forecast'")
    page.locator(".uplot canvas").wait_for()
    opened.close()
