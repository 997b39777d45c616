"""The settings of every training command: one class gives flags, Python keywords, YAML keys and their checks.

A task subclasses :class:`TrainSettings` and adds its own fields. The groups below are only for reading: all
fields are flat, so ``--learning-rate``, ``train(..., learning_rate=...)`` and ``learning_rate:`` in a file
are the same thing. This module loads no torch.
"""

from __future__ import annotations

import difflib
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, cast

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from typing_extensions import Self

BudgetKind = Literal["epochs", "minutes", "steps"]
BUDGETS: tuple[BudgetKind, ...] = ("epochs", "minutes", "steps")

Seeds = Annotated[
    int,
    Field(
        ge=1,
        description="Networks trained side by side from different first weights; the model is the mean of their logits.",
    ),
]
"""The setting `seeds` of a task whose members become one network, see `congru.tasks.joining`."""


class _Group(BaseModel):
    model_config = ConfigDict(
        extra="forbid", populate_by_name=True, allow_inf_nan=False, protected_namespaces=(), frozen=True
    )


class BudgetSettings(_Group):
    """How long to train, and when to look at the validation data."""

    # What is used when none of epochs, minutes and steps is given; a task may set its own.
    default_budget: ClassVar[tuple[BudgetKind, float]] = ("epochs", 10)

    epochs: Annotated[int | None, Field(ge=1, description="Stop after this many passes over the data.")] = (
        None
    )
    minutes: Annotated[float | None, Field(gt=0, description="Stop after this many minutes of training.")] = (
        None
    )
    steps: Annotated[int | None, Field(ge=1, description="Stop after this many optimizer steps.")] = None
    patience: Annotated[
        int | None, Field(ge=1, description="Stop early after this many evaluations without a better one.")
    ] = None
    evaluations: Annotated[int, Field(ge=1, description="Evaluations, spread evenly over the budget.")] = 20
    eval_every: Annotated[
        int | None, Field(ge=1, description="Evaluate every so many steps instead of spreading evenly.")
    ] = None

    @model_validator(mode="after")
    def _one_budget(self) -> Self:
        budgets = [kind for kind in BUDGETS if getattr(self, kind) is not None]
        if len(budgets) > 1:
            values = " and ".join(f"{kind} is {getattr(self, kind)}" for kind in budgets)
            raise ValueError(
                f"{values}, expected one budget: give only one of --epochs, --minutes and --steps"
            )
        return self

    @property
    def budget(self) -> tuple[BudgetKind, float]:
        """The budget in force: its kind and amount.

        >>> TrainSettings(minutes=5).budget
        ('minutes', 5.0)
        >>> TrainSettings().budget
        ('epochs', 10)
        """
        for kind in BUDGETS:
            amount = getattr(self, kind)
            if amount is not None:
                return kind, amount
        return self.default_budget


class OptimizerSettings(_Group):
    """How the weights move."""

    learning_rate: Annotated[float, Field(gt=0, description="Highest learning rate of AdamW.")] = 2e-3
    batch_size: Annotated[int, Field(ge=1, description="Rows per optimizer step, over all devices.")] = 32
    clip: Annotated[float | None, Field(gt=0, description="Largest global norm of the gradient.")] = 1.0
    weight_decay: Annotated[float, Field(ge=0, description="Weight decay of the matrices.")] = 0.01
    warmup: Annotated[
        float, Field(ge=0, lt=1, description="Share of the budget during which the learning rate rises.")
    ] = 0.02


class WeightSettings(_Group):
    """Where the weights start, which of them move, and which average of them is evaluated and saved."""

    orthogonal: Annotated[bool, Field(description="Start recurrent weights as orthogonal matrices.")] = False
    chrono: Annotated[
        int | None, Field(ge=3, description="Start the gates for memories of up to this many steps.")
    ] = None
    freeze: Annotated[
        tuple[str, ...], Field(description="Parameters that do not move, by name; * stands for anything.")
    ] = ()
    ema: Annotated[
        float | None,
        Field(
            gt=0, lt=1, description="Use the moving average of the weights with this decay, such as 0.999."
        ),
    ] = None
    average: Annotated[
        int, Field(ge=1, description="Use the mean of the weights at this many last evaluations.")
    ] = 1

    @model_validator(mode="after")
    def _one_average(self) -> Self:
        if self.ema is not None and self.average > 1:
            raise ValueError(
                f"ema is {self.ema} and average is {self.average}, expected one average: give only one of them"
            )
        return self


