"""Plots and the report: one file, nothing fetched, nothing unescaped."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest
from toy import run

from congru.train.folder import Metric, RunFolder
from congru.train.plots import curves_svg, draw_plots
from congru.train.report import Section, report_html, table


def test_curves_are_svg_with_their_names_and_baselines() -> None:
    picture = curves_svg("mse", {"validation": ([0, 10, 20], [3.0, 2.0, 1.5])}, {"last value": 1.75})
    root = ElementTree.fromstring(picture[picture.index("<svg") :])
    words = {text.strip() for text in root.itertext()}
    assert {"mse", "step", "validation", "last value 1.75"} <= words
    assert picture == curves_svg("mse", {"validation": ([0, 10, 20], [3.0, 2.0, 1.5])}, {"last value": 1.75})


def test_baselines_stand_only_in_the_plot_of_their_metric(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "run")
    rows = [Metric(step, 1.0, "validation", name, 2.0) for step in (0, 5) for name in ("mse", "mae")]
    draw_plots(folder, [*rows, Metric(5, 1.0, "train", "loss", 3.0)], "mse", {"zero": 0.5})
    folder.close()
    texts = {path.stem: path.read_text() for path in (tmp_path / "run" / "plots").iterdir()}
    assert set(texts) == {"loss", "validation-mse", "validation-mae"}
    assert "zero 0.5" in texts["validation-mse"]
    assert "zero" not in texts["validation-mae"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("report") / "run"
    run(steps=20, evaluations=4, quiet=True, threads=1, out=out)
    (out / "samples" / "step-0000020.txt").write_text("<script>alert(1)</script>")
    return out


def test_the_report_is_one_file_that_fetches_nothing(folder: Path) -> None:
    page = report_html(folder)
    assert not re.search(r"<script|<link|<iframe|<img|\bsrc=|@import|url\(http", page)
    assert page.count("<svg") == 3
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page
    for words in ("last value", "zero", "model (step ", "congru run ", "steps: 20  # keyword", "torch"):
        assert words in page
    order = ["Result", "Curves", "Samples", "What to type next", "Data", "Settings", "Made with"]
    assert re.findall("<h2>(.*?)</h2>", page) == order


def test_chapters_of_others_stand_after_the_samples(folder: Path) -> None:
    page = report_html(folder, [Section("Gates & states", "<p>here</p>"), Section("Nothing", "")])
    titles = re.findall("<h2>(.*?)</h2>", page)
    assert titles[2:5] == ["Samples", "Gates &amp; states", "What to type next"]
    assert "<p>here</p>" in page


def test_tables_are_escaped_and_numbers_stand_to_the_right() -> None:
    assert table([("<a>", 0.5)], ("x", "y")).splitlines() == [
        "<table>",
        "<tr><th>x</th><th>y</th></tr>",
        '<tr><td>&lt;a&gt;</td><td class="number">0.5000</td></tr>',
        "</table>",
    ]
