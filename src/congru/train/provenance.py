"""Where a run and its model come from: machine and versions, the files of the data, the line that continues it."""

from __future__ import annotations

import hashlib
import importlib.metadata
import os
import platform
import shlex
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch

from congru.errors import DataError
from congru.runtime.folder import find_model_folder
from congru.train.base import AnyLearner
from congru.train.resolve import paths_of
from congru.train.settings import ModelSettings
from congru.version import __version__

_PATHS = ("source", "target")  # of a description
_PACKAGES = ("numpy", "torch", "lightning-fabric", "safetensors", "pydantic")


def environment(device: torch.device, world_size: int) -> dict[str, Any]:
    """Versions, processor, threads, device; nothing about the user or where files lie."""
    return {
        "congru": __version__,
        "python": platform.python_version(),
        "packages": {name: importlib.metadata.version(name) for name in _PACKAGES},
        "system": platform.system(),
        "machine": platform.machine(),
        "processor": processor_name(),
        "cpus": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else device.type,
        "processes": world_size,
    }


def processor_name() -> str:
    """The processor's name where the system tells it, else its kind."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()


def model_record(learner: AnyLearner, settings: ModelSettings, num_parameters: int) -> dict[str, Any]:
    """What the model card says of the training, whatever it came to."""
    return {
        "task": learner.task,
        "metric": learner.metric,
        "baselines": dict(learner.baselines),
        "num_parameters": num_parameters,
        "settings": _settings_without_folders(settings),
        "data": without_folders(learner.describe()),
        "congru_version": __version__,
    }


def without_folders(described: dict[str, Any]) -> dict[str, Any]:
    """What a learner says of its data, files and folders by their names alone: a model is shown to others.

    >>> without_folders({"source": "/home/me/poem.txt", "train": 900})
    {'source': 'poem.txt', 'train': 900}
    """
    named = {
        key: Path(described[key]).name or str(described[key])
        for key in ("source", "target")
        if isinstance(described.get(key), (str, Path)) and os.sep in str(described[key])
    }
    return {**described, **named}


def _settings_without_folders(settings: ModelSettings) -> dict[str, Any]:
    """The settings of a model card: of paths the last part, nothing of where this call wrote."""
    named = settings.model_dump(
        mode="json", exclude={"out", "resume", "config", "dry_run", "quiet", "json_lines"}
    )
    return {
        key: _name_of(value) if key in paths_of(type(settings)) else value for key, value in named.items()
    }


def _name_of(value: Any) -> Any:
    """The last part of a path, or of each of several."""
    if isinstance(value, (list, tuple)):
        return [_name_of(part) for part in value]
    return Path(value).name if isinstance(value, (str, Path)) else value


def describe(learner: AnyLearner) -> dict[str, object]:
    """What ``learner.describe`` says, and the precision of its matrix products."""
    return {**learner.describe(), "precision": learner.precision}


def data_record(description: dict[str, object], settings: ModelSettings | None = None) -> dict[str, object]:
    """A learner's description and ``files``: path, sha256 and bytes of what ``source`` and ``target`` name, where they exist;
    ``settings_files``: the same of the files that settings name.
    """
    record = dict(description)
    if "files" not in description:
        record |= _listed("files", [description.get(key) for key in _PATHS])
    if settings is not None:
        named = [getattr(settings, name) for name in sorted(paths_of(type(settings)) - {"out", "config"})]
        record |= _listed("settings_files", [path for value in named for path in _each(value)])
    return record


def _each(value: Any) -> list[Any]:
    return list(value) if isinstance(value, (list, tuple)) else [value]


def _listed(key: str, named: list[Any]) -> dict[str, object]:
    """The records of all files below the paths under `key`; nothing where there are none.

    Of a run folder only its model counts: what else lies there, such as its log, may change.
    """
    roots = [Path(path) for path in named if isinstance(path, (str, Path)) and os.path.exists(path)]
    files = [entry for root in roots for entry in _file_records(find_model_folder(root))]
    return {key: files} if files else {}


def _file_records(root: Path) -> list[dict[str, object]]:
    """Path, sha256 and bytes of a file, or of every file below a folder."""
    paths = sorted(path for path in root.rglob("*") if path.is_file()) if root.is_dir() else [root]
    base = root if root.is_dir() else root.parent
    try:
        return [
            {"path": str(path.relative_to(base)), "sha256": sha256_of(path), "bytes": path.stat().st_size}
            for path in paths
        ]
    except OSError as error:
        raise DataError(
            f"{error.filename or root} cannot be read ({error.strerror}), expected a file of the data: check its permissions"
        ) from None


def sha256_of(path: Path) -> str:
    """The sha256 of a file, read in pieces."""
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while piece := file.read(1 << 20):
            digest.update(piece)
    return digest.hexdigest()


def resume_line(learner: AnyLearner, out: Path, command: str = "train", **flags: Iterable[object]) -> str:
    """The command that continues the run in ``out``; everything else is in its ``config.yaml``."""
    described = learner.describe()
    paths = [
        str(described.get("source", "DATA")),
        *([str(described["target"])] if "target" in described else []),
    ]
    words = ["congru", command, learner.task, *paths, "--out", str(out), "--resume"]
    for name, values in flags.items():
        words += [f"--{name}", *map(str, values)]
    return shlex.join(words)
