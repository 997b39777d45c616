"""Plots and the report: one file, nothing fetched, nothing unescaped."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from toy import run

from congru.report.page import Section
from congru.train.folder import Metric, RunFolder
from congru.train.plots import draw_plots
from congru.train.report import _learning, report_html


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


def test_pictures_and_sounds_of_a_sample_stand_under_its_text(folder: Path) -> None:
    (folder / "samples" / "step-0000020-roll.svg").write_text(
        '<?xml version="1.0"?><svg><g id="roll"/></svg>'
    )
    (folder / "samples" / "step-0000020-tune.wav").write_bytes(b"RIFF")
    page = report_html(folder)
    assert '<svg><g id="roll"/></svg>' in page
    assert 'src="data:audio/wav;base64,UklGRg=="' in page
    assert "samples/step-0000020-numbers.json" in page


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ((4.0, 3.0, 2.0, 1.9), "The last evaluation is the best"),
        ((4.0, 2.0, 2.5, 3.0), "It overfits: after step 10 the validation value gets worse"),
        ((4.0, 3.0, 2.0, 2.01), "The best came at step 20; what followed changed little."),
        ((1.0, 3.0, 2.0, 2.0), "training did not help"),
        ((4.0, 3.0), "Too few evaluations"),
    ],
)
def test_the_curve_is_said_in_words(values: tuple[float, ...], words: str, tmp_path: Path) -> None:
    status = {"metric": "mse", "minimize": True}
    (tmp_path / "status.json").write_text(json.dumps(status))
    rows = [Metric(10 * k, 1.0, "validation", "mse", value) for k, value in enumerate(values)]
    assert words in _learning(rows, tmp_path)


def test_the_metric_is_explained_and_its_curve_stands_first(folder: Path) -> None:
    page = report_html(folder)
    assert "What is measured, mse: the mean squared error. Less is better." in page
    assert page.index("mse against step") < page.index("loss against step")
    assert page.index("After step 20") < page.index("Earlier samples") < page.index("After step 0")
    assert page.index("steps: 20") < page.index(" as they come</summary>") < page.index("clip: ")
    assert "numpy 2" in page
    assert "&quot;" not in page.split("<h2>Made with</h2>")[1]
