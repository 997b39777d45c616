"""The documentation site builds without a warning, and each link in it leads to a page and a place that are there.

Skipped where Zensical is not installed: `pip install 'congru[docs]'` enables it, as `make docs` does.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest

from pages.paths import ROOT


class Page(HTMLParser):
    """The links of a page and the places in it that a link can name."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.targets: list[str] = []
        self.anchors: set[str] = set()
        self.feed(path.read_text())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note one tag's link, picture and id."""
        for name, value in attrs:
            if name in ("href", "src") and value:
                self.targets.append(value)
            if name == "id" and value:
                self.anchors.add(value)


def dead_links(site: Path) -> list[str]:
    """Every link of the site to a file or a place that is not there; "404.html" is served from anywhere."""
    pages = {path: Page(path) for path in site.rglob("*.html") if path.name != "404.html"}
    dead = []
    for path, page in pages.items():
        for target in page.targets:
            if re.match(r"[a-z]+:|//", target):
                continue
            name, _, anchor = target.partition("#")
            file = (path.parent / name).resolve() if name else path
            file = file / "index.html" if file.is_dir() else file
            if not file.exists() or (anchor and file in pages and anchor not in pages[file].anchors):
                dead.append(f"{path.relative_to(site)} -> {target}")
    return dead


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site, built from the files as they are into a folder of its own."""
    program = shutil.which("zensical", path=str(Path(sys.executable).parent)) or shutil.which("zensical")
    if program is None:
        pytest.skip("zensical is not installed; to run this: pip install 'congru[docs]'")
    folder = tmp_path_factory.mktemp("site")
    shutil.copy(ROOT / "zensical.toml", folder)
    shutil.copytree(ROOT / "docs", folder / "docs")
    for name in ("pages", "src"):
        (folder / name).symlink_to(ROOT / name)
    built = subprocess.run([program, "build", "--strict"], cwd=folder, capture_output=True, text=True)
    assert built.returncode == 0, built.stdout + built.stderr
    return folder / "site"


def test_each_page_is_built_and_no_link_is_dead(site: Path) -> None:
    for path in (ROOT / "docs").rglob("*.md"):
        name = path.relative_to(ROOT / "docs").with_suffix("")
        assert (site / ("index.html" if name.name == "index" else name / "index.html")).exists()
    assert dead_links(site) == []


def test_the_reference_of_the_site_holds_signatures_and_docstrings(site: Path) -> None:
    page = (site / "api" / "index.html").read_text()
    assert 'id="congru.nn.gru.GRU"' in page
    assert "batch_first" in page
    assert len(re.findall(r'class="doc doc-heading"', page)) > 100


def test_a_dead_link_is_noticed(tmp_path: Path) -> None:
    (tmp_path / "index.html").write_text('<p id="here"><a href="#here"><a href="#there"><a href="a/b.html">')
    assert dead_links(tmp_path) == ["index.html -> #there", "index.html -> a/b.html"]