class MachineSettings(_Group):
    """Where it runs, and from which random numbers."""

    seed: Annotated[int, Field(ge=0, lt=2**32, description="Seed of every random number.")] = 0
    precision: Annotated[
        Literal["auto", "float32", "bfloat16"],
        Field(
            description="Of matrix products in training; auto: bfloat16 on a CPU with AMX or AVX-512 BF16, else float32."
        ),
    ] = "float32"
    workers: Annotated[
        int, Field(ge=0, description="Processes that make batches ahead of time; the numbers stay the same.")
    ] = 0
    threads: Annotated[int | None, Field(ge=1, description="CPU threads per process.")] = None
    device: Annotated[
        Literal["auto", "cpu", "cuda", "mps"],
        Field(description="Kind of device; auto: cuda if there, else cpu."),
    ] = "auto"
    devices: Annotated[int, Field(ge=1, description="Number of devices (on a CPU: processes).")] = 1
    sync_every: Annotated[
        int,
        Field(ge=1, description="Several processes: average weights every so many steps, for slow networks."),
    ] = 1


class FolderSettings(_Group):
    """What is written, printed and continued."""

    out: Annotated[Path | None, Field(description="Run folder; default runs/TASK-NUMBER.")] = None
    resume: Annotated[bool, Field(description="Continue the run in --out.")] = False
    config: Annotated[Path | None, Field(description="YAML file of settings; flags win over it.")] = None
    dry_run: Annotated[bool, Field(description="Show settings, data and estimates, then stop.")] = False
    quiet: Annotated[bool, Field(description="Print nothing but errors.")] = False
    json_lines: Annotated[bool, Field(alias="json", description="Print one JSON object per event.")] = False
    monitor: Annotated[
        bool, Field(description="Write gate statistics at each evaluation, draw how timescales grew.")
    ] = False
    save_seconds: Annotated[float, Field(gt=0, description="Longest time between checkpoints.")] = 60.0
    track: Annotated[
        tuple[Literal["tensorboard", "mlflow"], ...],
        Field(description="Follow the run in TensorBoard (OUT/tensorboard) or MLflow too."),
    ] = ()


class TrainSettings(FolderSettings, MachineSettings, WeightSettings, OptimizerSettings, BudgetSettings):
    """What every training takes, whatever its network.

    >>> TrainSettings(minutes=5, out="romeo", json=True).json_lines
    True
    """

    @model_validator(mode="after")
    def _one_weight_average(self) -> Self:
        if self.ema is not None and self.sync_every > 1:
            raise ValueError(
                f"ema is {self.ema} and sync_every is {self.sync_every}, expected one kind of average: leave out --ema"
            )
        return self


