"""Forecasts of many series from tables: each series from its own last rows, so that any shard gives the same."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from congru.errors import SettingsError, require
from congru.tasks.forecast.forecaster import Forecaster

Table = Any  # pyarrow.Table


class Forecasts:
    """Rows of whole series -> for each the next steps with their intervals; series need not have been in training."""

    def __init__(self, forecaster: Forecaster) -> None:
        columns = forecaster.store.columns
        if columns.known:
            raise SettingsError(
                f"the model knows {', '.join(columns.known)} ahead, expected a model that needs no table of the future with "
                "--data: give --update and --future"
            )
        self._forecaster = forecaster
        self.key: str | None = None if forecaster.store.single else columns.unique_id

    def __call__(self, table: Table) -> Table:
        """The forecasts, series by series in the order of the rows."""
        pa = require("pyarrow", "forecast")
        forecaster = self._forecaster.standing_by_windows()
        rows = forecaster.read_rows(table)
        forecaster.take_table(rows)
        names, times, values = forecaster.forecasts_after(rows)
        numbers = dict(zip(forecaster.columns, values.reshape(-1, values.shape[-1]).T))
        columns = forecaster.as_columns(names, times, numbers)
        wanted = self.schema(table.schema)
        arrays = [pa.array(np.asarray(column)) for column in columns.values()]
        return pa.table(arrays, names=list(columns)).cast(wanted)

    def schema(self, schema: Any) -> Any:
        """Series and time as they came in, and a number for the forecast and for each end of an interval."""
        pa = require("pyarrow", "forecast")
        store = self._forecaster.store
        time = schema.field(store.columns.ds).type
        fields = [] if self.key is None else [pa.field(self.key, schema.field(self.key).type)]
        fields.append(pa.field(store.columns.ds, time))
        return pa.schema([*fields, *(pa.field(name, pa.float64()) for name in self._forecaster.columns)])


def answers_of(model: Path) -> Forecasts:
    """The forecasts of a model folder for batches. Raises SettingsError for a model that needs a table of the future."""
    return Forecasts(Forecaster.load(model))
