"""What `congru.load` returns for a forecasting model: a model that also predicts."""

from __future__ import annotations

from functools import cached_property
from typing import Any

from congru.runtime.model import Model
from congru.tasks.forecast.forecaster import Forecaster


class ForecastModel(Model):
    """A loaded model whose task is to forecast."""

    @cached_property
    def forecaster(self) -> Forecaster:
        """The forecaster that it is: update, cross-validate, save."""
        return Forecaster.of(self)

    def predict(self, *args: Any, **options: Any) -> Any:
        """The next steps of every series as a table, see :meth:`congru.Forecaster.predict`."""
        return self.forecaster.predict(*args, **options)


def opened(model: Model) -> ForecastModel:
    """The loaded model as one that predicts."""
    return ForecastModel(model.folder, model.config, model.networks, model.weights, model.files)
