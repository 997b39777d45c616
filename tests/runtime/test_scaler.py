"""The scaler: exact round trips, constant and missing values, one line for what cannot be scaled."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from congru.errors import DataError, ModelFolderError
from congru.runtime.scaler import Scaler


def test_fit_transform_and_back() -> None:
    values = np.random.default_rng(0).normal(50, 7, 100)
    scaler = Scaler.fit({"a": values, "b": [1.0, np.nan, 3.0]})
    scaled = scaler.transform("a", values)
    assert abs(scaled.mean()) < 1e-12
    assert abs(scaled.std() - 1) < 1e-12
    np.testing.assert_allclose(scaler.inverse("a", scaled), values, rtol=1e-13)
    assert scaler.series["b"] == (2.0, 1.0)


@pytest.mark.parametrize("constant", [0.0, 5.0, 0.1, 1e9 + 0.1])
def test_a_constant_series_keeps_its_unit(constant: float) -> None:
    scaler = Scaler.fit({"a": [constant] * 7})
    assert scaler.series["a"][1] == 1.0
    assert abs(scaler.transform("a", [constant])[0]) < 1e-6


@given(st.dictionaries(st.text(), st.tuples(st.floats(-1e300, 1e300), st.floats(1e-300, 1e300)), max_size=5))
def test_json_keeps_every_bit(series: dict[str, tuple[float, float]]) -> None:
    assert Scaler.from_json(Scaler(series).to_json()).series == series


@pytest.mark.parametrize("values", [[], [np.nan], [1.0, np.inf]])
def test_nothing_to_scale_by(values: list[float]) -> None:
    with pytest.raises(DataError, match="series 'a' has no finite values to scale by"):
        Scaler.fit({"a": values})


def test_unknown_series() -> None:
    with pytest.raises(
        DataError, match=r"series 'b' is unknown to the scaler, expected one of its 1 \(a, ...\)"
    ):
        Scaler({"a": (0, 1)}).transform("b", [1])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"{", "scaler.json cannot be read as a scaler"),
        (b"[]", "scaler.json cannot be read as a scaler"),
        (b'{"type": "minmax"}', "scaler.json has type 'minmax', expected 'standard': update congru"),
        (b'{"type": "standard", "series": {"a": {"mean": 1}}}', r"cannot be read as a scaler \('scale'\)"),
        (
            b'{"type": "standard", "series": {"a": {"mean": 1, "scale": 0}}}',
            "scale 0.0, expected finite and scale > 0",
        ),
        (b'{"type": "standard", "series": {"a": {"mean": NaN, "scale": 1}}}', "mean nan"),
    ],
)
def test_broken_files(content: bytes, message: str) -> Any:
    with pytest.raises(ModelFolderError, match=message):
        Scaler.from_json(content)
