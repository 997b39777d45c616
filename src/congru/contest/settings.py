"""The settings of `congru bench memory`: what is measured, at which budget. This module loads no torch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator
from typing_extensions import Self

from congru.errors import SettingsError
from congru.train.settings import describe_validation_error

DEFAULT_STEPS = 2000

CELLS = ("gru", "lstm", "rnn", "mingru")


class MemorySettings(BaseModel):
    """One problem at several lags, for several cells of equal parameters, at one budget per run.

    >>> MemorySettings(lags=(50,), cells=("gru",), steps=100).budget
    '100 steps of 32 sequences'
    """

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False, frozen=True)

    task: Annotated[Literal["adding", "copy"], Field(description="The problem.")] = "adding"
    lags: Annotated[tuple[int, ...], Field(min_length=1, description="Lags in steps.")] = (
        50,
        100,
        200,
        500,
        1000,
    )
    cells: Annotated[tuple[str, ...], Field(min_length=1, description="Cells to compare.")] = CELLS
    init: Annotated[
        Literal["default", "chrono"],
        Field(description="Start of the gates: torch's, or chrono for memories as long as the lag."),
    ] = "default"
    steps: Annotated[
        int | None, Field(ge=1, description="Optimizer steps of every run; default 2000 without --minutes.")
    ] = None
    minutes: Annotated[float | None, Field(gt=0, description="Minutes of every run, instead of steps.")] = (
        None
    )
    seeds: Annotated[tuple[int, ...], Field(min_length=1, description="One run per seed.")] = (0,)
    batch_size: Annotated[int, Field(ge=1, description="Sequences per step.")] = 32
    hidden_size: Annotated[
        int, Field(ge=1, description="Units of the GRU; the other cells get as many parameters.")
    ] = 64
    learning_rates: Annotated[
        tuple[float, ...],
        Field(
            min_length=1,
            description="Highest rates of Adam tried per cell, at the shortest lag, on validation sequences.",
        ),
    ] = (0.001, 0.003, 0.01)

    write_cost: Annotated[
        float, Field(ge=0, description="Cost of the sum of all |(1 - keep) * candidate|, added to the loss.")
    ] = 0.0

    @field_validator("cells", mode="before")
    @classmethod
    def _split(cls, cells: object) -> object:
        """Names given one by one, or joined by commas."""
        if isinstance(cells, str):
            cells = (cells,)
        if not isinstance(cells, (list, tuple)) or not all(isinstance(cell, str) for cell in cells):
            return cells
        return tuple(name for cell in cells for name in cell.split(",") if name)

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.steps is not None and self.minutes is not None:
            raise ValueError(
                f"steps is {self.steps} and minutes is {self.minutes}, expected one budget: give only one of them"
            )
        for cell in self.cells:
            if cell not in CELLS:
                raise ValueError(f"cells holds {cell!r}, expected {', '.join(CELLS)}: change --cells")
        for name, least in (("lags", 1), ("cells", None), ("seeds", 0), ("learning_rates", 1e-6)):
            values = list(getattr(self, name))
            if least is not None and min(values) < least:
                raise ValueError(
                    f"{name} holds {min(values)}, expected {least} or more: change --{name.replace('_', '-')}"
                )
            if len(set(values)) != len(values):
                raise ValueError(
                    f"{name} is {values}, expected different ones: change --{name.replace('_', '-')}"
                )
        if "rnn" in self.cells and (self.init == "chrono" or self.write_cost):
            what = "init 'chrono'" if self.init == "chrono" else "a write_cost"
            raise ValueError(f"cells holds 'rnn', expected gated cells for {what}: leave rnn out of --cells")
        if self.init == "chrono" and min(self.lags) < 3:
            raise ValueError(
                f"lags holds {min(self.lags)}, expected 3 or more for init 'chrono': raise --lags"
            )
        return self

    @property
    def budget(self) -> str:
        """The budget of one run in words."""
        amount = f"{self.minutes:g} minutes" if self.minutes else f"{self.steps or DEFAULT_STEPS} steps"
        return f"{amount} of {self.batch_size} sequences"


def checked(settings: MemorySettings | Mapping[str, object]) -> MemorySettings:
    """Settings as they are, or from keywords; SettingsError with the first fault as one line."""
    if isinstance(settings, MemorySettings):
        return settings
    try:
        return MemorySettings.model_validate(dict(settings))
    except ValidationError as error:
        raise SettingsError(describe_validation_error(error)) from None
