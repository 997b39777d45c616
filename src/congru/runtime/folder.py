"""The model folder: written whole or not at all, read with every file checked and the golden cases replayed.

config.json           format, version, task, cell, networks, task_config, sha256 of every other file
model.safetensors     the weights, float32
golden.safetensors    three inputs with their outputs and states
README.md             the model card
tokenizer.json | scaler.json | labels.json | ...      side files
"""

from __future__ import annotations

import hashlib
import json
import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from numpy.typing import NDArray
from safetensors import SafetensorError

from congru.errors import CongruError, ModelFolderError
from congru.runtime.atomic import clear_leftovers, folder_beside, make_folders, put_folder
from congru.runtime.golden import golden_of_chain, golden_problem
from congru.runtime.graph import Graph
from congru.runtime.integer import INTEGER, Integers, parse_scales, quantised
from congru.runtime.model import Model
from congru.runtime.network import Network, weight_problem
from congru.runtime.plain_json import parse_json
from congru.runtime.reading import read_file
from congru.runtime.signature import check_signature
from congru.runtime.tensors import format_arrays, of_owner, parse_tensors, prefixed, widened
from congru.version import __version__

FORMAT = "congru-model"
FORMAT_VERSION = 2
TASK = "task"  # the owner of arrays that belong to no network
MAIN = "main"  # the network of a folder of format 1, and of a task with one network
CONFIG, WEIGHTS, GOLDEN, CARD = "config.json", "model.safetensors", "golden.safetensors", "README.md"
_CONFIG_TYPES: dict[str, type] = {
    "task": str,
    "cell": str,
    "congru_version": str,
    "networks": dict,
    "task_config": dict,
    "sha256": dict,
}
_MOST_BYTES = 4 << 20  # of config.json
_MOST_BESIDE = (
    256 << 20
)  # of golden cases, and of weights beyond eight bytes for each that the networks declare
_MOST_OF_A_FILE = 4 << 30  # of a side file
_MOST_NETWORKS = 100
_MOST_READS = 5  # of a folder that is replaced while it is read
_AGAIN = "copy the folder again or train anew"


def save_model(
    folder: str | os.PathLike[str],
    *,
    config: Mapping[str, Any],
    weights: Mapping[str, Mapping[str, NDArray[Any]]],
    golden: Mapping[str, Mapping[str, NDArray[Any]]],
    files: Mapping[str, bytes],
    card: str,
) -> None:
    """Write a model folder; it appears complete, after it has been loaded once from its temporary place.

    `config` holds task, cell, networks and task_config (format, versions and sums are added); `weights` are for every network
    float32 by "<node>.<part>", and under "task" arrays of the task itself; `golden` comes from `make_golden`, for every network;
    `files` are side files by name; `card` is README.md. An existing model folder is replaced; raises
    :class:`ModelFolderError` where something else is in the way, or where the parts do not make a folder that
    `load` accepts, and leaves what was there.
    """
    target = Path(folder).absolute()
    contents = dict(files)
    for name in contents:
        if name in (CONFIG, WEIGHTS, GOLDEN, CARD) or Path(name).name != name or name.startswith("."):
            raise ModelFolderError(f"files holds {name!r}, expected plain names of side files: rename it")
    contents[WEIGHTS] = format_arrays(prefixed(weights, "."))
    contents[GOLDEN] = format_arrays(prefixed(golden, "/"))
    contents[CARD] = card.encode("utf-8", "backslashreplace")
    sums = {name: hashlib.sha256(content).hexdigest() for name, content in sorted(contents.items())}
    contents[CONFIG] = _format_config(config, sums)
    try:
        _check_target(target)
        _write_folder(target, contents)
    except OSError as error:
        raise ModelFolderError(
            f"{target} cannot be written ({error.strerror}): check space and permissions"
        ) from None


def _write_folder(target: Path, contents: dict[str, bytes]) -> None:
    """Fill a folder beside the target, load it once, and put it in the target's place."""
    make_folders(target.parent)
    clear_leftovers(target.parent, target.name)
    with folder_beside(target) as fresh:
        for name, content in contents.items():
            _write(fresh / name, content)
        load(fresh)
        put_folder(fresh, target)


