"""Line charts are SVG with their names, baselines and axes; the same arguments give the same file."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree

import pytest

from congru.errors import SettingsError
from congru.report.charts import line_chart

SERIES = {"validation": ([0, 10, 20], [3.0, 2.0, 1.5])}


def words(picture: str) -> set[str]:
    root = ElementTree.fromstring(picture[picture.index("<svg") :])
    return {text.strip() for text in root.itertext()}


def test_curves_have_their_names_and_baselines() -> None:
    picture = line_chart(SERIES, "mse", lines={"last value": 1.75}, x_label="training step")
    assert {"mse", "training step", "validation", "last value 1.75"} <= words(picture)
    assert picture == line_chart(SERIES, "mse", lines={"last value": 1.75}, x_label="training step")


def test_many_curves_a_log_axis_and_none_at_all() -> None:
    many = {f"cell {number}": ([1, 2], [10.0**number, 1.0]) for number in range(8)}
    assert {f"cell {number}" for number in range(8)} <= words(line_chart(many, "loss", log_y=True))
    assert "loss" in words(line_chart({}, "loss"))


def test_axes_of_another_length_have_their_line() -> None:
    with pytest.raises(SettingsError, match="series 'a' has 2 x values and 1 y values, expected as many"):
        line_chart({"a": ([0, 1], [1.0])}, "loss")