class ModelSettings(TrainSettings):
    """Everything :func:`congru.train.loop.fit` reads; tasks subclass it."""

    cell: Annotated[Literal["gru", "lstm", "rnn", "mingru"], Field(description="The recurrent cell.")] = "gru"
    hidden_size: Annotated[int, Field(ge=1, description="Units per layer.")] = 64
    num_layers: Annotated[int, Field(ge=1, description="Recurrent layers, one on top of the other.")] = 1
    dropout: Annotated[float, Field(ge=0, lt=1, description="Share of units dropped in training.")] = 0.0

    def default_space(self) -> dict[str, Any]:
        """What a sweep without a space file searches, as such a file would say it (`congru.sweep.space`).

        >>> ModelSettings(learning_rate=0.002).default_space()["learning_rate"]
        {'low': 0.0005, 'high': 0.008, 'log': True}
        """
        widths = {"low": max(1, self.hidden_size // 4), "high": self.hidden_size * 2, "log": True}
        return {
            "learning_rate": {
                "low": float(f"{self.learning_rate / 4:.3g}"),
                "high": float(f"{self.learning_rate * 4:.3g}"),
                "log": True,
            },
            "hidden_size": widths,
            "num_layers": [1, 2],
            "dropout": {"low": 0.0, "high": 0.5},
            "weight_decay": {"low": 0.001, "high": 0.3, "log": True},
        }


def keys_of(model: type[BaseModel]) -> dict[str, str]:
    """Every name a setting may be given by -> its field name (``json`` -> ``json_lines``)."""
    keys = {name: name for name in model.model_fields}
    keys.update({field.alias: name for name, field in model.model_fields.items() if field.alias})
    return keys


def closest(word: str, known: list[str]) -> str | None:
    """The known word most like ``word``, or None.

    >>> closest("lerning-rate", ["learning_rate", "steps"])
    'learning_rate'
    """
    return next(iter(difflib.get_close_matches(word.replace("-", "_"), known, n=1)), None)


def describe_validation_error(error: ValidationError) -> str:
    """The first fault of a pydantic error as one line: setting, value, expectation, fix."""
    fault = cast("dict[str, Any]", error.errors(include_url=False)[0])
    context = fault.get("ctx", {})
    if fault["type"] == "value_error":  # raised by our own validators, already a full line
        return str(context["error"])
    model = _settings_class(error.title)
    name = ".".join(str(part) for part in fault["loc"]) or error.title
    value = fault["input"]
    if fault["type"] == "extra_forbidden":
        guess = closest(name, sorted(keys_of(model)) if model else [])
        return f"{name} is {value!r}, expected a known setting: " + (
            f"did you mean {guess}?" if guess else "see --help for all of them"
        )
    return f"{name} is {value!r}, expected {_expectation(fault, context)}: {_fix(name, value, fault, model)}"


_KINDS = {
    "int": "a whole number",
    "float": "a number",
    "bool": "true or false",
    "string": "text",
    "path": "a path",
    "list": "a list",
    "tuple": "a list",
    "dict": "a mapping",
    "finite": "a finite number",
}
_BOUNDS = {
    "greater_than": ("more than", "gt"),
    "greater_than_equal": ("at least", "ge"),
    "less_than": ("less than", "lt"),
    "less_than_equal": ("at most", "le"),
}


def _expectation(fault: dict[str, Any], context: dict[str, Any]) -> str:
    kind = fault["type"]
    if kind in _BOUNDS:
        words, key = _BOUNDS[kind]
        return f"{words} {context[key]:g}"
    if kind == "literal_error":
        return str(context["expected"])
    if kind == "missing":
        return "a value"
    if kind.split("_")[0] in _KINDS:
        return _KINDS[kind.split("_")[0]]
    message = str(fault["msg"]).removeprefix("Input should be ")
    return message[:1].lower() + message[1:]


def _fix(name: str, value: object, fault: dict[str, Any], model: type[BaseModel] | None) -> str:
    if fault["type"] == "literal_error":
        allowed = [word.strip(" '\"") for word in fault["ctx"]["expected"].replace(" or ", ",").split(",")]
        guess = closest(str(value), allowed)
        if guess:
            return f"did you mean {guess}?"
    field = model.model_fields.get(keys_of(model).get(name, name)) if model else None
    if field is None or field.is_required():
        return f"give --{name.replace('_', '-')} such a value"
    if field.default is None:
        return "change it or leave it out"
    return f"change it or leave it out for {field.get_default(call_default_factory=True)!r}"


def _settings_class(title: str) -> type[BaseModel] | None:
    """The settings class of that name or title, found among the subclasses of :class:`TrainSettings`."""
    waiting: list[type[BaseModel]] = [TrainSettings]
    while waiting:
        model = waiting.pop()
        if title in (model.__name__, model.model_config.get("title")):
            return model
        waiting.extend(model.__subclasses__())
    return None