def load(
    path: str | os.PathLike[str],
    backend: str = "auto",
    weight_dtype: str = "float32",
    verify_key: str | os.PathLike[str] | None = None,
) -> Model:
    """Load a model folder, or the one in a run folder, replay its golden cases and return the :class:`Model`.

    Needs no torch.

    `backend` and `weight_dtype` ("float32" or "bfloat16") say how its recurrent layers run, see
    :class:`congru.runtime.network.Network`; the cases are replayed in float32. `verify_key`: the public key that must have
    signed it, see :mod:`congru.runtime.signature`.
    Raises :class:`ModelFolderError` with one line for whatever is missing, truncated, changed or of another
    format. A folder that is replaced meanwhile is read again.
    """
    for _ in range(_MOST_READS - 1):
        folder = find_model_folder(path)
        before = _identity(folder)
        try:
            return _load(folder, backend, weight_dtype, verify_key)
        except ModelFolderError:
            if _identity(folder) == before:
                raise
    return _load(find_model_folder(path), backend, weight_dtype, verify_key)


def _identity(folder: Path) -> tuple[int, int] | None:
    """What tells a folder from a later one at the same path: inode and time of change, since inodes are used again."""
    try:
        status = folder.stat()
    except OSError:
        return None
    return status.st_ino, status.st_ctime_ns


def _load(folder: Path, backend: str, weight_dtype: str, verify_key: str | os.PathLike[str] | None) -> Model:
    config = _read_config(folder)
    if verify_key is not None:
        check_signature(folder, config, verify_key)
    sums = {name: value for name, value in config["sha256"].items() if name != CONFIG}
    graphs = _graphs(folder, config)
    declared = sum(math.prod(shape) for graph in graphs.values() for shape in graph.weight_shapes.values())
    most = {WEIGHTS: _MOST_BESIDE + 8 * declared, GOLDEN: _MOST_BESIDE}
    contents = {
        name: _read(folder / name, most.get(name, _MOST_OF_A_FILE)) for name in (WEIGHTS, GOLDEN, *sums)
    }
    weights, golden = (_parse(folder / name, contents[name]) for name in (WEIGHTS, GOLDEN))
    by_network, integers = _split(folder, config, graphs, widened(weights)), dict[str, Integers]()
    if INTEGER in contents:
        integers = _integers(folder / INTEGER, contents[INTEGER], weights, list(by_network))
    for name, content in contents.items():
        if hashlib.sha256(content).hexdigest() != sums.get(name):
            raise ModelFolderError(
                f"{folder / name} is not the file that was saved, expected the sha256 in {CONFIG}: {_AGAIN}"
            )
    networks = {
        name: Network.of_checked(graph, own, backend, integers=integers.get(name))
        for name, (graph, own) in by_network.items()
    }
    for name, network in networks.items():
        cases = (
            of_owner(golden, name, "/") if "networks" in config else golden_of_chain(golden, network.graph)
        )
        problem = golden_problem(network, cases)
        if problem:
            raise ModelFolderError(f"{folder / GOLDEN} {problem}: {_AGAIN}")
    if weight_dtype != "float32":
        networks = {
            name: Network.of_checked(graph, own, backend, weight_dtype, integers.get(name))
            for name, (graph, own) in by_network.items()
        }
    files = {name: content for name, content in contents.items() if name not in (WEIGHTS, GOLDEN, CARD)}
    model = Model(folder, config, networks, weights, files)
    model.check_tokenizer()
    return model


def save_again(
    model: Model,
    folder: str | os.PathLike[str],
    files: Mapping[str, bytes],
    task_config: Mapping[str, Any] | None = None,
) -> None:
    """Write a loaded model to `folder` with other side files; golden cases and card come from the folder it
    was loaded from.

    `task_config`: what its task says of it now; default: as it was. Raises :class:`ModelFolderError` as
    :func:`save_model`, and where that folder is gone.
    """
    golden = _parse(model.folder / GOLDEN, _read(model.folder / GOLDEN))
    networks, chain = declared_networks(model.config), "networks" not in model.config
    weights = {name: of_owner(model.weights, name, ".") for name in networks}
    cases = {name: of_owner(golden, name, "/") for name in networks}
    if chain:
        weights = {MAIN: dict(model.weights)}
        cases = {MAIN: golden_of_chain(golden, model.network.graph)}
    elif model.task_weights:
        weights[TASK] = model.task_weights
    kept = {key: model.config[key] for key in ("task", "cell", "task_config")}
    if task_config is not None:
        kept["task_config"] = dict(task_config)
    save_model(
        folder,
        config={"networks": networks, **kept},
        weights=weights,
        golden=cases,
        files=files,
        card=_read(model.folder / CARD).decode(),
    )


