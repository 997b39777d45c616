"""Where each setting's value comes from: defaults < the run being continued < YAML file < flags or keywords.

``config.yaml`` of a run folder is written here, one line per setting, ``key: value  # origin``; ``--config`` takes it as it
is.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar, get_args

import yaml
from pydantic import ValidationError

from congru.data.plain_yaml import parse_yaml
from congru.errors import SettingsError
from congru.runtime.reading import read_file
from congru.train.folder import CONFIG, is_bare
from congru.train.settings import BUDGETS, TrainSettings, closest, describe_validation_error, keys_of

Settings = TypeVar("Settings", bound=TrainSettings)

# Belong to one call, not to the run: never taken over when a run is continued.
_OF_THE_CALL = ("out", "resume", "config", "dry_run", "quiet", "json_lines")
# May differ when a run is continued; everything else would make it another run.
_MOST_BYTES = 4 << 20  # of a file of settings
_MAY_CHANGE = {*_OF_THE_CALL, *BUDGETS, "threads", "devices", "workers", "patience", "save_seconds", "track"}


def resolve(
    model: type[Settings], settings: Mapping[str, object] | TrainSettings, *, source: str = "keyword"
) -> tuple[Settings, dict[str, str]]:
    """Merge all layers and check them.

    Args:
        model: the task's settings class.
        settings: what the caller wrote: keywords by name, or settings of which only the fields set count.
        source: origin recorded for ``settings``: ``"keyword"`` or ``"flag"``.

    Returns:
        The settings, and for each field its origin: ``default``, ``run``, the file's path, or ``source``.

    Raises:
        SettingsError: unknown key, wrong type, out of range, a file that cannot be read, or a change that would make
            the continued run another one.

    >>> settings, origin = resolve(TrainSettings, {"minutes": 5, "seed": 3})
    >>> settings.budget, origin["seed"], origin["clip"]
    (('minutes', 5.0), 'keyword', 'default')
    """
    top = _explicit(settings)
    layers = [(source, _known(model, top, ""))]
    if layers[0][1].get("config") is not None:
        path = Path(str(layers[0][1]["config"]))
        layers.insert(0, (str(path), _known(model, _read_yaml(path), f"{path}: ")))
    merged, origin = _merge(model, layers)
    resolved = _check(model, merged, origin)
    if resolved.resume:
        resolved, origin = _continue(model, resolved, layers)
    return resolved, origin


def _explicit(settings: Mapping[str, object] | TrainSettings) -> dict[str, object]:
    if isinstance(settings, TrainSettings):
        return {name: getattr(settings, name) for name in settings.model_fields_set}
    return {key: value for key, value in settings.items() if not (key in BUDGETS and value is None)}


def _known(model: type[TrainSettings], layer: Mapping[str, object], prefix: str) -> dict[str, object]:
    """The layer by field name, or the closest name for a key that is no setting."""
    keys = keys_of(model)
    for key, value in layer.items():
        if key not in keys:
            guess = closest(str(key), sorted(keys))
            fix = f"did you mean {guess}?" if guess else "see --help for all of them"
            raise SettingsError(f"{prefix}{key} is {value!r}, expected a known setting: {fix}")
    return {keys[key]: value for key, value in layer.items()}


def _read_yaml(path: Path) -> dict[str, object]:
    try:
        loaded = parse_yaml(read_file(path, _MOST_BYTES).decode("utf-8"))
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise SettingsError(
            f"config is '{path}' ({reason}), expected a readable YAML file: check the path"
        ) from None
    except ValueError as error:
        raise SettingsError(
            f"{path}: not YAML ({error}), expected lines of 'setting: value': correct the file"
        ) from None
    if loaded is None:
        return {}
    if not isinstance(loaded, dict):
        raise SettingsError(
            f"{path}: holds a {type(loaded).__name__}, expected lines of 'setting: value': correct the file"
        )
    return {str(key): value for key, value in loaded.items() if not (key in BUDGETS and value is None)}


def _merge(
    model: type[TrainSettings], layers: list[tuple[str, dict[str, object]]]
) -> tuple[dict[str, object], dict[str, str]]:
    merged: dict[str, object] = {}
    origin = dict.fromkeys(model.model_fields, "default")
    for source, layer in layers:
        if any(kind in layer for kind in BUDGETS):  # a budget replaces another kind of budget from below
            for kind in BUDGETS:
                merged.pop(kind, None)
                origin[kind] = "default"
        merged.update(layer)
        origin.update(dict.fromkeys(layer, source))
    if not any(kind in merged for kind in BUDGETS):
        kind, amount = model.default_budget
        merged[kind] = amount
    return merged, origin


def _check(model: type[Settings], merged: Mapping[str, object], origin: Mapping[str, str]) -> Settings:
    try:
        return model.model_validate(dict(merged))
    except ValidationError as error:
        location = error.errors()[0]["loc"]
        source = origin.get(keys_of(model).get(str(location[0]), ""), "") if location else ""
        prefix = "" if source in ("", "default", "keyword", "flag", "run") else f"{source}: "
        raise SettingsError(prefix + describe_validation_error(error)) from None


def _continue(
    model: type[Settings], settings: Settings, layers: list[tuple[str, dict[str, object]]]
) -> tuple[Settings, dict[str, str]]:
    """The settings of the run in ``out``, with what the caller may change."""
    if settings.out is None:
        raise SettingsError(
            "resume is given without out, expected the run folder to continue: add --out FOLDER"
        )
    path = settings.out / CONFIG
    if not os.path.lexists(path):
        if not (os.path.isdir(settings.out) and is_bare(settings.out)):
            raise SettingsError(
                f"out is '{settings.out}', expected a run folder with {CONFIG}: leave out --resume"
            )
        merged, origin = _merge(model, layers)  # a start that was killed before it wrote its settings
        return _check(model, merged, origin), origin
    stored = _known(model, _read_yaml(path), f"{path}: ")
    before = _check(model, stored, dict.fromkeys(stored, str(path)))
    free = _MAY_CHANGE | paths_of(model)  # a file may lie elsewhere now: its content is compared
    changed = {key: getattr(settings, key) for _, layer in layers for key in layer if key not in free}
    for key, value in changed.items():
        if value != getattr(before, key):
            raise SettingsError(
                f"{key} is {value!r}, expected {getattr(before, key)!r} as in the run in {settings.out}: "
                "leave it out, or start another run with another --out"
            )
    kept = {key: value for key, value in stored.items() if key not in _OF_THE_CALL}
    merged, origin = _merge(model, [("run", kept), *layers])
    origin.update({key: was for key, was in _stored_origins(path).items() if origin.get(key) == "run"})
    return _check(model, merged, origin), origin


def paths_of(model: type[TrainSettings]) -> set[str]:
    """The settings that name files or folders."""
    return {name for name, field in model.model_fields.items() if _names_path(field.annotation)}


def _names_path(annotation: Any) -> bool:
    return annotation is Path or any(map(_names_path, get_args(annotation)))


def to_yaml(settings: TrainSettings, origin: Mapping[str, str]) -> str:
    """``key: value  # origin`` for every setting, in the order of the class.

    >>> print(to_yaml(TrainSettings(seed=7), {"seed": "flag"}).splitlines()[16])
    seed: 7  # flag
    """
    lines = []
    for key, value in settings.model_dump(mode="json").items():
        text = yaml.safe_dump(value, default_flow_style=True, width=10**6, allow_unicode=True)
        lines.append(f"{key}: {text.removesuffix('...' + chr(10)).strip()}  # {origin.get(key, 'default')}")
    return "\n".join(lines) + "\n"


def _stored_origins(path: Path) -> dict[str, str]:
    origins = {}
    for line in path.read_text(encoding="utf-8").splitlines():
        key, _, rest = line.partition(": ")
        if "  # " in rest:
            origins[key] = rest.rpartition("  # ")[2]
    return origins


def shown(settings: TrainSettings, origin: Mapping[str, str]) -> list[tuple[str, Any, str]]:
    """(setting, value, origin) rows for the screen: what was chosen first, then the defaults."""
    values = settings.model_dump(mode="json")
    rows = [(key, value, origin.get(key, "default")) for key, value in values.items()]
    return sorted(rows, key=lambda row: row[2] == "default")
