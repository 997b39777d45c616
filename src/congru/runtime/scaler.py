"""Standardisation as data: one mean and one scale per series, fitted on the train part, stored in
scaler.json.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping

import numpy as np
from numpy.typing import ArrayLike, NDArray

from congru.errors import DataError, ModelFolderError
from congru.runtime.plain_json import parse_json


class Scaler:
    """Per-series standardisation (value - mean) / scale, in float64.

    `series` maps a series' name to (mean, scale), both in the unit of that series.

    >>> scaler = Scaler.fit({"a": [1.0, 3.0], "flat": [5.0, 5.0]})
    >>> scaler.transform("a", [1.0, 3.0, 5.0]).tolist()
    [-1.0, 1.0, 3.0]
    >>> scaler.inverse("a", [3.0]).tolist(), scaler.series["flat"]
    ([5.0], (5.0, 1.0))
    """

    def __init__(self, series: Mapping[str, tuple[float, float]]) -> None:
        self.series = {name: (float(mean), float(scale)) for name, (mean, scale) in series.items()}
        for name, (mean, scale) in self.series.items():
            if not (math.isfinite(mean) and math.isfinite(scale) and scale > 0):
                raise DataError(
                    f"series {name!r} has mean {mean} and scale {scale}, expected finite and scale > 0"
                )

    @classmethod
    def fit(cls, values: Mapping[str, ArrayLike]) -> Scaler:
        """Mean and standard deviation (of the population) of every series; a constant series gets scale 1.

        NaN counts as missing; raises :class:`DataError` where a series holds no finite value or an infinite
        one.
        """
        series = {}
        for name, column in values.items():
            array = np.asarray(column, np.float64)
            array = array[~np.isnan(array)]
            if array.size == 0 or not np.isfinite(array).all():
                raise DataError(
                    f"series {name!r} has no finite values to scale by, expected some: drop the series"
                )
            deviation = float(array.std())
            constant = deviation <= 1e-12 * float(np.abs(array).max())
            series[name] = (float(array.mean()), 1.0 if constant else deviation)
        return cls(series)

    def transform(self, name: str, values: ArrayLike) -> NDArray[np.float64]:
        """Values of one series in units of its standard deviation; raises :class:`DataError` for an unknown
        series.
        """
        mean, scale = self._of(name)
        return (np.asarray(values, np.float64) - mean) / scale

    def inverse(self, name: str, values: ArrayLike) -> NDArray[np.float64]:
        """Back to the unit of the series."""
        mean, scale = self._of(name)
        return np.asarray(values, np.float64) * scale + mean

    def to_json(self) -> bytes:
        """The content of scaler.json; `from_json` gives the same numbers back, bit for bit."""
        rows = {name: {"mean": mean, "scale": scale} for name, (mean, scale) in self.series.items()}
        return (
            json.dumps({"type": "standard", "series": rows}, indent=1, ensure_ascii=False) + "\n"
        ).encode()

    @classmethod
    def from_json(cls, content: bytes, source: str = "scaler.json") -> Scaler:
        """Read `to_json`'s bytes; raises :class:`ModelFolderError`, naming `source`, for anything else."""
        try:
            data = parse_json(content)
            if data["type"] != "standard":
                raise ModelFolderError(
                    f"{source} has type {data['type']!r}, expected 'standard': update congru"
                )
            return cls({name: (row["mean"], row["scale"]) for name, row in data["series"].items()})
        except ModelFolderError:
            raise
        except (KeyError, TypeError, AttributeError, ValueError) as error:
            raise ModelFolderError(
                f"{source} cannot be read as a scaler ({error}): copy the folder again"
            ) from None

    def _of(self, name: str) -> tuple[float, float]:
        if name not in self.series:
            known = ", ".join(list(self.series)[:5])
            raise DataError(
                f"series {name!r} is unknown to the scaler, expected one of its {len(self.series)}"
                f" ({known}, ...)"
            )
        return self.series[name]
