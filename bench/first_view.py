"""How long does the page take from its address to the first view, and how large is what the browser fetches?

A server of one model in a process of its own, Debian's Chromium on the same machine, over loopback. Every repetition is a fresh
profile: nothing is cached. Correctness first: the view names the model, and no request leaves the server.

    view     milliseconds from asking for the address until the first model can be read, seen from outside the browser
    paint    the browser's own first contentful paint
    bytes    of scripts and styles, as they are and compressed with gzip -6

    python -m bench.first_view [--repetitions 15]
"""

from __future__ import annotations

import argparse
import gzip
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from bench.record import ROOT, spread, write_result
from bench.serve import make_model
from congru.serve.page import STATIC

PAINT = "performance.getEntriesByName('first-contentful-paint')[0].startTime"


def sizes() -> dict[str, int]:
    """Bytes of the page's scripts and styles."""
    contents = {
        kind: [path.read_bytes() for path in sorted(STATIC.glob(f"*.{kind}"))] for kind in ("js", "css")
    }
    told = {}
    for kind, parts in contents.items():
        told[kind] = sum(map(len, parts))
        told[f"{kind}_gzipped"] = sum(len(gzip.compress(part, 6)) for part in parts)
    return told


def open_once(browser: Any, address: str) -> tuple[float, float]:
    """Milliseconds to the first view and to the first paint."""
    context = browser.new_context(viewport={"width": 1400, "height": 900})
    page = context.new_page()
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    began = time.perf_counter()
    page.goto(address, wait_until="commit")
    page.locator("article h2").first.wait_for()
    seconds = time.perf_counter() - began
    assert page.locator("article h2").first.inner_text() == "words"
    assert all(url.startswith(address) for url in asked), asked
    paint = float(page.evaluate(PAINT))
    context.close()
    return 1e3 * seconds, paint


def main() -> int:
    """Measure and write results/first_view.json."""
    from playwright.sync_api import sync_playwright

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repetitions", type=int, default=15)
    count = parser.parse_args().repetitions
    program = shutil.which("chromium") or shutil.which("chromium-browser")
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as play:
        model = make_model(Path(folder))
        command = [sys.executable, "-m", "congru", "serve", str(model), "--port", "0", "--runs", folder]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT) as server:
            try:
                assert server.stdout is not None
                address = server.stdout.readline().split(" on ")[1].split(" ")[0]
                browser = play.chromium.launch(executable_path=program, args=["--no-sandbox"])
                version = browser.version
                open_once(browser, address)  # warm-up
                views, paints = zip(*(open_once(browser, address) for _ in range(count)))
                browser.close()
            finally:
                server.terminate()
    figures = {
        "view_ms": round(statistics.median(views), 1),
        "paint_ms": round(statistics.median(paints), 1),
        **sizes(),
        "browser": f"Chromium {version}",
        "load_average": round(os.getloadavg()[0], 1),
    }
    print(figures)
    write_result(
        "first_view",
        command="python -m bench.first_view",
        figures=figures,
        repetitions=count,
        spreads={"view_ms": spread(views), "paint_ms": spread(paints)},
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
