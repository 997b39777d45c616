"""The habits of scikit-learn for a forecaster: parameters, fit, score, clones, pickles, and a picture in a notebook.

A forecaster is made with settings and learns with `fit`; what it can do then stands in forecaster.py, which builds on
this file.
"""

from __future__ import annotations

import importlib
import shutil
import tempfile
import weakref
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from typing_extensions import Self

from congru.errors import MissingPackageError, SettingsError, require
from congru.report.cell import card
from congru.tasks.forecast.plot import as_svg
from congru.tasks.forecast.scoring import evaluation_of
from congru.tasks.forecast.settings import Settings
from congru.train.settings import closest, keys_of

if TYPE_CHECKING:
    from congru.train.summary import RunResult

_NAMES = keys_of(Settings)


class Estimator(ABC):
    """Settings by name, and what scikit-learn does with an object that has them."""

    result: RunResult | None
    """What training came to, where it is at hand."""

    def __init__(self, **settings: Any) -> None:
        self.params: dict[str, Any] = _checked(settings)

    @property
    @abstractmethod
    def fitted(self) -> bool:
        """Whether it has learned."""

    @abstractmethod
    def stand(self, folder: Path, data: Any = None) -> None:
        """Become the model of a folder, after the last row of `data` where it is at hand."""

    @abstractmethod
    def save(self, folder: Any) -> Path:
        """Write a model folder."""

    @abstractmethod
    def plot(self, path: Any = None) -> Any:
        """A figure of the forecast."""

    def fit(self, data: Any, y: Any = None) -> Self:
        """Learn from a long table (CSV or Parquet path, pandas, polars or pyarrow); returns itself.

        `y`: the values to forecast, where they are not a column of the table. Quiet, and without a run folder unless
        `out` names one: `save` keeps the model. Raises :class:`DataError` for rows that cannot be used.
        """
        from congru.tasks.registry import TASKS

        table = data if y is None else _with_target(data, y, str(self.get_params()["target_column"]))
        settings = {"quiet": True, **_non_default(self.params)}
        if settings.get("out") is None:
            settings["out"] = f"{self._own_folder()}/run"
        result = TASKS["forecast"].train(table, settings=settings)
        if result.folder is None:
            raise SettingsError("dry_run is True, expected False: fit makes a model")
        self.stand(result.folder, table)
        self.result = result
        return self

    def score(self, data: Any = None, y: Any = None) -> float:
        """Minus the mean absolute scaled error on rows that training has not seen: the larger, the better.

        `data` as for :func:`congru.tasks.forecast.evaluate_forecaster`.
        """
        table = data if y is None else _with_target(data, y, str(self.get_params()["target_column"]))
        evaluation = evaluation_of(self, table)
        return -evaluation.overall()[evaluation.model]["mase"]

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Every setting by name, as given or by default."""
        fields = Settings.model_fields
        defaults = {name: field.get_default(call_default_factory=True) for name, field in fields.items()}
        return {**defaults, **self.params}

    def set_params(self, **settings: Any) -> Self:
        """Change settings for the next `fit`; returns itself. Raises :class:`SettingsError` for an unknown name."""
        self.params = {**self.params, **_checked(settings)}
        return self

    def __sklearn_is_fitted__(self) -> bool:
        return self.fitted

    def __sklearn_tags__(self) -> Any:
        tags = importlib.import_module("sklearn.utils")  # scikit-learn itself asks
        return tags.Tags(
            estimator_type=None, target_tags=tags.TargetTags(required=False), input_tags=tags.InputTags()
        )

    def __repr__(self) -> str:
        shown = ", ".join(f"{name}={value!r}" for name, value in _non_default(self.params).items())
        return f"{type(self).__name__}({shown}){self._standing()}"

    def _standing(self) -> str:
        """Where it stands, in words; "" before it has learned."""
        return ""

    def _repr_html_(self) -> str:
        """The settings and, where it has learned, a picture of the forecast, in light and dark."""
        text = card(repr(self))
        if not self.fitted:
            return text
        try:
            figure = self.plot()
        except (
            SettingsError,
            MissingPackageError,
        ):  # its columns known ahead are not at hand, or no matplotlib
            return text
        drawn = as_svg(figure, f"Forecast of {self!r}")
        return card(repr(self), [], drawn[drawn.index("<svg") :])

    # Pickles hold the model folder, so that they open without torch wherever the package is

    def __getstate__(self) -> dict[str, Any]:
        if not self.fitted:
            return {"params": self.params, "files": None}
        with tempfile.TemporaryDirectory() as folder:
            saved = self.save(Path(folder) / "model")
            files = {path.name: path.read_bytes() for path in saved.iterdir()}
        return {"params": self.params, "files": files}

    def __setstate__(self, state: Mapping[str, Any]) -> None:
        type(self).__init__(self)
        self.params = dict(state["params"])
        if state["files"] is None:
            return
        folder = Path(self._own_folder()) / "model"
        folder.mkdir()
        for name, content in state["files"].items():
            (folder / name).write_bytes(content)
        self.stand(folder)

    def _own_folder(self) -> str:
        """A folder that goes with this object."""
        folder = tempfile.mkdtemp(prefix="congru-")
        weakref.finalize(self, shutil.rmtree, folder, ignore_errors=True)
        return folder


def _checked(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Settings by their field names."""
    for name in settings:
        if name not in _NAMES:
            guess = closest(name, sorted(_NAMES))
            fix = f"did you mean {guess}?" if guess else "see Forecaster().get_params()"
            raise SettingsError(f"{name} is {settings[name]!r}, expected a known setting: {fix}")
    return {_NAMES[name]: value for name, value in settings.items()}


def _non_default(params: Mapping[str, Any]) -> dict[str, Any]:
    """What differs from the defaults."""
    fields = Settings.model_fields
    return {
        name: value
        for name, value in params.items()
        if value != fields[name].get_default(call_default_factory=True)
    }


def _with_target(data: Any, y: Iterable[Any], target: str) -> Any:
    """The table with the values to forecast as a column."""
    nw = require("narwhals", "forecast")
    if hasattr(data, "assign"):
        return data.assign(**{target: list(y)})
    frame = nw.from_native(data, eager_only=True)
    column = nw.new_series(target, list(y), backend=frame.implementation)
    return frame.with_columns(column).to_native()
