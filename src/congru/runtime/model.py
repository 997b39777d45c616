"""A loaded model: its network, its settings and its side files."""

from __future__ import annotations

import hashlib
import json
import threading
import weakref
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

from numpy.typing import ArrayLike, NDArray

from congru.errors import ModelFolderError, SettingsError
from congru.runtime.cells import Array
from congru.runtime.network import Network
from congru.runtime.nodes.recurrent import RecurrentNode
from congru.runtime.plain_json import parse_json
from congru.runtime.run import State
from congru.runtime.scaler import Scaler
from congru.runtime.session import Session
from congru.runtime.tensors import of_owner
from congru.runtime.together import advance
from congru.runtime.tokenizer import Tokenizer, parse_tokenizer

_LOADED: weakref.WeakSet[Model] = weakref.WeakSet()  # where unpickled sessions find their weights
_LOCK = threading.Lock()


Value = TypeVar("Value")


class Parts(dict[str, Value]):
    """What a folder holds by name; a name that it lacks is the folder's fault, told in one line.

    >>> Parts({"a": 1}, "romeo has no side file")["b"]
    Traceback (most recent call last):
    congru.errors.ModelFolderError: romeo has no side file 'b', expected one: copy the folder again or train anew
    """

    def __init__(self, values: Mapping[str, Value], lack: str) -> None:
        super().__init__(values)
        self._lack = lack

    def __missing__(self, name: str) -> Value:
        raise ModelFolderError(f"{self._lack} {name!r}, expected one: copy the folder again or train anew")


