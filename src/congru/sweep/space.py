"""Which settings a sweep may change, and between which values: ``space.yaml``.

    learning_rate: {low: 0.0003, high: 0.01, log: true}
    hidden_size: {low: 32, high: 256, step: 32}
    cell: [gru, lstm]

Every value is tried against the task's settings class before anything is trained.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import yaml
from pydantic import ValidationError

from congru.data.plain_yaml import parse_yaml
from congru.errors import SettingsError
from congru.runtime.reading import read_file
from congru.train.settings import (
    BUDGETS,
    FolderSettings,
    MachineSettings,
    ModelSettings,
    closest,
    describe_validation_error,
    keys_of,
)

if TYPE_CHECKING:
    from optuna import Trial

_MOST_BYTES = 1 << 20
# Say where, how long and with which random numbers a trial runs: equal for all of them.
FIXED = {*FolderSettings.model_fields, *MachineSettings.model_fields, *BUDGETS, "evaluations", "eval_every"}
Scalar = str | int | float | bool | None


@dataclass(frozen=True)
class Dimension:
    """The values of one setting: choices, or numbers from ``low`` to ``high``."""

    name: str
    choices: tuple[Any, ...] = ()
    low: float = 0.0
    high: float = 0.0
    whole: bool = False
    log: bool = False
    step: float | None = None

    def suggest(self, trial: Trial) -> Any:
        """The value that Optuna draws for a trial."""
        if self.choices:
            return self.choices[self.labels.index(trial.suggest_categorical(self.name, self.labels))]
        if self.whole:
            step = int(self.step or 1)
            return trial.suggest_int(self.name, int(self.low), int(self.high), step=step, log=self.log)
        return trial.suggest_float(self.name, self.low, self.high, step=self.step, log=self.log)

    @property
    def labels(self) -> list[Scalar]:
        """The choices as Optuna stores them: a list of channels as its JSON text."""
        return [value if isinstance(value, Scalar) else json.dumps(value) for value in self.choices]

    def label(self, value: Any) -> Scalar | None:
        """A value as Optuna stores it; raises ValueError where it lies outside."""
        if self.choices:
            return self.labels[list(self.choices).index(value)]
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise ValueError(value)
        on_step = self.step is None or abs((value - self.low) / self.step % 1) < 1e-9
        if not (self.low <= value <= self.high and on_step):
            raise ValueError(value)
        return value

    def value(self, label: Any) -> Any:
        """A stored value as the setting takes it."""
        return self.choices[self.labels.index(label)] if self.choices else label


Space = tuple[Dimension, ...]


def read_space(path: Path) -> dict[str, Any]:
    """The mapping in a YAML file; :func:`make_space` checks it. Raises SettingsError."""
    try:
        raw = parse_yaml(read_file(path, _MOST_BYTES).decode("utf-8"))
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise SettingsError(
            f"space is '{path}' ({reason}), expected a readable YAML file: check the path, or leave it out"
        ) from None
    except ValueError as error:
        raise SettingsError(
            f"{path}: not YAML ({error}), expected lines such as 'hidden_size: [32, 64]': correct the file"
        ) from None
    if not isinstance(raw, dict) or not raw:
        raise SettingsError(
            f"{path}: holds no settings, expected lines such as 'hidden_size: [32, 64]': add one"
        )
    return {str(key): value for key, value in raw.items()}


def make_space(settings: ModelSettings, raw: Mapping[str, Any], source: str = "space") -> Space:
    """The dimensions of a mapping as in a space file, each value checked against the settings' class.

    Args:
        settings: what all trials share.
        raw: setting -> list of choices, or a mapping with low, high and maybe log or step.
        source: what the errors begin with.

    Raises:
        SettingsError: an unknown setting, one that all trials share, a value out of range.

    >>> make_space(ModelSettings(), {"hidden_size": [32, 64]})[0].choices
    (32, 64)
    >>> make_space(ModelSettings(), {"hiden_size": [32, 64]})
    Traceback (most recent call last):
    congru.errors.SettingsError: space: hiden_size is [32, 64], expected a known setting: did you mean hidden_size?
    """
    keys = keys_of(type(settings))
    dimensions = []
    for key, entry in raw.items():
        name = keys.get(key.replace("-", "_"))
        if name is None:
            guess = closest(key, sorted(keys))
            fix = f"did you mean {guess}?" if guess else "see congru train TASK --help for all of them"
            raise SettingsError(f"{source}: {key} is {entry!r}, expected a known setting: {fix}")
        if name in FIXED:
            raise SettingsError(
                f"{source}: {key} is {entry!r}, expected a setting that may differ between trials: "
                f"leave it out of the space and give it as a flag"
            )
        dimensions.append(_dimension(settings, name, entry, f"{source}: {key}"))
    return tuple(dimensions)


def _dimension(settings: ModelSettings, name: str, entry: Any, where: str) -> Dimension:
    if isinstance(entry, list) and entry:
        for value in entry:
            check_value(settings, name, value, where)
        if len({json.dumps(value) for value in entry}) < len(entry):
            raise SettingsError(f"{where} is {entry!r}, expected different choices: leave one out")
        return Dimension(name, choices=tuple(entry))
    numeric = _numbers_of(type(settings), name)
    if not (isinstance(entry, dict) and {"low", "high"} <= entry.keys() <= {"low", "high", "log", "step"}):
        ranges = ", or a mapping with low and high (and log or step)" if numeric else ""
        raise SettingsError(f"{where} is {entry!r}, expected a list of choices{ranges}: write [A, B, C]")
    if not numeric:
        raise SettingsError(f"{where} is {entry!r}, expected a list, it is no number: write [A, B, C]")
    whole = float not in numeric
    bounds = {key: _number(entry[key], whole, f"{where}.{key}") for key in entry.keys() - {"log"}}
    low, high, step, log = bounds["low"], bounds["high"], bounds.get("step"), entry.get("log", False)
    for value in (low, high):
        check_value(settings, name, value, where)
    if low >= high:
        raise SettingsError(f"{where}.low is {low:g}, expected less than high, {high:g}: change one of them")
    if not isinstance(log, bool) or (log and (low <= 0 or step is not None)):
        fix = "give low more than 0 and no step, or leave out log"
        raise SettingsError(f"{where}.log is {log!r}, expected true or false, where low is {low:g}: {fix}")
    if step is not None and not 0 < step <= high - low:
        raise SettingsError(
            f"{where}.step is {step:g}, expected more than 0 and at most {high - low:g}: change it"
        )
    return Dimension(name, low=low, high=high, whole=whole, log=log, step=step)


def check_value(settings: ModelSettings, name: str, value: Any, where: str) -> None:
    """Refuse a value that the settings' class refuses, with its own words."""
    try:
        type(settings).model_validate({**settings.model_dump(exclude_unset=True), name: value})
    except ValidationError as error:
        raise SettingsError(f"{where.partition(': ')[0]}: {describe_validation_error(error)}") from None


