"""What a sweep searches, on which data, how often: ``DIR/sweep.json``, which every worker reads."""

from __future__ import annotations

import secrets
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from congru.errors import RunFolderError, SettingsError
from congru.runtime.plain_json import as_json, parse_json
from congru.runtime.reading import read_file
from congru.train.folder import write_bytes
from congru.train.settings import ModelSettings

PLAN = "sweep.json"
_MOST_BYTES = 4 << 20
_MAY_GROW = ("trials", "refit_seeds")


@dataclass(frozen=True)
class Plan:
    """A sweep. ``data`` is None where tables were given in Python, which other processes cannot read."""

    task: str
    data: list[str] | None
    settings: dict[str, Any]
    """What the trials share, as far as it was given."""
    space: dict[str, Any]
    trials: int | None
    """None where minutes end the search."""
    refit_seeds: int
    metric: str
    minimize: bool
    baselines: dict[str, float]
    seed: int
    storage: str | None = None
    name: str = ""
    """Of its studies: several sweeps may share a database."""

    def run_folder(self, slot: int) -> Path:
        """Where the run of a trial lies in the sweep's folder."""
        return Path("trials") / f"{slot:05d}"


def open_plan(folder: Path, plan: Plan) -> Plan:
    """Write a new plan into a folder, or take up the one that is there; it may get more trials and refits.

    Raises:
        SettingsError: the folder's sweep is another one.
        RunFolderError: the folder holds something else, or cannot be written.
    """
    path = folder / PLAN
    if not path.exists():
        if folder.exists() and any(folder.iterdir()):
            raise RunFolderError(
                f"out is '{folder}', which holds files but no sweep, expected a new folder: choose another --out"
            )
        fresh = Plan(**{**asdict(plan), "name": f"{plan.task}-{secrets.token_hex(4)}"})
        write_bytes(path, (as_json(asdict(fresh), indent=2) + "\n").encode())
        return read_plan(folder)
    before = read_plan(folder)
    for field in fields(Plan):
        was, now = getattr(before, field.name), getattr(plan, field.name)
        if field.name not in (*_MAY_GROW, "name") and was != now:
            name, was, now = _difference(field.name, was, now)
            raise SettingsError(
                f"{name} is {now!r}, expected {was!r} as in the sweep in {folder}: give the same, or another --out"
            )
    if (before.trials, before.refit_seeds) != (plan.trials, plan.refit_seeds):
        grown = Plan(**{**asdict(before), "trials": plan.trials, "refit_seeds": plan.refit_seeds})
        write_bytes(path, (as_json(asdict(grown), indent=2) + "\n").encode())
    return read_plan(folder)


def _difference(name: str, was: Any, now: Any) -> tuple[str, Any, Any]:
    """The first entry in which two values differ, for mappings."""
    if isinstance(was, dict) and isinstance(now, dict):
        key = next(key for key in {**was, **now} if was.get(key) != now.get(key))
        return f"{name}.{key}", was.get(key), now.get(key)
    return name, was, now


def read_plan(folder: Path) -> Plan:
    """The plan in a sweep's folder. Raises RunFolderError."""
    path = folder / PLAN
    try:
        return Plan(**parse_json(read_file(path, _MOST_BYTES)))
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise RunFolderError(
            f"'{path}' cannot be read ({reason}), expected the folder of a sweep: start one with congru sweep TASK DATA"
            " --out DIR"
        ) from None
    except (ValueError, TypeError) as error:
        raise RunFolderError(
            f"'{path}' holds no sweep ({error}), expected what congru sweep wrote: restore it, or choose another --out"
        ) from None


def shared_settings(settings: ModelSettings) -> dict[str, Any]:
    """What was given of the settings, as plain values, without what belongs to one run's folder."""
    left_out = {"out", "resume", "config", "dry_run", "quiet", "json_lines", "search"}
    return settings.model_dump(mode="json", include=settings.model_fields_set - left_out)