class Model:
    """What `congru.load` returns.

    `config` is config.json; `networks` run arrays, by name; `weights` are all tensors as the file names them, those of the task
    ("task.<name>") beside those of the networks ("<network>.<node>.<part>"); `files` holds the side files as bytes; `folder` is
    where it lies.
    """

    def __init__(
        self,
        folder: Path,
        config: Mapping[str, Any],
        networks: Mapping[str, Network],
        weights: Mapping[str, NDArray[Any]],
        files: Mapping[str, bytes],
    ) -> None:
        self.folder, self.config = folder, config
        self.networks: Mapping[str, Network] = Parts(networks, f"{folder} has no network")
        self.files: Mapping[str, bytes] = Parts(files, f"{folder} has no side file")
        self.weights = weights
        with _LOCK:
            _LOADED.add(self)

    @property
    def network(self) -> Network:
        """The only network; raises :class:`SettingsError` where the folder holds several."""
        if len(self.networks) != 1:
            names = ", ".join(self.networks)
            raise SettingsError(
                f"the model has the networks {names}, expected one: name it, model.networks[...]"
            )
        return next(iter(self.networks.values()))

    @property
    def task_weights(self) -> dict[str, NDArray[Any]]:
        """Trained arrays of the task itself, such as the transitions of a CRF."""
        return Parts(of_owner(self.weights, "task", "."), f"{self.folder} has no trained array")

    @property
    def task(self) -> str:
        """The task it was trained for, such as "text"."""
        return str(self.config["task"])

    @property
    def cell(self) -> str:
        """Its recurrent cell, such as "gru"."""
        return str(self.config["cell"])

    @property
    def task_config(self) -> dict[str, Any]:
        """What its task needs to prepare inputs and read outputs."""
        return Parts(self.config["task_config"], f"{self.folder}: task_config has no")

    @property
    def num_parameters(self) -> int:
        """How many trained numbers it has."""
        return sum(int(weight.size) for weight in self.weights.values())

    def need_files(self, *names: str) -> None:
        """Raise :class:`ModelFolderError` for the first of the files that its folder lacks."""
        for name in names:
            if name not in self.files:
                raise ModelFolderError(f"{self.folder} has no {name}, expected one: copy the folder again")

    @cached_property
    def tokenizer(self) -> Tokenizer | None:
        """The tokenizer of tokenizer.json; None where the model has none."""
        content = self.files.get("tokenizer.json")
        return None if content is None else parse_tokenizer(content, str(self.folder / "tokenizer.json"))

    def check_tokenizer(self) -> None:
        """Raise :class:`ModelFolderError` where the only network knows another number of tokens than the tokenizer."""
        if self.tokenizer is None or len(self.networks) != 1 or not self.network.tokens:
            return
        known, wanted = self.tokenizer.num_tokens, self.network.num_tokens
        if known != wanted:
            raise ModelFolderError(
                f"{self.folder / 'tokenizer.json'} has {known} tokens, expected {wanted} as the network:"
                " copy the folder again or train anew"
            )

    @cached_property
    def scaler(self) -> Scaler | None:
        """The scaler of scaler.json; None where the model has none."""
        content = self.files.get("scaler.json")
        return None if content is None else Scaler.from_json(content, str(self.folder / "scaler.json"))

    @cached_property
    def labels(self) -> list[str] | None:
        """The class names of labels.json in the order of the outputs; None where the model has none."""
        content = self.files.get("labels.json")
        if content is None:
            return None
        try:
            labels = parse_json(content)
        except ValueError:
            labels = None
        if not isinstance(labels, list) or not all(isinstance(label, str) for label in labels):
            raise ModelFolderError(
                f"{self.folder / 'labels.json'} is no JSON list of names: copy the folder again"
            )
        return labels

    @cached_property
    def fingerprint(self) -> str:
        """The sha256 of network and weights: a saved session state belongs to the model with the same one."""
        digest = hashlib.sha256(
            json.dumps(
                self.config["network" if "network" in self.config else "networks"], sort_keys=True
            ).encode()
        )
        for name in sorted(self.weights):
            digest.update(name.encode())
            digest.update(self.weights[name].tobytes())
        return digest.hexdigest()

    def run(
        self, x: ArrayLike, lengths: ArrayLike | None = None, state: Mapping[str, ArrayLike] | None = None
    ) -> tuple[Array, State]:
        """Run x [B, T] (tokens) or [B, T, I] at once: output [B, T, O] (pooled: [B, O]) and the state after.

        See :meth:`congru.runtime.network.Network.run`; `model.network.trace` also returns the gates.
        """
        return self.network.run(x, state, lengths)

    def predict(self, *args: Any, **options: Any) -> Any:
        """What a forecasting model says of the next steps; raises :class:`SettingsError` for a model of another task."""
        raise SettingsError(
            f"the model is of the task {self.task!r}, which does not predict tables, expected 'forecast': use run() or"
            " session()"
        )

    def session(
        self,
        seed: int | None = None,
        batch_size: int = 1,
        *,
        network: str | None = None,
        constants: Mapping[str, ArrayLike] | None = None,
        lengths: Mapping[str, ArrayLike] | None = None,
    ) -> Session:
        """A fresh :class:`Session` that runs the model step by step; `seed` makes its sampling repeatable.

        `network` names one of several; `constants` and `lengths` are for its rows and memories. Raises
        :class:`SettingsError` where the network needs the whole sequence at once.
        """
        if network is not None and network not in self.networks:
            raise SettingsError(
                f"network is {network!r}, expected one of {', '.join(self.networks)}: pass one of these"
            )
        return Session(
            self.network if network is None else self.networks[network],
            tokenizer=self.tokenizer,
            identity=lambda: self.fingerprint,
            reopen=reopened,
            network_name=network or next(iter(self.networks)),
            seed=seed,
            batch_size=batch_size,
            constants=constants,
            lengths=lengths,
        )

    def advance(self, sessions: Sequence[Session], x: Any) -> Any:
        """One step of many sessions of this model in one call: see :func:`congru.runtime.together.advance`."""
        return advance(sessions, x)

    def __repr__(self) -> str:
        parts = [f"{name}: {_describe(network)}" for name, network in self.networks.items()]
        whole = _describe(self.network) if len(self.networks) == 1 else "; ".join(parts)
        return f"Model({str(self.folder)!r}: {self.task}, {whole}, {self.num_parameters:,} parameters)"


def reopened(
    fingerprint: str,
    network: str,
    batch_size: int,
    constants: Mapping[str, ArrayLike],
    lengths: Mapping[str, ArrayLike],
    content: bytes,
) -> Session:
    """An unpickled session of the loaded model with this fingerprint.

    Raises :class:`ModelFolderError` where no such model is loaded in this process.
    """
    with _LOCK:
        loaded = list(_LOADED)
    for model in loaded:
        if model.fingerprint == fingerprint:
            session = model.session(
                batch_size=batch_size, network=network, constants=constants, lengths=lengths
            )
            return session.restore(content)
    raise ModelFolderError(
        f"the pickled session is of the model {fingerprint[:12]}, expected it to be loaded in this process: keep the"
        " result of congru.load(folder) before you unpickle"
    )


def _describe(network: Network) -> str:
    graph = network.graph
    sizes = " + ".join(map(_layers, graph.recurrent)) or "no recurrent layer"
    inputs = ", ".join(
        f"{' x '.join(map(str, spec.tokens))} tokens"
        if spec.tokens
        else f"{' x '.join(map(str, spec.size))} features"
        for spec in graph.inputs.values()
    )
    outputs = ", ".join(" x ".join(map(str, spec.size)) for spec in graph.outputs.values())
    return f"{sizes}, {inputs} -> {outputs} outputs"


def _layers(node: RecurrentNode) -> str:
    text = f"{node.type} {node.num_layers} x {node.hidden_size}"
    return f"{text} both ways" if node.bidirectional else text
