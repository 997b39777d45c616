"""The settings of `congru train forecast`: what the table's columns mean, what is forecast, and how.

Fields are flat; the classes only group them for reading. This module loads no torch.
"""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, field_validator

from congru.data.columns import Columns
from congru.train.settings import BudgetKind, FolderSettings, ModelSettings
from congru.train.sizing import Size

# Settings that say where one run is written and shown, and not how it trains.
_OF_ONE_RUN = {*FolderSettings.model_fields, "threads", "device", "devices", "workers", "search"}

# What a budget in minutes takes, see congru/train/sizing.py; the first is the default and wants its default budget.
SIZES = (
    Size({"hidden_size": 64, "batch_size": 64}, updates=1500),
    Size({"hidden_size": 64, "batch_size": 32}, updates=1500),
    Size({"hidden_size": 32, "batch_size": 32}, updates=1500),
)

Metric = Literal["mase", "mae", "mse", "smape"]


class TableSettings(ModelSettings):
    """How the long table is read and split."""

    freq: Annotated[
        str | None,
        Field(description="Step of the time column (15min, 1h, 1d, B, Mon-Sat, 1w, 1mo); default: found."),
    ] = None
    date_format: Annotated[
        str, Field(description="Pattern of the times, such as '%d/%m/%Y %H:%M'; default: year first, found.")
    ] = ""
    season: Annotated[
        int | None,
        Field(ge=1, le=1_000_000, description="Steps in a season; default: from the step or the data."),
    ] = None
    bad_rows: Annotated[
        Literal["error", "skip"], Field(description="What to do with a row that cannot be used.")
    ] = "error"
    id_column: Annotated[
        str, Field(description="Column with the names of the series, or several: store,item.")
    ] = "unique_id"
    time_column: Annotated[
        str, Field(description="Column with the times, or those of date and time of day: Date,Time.")
    ] = "ds"
    target_column: Annotated[str, Field(description="Column with the values to forecast.")] = "y"
    missing: Annotated[
        tuple[str, ...],
        Field(description="Values that say that there is none, besides empty ones and NaN: -200."),
    ] = ()
    val_size: Annotated[
        int | None, Field(ge=0, description="Steps at the end of each series for validation; default: 10 %.")
    ] = None
    test_size: Annotated[int, Field(ge=0, description="Steps after those that training never sees.")] = 0


class RoleSettings(TableSettings):
    """What the further columns are for; one without a role is named and not used."""

    known: Annotated[
        tuple[str, ...],
        Field(description="Columns known for the steps ahead too, such as a price list: a,b."),
    ] = ()
    past: Annotated[tuple[str, ...], Field(description="Columns known up to now only: a,b.")] = ()
    static: Annotated[
        tuple[str, ...], Field(description="Columns that are the same at every step of a series: a,b.")
    ] = ()
    ignore: Annotated[tuple[str, ...], Field(description="Columns to pass over in silence: a,b.")] = ()
    holidays: Annotated[
        tuple[str, ...],
        Field(description="Countries whose public holidays are known ahead: DE, US, DE-BY."),
    ] = ()

    @field_validator("known", "past", "static", "ignore", "holidays", mode="before")
    @classmethod
    def _names(cls, names: object) -> object:
        """Names given one by one or with commas between."""
        listed = [names] if isinstance(names, str) else names
        if not isinstance(listed, (list, tuple)):
            return names
        return tuple(
            part for name in listed for part in (name.split(",") if isinstance(name, str) else [name])
        )

    @field_validator("missing", mode="before")
    @classmethod
    def _values(cls, values: object) -> object:
        """Values as names are given, numbers among them."""
        listed = values if isinstance(values, (list, tuple)) else [values]
        return cls._names([str(value) if isinstance(value, (int, float)) else value for value in listed])

    @property
    def columns(self) -> Columns:
        """The columns by name and role.

        >>> Settings(known=["price,sale"], target_column="sold").columns.known
        ('price', 'sale')
        """
        roles = (self.known, self.past, self.static, self.ignore, self.holidays, self.missing)
        return Columns(self.id_column, self.time_column, self.target_column, *roles)