def find_model_folder(path: str | os.PathLike[str]) -> Path:
    """The model folder itself: a run folder stands for the model in it."""
    folder = Path(path)
    inner = folder / "model"
    return inner if os.path.isfile(inner / CONFIG) and not os.path.exists(folder / CONFIG) else folder


def called(path: str | os.PathLike[str]) -> str:
    """What a model or run folder is known by: its name, or that of the folder above where it is only called "model".

    >>> called("runs/demo-chess/model/model"), called("runs/romeo")
    ('demo-chess', 'romeo')
    """
    folder = Path(os.path.abspath(path))
    return next((one.name for one in (folder, *folder.parents) if one.name not in ("", "model")), folder.name)


def config_sum(config: Mapping[str, Any]) -> str:
    """The sha256 of a config without its own sums: shows whether a setting was changed after saving."""
    rest = {key: value for key, value in config.items() if key != "sha256"}
    return hashlib.sha256(json.dumps(rest, sort_keys=True).encode()).hexdigest()


def _format_config(config: Mapping[str, Any], sums: dict[str, str]) -> bytes:
    fixed = {"format": FORMAT, "format_version": FORMAT_VERSION, "congru_version": __version__}
    entries = {"task_config": {}, **config}
    keys = [key for key in _CONFIG_TYPES if key not in (*fixed, "sha256")]
    for key in keys:
        if key not in entries:
            raise ModelFolderError(f"config lacks the key {key!r}, expected {', '.join(keys)}: add it")
    for key in entries:
        if key not in keys:
            raise ModelFolderError(f"config has the key {key!r}, expected only {', '.join(keys)}: remove it")
    try:
        whole = json.loads(json.dumps({**fixed, **entries}, allow_nan=False))
    except (TypeError, ValueError) as error:
        raise ModelFolderError(f"config cannot be written as JSON ({error}), expected plain values") from None
    whole["sha256"] = {CONFIG: config_sum(whole), **sums}
    return (json.dumps(whole, indent=2, ensure_ascii=False) + "\n").encode()


def _check_target(target: Path) -> None:
    """An existing target must be an empty folder or a model folder: nothing else is ever replaced."""
    if not target.exists():
        return
    if not target.is_dir():
        raise ModelFolderError(f"{target} is a file, expected a folder or nothing: choose another name")
    if any(target.iterdir()):
        try:
            config = parse_json(read_file(target / CONFIG, _MOST_BYTES))
        except (FileNotFoundError, ValueError):
            config = None
        if not isinstance(config, dict) or config.get("format") != FORMAT:
            raise ModelFolderError(
                f"{target} exists and is not a model folder, expected an empty one: choose another"
            )


def _write(path: Path, content: bytes) -> None:
    with path.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _read(path: Path, most: int | None = None) -> bytes:
    try:
        return read_file(path, most)
    except FileNotFoundError:
        raise ModelFolderError(f"{path} is missing, expected in a model folder: {_AGAIN}") from None
    except OSError as error:
        raise ModelFolderError(f"{path} cannot be read ({error.strerror}): check its permissions") from None