def _numbers_of(model: type[ModelSettings], name: str) -> set[type]:
    """int and float, as far as a setting may be one."""
    annotation = model.model_fields[name].annotation
    return {kind for kind in (annotation, *get_args(annotation)) if kind in (int, float)}


def _number(value: Any, whole: bool, where: str) -> float:
    if isinstance(value, str):  # YAML reads 1e-3 as text
        with contextlib.suppress(ValueError):
            value = float(value)
    if isinstance(value, bool) or not isinstance(value, (int, float)) or (whole and value != int(value)):
        kind = "a whole number" if whole else "a number"
        raise SettingsError(f"{where} is {value!r}, expected {kind}: change it")
    return int(value) if whole else float(value)


def to_yaml(raw: Mapping[str, Any]) -> str:
    """A space as the text of its file.

    >>> print(to_yaml({"dropout": {"low": 0.0, "high": 0.5}, "cell": ["gru", "lstm"]}), end="")
    dropout: {low: 0.0, high: 0.5}
    cell: [gru, lstm]
    """
    lines = []
    for name, entry in raw.items():
        text = yaml.safe_dump(entry, default_flow_style=True, width=10**6, sort_keys=False)
        lines.append(f"{name}: {text.removesuffix('...' + chr(10)).strip()}\n")
    return "".join(lines)