class WindowSettings(RoleSettings):
    """What the network reads, and what it answers."""

    horizon: Annotated[int, Field(ge=1, description="Steps to forecast.")] = 24
    levels: Annotated[
        list[int],
        Field(description="Prediction intervals in per cent, such as 80 and 95.", default_factory=list),
    ]
    input_size: Annotated[
        int | None,
        Field(ge=1, description="Steps read before a forecast; default: by rule, shown before training."),
    ] = None
    segment: Annotated[
        int | None,
        Field(
            ge=1, description="Past steps per step of the network; 1 streams; default: 1, long inputs more."
        ),
    ] = None
    lags: Annotated[
        list[int] | None,
        Field(description="What the forecast starts from: 1 the last value, 24 that of 24 steps before."),
    ] = None
    minimum: Annotated[
        float | Literal["auto", "none"],
        Field(alias="min", description="No forecast lies below it; auto: 0 where no value is negative."),
    ] = "auto"
    intervals: Annotated[
        Literal["adaptive", "static"],
        Field(description="Whether intervals keep learning from new values or stay as validation left them."),
    ] = "adaptive"
    linear: Annotated[
        bool,
        Field(description="Mix simple forecasts and lines into the forecast, as far as validation says."),
    ] = True
    calendar: Annotated[
        bool, Field(description="Read the place in the day, the week and the year, where known.")
    ] = True

    @field_validator("levels")
    @classmethod
    def _levels(cls, levels: list[int]) -> list[int]:
        for level in levels:
            if not 0 < level < 100:
                raise ValueError(
                    f"levels holds {level}, expected 1 to 99 (per cent): give for example 80 and 95"
                )
        return sorted(set(levels))

    @field_validator("lags")
    @classmethod
    def _lags(cls, lags: list[int] | None) -> list[int] | None:
        for lag in lags or []:
            if lag < 1:
                raise ValueError(f"lags holds {lag}, expected at least 1: 1 is the last value")
        if lags == []:
            raise ValueError("lags is empty, expected at least one: 1 is the last value")
        return None if lags is None else sorted(set(lags))


class Settings(WindowSettings, title="settings of forecast"):
    """Everything `congru train forecast` takes.

    >>> Settings(horizon=7, levels=[95, 80]).levels
    [80, 95]
    """

    default_budget: ClassVar[tuple[BudgetKind, float]] = ("steps", 1500)

    dropout: Annotated[float, Field(ge=0, lt=1, description="Share of units dropped in training.")] = 0.2
    noise: Annotated[
        float | None,
        Field(
            ge=0, description="Noise added to the inputs in training, in deviations; default: by data size."
        ),
    ] = None
    seeds: Annotated[
        int,
        Field(
            ge=1,
            description="Networks trained side by side from different first weights; the forecast is their mean.",
        ),
    ] = 1
    loss: Annotated[
        Literal["mase", "mae", "mse", "owa"],
        Field(
            description="Errors in season steps, in deviations, these squared, or half relative to the level."
        ),
    ] = "mase"
    metric: Annotated[Metric, Field(description="What chooses the best model on the validation part.")] = (
        "mase"
    )
    stride: Annotated[
        int | None,
        Field(ge=1, description="Steps between training windows; default: at most 16384 an epoch."),
    ] = None
    learning_rate: Annotated[float, Field(gt=0, description="Highest learning rate of AdamW.")] = 1e-3
    batch_size: Annotated[int, Field(ge=1, description="Windows per optimizer step, over all devices.")] = 64
    weight_decay: Annotated[float, Field(ge=0, description="Weight decay of the matrices.")] = 0.1

    search: Annotated[
        float | None,
        Field(gt=0, description="Search the settings for so many minutes first, on the validation part."),
    ] = None

    def default_space(self) -> dict[str, Any]:
        """What a sweep or `--search` tries: rate, width, dropout, decay, and look-backs in horizons beside the rule's.

        >>> Settings(horizon=7).default_space()["input_size"]
        [None, 14, 35, 70]
        """
        usual = super().default_space()
        usual.pop("num_layers")
        own = [] if self.input_size is None else [self.input_size]
        lengths = [*own, None, *(times * self.horizon for times in (2, 5, 10))]
        return {**usual, "input_size": list(dict.fromkeys(lengths))}

    def repeated(self) -> dict[str, object]:
        """What differs from the defaults and says how to train, as plain values: the same again on other rows.

        >>> Settings(horizon=7, out="x", quiet=True).repeated()
        {'horizon': 7}
        """
        return self.model_dump(mode="json", exclude=_OF_ONE_RUN, exclude_defaults=True)