def _read_config(folder: Path) -> dict[str, Any]:
    """The checked config.json; every fault has its own line."""
    path = folder / CONFIG
    try:
        folder.stat()
        content = read_file(path, _MOST_BYTES)
    except (FileNotFoundError, NotADirectoryError):
        if not os.path.exists(folder):
            raise ModelFolderError(
                f"{folder} does not exist, expected a model folder: check the path"
            ) from None
        raise ModelFolderError(
            f"{folder} is not a model folder, expected a folder with {CONFIG}: check the path"
        ) from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise ModelFolderError(
            f"{path} cannot be read ({reason}): check the path and its permissions"
        ) from None
    try:
        config = parse_json(content)
    except ValueError as error:  # broken JSON or not UTF-8
        raise ModelFolderError(f"{path} is not valid JSON ({error}): {_AGAIN}") from None
    if not isinstance(config, dict) or config.get("format") != FORMAT:
        actual = config.get("format") if isinstance(config, dict) else type(config).__name__
        raise ModelFolderError(f"{path} has the format {actual!r}, expected {FORMAT!r}: check the path")
    if config.get("format_version") not in (1, FORMAT_VERSION):
        raise ModelFolderError(
            f"{path} has format_version {config.get('format_version')!r},"
            f" expected 1 or {FORMAT_VERSION}: update congru"
        )
    kinds = dict(_CONFIG_TYPES)
    if config["format_version"] == 1:
        kinds = {"network" if key == "networks" else key: kind for key, kind in kinds.items()}
    for key, kind in kinds.items():
        if not isinstance(config.get(key), kind):
            raise ModelFolderError(
                f"{path} has {key} = {config.get(key)!r:.60}, expected a {kind.__name__}: {_AGAIN}"
            )
    for name in config["sha256"]:
        if Path(name).name != name or not name.isprintable():
            raise ModelFolderError(f"{path} names the file {name!r}, expected plain names: {_AGAIN}")
    if config["sha256"].get(CONFIG) != config_sum(config):
        raise ModelFolderError(f"{path} was changed after it was saved, expected its own sha256: {_AGAIN}")
    return config


def _parse(path: Path, content: bytes) -> dict[str, NDArray[Any]]:
    try:
        return parse_tensors(content)
    except (SafetensorError, ValueError) as error:
        raise ModelFolderError(f"{path} is truncated or not a safetensors file ({error}): {_AGAIN}") from None


def _integers(
    path: Path, content: bytes, tensors: Mapping[str, NDArray[Any]], names: list[str]
) -> dict[str, Integers]:
    """What every network computes in whole numbers, of int8.json and the int8 tensors."""
    try:
        scales = parse_scales(content)
        parts = {
            name: Integers(quantised(of_owner(tensors, name, ".")), scales.get(name, {})) for name in names
        }
        for name, part in parts.items():
            for node in part.scales:
                if f"{node}.weight_hh_l0" not in part.matrices:
                    raise ValueError(f"{name} has no int8 weights for {node!r}")
    except (ValueError, AttributeError, TypeError) as error:
        raise ModelFolderError(f"{path} does not fit its model ({error}): {_AGAIN}") from None
    return parts


def declared_networks(config: Mapping[str, Any]) -> dict[str, Any]:
    """The networks that a config.json of any format declares, by name."""
    return dict(config["networks"]) if "networks" in config else {MAIN: config["network"]}


def _graphs(folder: Path, config: dict[str, Any]) -> dict[str, Graph]:
    """The graph of every network, checked."""
    networks = declared_networks(config)
    if not networks:
        raise ModelFolderError(f"{folder / CONFIG}: networks is empty, expected at least one: {_AGAIN}")
    if len(networks) > _MOST_NETWORKS:
        raise ModelFolderError(
            f"{folder / CONFIG}: networks has {len(networks)} entries, expected at most {_MOST_NETWORKS}: {_AGAIN}"
        )
    graphs = {}
    for name, declaration in networks.items():
        if not name.isidentifier() or name == TASK:
            raise ModelFolderError(
                f"{folder / CONFIG}: a network is called {name!r}, expected another name: {_AGAIN}"
            )
        try:
            graphs[name] = Graph(declaration)
        except CongruError as error:
            raise ModelFolderError(f"{folder / CONFIG}: {error}") from None
    return graphs


def _split(
    folder: Path, config: dict[str, Any], graphs: Mapping[str, Graph], weights: dict[str, NDArray[Any]]
) -> dict[str, tuple[Graph, dict[str, NDArray[Any]]]]:
    """The graph and the weights of every network, checked."""
    parts = {}
    for name, graph in graphs.items():
        own = of_owner(weights, name, ".") if "networks" in config else weights
        problem = weight_problem(graph, own)
        if problem:
            raise ModelFolderError(f"{folder / WEIGHTS} {problem}: {_AGAIN}")
        parts[name] = (graph, own)
    for tensor in weights if "networks" in config else ():
        if tensor.partition(".")[0] not in (*graphs, TASK):
            raise ModelFolderError(
                f"{folder / WEIGHTS} holds the tensor {tensor!r}, which no network owns: {_AGAIN}"
            )
    return parts
