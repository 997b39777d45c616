"""Model folders of format 1 answer as on the day they were written."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import congru
from congru.tasks.forecast import Forecaster

FOLDERS = Path(__file__).parent / "folders"


def test_a_forecaster_of_format_1_forecasts_the_same_and_goes_on_in_todays_format(tmp_path: Path) -> None:
    forecaster = Forecaster.load(FOLDERS / "forecast-format-1")
    assert forecaster.model.config["format_version"] == 1
    assert "geometry" in forecaster.model.task_config
    assert forecaster.values().sum() == pytest.approx(2009.136151008841, rel=1e-6)
    assert forecaster.calibration == [11.901721023233819, 8.199557972194672]
    assert forecaster.store.show(forecaster.store.times(0, np.array([0]))[0]) == "2024-01-01"
    again = Forecaster.load(forecaster.save(tmp_path / "later"))
    assert again.model.config["format_version"] == 2
    np.testing.assert_array_equal(again.values(), forecaster.values())


def test_a_text_model_of_format_1_says_the_same(tmp_path: Path) -> None:
    lines = "The fog comes on little cat feet.\nIt sits looking over harbour and city\n"
    (tmp_path / "poem.txt").write_text((lines + "on silent haunches and then moves on.\n") * 12)
    scores = congru.tasks.text.evaluate(FOLDERS / "text-format-1", str(tmp_path / "poem.txt"), quiet=True)
    assert scores["model"]["nats_per_char"] == pytest.approx(2.080758320111217, abs=1e-6)
